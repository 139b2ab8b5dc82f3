/** Rows alone are restored into existing tables, in the order of their foreign keys, for an owner who is not a superuser. */
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, afterEach, beforeAll, describe, expect, it} from 'vitest';
import {restoreDatabase, type RestoreResult} from '../../src/lib/services/restore/execute.js';
import type {RestoreRequest} from '../../src/lib/services/restore/options.js';
import {makeDump} from '../support/make-dump.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, onServer, type TempDatabase, urlOf} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';
import {cases} from '../support/long-form.js';

const role = 'rows_owner';
const made: TempDatabase[] = [];
let folder: string;

/** The names are in the reverse order of the keys: a dump has the children first. */
const definitions = `
  CREATE TABLE c_customer (id int PRIMARY KEY, note text);
  CREATE TABLE b_order (id int PRIMARY KEY, customer int NOT NULL REFERENCES c_customer);
  CREATE TABLE a_item (id int, day date, original int, original_day date, "order" int NOT NULL REFERENCES b_order, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
  CREATE TABLE "a item one" PARTITION OF a_item FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
  CREATE TABLE z_item_two PARTITION OF a_item FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
  CREATE TABLE a_refund (id int PRIMARY KEY, item int, day date, FOREIGN KEY (item, day) REFERENCES a_item);
  CREATE TABLE a_staff (id int PRIMARY KEY, boss int REFERENCES a_staff);
  CREATE TABLE d_log (line text);`;
const rows = `
  INSERT INTO c_customer VALUES (1, 'one'), (2, 'two');
  INSERT INTO b_order VALUES (1, 2), (2, 1);
  INSERT INTO a_item (id, day, "order") VALUES (1, '2026-01-05', 2), (2, '2026-02-05', 1);
  INSERT INTO a_refund VALUES (1, 2, '2026-02-05');
  INSERT INTO a_staff VALUES (1, NULL); INSERT INTO a_staff VALUES (3, 1), (2, 3); UPDATE a_staff SET boss = 2 WHERE id = 1;`;
const circle = `
  CREATE TABLE e_team (id int PRIMARY KEY, lead int);
  CREATE TABLE f_person (id int PRIMARY KEY, team int REFERENCES e_team);
  ALTER TABLE e_team ADD CONSTRAINT lead_key FOREIGN KEY (lead) REFERENCES f_person`;
const circleRows = `INSERT INTO e_team VALUES (1, NULL); INSERT INTO f_person VALUES (1, 1); UPDATE e_team SET lead = 1;`;

/** The tables belong to the role that restores. */
async function database(sql: string): Promise<TempDatabase> {
  const one = await createTempDatabase('template0');
  made.push(one);
  await one.run(`GRANT ALL ON SCHEMA public TO ${role}; SET ROLE ${role}; ${sql}`);
  return one;
}

const ownersUrl = ({connection}: TempDatabase): string => urlOf({...connection, user: role, password: 'p'});

function restore(url: string, request: RestoreRequest): Promise<RestoreResult> {
  return restoreDatabase(testContext(folder, {settings: {databaseUrl: url}}), {dataOnly: true, ...request});
}

async function countIn(target: TempDatabase, table: string): Promise<string | null | undefined> {
  const [row] = await target.query(`SELECT count(*) AS n FROM public.${table}`);
  return row?.['n'];
}

beforeAll(async () => {
  folder = await tempFolder();
  await onServer((session) => session.query(`CREATE ROLE ${role} LOGIN PASSWORD 'p'`));
});
afterEach(async () => {
  for (const one of made.splice(0)) await one.drop();
});
afterAll(async () => {
  await rm(folder, {recursive: true, force: true});
  await onServer((session) => session.query(`DROP ROLE ${role}`));
});

