/** One backup by its id: shown, deleted, labelled, in a folder. */
import {chmod, readdir, readFile, rename, rm, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import {metadataName} from '../../../../src/lib/catalog/backup-name.js';
import {
  type BackupRecord,
  formatBackupRecord,
  type Verification,
} from '../../../../src/lib/catalog/backup-record.js';
import {withFolderLock} from '../../../../src/lib/run/lock.js';
import {deleteBackup, type DeleteRequest} from '../../../../src/lib/services/by-id/delete-backup.js';
import {labelBackup} from '../../../../src/lib/services/by-id/label-backup.js';
import {showBackup} from '../../../../src/lib/services/by-id/show-backup.js';
import {pruneBackups} from '../../../../src/lib/services/prune/prune-backups.js';
import {copyBackups} from '../../../../src/lib/services/copy/copy-backups.js';
import {localPlace} from '../../../../src/lib/storage/local-place.js';
import {tempFolder} from '../../../support/run-cli.js';
import {sampleRecord, writeOldScriptBackup, writeSampleBackup} from '../../../support/sample-backups.js';
import {testContext} from '../../../support/test-context.js';

let home = '';
let folder = '';
beforeEach(async () => {
  home = await tempFolder();
  folder = join(home, 'backups', 'database');
});
afterEach(async () => {
  await rm(home, {recursive: true, force: true});
});

const now = '2026-01-10T00:00:00Z';
const day = (number: number): string => `2026-01-0${number}T00:00:00Z`;
const names = async (): Promise<string[]> => (await readdir(folder)).sort();
const context = (changes: Parameters<typeof testContext>[1] = {}) => testContext(home, {now, ...changes});
const request = (backup: string, more: Partial<DeleteRequest> = {}): DeleteRequest => ({
  backup,
  isNewestToo: false,
  dryRun: false,
  ...more,
});
const proof = (level: Verification['level'], ok = true): Verification => ({
  level,
  at: day(9),
  ok,
  outcome: ok ? 'passed' : 'failed',
  duration: 5,
  findings: ok ? [] : ['damaged'],
});

describe('delete', () => {
  it('removes every file of the one that is named, and no other', async () => {
    const old = await writeSampleBackup(folder, day(1), {format: 'directory', label: 'x'});
    await writeSampleBackup(folder, day(2));
    const before = await names();
    const ctx = context();
    expect(await deleteBackup(ctx, request('shop-2026-01-01'))).toMatchObject({
      id: old.id,
      dryRun: false,
      database: 'shop',
      label: 'x',
      goodBackupsLeft: 1,
    });
    expect(await names()).toEqual(before.filter((name) => !name.startsWith(old.id)));
    expect(ctx.facts).toContainEqual({pruned: [old.id]});
  });

  it('removes nothing in a dry run, nor where the question is not answered', async () => {
    await writeSampleBackup(folder, day(1));
    await writeSampleBackup(folder, day(2));
    const before = await names();
    await deleteBackup(context(), request('shop-2026-01-01', {dryRun: true}));
    const refusing = context({confirm: () => Promise.reject(new Error('no'))});
    await expect(deleteBackup(refusing, request('shop-2026-01-01'))).rejects.toThrow('no');
    expect(await names()).toEqual(before);
  });

  it('refuses the newest usable backup of its database, even if unusable, partial or foreign ones are newer', async () => {
    const {config} = sampleRecord(day(1));
    await writeSampleBackup(folder, day(1));
    const newest = await writeSampleBackup(folder, day(2));
    await writeSampleBackup(folder, day(3), {proofs: [proof('archive', false)]});
    await writeSampleBackup(folder, day(4), {label: 'safety'});
    await writeSampleBackup(folder, day(5), {config: {...config, schemaOnly: true}});
    await writeSampleBackup(folder, day(6), {databaseName: 'other'});
    await writeSampleBackup(folder, '2026-02-01T00:00:00Z');
    await expect(deleteBackup(context(), request(newest.id, {dryRun: true}))).rejects.toMatchObject({
      code: 'NEWEST_BACKUP',
      exitCode: 5,
    });
    const {notes} = await deleteBackup(context(), request(newest.id, {isNewestToo: true}));
    expect(notes[0]).toMatch(/newest usable backup; the next one is /);
    expect(await names()).not.toContain(metadataName(newest.id));
    // None of these is the newest usable backup.
    for (const name of ['shop-2026-01-03', 'shop-2026-01-04', 'shop-2026-01-05'])
      await deleteBackup(context(), request(name));
  });

  it('says in the question that it is the only good one, the last proven one, or that the other shrank', async () => {
    const plans: string[][] = [];
    const asked = context({
      confirm: ({plan}) => {
        plans.push([...plan]);
        return Promise.resolve();
      },
    });
    const shrink = [{table: 'public.orders', rowsBefore: 5, rowsNow: 0}];
    await writeSampleBackup(folder, day(1), {proofs: [proof('restore')]});
    const shrunk = await writeSampleBackup(folder, day(2), {shrink});
    await deleteBackup(asked, request('shop-2026-01-01'));
    await deleteBackup(asked, request(shrunk.id, {isNewestToo: true}));
    expect(plans.map((plan) => plan.slice(1))).toEqual([
      [
        'It is the newest one that a restore has proven.',
        `Tables shrank in the backup that stays, and nobody accepted that: ${shrunk.id}.`,
      ],
      ['It is the only usable backup of the database there.'],
    ]);
  });

  it('leaves alone what this program did not make', async () => {
    const renamed = await writeSampleBackup(folder, day(1));
    await writeSampleBackup(folder, day(2));
    await rename(join(folder, metadataName(renamed.id)), join(folder, 'mine.metadata.json'));
    const before = await names();
    await expect(deleteBackup(context(), request(join(folder, 'mine.metadata.json')))).rejects.toMatchObject({
      code: 'FOREIGN_FILE',
      exitCode: 5,
    });
    const linked = sampleRecord(day(3));
    await writeFile(join(folder, 'elsewhere'), 'PGDMP\n');
    await symlink('elsewhere', join(folder, linked.backupPath));
    await writeFile(join(folder, metadataName(linked.id)), formatBackupRecord(linked));
    await expect(deleteBackup(context(), request(linked.id, {isNewestToo: true}))).rejects.toMatchObject({
      code: 'FOREIGN_FILE',
    });
    expect(await names()).toEqual(
      [...before, 'elsewhere', linked.backupPath, metadataName(linked.id)].sort(),
    );
  });

  it('removes a backup of the old scripts', async () => {
    const id = await writeOldScriptBackup(folder, '2026-01-01T00:00:00.000Z');
    await writeOldScriptBackup(folder, '2026-01-02T00:00:00.000Z');
    await deleteBackup(context(), request(id));
    expect((await names()).filter((name) => name.startsWith(id))).toEqual([]);
  });

  it('looks again once the question is answered: another run may have removed it, kept it, or removed the newer one', async () => {
    const old = await writeSampleBackup(folder, day(1));
    const newer = await writeSampleBackup(folder, day(2));
    const between = (work: () => Promise<unknown>) => context({confirm: async () => void (await work())});
    await expect(
      deleteBackup(
        between(() => deleteBackup(context(), request(newer.id, {isNewestToo: true}))),
        request(old.id),
      ),
    ).rejects.toMatchObject({code: 'NEWEST_BACKUP'});
    await writeSampleBackup(folder, day(3));
    await expect(
      deleteBackup(
        between(() => labelBackup(context(), {backup: old.id, keep: true})),
        request(old.id),
      ),
    ).rejects.toMatchObject({code: 'KEPT_BACKUP', exitCode: 5});
    await labelBackup(context(), {backup: old.id, keep: false});
    await expect(
      deleteBackup(
        between(() => deleteBackup(context(), request(old.id))),
        request(old.id),
      ),
    ).rejects.toMatchObject({code: 'BACKUP_NOT_FOUND'});
  });

  it('does not begin while another run has the folder', async () => {
    await writeSampleBackup(folder, day(1));
    await writeSampleBackup(folder, day(2));
    const before = await names();
    await withFolderLock(
      context(),
      folder,
      async () => {
        await expect(deleteBackup(context(), request('shop-2026-01-01'))).rejects.toMatchObject({
          code: 'LOCKED',
        });
      },
      {command: 'backup'},
    );
    expect(await names()).toEqual(before);
  });
});

describe('label', () => {
  const recordOf = async ({id}: Pick<BackupRecord, 'id'>): Promise<Record<string, unknown>> =>
    JSON.parse(await readFile(join(folder, metadataName(id)), 'utf8')) as Record<string, unknown>;

  it('names a backup, takes the name away, and changes nothing else, known or not', async () => {
    const made = await writeSampleBackup(folder, day(1));
    const path = join(folder, metadataName(made.id));
    const before = {...(await recordOf(made)), ofTheFuture: {a: 1}};
    await writeFile(path, formatBackupRecord(before));
    const ctx = context();
    expect(await labelBackup(ctx, {backup: 'shop', text: 'before release'})).toMatchObject({
      id: made.id,
      label: 'before release',
      keep: false,
      before: {label: null, keep: false},
    });
    expect(await recordOf(made)).toEqual({...before, label: 'before release'});
    expect(Object.keys(await recordOf(made))).toEqual(Object.keys(before));
    expect(ctx.facts).toContainEqual({labelled: 'label "before release"'});
    await labelBackup(context(), {backup: 'shop', text: ' '});
    expect(await recordOf(made)).toEqual(before);
    await labelBackup(context(), {backup: 'shop', text: ' later '});
    await labelBackup(context(), {backup: 'shop', text: ''});
    expect(await recordOf(made)).toEqual(before);
    expect(await names()).toEqual([made.backupPath, metadataName(made.id)].sort());
  });

  it('keeps a backup from prune, and from delete, until it is released', async () => {
    const old = await writeSampleBackup(folder, day(1));
    const damaged = await writeSampleBackup(folder, day(2), {proofs: [proof('archive', false)]});
    for (const number of [3, 4, 5]) await writeSampleBackup(folder, day(number));
    await labelBackup(context(), {backup: old.id, keep: true});
    await labelBackup(context(), {backup: damaged.id, keep: true});
    const prune = () =>
      pruneBackups(context(), localPlace(folder), {policy: {keepLast: 1, keepMin: 1}, dryRun: false});
    const {kept} = await prune();
    expect(kept.map(({id, reason}) => [id, reason])).toEqual([
      ['shop-2026-01-05T00-00-00', 'newest intact backup, last 1'],
      [damaged.id, 'kept by label --keep'],
      [old.id, 'kept by label --keep'],
    ]);
    await expect(deleteBackup(context(), request(old.id))).rejects.toMatchObject({
      code: 'KEPT_BACKUP',
      hint: `Release it first: destino-db label ${old.id} --no-keep`,
    });
    await labelBackup(context(), {backup: old.id, keep: false});
    expect('keep' in (await recordOf(old))).toBe(false);
    expect((await prune()).removed.map(({id}) => id)).toEqual([old.id]);
  });

  it('neither makes nor unmakes the safety copy of what a restore replaced', async () => {
    const safety = await writeSampleBackup(folder, day(1), {label: 'safety'});
    const other = await writeSampleBackup(folder, day(2));
    await expect(labelBackup(context(), {backup: safety.id, text: 'x'})).rejects.toMatchObject({
      code: 'GUARD',
    });
    await expect(labelBackup(context(), {backup: other.id, text: 'safety'})).rejects.toMatchObject({
      code: 'GUARD',
    });
    await labelBackup(context(), {backup: safety.id, keep: true});
    expect([await recordOf(safety), await recordOf(other)]).toMatchObject([
      {label: 'safety', keep: true},
      {label: null},
    ]);
  });

  it('refuses what has no label to change, and nothing to change', async () => {
    const old = await writeOldScriptBackup(folder, '2026-01-01T00:00:00.000Z');
    await expect(labelBackup(context(), {backup: old, text: 'x'})).rejects.toMatchObject({code: 'USAGE'});
    await expect(labelBackup(context(), {backup: old})).rejects.toThrow('Nothing to change');
    const renamed = await writeSampleBackup(folder, day(2));
    await rename(join(folder, metadataName(renamed.id)), join(folder, 'mine.metadata.json'));
    await expect(
      labelBackup(context(), {backup: join(folder, 'mine.metadata.json'), text: 'x'}),
    ).rejects.toMatchObject({code: 'FOREIGN_FILE'});
  });

  it('waits for another run, and says so where it takes too long', async () => {
    const made = await writeSampleBackup(folder, day(1));
    await withFolderLock(
      context(),
      folder,
      async () => {
        await expect(labelBackup(context(), {backup: made.id, text: 'x', waitMs: 0})).rejects.toMatchObject({
          code: 'LOCKED',
        });
      },
      {command: 'backup'},
    );
    expect(await recordOf(made)).toMatchObject({label: null});
  });
});

describe('show', () => {
  const show = (backup: string, changes: Parameters<typeof testContext>[1] = {}) =>
    showBackup(context(changes), {backup}, (id) => ['destino-db', id]);

  it('shows tables, missing data, every check, and the commands to restore it', async () => {
    const {config} = sampleRecord(day(1));
    const made = await writeSampleBackup(folder, day(1), {
      verification: proof('archive'),
      proofs: [{...proof('restore', false), at: day(8), findings: ['orders differ']}],
      notPossible: [
        {
          level: 'restore',
          at: day(9),
          outcome: 'not-possible',
          duration: 1,
          code: 'DISK_FULL',
          findings: ['full'],
          hint: 'Free space.',
        },
      ],
      config: {...config, excludeTables: ['logs']},
      inventory: {
        leftOut: [
          {table: 'public.remote', reason: 'a foreign table'},
          {table: 'public.mails', reason: '--exclude-table-data mails'},
        ],
      },
    });
    const shown = await show(made.id);
    expect(shown).toMatchObject({
      id: made.id,
      ok: false,
      keep: false,
      server: 'db.example:5432',
      rows: 1240,
      tables: [
        {table: 'public.orders', rows: 1200, size: null},
        {table: 'public.products', rows: 40},
      ],
      notInIt: [
        {what: 'logs', reason: 'by --exclude-table'},
        {what: 'public.remote', reason: 'a foreign table'},
        {what: 'rows of public.mails', reason: 'by --exclude-table-data mails'},
      ],
      checks: [
        {level: 'restore', outcome: 'failed', findings: ['orders differ']},
        {level: 'archive', outcome: 'passed'},
        {level: 'restore', outcome: 'not-possible', hint: 'Free space.'},
      ],
      places: [{place: folder, state: 'damaged'}],
    });
    // A restore would refuse it.
    expect(shown.commands.map(({command}) => command)).toEqual([
      `destino-db verify ${made.id} --level archive`,
    ]);
  });

  it('proposes no restore over a database for a part of one, and names what opens an encrypted one', async () => {
    const {config} = sampleRecord(day(1));
    const commands = async (changes: Partial<BackupRecord>): Promise<string[]> => {
      const {id} = await writeSampleBackup(folder, day(1), changes);
      const shown = await show(id);
      await rm(folder, {recursive: true});
      return shown.commands.map(({command}) => command.replaceAll(id, 'ID'));
    };
    expect(await commands({config: {...config, dataOnly: true}})).toEqual([
      'destino-db restore ID --data-only --dry-run',
    ]);
    expect(await commands({config: {...config, includeTables: ['orders']}})).toEqual([
      'destino-db restore ID --target-db shop_copy --create-db',
      'destino-db restore:rows ID --table public.orders --missing',
    ]);
    const longest = 'x'.repeat(63);
    expect(await commands({databaseName: longest})).toContain(
      `destino-db restore ID --target-db ${longest.slice(5)}_copy --create-db`,
    );
    const {backupPath, size, sha256} = sampleRecord(day(1));
    const plain = {backupPath, size, sha256, roles: null};
    const encryption = {format: 'age' as const, recipients: ['age1x'], plain};
    const whole = await commands({encryption, proofs: [proof('restore')]});
    expect(whole).toEqual([
      'destino-db restore ID --target-db shop_copy --create-db --identity KEY.txt',
      'destino-db restore ID --drop-existing --dry-run --identity KEY.txt',
      'destino-db restore ID --drop-existing --identity KEY.txt',
      'destino-db restore:rows ID --table public.orders --missing --identity KEY.txt',
    ]);
  });

  it('finds copies in the locations of the config, and names the unreadable ones', async () => {
    const made = await writeSampleBackup(folder, day(1));
    const copies = join(home, 'copies');
    const locked = join(home, 'locked');
    await copyBackups(context(), {to: [copies]});
    await writeFile(locked, 'a file');
    const places = [copies, 'nothing', locked];
    const shown = await show(made.id, {settings: {config: {storage: {places}}}});
    expect(shown.places).toMatchObject([
      {place: folder, state: 'good'},
      {place: copies, state: 'good', metadataPath: join(copies, metadataName(made.id))},
      {place: join(home, 'nothing'), state: 'missing', metadataPath: null},
      {place: locked, state: 'unreachable'},
    ]);
    await rm(join(copies, made.backupPath));
    // Another backup with this id is not a copy of it.
    await writeSampleBackup(join(home, 'nothing'), day(1), {sha256: 'a'.repeat(64)});
    const again = await show(made.id, {settings: {config: {storage: {places}}}});
    expect(again.places.map(({state}) => state)).toEqual(['good', 'damaged', 'missing', 'unreachable']);
  });

  it('shows what the old scripts made', async () => {
    const id = await writeOldScriptBackup(folder, '2026-01-01T00:00:00.000Z');
    expect(await show(id)).toMatchObject({id, madeBy: 'old scripts', tables: [], checks: [], label: null});
  });

  it('needs no right to write', async () => {
    const made = await writeSampleBackup(folder, day(1));
    await chmod(folder, 0o500);
    expect((await show('shop')).id).toBe(made.id);
    await chmod(folder, 0o700);
  });
});
