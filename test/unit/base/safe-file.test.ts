import {mkdir, readFile, readdir, rm, stat, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import {
  createPrivateFile,
  explainFileError,
  makePrivateFolder,
  renameSafely,
  syncTree,
  writeFileSafely,
} from '../../../src/lib/base/safe-file.js';
import {tempFolder} from '../../support/run-cli.js';

let folder: string;
let umask: number;
beforeEach(async () => {
  folder = await tempFolder();
  umask = process.umask(0);
});
afterEach(async () => {
  process.umask(umask);
  await rm(folder, {recursive: true});
});

const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);
const withCode = (code: string) => expect.objectContaining({code}) as Error;

describe('a new file or folder', () => {
  it('is readable by the owner only, parents included, whatever the umask', async () => {
    await makePrivateFolder(join(folder, 'a/b'));
    await writeFileSafely(join(folder, 'a/b/file'), 'text');
    expect(await modeOf(join(folder, 'a'))).toBe('700');
    expect(await modeOf(join(folder, 'a/b'))).toBe('700');
    expect(await modeOf(join(folder, 'a/b/file'))).toBe('600');
  });

  it('may exist already as a folder, but not as a file', async () => {
    await makePrivateFolder(folder);
    await writeFile(join(folder, 'file'), '');
    await expect(makePrivateFolder(join(folder, 'file'))).rejects.toThrow(withCode('FOLDER_NOT_WRITABLE'));
    await expect(makePrivateFolder(join(folder, 'file/below'))).rejects.toThrow(
      withCode('FOLDER_NOT_WRITABLE'),
    );
  });
});

describe('createPrivateFile', () => {
  it('neither overwrites a file nor follows a link', async () => {
    await writeFile(join(folder, 'victim'), 'precious');
    await symlink(join(folder, 'victim'), join(folder, 'link'));
    await symlink(join(folder, 'not-yet'), join(folder, 'dangling'));
    for (const name of ['victim', 'link', 'dangling'])
      await expect(createPrivateFile(join(folder, name))).rejects.toThrow(withCode('FOLDER_NOT_WRITABLE'));
    expect(await readFile(join(folder, 'victim'), 'utf8')).toBe('precious');
    expect(await readdir(folder)).not.toContain('not-yet');
  });
});

describe('writeFileSafely', () => {
  it('replaces the complete content and leaves no other file', async () => {
    const path = join(folder, 'file');
    await writeFileSafely(path, 'old');
    await writeFileSafely(path, 'new ñ');
    expect(await readFile(path, 'utf8')).toBe('new ñ');
    expect(await readdir(folder)).toEqual(['file']);
  });

  it('does not change a link or its target', async () => {
    await writeFile(join(folder, 'victim'), 'precious');
    await symlink(join(folder, 'victim'), join(folder, 'file'));
    await expect(writeFileSafely(join(folder, 'file'), 'new')).rejects.toMatchObject({code: 'FOREIGN_FILE'});
    expect(await readFile(join(folder, 'victim'), 'utf8')).toBe('precious');
    expect((await readdir(folder)).sort()).toEqual(['file', 'victim']);
  });

  it('keeps the old content and leaves no partial file when it fails', async () => {
    await mkdir(join(folder, 'taken'));
    await writeFile(join(folder, 'taken/inside'), 'kept');
    await expect(writeFileSafely(join(folder, 'taken'), 'text')).rejects.toThrow(join(folder, 'taken'));
    expect(await readdir(folder)).toEqual(['taken']);
    expect(await readdir(join(folder, 'taken'))).toEqual(['inside']);
    await expect(writeFileSafely(join(folder, 'gone/file'), 'text')).rejects.toThrow(
      withCode('WRITE_FAILED'),
    );
  });
});

it('renames a folder with its content', async () => {
  await mkdir(join(folder, 'dump.partial/sub'), {recursive: true});
  await writeFile(join(folder, 'dump.partial/sub/file'), 'x');
  await syncTree(join(folder, 'dump.partial'), true);
  await renameSafely(join(folder, 'dump.partial'), join(folder, 'dump'));
  expect(await readFile(join(folder, 'dump/sub/file'), 'utf8')).toBe('x');
  await expect(renameSafely(join(folder, 'gone'), join(folder, 'x'))).rejects.toThrow(
    withCode('WRITE_FAILED'),
  );
});

it.each([
  ['ENOSPC', 'DISK_FULL', 3],
  ['EDQUOT', 'DISK_FULL', 3],
  ['EFBIG', 'DISK_FULL', 3],
  ['EACCES', 'FOLDER_NOT_WRITABLE', 3],
  ['EROFS', 'FOLDER_NOT_WRITABLE', 3],
  ['EIO', 'WRITE_FAILED', 1],
])('reports %s as %s', (system, code, exitCode) => {
  const error = explainFileError(Object.assign(new Error('x'), {code: system}), '/path');
  expect(error).toMatchObject({code, exitCode});
  expect(error.message).toContain('/path');
});
