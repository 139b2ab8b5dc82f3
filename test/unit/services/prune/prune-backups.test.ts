import {
  chmod,
  chown,
  lstat,
  mkdir,
  readdir,
  readFile,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import {lockOfBackup, readCatalogue} from '../../../../src/lib/catalog/catalogue.js';
import {AppError} from '../../../../src/lib/base/errors.js';
import {
  executePrune,
  planPrune,
  pruneAfterBackup,
  pruneBackups as prunePlace,
  type PruneOptions,
  type PruneResult,
} from '../../../../src/lib/services/prune/prune-backups.js';
import {prune} from '../../../../src/lib/services/prune/prune.js';
import {withFolderLock} from '../../../../src/lib/run/lock.js';
import {localPlace} from '../../../../src/lib/storage/local-place.js';
import {tempFolder} from '../../../support/run-cli.js';
import {writeOldScriptBackup, writeSampleBackup} from '../../../support/sample-backups.js';
import type {ConfirmRequest, RunContext} from '../../../../src/lib/run/run-context.js';
import {testContext} from '../../../support/test-context.js';

const now = '2026-11-23T02:00:00Z';
const day = (back: number): string => new Date(Date.parse(now) - back * 86_400_000 - 3_600_000).toISOString();

let home = '';
let folder = '';
beforeEach(async () => {
  home = await tempFolder();
  folder = join(home, 'backups', 'database');
});
afterEach(async () => {
  await rm(home, {recursive: true, force: true});
});

const pruneBackups = (context: RunContext, options: PruneOptions): Promise<PruneResult> =>
  prunePlace(context, localPlace(folder), options);

const names = async (): Promise<string[]> => (await readdir(folder)).sort();

it.each([{from: 'gone'}, {folder: '/nowhere/gone'}])('refuses a missing folder: %j', async (named) => {
  const options = {policy: {keepDays: 30}, dryRun: true, setAside: false, ...named};
  await expect(prune(testContext(home, {now}), options)).rejects.toMatchObject({code: 'BACKUP_NOT_FOUND'});
});

describe('pruneBackups', () => {
  it('removes backups that no rule keeps, in every format, and does not change the others', async () => {
    const fresh = await writeSampleBackup(folder, day(1));
    const recent = await writeSampleBackup(folder, day(2), {format: 'directory'});
    await writeSampleBackup(folder, day(40), {format: 'directory'});
    await writeSampleBackup(folder, day(41));
    await writeSampleBackup(folder, day(42), {format: 'sql'});
    const result = await pruneBackups(testContext(home, {now}), {policy: {keepDays: 30}, dryRun: false});
    expect(result.removed.map((one) => one.createdAt)).toEqual([day(40), day(41), day(42)]);
    expect(result.kept.map((one) => one.id)).toEqual([fresh.id, recent.id]);
    expect(await names()).toEqual(
      [fresh, recent].flatMap((record) => [record.backupPath, `${record.id}.metadata.json`]).sort(),
    );
    expect(await readFile(join(folder, recent.backupPath, 'toc.dat'), 'utf8')).toBe('PGDMP\n');
  });

  it('keeps complete backups, even if there are many newer partial ones', async () => {
    const whole = await writeSampleBackup(folder, day(40));
    const {config} = whole;
    for (const back of [1, 2, 3, 39])
      await writeSampleBackup(folder, day(back), {config: {...config, schemaOnly: true}});
    const result = await pruneBackups(testContext(home, {now}), {policy: {keepLast: 2}, dryRun: false});
    expect(result.removed.map((one) => one.createdAt)).toEqual([day(3), day(39)]);
    expect(await names()).toContain(whole.backupPath);
  });

  it('names the same backups in a dry run, and changes nothing', async () => {
    for (const back of [1, 2, 40, 41]) await writeSampleBackup(folder, day(back));
    const before = await names();
    const context = testContext(home, {now, confirm: () => Promise.reject(new Error('asked'))});
    const dry = await pruneBackups(context, {policy: {keepDays: 30}, dryRun: true});
    expect(await names()).toEqual(before);
    const real = await pruneBackups(testContext(home, {now}), {policy: {keepDays: 30}, dryRun: false});
    expect(dry.removed).toEqual(real.removed);
    expect(dry.removed).toHaveLength(2);
  });

  it('removes the backups of other databases while another run uses one, and names that run', async () => {
    const ofOther = await Promise.all(
      [1, 2, 40, 41].map((back) => writeSampleBackup(folder, day(back), {databaseName: 'books'})),
    );
    for (const back of [1, 2, 40]) await writeSampleBackup(folder, day(back));
    const {backups} = await readCatalogue(folder);
    const lockOf = (name: string) => {
      const backup = backups.find(({database}) => database === name);
      return {command: 'backup', database: (backup && lockOfBackup(backup)) ?? ''};
    };
    const options = {policy: {keepDays: 30}, dryRun: false};
    const context = testContext(home, {now});
    await withFolderLock(
      context,
      folder,
      async () => {
        await expect(pruneBackups(context, options)).rejects.toMatchObject({
          code: 'LOCKED',
          message: '1 backup could not be removed; 2 were removed.',
          details: [expect.stringContaining('"backup"') as string],
        });
        const {backups: left} = await readCatalogue(folder);
        expect(left.filter(({database}) => database === 'books').map(({id}) => id)).toEqual([
          ofOther[0]?.id,
          ofOther[1]?.id,
        ]);
        expect(left.filter(({database}) => database === 'shop')).toHaveLength(3);
        await expect(pruneBackups(context, options)).rejects.toMatchObject({
          code: 'LOCKED',
          message: expect.stringContaining('Nothing was done') as string,
        });
      },
      lockOf('shop'),
    );
    expect((await pruneBackups(context, options)).removed).toHaveLength(1);
  });

  it('removes nothing if the answer is no', async () => {
    for (const back of [1, 2, 40]) await writeSampleBackup(folder, day(back));
    const before = await names();
    const refuse = () => Promise.reject(new AppError('NOT_CONFIRMED', 'no'));
    await expect(
      pruneBackups(testContext(home, {now, confirm: refuse}), {policy: {keepDays: 30}, dryRun: false}),
    ).rejects.toMatchObject({code: 'NOT_CONFIRMED'});
    expect(await names()).toEqual(before);
  });

  it('needs the production name for rules of the command line, but not for those of the config file', async () => {
    for (const back of [1, 2, 40]) await writeSampleBackup(folder, day(back));
    const asked: ConfirmRequest[] = [];
    const refuse = (request: ConfirmRequest) => (asked.push(request), Promise.reject(new Error('no')));
    const retention = {keepDays: 30};
    for (const production of [{databases: ['shop']}, {hosts: ['DB.example.']}, {hosts: ['other.example']}]) {
      for (const policy of [retention, {}]) {
        const settings = {config: {production, retention}};
        const context = testContext(home, {now, confirm: refuse, settings});
        await expect(pruneBackups(context, {policy, dryRun: false})).rejects.toThrow('no');
      }
    }
    expect(asked.map(({isProduction}) => isProduction)).toEqual([true, false, true, false, false, false]);
    expect(asked[0]).toMatchObject({host: folder, hostLabel: 'folder'});
  });

  it('keeps a backup that became the newest usable one while the question was open', async () => {
    const newest = await Promise.all([1, 2].map((back) => writeSampleBackup(folder, day(back))));
    for (const back of [40, 41]) await writeSampleBackup(folder, day(back));
    const confirm = async () => {
      for (const {id, backupPath} of newest)
        for (const name of [`${id}.metadata.json`, backupPath]) await rm(join(folder, name));
    };
    const context = testContext(home, {now, confirm});
    const {removed} = await pruneBackups(context, {policy: {keepDays: 30}, dryRun: false});
    expect(removed).toEqual([]);
    expect(await names()).toHaveLength(4);
  });

  it('never removes files without metadata, even if they are old and named like backups', async () => {
    for (const back of [1, 2, 40]) await writeSampleBackup(folder, day(back));
    const foreign = [
      'aaa-note.txt',
      'shop-2020-01-01T00-00-00.dump',
      'shop-2020-01-01T00-00-00.dump.partial',
      'x.metadata.json',
    ];
    for (const name of foreign) {
      await writeFile(join(folder, name), name === 'x.metadata.json' ? '{"schemaVersion":1}' : 'mine');
      await utimes(join(folder, name), new Date(0), new Date(0));
    }
    const result = await pruneBackups(testContext(home, {now}), {policy: {keepDays: 30}, dryRun: false});
    expect(result.removed).toHaveLength(1);
    expect(await names()).toEqual(expect.arrayContaining(foreign));
    expect(result.partials).toEqual([join(folder, 'shop-2020-01-01T00-00-00.dump.partial')]);
    expect(result.problems.map((problem) => problem.path)).toEqual([join(folder, 'x.metadata.json')]);
  });

  it('ignores metadata that names a file of another kind', async () => {
    for (const back of [1, 2]) await writeSampleBackup(folder, day(back));
    const rogue = await writeSampleBackup(folder, day(90), {backupPath: 'customers.xlsx'});
    const result = await pruneBackups(testContext(home, {now}), {policy: {keepDays: 30}, dryRun: false});
    expect(result.removed).toEqual([]);
    expect(result.kept.find((one) => one.id === rogue.id)?.reason).toContain(
      'not removed: its files do not have names',
    );
    expect(await readFile(join(folder, 'customers.xlsx'), 'utf8')).toBe('PGDMP\n');
  });

  it('keeps a backup without its roles file, and removes the others', async () => {
    const id = `shop-${day(40).slice(0, 19).replaceAll(':', '-')}`;
    const roles = {path: `${id}.roles.sql`, sha256: 'a'.repeat(64), size: 1};
    const torn = await writeSampleBackup(folder, day(40), {roles});
    for (const back of [1, 2, 41]) await writeSampleBackup(folder, day(back));
    const result = await pruneBackups(testContext(home, {now}), {policy: {keepLast: 2}, dryRun: false});
    expect(result.removed.map((one) => one.createdAt)).toEqual([day(41)]);
    expect(result.kept.at(-1)?.reason).toBe(`not removed: ${roles.path} is missing`);
    expect(await names()).toContain(torn.backupPath);
  });

  it('follows no symbolic link, neither as a dump nor inside a dump folder', async () => {
    for (const back of [1, 2]) await writeSampleBackup(folder, day(back));
    const outside = join(home, 'precious');
    await mkdir(outside);
    await writeFile(join(outside, 'file'), 'precious');
    const withLink = await writeSampleBackup(folder, day(50), {format: 'directory'});
    await symlink(outside, join(folder, withLink.backupPath, 'link'));
    const linked = await writeSampleBackup(folder, day(60), {format: 'directory'});
    await rm(join(folder, linked.backupPath), {recursive: true});
    await symlink(outside, join(folder, linked.backupPath));
    const inner = await writeSampleBackup(folder, day(61));
    await rm(join(folder, inner.backupPath));
    await symlink('some-other.dump', join(folder, inner.backupPath));
    await writeFile(join(folder, 'some-other.dump'), 'mine');
    const result = await pruneBackups(testContext(home, {now}), {policy: {keepDays: 30}, dryRun: false});
    expect(result.removed.map((one) => one.id)).toEqual([withLink.id]);
    expect(await readFile(join(outside, 'file'), 'utf8')).toBe('precious');
    expect(await readFile(join(folder, 'some-other.dump'), 'utf8')).toBe('mine');
    expect((await lstat(join(folder, linked.backupPath))).isSymbolicLink()).toBe(true);
    expect(result.kept.find((one) => one.id === inner.id)?.reason).toContain('is a symbolic link');
  });

  it("removes the old scripts' backups by their own metadata, and keeps two of them", async () => {
    await writeSampleBackup(folder, day(1));
    const ids: string[] = [];
    for (const back of [100, 101, 102, 103]) ids.push(await writeOldScriptBackup(folder, day(back)));
    const result = await pruneBackups(testContext(home, {now}), {policy: {keepDays: 30}, dryRun: false});
    expect(result.removed.map((one) => one.id)).toEqual(ids.slice(2));
    expect((await names()).filter((name) => name.startsWith(ids[3] ?? ''))).toEqual([]);
    expect((await readCatalogue(folder)).problems).toEqual([]);
  });

  it('does not count backups of a database with the same name on another server', async () => {
    const here = await writeSampleBackup(folder, day(100));
    const source = {...here.source, systemIdentifier: '7300000000000000002'};
    for (const back of [1, 2, 3]) await writeSampleBackup(folder, day(back), {source});
    const withoutNumber = {...here.source, systemIdentifier: null};
    await writeSampleBackup(folder, day(200), {source: withoutNumber});
    const result = await pruneBackups(testContext(home, {now}), {
      policy: {keepLast: 1, keepMin: 1},
      dryRun: false,
    });
    expect(result.removed.map((one) => one.createdAt)).toEqual([day(2), day(3)]);
  });

  it('names the backups that it could not remove, and leaves them complete', async () => {
    for (const back of [1, 2, 40]) await writeSampleBackup(folder, day(back));
    const before = await names();
    const plan = await planPrune(
      localPlace(folder),
      () => ({policy: {keepDays: 30}, isChosen: true}),
      new Date(now),
    );
    await chmod(folder, 0o500);
    await chown(folder, 65_534, 65_534);
    await chmod(home, 0o755);
    await chmod(join(home, 'backups'), 0o755);
    if (process.getuid?.() === 0) process.seteuid?.(65_534); // root may write everywhere
    try {
      const attempt = executePrune(testContext(home, {now}), plan);
      await expect(attempt).rejects.toMatchObject({code: 'FOLDER_NOT_WRITABLE', exitCode: 3});
    } finally {
      if (process.getuid?.() === 0) process.seteuid?.(0);
      await chmod(folder, 0o700);
    }
    expect(await names()).toEqual(before);
    expect((await readCatalogue(folder)).backups).toHaveLength(3);
  });

  it('removes nothing from a missing folder', async () => {
    const result = await pruneBackups(testContext(home, {now}), {policy: {keepDays: 30}, dryRun: false});
    expect(result).toMatchObject({kept: [], removed: [], partials: []});
  });
});

describe('pruneAfterBackup', () => {
  it('considers only backups of the same database', async () => {
    for (const back of [1, 2, 40, 41]) await writeSampleBackup(folder, day(back));
    for (const back of [1, 2, 40]) await writeSampleBackup(folder, day(back), {databaseName: 'blog'});
    const made = (await readCatalogue(folder)).backups.find((backup) => backup.database === 'shop');
    if (!made) throw new Error('no backup was written');
    const pruned = await pruneAfterBackup(testContext(home, {now}), made, folder, {keepDays: 30});
    expect(pruned.map((one) => one.createdAt)).toEqual([day(40), day(41)]);
    expect((await readCatalogue(folder)).backups.filter((backup) => backup.database === 'blog')).toHaveLength(
      3,
    );
  });

  it('removes nothing while the newest backup has a shrink alarm', async () => {
    const shrink = [{table: 'public.orders', rowsBefore: 100, rowsNow: 1}];
    await writeSampleBackup(folder, day(0), {shrink});
    for (const back of [10, 40, 41]) await writeSampleBackup(folder, day(back));
    const [made] = (await readCatalogue(folder)).backups;
    if (!made) throw new Error('no backup was written');
    expect(await pruneAfterBackup(testContext(home, {now}), made, folder, {keepDays: 30})).toEqual([]);
  });
});
