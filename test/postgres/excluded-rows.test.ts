/** Backups with --exclude-table-data: what they contain, and how they are restored, compared and tested. */
import {rm} from 'node:fs/promises';
import {afterAll, afterEach, beforeAll, describe, expect, it} from 'vitest';
import {readBackupRecord} from '../../src/lib/catalog/backup-record.js';
import {contentOf} from '../../src/lib/catalog/backup-record.js';
import {readCatalogue} from '../../src/lib/catalog/catalogue.js';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import type {BackupRequest} from '../../src/lib/services/backup/options.js';
import {restoreDatabase} from '../../src/lib/services/restore/execute.js';
import {verifyBackups} from '../../src/lib/services/verify/verify.js';
import {cases} from '../support/long-form.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, existingDatabase, type TempDatabase} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

let source: TempDatabase;
let folder: string;
const made: TempDatabase[] = [];

beforeAll(async () => {
  folder = await tempFolder();
  source = await createTempDatabase('template0');
  await source.run(`CREATE TABLE logs (id int PRIMARY KEY, earlier int REFERENCES logs);
    INSERT INTO logs VALUES (1, NULL), (2, 1), (3, 2);
    CREATE TABLE visits (id int PRIMARY KEY, log int REFERENCES logs);
    INSERT INTO visits VALUES (1, 1), (2, 3);
    CREATE TABLE events (id int) PARTITION BY LIST (id); CREATE TABLE events_1 PARTITION OF events FOR VALUES IN (1);
    INSERT INTO events VALUES (1)`);
});

afterEach(async () => {
  for (const database of made.splice(0)) await database.drop();
});

afterAll(async () => {
  await source.drop();
  await rm(folder, {recursive: true, force: true});
});

const context = (url = source.url, excludeTableData?: string[]) =>
  testContext(folder, {
    settings: {databaseUrl: url, ...(excludeTableData ? {config: {backup: {excludeTableData}}} : {})},
  });

async function backUp(request: BackupRequest = {}) {
  const result = await backupDatabase(context(), {excludeTableData: ['logs'], ...request});
  return {...result, id: result.id ?? '', metadataPath: result.metadataPath ?? ''};
}