describe('rows alone', () => {
  it.each(cases(['sql', 'directory', 'custom'] as const))(
    'do not fail on keys between tables: %s',
    async (kind) => {
      const source = await database(definitions + rows);
      const {path} = await makeDump(source.connection, folder, kind, {name: `keys.${kind}`});
      const target = await database(definitions);
      const request = {backupFile: path};
      const dryRun = await restore(ownersUrl(target), {...request, dryRun: true});
      expect(dryRun.notes).toEqual(['tables are loaded in the order of their foreign keys']);
      expect(dryRun.commands).toEqual([]);
      const result = await restore(ownersUrl(target), request);
      expect(result).toMatchObject({errors: [], differences: []});
      expect(result.notes).toContain('tables are loaded in the order of their foreign keys');
      expect(result.tables.reduce((sum, table) => sum + table.rows, 0)).toBe(10);
    },
  );

  it.each(cases(['custom', 'sql.gz'] as const))(
    'do not fire triggers, whose states are kept: %s',
    async (kind) => {
      const triggers = `
      CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.d_log VALUES (TG_NAME); NEW.note = 'x'; RETURN NEW; END$$;
      CREATE TRIGGER t_on BEFORE INSERT ON c_customer FOR EACH ROW EXECUTE FUNCTION log();
      CREATE TRIGGER t_always BEFORE INSERT ON c_customer FOR EACH ROW EXECUTE FUNCTION log();
      CREATE TRIGGER t_off BEFORE INSERT ON c_customer FOR EACH ROW EXECUTE FUNCTION log();
      ALTER TABLE c_customer ENABLE ALWAYS TRIGGER t_always, DISABLE TRIGGER t_off;`;
      const source = await database(definitions + rows);
      const {path} = await makeDump(source.connection, folder, kind, {name: `triggers.${kind}`});
      for (const urlFor of [ownersUrl, ({url}: TempDatabase) => url]) {
        const target = await database(definitions + triggers);
        const result = await restore(urlFor(target), {backupFile: path});
        expect(result.notes).toContain('off meanwhile: public.c_customer: t_always, public.c_customer: t_on');
        expect(
          await target.query(`SELECT tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1`),
        ).toEqual([
          {tgname: 't_always', tgenabled: 'A'},
          {tgname: 't_off', tgenabled: 'D'},
          {tgname: 't_on', tgenabled: 'O'},
        ]);
        expect(await countIn(target, 'd_log')).toBe('0');
      }
    },
  );

  it('warn of triggers that fire because the tables belong to another role', async () => {
    const source = await database(definitions + rows);
    const {path} = await makeDump(source.connection, folder, 'custom', {name: 'fire.dump'});
    const target = await database(
      `RESET ROLE; ${definitions} GRANT ALL ON ALL TABLES IN SCHEMA public TO ${role};
       CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;
       CREATE TRIGGER t_on BEFORE INSERT ON c_customer FOR EACH ROW EXECUTE FUNCTION log()`,
    );
    const {warnings} = await restore(ownersUrl(target), {backupFile: path});
    expect(warnings.join()).toMatch(/fire for each row, .*: public\.c_customer: t_on/);
  });

  it('never leave rows that refer to nothing, even for a superuser', async () => {
    const view = 'CREATE MATERIALIZED VIEW busy AS SELECT count(*) FROM b_order;';
    const source = await database(definitions + view + rows);
    const {path} = await makeDump(source.connection, folder, 'custom', {name: 'part.dump'});
    const target = await database(definitions + view);
    const request = {backupFile: path, includeTables: ['b_order']};
    for (const url of [ownersUrl(target), target.url]) {
      const {notes} = await restore(url, {...request, dryRun: true});
      expect(notes).toContain(
        'the target must already contain the rows that these keys refer to: public.b_order -> public.c_customer (b_order_customer_fkey)',
      );
      await expect(restore(url, request)).rejects.toMatchObject({
        code: 'RESTORE_FAILED',
        hint: expect.stringContaining('--skip-errors in the same target') as string,
      });
      expect(await countIn(target, 'b_order')).toBe('0');
    }
    await target.run(`INSERT INTO public.c_customer VALUES (1, 'one'), (2, 'two')`);
    const {notCompared} = await restore(ownersUrl(target), request);
    expect(await countIn(target, 'b_order')).toBe('2');
    expect(notCompared.join('\n')).toMatch(
      /sequences, which are unchanged .*\n.*until REFRESH MATERIALIZED VIEW: public\.busy$/m,
    );
  });
});

