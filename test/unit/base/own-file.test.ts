import {chmod, chown, lstat, mkdir, readdir, rm, symlink, utimes, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, afterEach, beforeEach, describe, expect, it} from 'vitest';
import {readCatalogue} from '../../../src/lib/catalog/catalogue.js';
import {
  openOwnFile,
  openRegularFile,
  ownEntries,
  requireOwnFolder,
  requireTrustedFolder,
  whyForeign,
} from '../../../src/lib/base/own-file.js';
import {recordKilledRuns} from '../../../src/lib/run/started-runs.js';
import {closeThings, foreignThings, plant} from '../../support/foreign-things.js';
import {tempFolder} from '../../support/run-cli.js';
import {writeSampleBackup} from '../../support/sample-backups.js';

let folder = '';
beforeEach(async () => {
  folder = await tempFolder();
  await mkdir(join(folder, 'outside', 'folder'), {recursive: true});
  await writeFile(join(folder, 'outside', 'precious'), 'precious');
});
afterEach(async () => {
  await closeThings();
  await rm(folder, {recursive: true, force: true});
});
afterAll(closeThings);

const isRoot = process.getuid?.() === 0;
const foreign = {
  code: 'FOREIGN_FILE',
  message: expect.stringContaining('; it was left unchanged.') as string,
};

describe.each(Object.keys(foreignThings))('%s', (thing) => {
  const path = (): string => join(folder, 'x');
  beforeEach(() => plant(path(), thing, join(folder, 'outside')));

  it('is not opened as a file of this program for reading or appending', async () => {
    const before = await lstat(path());
    await expect(openOwnFile(path())).rejects.toMatchObject(foreign);
    await expect(openOwnFile(path(), 0o2102)).rejects.toMatchObject(foreign); // O_RDWR, O_CREAT, O_APPEND
    expect((await lstat(path())).ino).toBe(before.ino);
    expect(await readdir(join(folder, 'outside'))).toEqual(['folder', 'precious']);
  });

  it('is not accepted as a folder of this program', async () => {
    await expect(requireOwnFolder(path())).rejects.toMatchObject(foreign);
    expect((await ownEntries(path(), () => true)).names).toEqual([]);
  });

  it('is not listed among the entries of a folder', async () => {
    const {names, foreign: left} = await ownEntries(folder, (name) => name === 'x');
    expect(names).toEqual([]);
    expect(left.some((one) => one.startsWith(`${path()} `))).toBe(true);
  });
});

it('refuses a pipe that the user names, without waiting for it', async () => {
  await plant(join(folder, 'x'), 'pipe', folder);
  await expect(openRegularFile(join(folder, 'x'))).rejects.toMatchObject({code: 'READ_FAILED'});
});

it('treats files of another user as foreign, but not files of root', async () => {
  const path = join(folder, 'file');
  await writeFile(path, 'x');
  const me = process.getuid?.() ?? 0;
  expect(await whyForeign(path, 'file', me)).toBeUndefined();
  if (isRoot) await chown(path, 65_534, 65_534);
  const owner = isRoot ? 65_534 : me;
  expect(await whyForeign(path, 'file', owner + 1)).toBe(`belongs to another user (uid ${owner})`);
  if (!isRoot) return;
  await chown(path, 0, 0);
  expect(await whyForeign(path, 'file', 1000)).toBeUndefined();
});

describe('the backups folder itself', () => {
  const link = (): string => join(folder, 'backups');
  beforeEach(async () => {
    await mkdir(join(folder, 'disk'), {mode: 0o755});
    await symlink(join(folder, 'disk'), link());
  });

  it('may be a link of the user to a folder of the user', async () => {
    await expect(requireTrustedFolder(link())).resolves.toBeUndefined();
    await writeSampleBackup(link(), '2026-11-22T03:10:00.000Z');
    expect((await readCatalogue(link())).backups).toHaveLength(1);
  });

  it('must not be a link to a folder that everybody can write', async () => {
    await chmod(join(folder, 'disk'), 0o777);
    await expect(requireTrustedFolder(link())).rejects.toMatchObject(foreign);
    await expect(readCatalogue(link())).rejects.toMatchObject(foreign);
  });
});

it('lists a backup of another user as a problem and does not choose it', async () => {
  if (!isRoot) return; // only root can give a file away
  const {id} = await writeSampleBackup(folder, '2026-11-22T03:10:00.000Z');
  await chown(join(folder, `${id}.dump`), 65_534, 65_534);
  const {backups, problems} = await readCatalogue(folder);
  expect(backups).toEqual([]);
  expect(problems[0]?.reason).toContain('belongs to another user (uid 65534)');
});

describe('the folder of started runs', () => {
  const now = new Date('2026-11-22T03:10:00.000Z');
  const run = '1b4e28ba-2fa1-41d2-883f-0016d3cca427.json';
  beforeEach(() => mkdir(join(folder, '.runs')));

  it('is cleared of remains of a full disk or a power cut, but not of fresh or foreign files', async () => {
    const fresh = '2b4e28ba-2fa1-41d2-883f-0016d3cca427.json.partial';
    for (const name of [run, `${run}.partial`, fresh]) await writeFile(join(folder, '.runs', name), '');
    await utimes(join(folder, '.runs', `${run}.partial`), 0, 0);
    await utimes(join(folder, '.runs', fresh), now, now);
    for (const name of ['notes.txt', '3b4e28ba-2fa1-41d2-883f-0016d3cca427.json'])
      await writeFile(join(folder, '.runs', name), '{"a note": "of the user"}');
    const warnings = await recordKilledRuns(folder, now);
    expect((await readdir(join(folder, '.runs'))).sort()).toEqual(
      [fresh, 'notes.txt', '3b4e28ba-2fa1-41d2-883f-0016d3cca427.json'].sort(),
    );
    expect(warnings).toEqual([expect.stringContaining('notes.txt')]);
  });
});
