/** The emergency checklist restores the right backup. */
import {rm} from 'node:fs/promises';
import {afterEach, beforeEach, expect, it} from 'vitest';
import {recoveryGuide} from '../../../../src/lib/services/recover/guide.js';
import {appendRun} from '../../../../src/lib/run/append-history.js';
import {tempFolder} from '../../../support/run-cli.js';
import {sampleRecord, writeSampleBackup} from '../../../support/sample-backups.js';
import {sampleRun} from '../../../support/sample-run.js';
import {testContext} from '../../../support/test-context.js';

let home: string;
beforeEach(async () => {
  home = await tempFolder();
});
afterEach(() => rm(home, {recursive: true, force: true}));

it('restores neither newer partial nor data-only backups, and finds the order backups', async () => {
  const folder = `${home}/elsewhere/database`;
  const {config} = sampleRecord('2026-11-20T02:00:00Z');
  const whole = await writeSampleBackup(folder, '2026-11-20T02:00:00Z');
  const part = {config: {...config, includeTables: ['public.orders']}};
  await writeSampleBackup(folder, '2026-11-21T02:00:00Z', part);
  await writeSampleBackup(folder, '2026-11-22T02:00:00Z', {config: {...config, dataOnly: true}});
  await writeSampleBackup(folder, '2026-11-22T03:00:00Z', {label: 'safety'});
  const {markdown} = await recoveryGuide(
    testContext(home, {settings: {backupsDir: `${home}/elsewhere`}, now: '2026-11-22T12:00:00Z'}),
    (id) => ['destino-db', id, `--backups-dir=${home}/elsewhere`],
  );
  const restored = [...markdown.matchAll(/restore --backups-dir=\S+ --backup-file (\S+) --target-db/g)].map(
    ([, file]) => file,
  );
  expect(new Set(restored)).toEqual(new Set([`elsewhere/database/${whole.backupPath}`]));
  expect(markdown).toContain(' | whole, from before a restore | ');
  const settings = `--backups-dir=${home}/elsewhere`;
  expect(markdown).toContain(`orders:restore ${settings} --backup-file elsewhere/order-cleanup/FILE.json`);
  // Without these flags the program would refuse an existing or a missing database.
  expect(markdown).toMatch(/restore --backups-dir=\S+ --at \S+ --target-db shop --drop-existing --dry-run\n/);
  expect(markdown).toContain(`restore ${settings} --latest --target-db shop --create-db --dry-run\n`);
});

it('uses the duration of a restore test of this database', async () => {
  await writeSampleBackup(`${home}/backups/database`, '2026-11-20T02:00:00Z');
  const proof = {backupId: 'x', level: 'restore', ok: true, duration: 1} as const;
  const database = {name: 'other', systemIdentifier: null, host: 'db.example', port: 5432};
  for (const run of [
    sampleRun({startedAt: '2026-11-20T04:00:00Z', verifications: [{...proof, restoreDuration: 60_000}]}),
    sampleRun({
      startedAt: '2026-11-21T04:00:00Z',
      database,
      verifications: [{...proof, restoreDuration: 1_000}],
    }),
  ])
    await appendRun(`${home}/backups`, run);
  const env = {DIRECT_URL: 'postgresql://u@db.example/shop'};
  const {markdown} = await recoveryGuide(testContext(home, {env}), (id) => ['destino-db', id]);
  expect(markdown).toContain('The last restore test (2026-11-20) took 1 min');
});

it.each([
  ['custom', '--target-db postgres --clean'],
  ['sql', '--target-db postgres_restored --create-db'],
] as const)(
  'shows commands that work for a database that cannot be renamed, from %s',
  async (format, way) => {
    await writeSampleBackup(`${home}/backups/database`, '2026-11-20T02:00:00Z', {
      databaseName: 'postgres',
      format,
    });
    const env = {DIRECT_URL: 'postgresql://u@db.example/postgres'};
    const {markdown} = await recoveryGuide(testContext(home, {env}), (id) => ['destino-db', id]);
    expect(markdown).toMatch(new RegExp(`restore --backup-file \\S+ ${way} --dry-run\n`));
    expect(markdown).toMatch(new RegExp(`restore --at \\S+ ${way} --dry-run\n`));
    expect(markdown).not.toMatch(/--drop-existing|destino-db undo|RENAME TO/);
  },
);