describe('a backup without the rows of some tables', () => {
  it('counts as complete, and says whose rows it lacks and which keys refer to them', async () => {
    const {metadataPath, tables, withoutRows, warnings} = await backUp();
    const logs = {table: 'public.logs', reason: '--exclude-table-data logs'};
    expect(withoutRows).toEqual([logs]);
    expect(tables.map(({table, rows}) => [table, rows])).toEqual([
      ['public.events_1', 1],
      ['public.visits', 2],
    ]);
    expect(warnings).toEqual([
      expect.stringMatching(/refer to rows that the backup does not contain: public\.logs\./),
    ]);
    const record = await readBackupRecord(metadataPath);
    expect(record.inventory.leftOut).toEqual([logs]);
    expect(record.config.excludeTableData).toEqual(['logs']);
    expect(contentOf(record)).toBe('whole');
  });

  it('takes the patterns of the config file too, and ignores them for definitions alone', async () => {
    const configured = context(source.url, ['logs']);
    const both = await backupDatabase(configured, {excludeTableData: ['visits']});
    expect(both.withoutRows.map(({table}) => table)).toEqual(['public.logs', 'public.visits']);
    expect(both.warnings).toEqual([]);
    expect((await backupDatabase(configured, {schemaOnly: true})).withoutRows).toEqual([]);
  });

  it('is refused for a pattern that matches no table with rows', async () => {
    await expect(backUp({excludeTableData: ['log']})).rejects.toMatchObject({
      code: 'PATTERN_MATCHES_NOTHING',
      message: expect.stringMatching(/--exclude-table-data log\. .*Did you mean "?public\.logs/) as string,
    });
    await expect(backUp({excludeTableData: ['events']})).rejects.toMatchObject({
      code: 'PATTERN_MATCHES_NOTHING',
      hint: 'The rows of the partitioned table events are in its partitions: name these.',
    });
    expect((await backUp({excludeTableData: ['events_*']})).withoutRows).toMatchObject([
      {table: 'public.events_1'},
    ]);
    await expect(backUp({schemaOnly: true})).rejects.toMatchObject({code: 'USAGE'});
  });

  it.each(cases(['custom', 'sql', 'directory'] as const))(
    'in format %s is restored with the table empty, and keys to its rows NOT VALID',
    async (format) => {
      const {id} = await backUp({format});
      const copy = existingDatabase(`${source.name}_copy`);
      made.push(copy);
      const {notes, tables} = await restoreDatabase(context(), {
        backupFile: id,
        targetDb: copy.name,
        createDb: true,
      });
      expect(tables).toContainEqual({
        table: 'public.logs',
        rows: 0,
        fingerprint: expect.anything() as string,
      });
      expect(notes).toContainEqual('empty, as the backup was made without their rows: public.logs');
      expect(notes.join('\n')).toMatch(/^NOT VALID, .*foreign key public\.visits visits_log_fkey/m);
      expect(
        await copy.query('SELECT conname, convalidated FROM pg_constraint WHERE contype = $$f$$ ORDER BY 1'),
      ).toEqual([
        {conname: 'logs_earlier_fkey', convalidated: 't'},
        {conname: 'visits_log_fkey', convalidated: 'f'},
      ]);
      const {results} = await verifyBackups(
        context(),
        {},
        {backupFile: id, level: 'restore', scratch: {kind: 'same'}},
      );
      expect(results).toMatchObject([{outcome: 'passed'}]);
      expect(results[0]?.notes).toContainEqual(
        'empty, as the backup was made without their rows: public.logs',
      );
    },
  );

  it('is not restored as it was where the empty table gets rows meanwhile', async () => {
    await source.run(`CREATE FUNCTION log_it() RETURNS bool LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.logs VALUES (9); RETURN true; END$$;
      CREATE TABLE noisy (id int CHECK (log_it())); ALTER TABLE logs ADD COLUMN n int`);
    try {
      await source.run('INSERT INTO noisy VALUES (1)');
      const {id} = await backUp();
      const copy = existingDatabase(`${source.name}_copy`);
      made.push(copy);
      const failed = restoreDatabase(context(), {backupFile: id, targetDb: copy.name, createDb: true});
      await expect(failed).rejects.toMatchObject({
        code: 'RESTORED_DIFFERS',
        details: ['public.logs: 1 rows instead of 0'],
      });
      const {results} = await verifyBackups(
        context(),
        {},
        {backupFile: id, level: 'restore', scratch: {kind: 'same'}},
      );
      expect(results).toMatchObject([
        {outcome: 'failed', findings: [expect.stringContaining('public.logs has 1 rows') as string]},
      ]);
    } finally {
      await source.run(
        'DROP TABLE noisy; DROP FUNCTION log_it; ALTER TABLE logs DROP COLUMN n; DELETE FROM logs WHERE id = 9',
      );
    }
  });

  it('replaces a database only after a safety backup with all rows, and says what would be lost', async () => {
    const {id} = await backUp();
    const target = await createTempDatabase('template0');
    made.push(target);
    await target.run(`CREATE TABLE logs (id int PRIMARY KEY, earlier int); INSERT INTO logs VALUES (7)`);
    const run = context(target.url, ['logs']);
    const preview = await restoreDatabase(run, {backupFile: id, clean: true, dryRun: true});
    expect(preview.wouldLose).toContainEqual(expect.objectContaining({table: 'public.logs', onlyLive: 1}));
    expect(preview.schemaDifferences.join('\n')).not.toContain('public.logs');
    const {safetyBackup} = await restoreDatabase(run, {backupFile: id, clean: true});
    const {backups} = await readCatalogue(`${folder}/backups/database`);
    const safety = backups.find((backup) => backup.id === safetyBackup);
    expect(safety?.record?.tables).toMatchObject([{name: 'logs', rows: 1}]);
    expect(await target.query('SELECT count(*) FROM logs')).toEqual([{count: '0'}]);
  });
});
