import {mkdir, rm, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import {showList} from '../../../../src/lib/cli/show/show-list.js';
import {createStyle} from '../../../../src/lib/cli/show/style.js';
import {listBackups} from '../../../../src/lib/services/status/list-backups.js';
import {tempFolder} from '../../../support/run-cli.js';
import {writeOldScriptBackup, writeSampleBackup} from '../../../support/sample-backups.js';
import {testContext} from '../../../support/test-context.js';

const now = '2026-11-23T02:00:00.000Z';
const plain = createStyle(false, {}, true);
const proof = (level: 'archive' | 'restore', ok = true) => ({level, ok, at: '2026-11-22T05:00:00.000Z', duration: 5, findings: []}); // prettier-ignore

let home = '';
let folder = '';
beforeEach(async () => {
  home = await tempFolder();
  folder = join(home, 'backups', 'database');
});
afterEach(async () => {
  await rm(home, {recursive: true, force: true});
});

describe('listBackups', () => {
  it('lists backups, newest first, with rows, checks, label, and the decision of retention', async () => {
    const newest = await writeSampleBackup(folder, '2026-11-22T03:10:00.000Z', {verification: proof('archive'), label: 'before release'}); // prettier-ignore
    const damaged = await writeSampleBackup(folder, '2026-11-21T03:10:00.000Z', {verification: proof('archive'), proofs: [proof('restore', false)]}); // prettier-ignore
    const older = await writeSampleBackup(folder, '2026-10-21T03:10:00.000Z', {format: 'directory', proofs: [proof('restore')]}); // prettier-ignore
    await writeSampleBackup(folder, '2026-10-20T03:10:00.000Z', {shrink: [{table: 'public.orders', rowsBefore: 9, rowsNow: 0}]}); // prettier-ignore
    const old = await writeOldScriptBackup(folder, '2026-09-01T03:10:00.123Z');
    const settings = {config: {retention: {keepDays: 7}}};
    const {backups, problems} = await listBackups(testContext(home, {now, settings}), {});
    expect(problems).toEqual([]);
    expect(backups.map((backup) => [backup.id, backup.rows, backup.verification?.level ?? null, backup.verification?.ok ?? null])).toEqual([
      [newest.id, 1240, 'archive', true],
      [damaged.id, 1240, 'restore', false],
      [older.id, 1240, 'restore', true],
      ['shop-2026-10-20T03-10-00', 1240, null, null],
      [old, null, null, null],
    ]); // prettier-ignore
    expect(backups.map((backup) => backup.kept)).toEqual([
      'newest intact backup, within 7 days',
      'within 7 days',
      'newest proven by restore',
      'would be removed: no rule keeps it (keep-days 7)',
      'newest intact backup',
    ]);
    expect(backups[0]).toMatchObject({path: join(folder, newest.backupPath), label: 'before release', database: 'shop', size: 6}); // prettier-ignore
    expect(backups[3]?.shrunkTables).toEqual(['public.orders']);
  });

  it('lists the order backups of this program and of the old scripts', async () => {
    const orders = join(home, 'backups', 'order-cleanup');
    await mkdir(orders, {recursive: true});
    const names = ['orders-backup-2026-11-22T11-11-40-931Z.json', 'orders-backup-2026-11-23T01-00-00.json', 'orders-backup-2026-11-23T01-00-00-2.json']; // prettier-ignore
    for (const name of [...names, 'notes.json', 'orders-backup-2026-11-23T01-00-00.json.partial'])
      await writeFile(join(orders, name), '{}');
    const {orderBackups} = await listBackups(testContext(home, {now}), {});
    expect(orderBackups.map((backup) => backup.createdAt)).toEqual([
      '2026-11-23T01:00:00.000Z',
      '2026-11-23T01:00:00.000Z',
      '2026-11-22T11:11:40.000Z',
    ]);
  });

  it('reports unusable metadata, and lists the rest', async () => {
    await writeSampleBackup(folder, '2026-11-22T03:10:00.000Z');
    await writeFile(join(folder, 'cut.metadata.json'), '{"schemaVersion":1,');
    const gone = await writeSampleBackup(folder, '2026-11-21T03:10:00.000Z');
    await rm(join(folder, gone.backupPath));
    const away = await writeSampleBackup(folder, '2026-11-20T03:10:00.000Z');
    await rm(join(folder, away.backupPath));
    await symlink('/etc/hostname', join(folder, away.backupPath));
    await writeFile(join(folder, 'alone.dump'), 'no metadata, no backup');
    const list = await listBackups(testContext(home, {now}), {});
    expect(list.backups).toHaveLength(1);
    expect(list.problems).toHaveLength(3);
    expect(showList(list, plain).join('\n')).toMatch(/Problems: 3 metadata files cannot be read as a backup/);
  });

  it('filters by label, format and folder', async () => {
    await writeSampleBackup(folder, '2026-11-22T03:10:00.000Z', {label: 'weekly'});
    await writeSampleBackup(folder, '2026-11-21T03:10:00.000Z', {format: 'directory'});
    const elsewhere = join(home, 'elsewhere');
    await writeSampleBackup(elsewhere, '2026-11-20T03:10:00.000Z');
    const list = async (options: Parameters<typeof listBackups>[1]) =>
      (await listBackups(testContext(home, {now}), options)).backups.map((backup) =>
        backup.createdAt.slice(8, 10),
      );
    expect(await list({label: 'weekly'})).toEqual(['22']);
    expect(await list({format: 'directory'})).toEqual(['21']);
    expect(await list({from: elsewhere})).toEqual(['20']);
    const context = testContext(home, {now});
    expect((await listBackups(context, {label: 'weeky'})).backups).toEqual([]);
    expect(context.warnings).toEqual(['No backup has the label "weeky". Did you mean "weekly"?']);
    await expect(list({from: join(home, 'nowhere')})).rejects.toMatchObject({
      code: 'BACKUP_NOT_FOUND',
      exitCode: 2,
    });
  });
});

describe('showList', () => {
  it('shows how to begin if there is no backup', async () => {
    const list = await listBackups(testContext(home, {now}), {});
    expect(showList(list, plain)).toEqual([`No backups in ${folder}.`, 'Make one: destino-db backup']);
  });

  it('prints a table that fits its widest cell, without control characters of names', async () => {
    await writeSampleBackup(folder, '2026-11-22T03:10:00.000Z', {
      label: 'a\u001b[31mb',
      verification: proof('restore'),
    });
    await writeSampleBackup(folder, '2026-11-23T02:00:00.000Z');
    const lines = showList(await listBackups(testContext(home, {now}), {}), plain);
    expect(lines).toEqual([
      'ID                        TIME (UTC)           DATABASE  CONTENT  SIZE   ROWS  CHECK               LABEL',
      'shop-2026-11-23T02-00-00  2026-11-23 02:00:00  shop      whole     6 B  1,240  no                  -',
      'shop-2026-11-22T03-10-00  2026-11-22 03:10:00  shop      whole     6 B  1,240  restore 2026-11-22  a\\u001b[31mb',
      '',
      `2 backups, 12 B, in ${folder}; the newest: just now`,
    ]);
  });
});