describe('circular keys', () => {
  it.each(cases(['sql', 'custom'] as const))('are refused before any change: %s', async (kind) => {
    const source = await database(`${circle}; ${circleRows}`);
    const {path} = await makeDump(source.connection, folder, kind, {name: `circle.${kind}`});
    const target = await database(circle);
    for (const dryRun of [true, false]) {
      await expect(restore(ownersUrl(target), {backupFile: path, dryRun})).rejects.toMatchObject({
        code: 'KEY_CIRCLE',
        message: expect.stringContaining('The rows of public.e_team, public.f_person refer') as string,
        hint: expect.stringContaining('DEFERRABLE') as string,
        details: [
          'public.e_team -> public.f_person (lead_key)',
          'public.f_person -> public.e_team (f_person_team_fkey)',
        ],
      });
    }
    // A superuser loads without the checks.
    const result = await restore(target.url, {backupFile: path});
    expect(result.notes.join()).toContain('foreign keys are not checked, because these are circular');
    expect(await countIn(target, 'f_person')).toBe('1');
  });

  it.each(cases(['custom', 'sql'] as const))(
    'are checked at the end if they are deferrable: %s',
    async (kind) => {
      const source = await database(`${circle}; ${circleRows}`);
      const {path} = await makeDump(source.connection, folder, kind, {name: `deferred.${kind}`});
      const target = await database(`${circle}; ALTER TABLE e_team ALTER CONSTRAINT lead_key DEFERRABLE`);
      const result = await restore(ownersUrl(target), {backupFile: path});
      expect(result.notes).toContain(
        'circular foreign keys are checked after all rows are loaded: public.e_team -> public.f_person (lead_key)',
      );
      expect(await countIn(target, 'f_person')).toBe('1');
    },
  );

  it('roll everything back if one is violated', async () => {
    const source = await database(
      `${circle}; ${circleRows} ALTER TABLE e_team DROP CONSTRAINT lead_key; UPDATE e_team SET lead = 7`,
    );
    const {path} = await makeDump(source.connection, folder, 'custom', {name: 'broken.dump'});
    const target = await database(`${circle}; ALTER TABLE e_team ALTER CONSTRAINT lead_key DEFERRABLE`);
    await expect(restore(ownersUrl(target), {backupFile: path})).rejects.toMatchObject({
      code: 'RESTORE_FAILED',
      message: expect.stringMatching(/lead_key.*rolled back/s) as string,
    });
    expect(await countIn(target, 'e_team')).toBe('0');
  });

  it('are found between the partitions of one table', async () => {
    const own = `ALTER TABLE a_item ADD CONSTRAINT original FOREIGN KEY (original, original_day) REFERENCES a_item`;
    const source = await database(definitions + rows);
    const path = join(folder, 'parts.dump');
    await makeDump(source.connection, folder, 'custom', {name: 'parts.dump'});
    const target = await database(definitions + own);
    await expect(restore(ownersUrl(target), {backupFile: path, dryRun: true})).rejects.toMatchObject({
      code: 'KEY_CIRCLE',
      details: ['public.a_item -> public.a_item (original)'],
    });
  });

  it('do not count if a key is NOT VALID, which a superuser may load', async () => {
    const source = await database(
      'CREATE TABLE b (id int); CREATE TABLE p (id int PRIMARY KEY); INSERT INTO b VALUES (1)',
    );
    const {path} = await makeDump(source.connection, folder, 'custom', {name: 'valid.dump'});
    const target = await database(
      'CREATE TABLE b (id int); CREATE TABLE p (id int PRIMARY KEY); ALTER TABLE b ADD CONSTRAINT late FOREIGN KEY (id) REFERENCES p NOT VALID',
    );
    await expect(restore(ownersUrl(target), {backupFile: path})).rejects.toMatchObject({
      code: 'RESTORE_FAILED',
    });
    const result = await restore(target.url, {backupFile: path});
    expect(result.notes.join()).toContain(
      'foreign keys are not checked, because these are NOT VALID: public.b',
    );
  });
});
