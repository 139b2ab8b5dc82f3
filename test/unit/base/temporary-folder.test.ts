import {mkdir, readdir, rm, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, beforeEach, expect, it} from 'vitest';
import {AppError} from '../../../src/lib/base/errors.js';
import {thisProcess} from '../../../src/lib/base/process-identity.js';
import {withTemporaryFolder} from '../../../src/lib/base/temporary-folder.js';
import {tempFolder} from '../../support/run-cli.js';

let home: string;
const before = process.env['TMPDIR'];
beforeEach(async () => {
  home = await tempFolder();
  process.env['TMPDIR'] = home;
});
afterEach(async () => {
  if (before === undefined) delete process.env['TMPDIR'];
  else process.env['TMPDIR'] = before;
  await rm(home, {recursive: true, force: true});
});

const fileError = (code: string) => Object.assign(new Error(`${code}: write`), {code});

it('is removed after the work, whether or not the work fails', async () => {
  const write = async (folder: string): Promise<string> => {
    await mkdir(join(folder, 'deep'));
    await writeFile(join(folder, 'deep/file'), 'x');
    return folder;
  };
  expect(await withTemporaryFolder('trial', write)).toMatch(/\/destino-db-trial-/);
  const failure = new AppError('QUERY_FAILED', 'No.');
  await expect(withTemporaryFolder('trial', () => Promise.reject(failure))).rejects.toBe(failure);
  expect(await readdir(home)).toEqual([]);
});

it('is removed by the next run if its process was killed, and nothing else is removed', async () => {
  const owner = {...(await thisProcess()), processStart: 'an earlier boot'};
  for (const [name, content] of [
    ['destino-db-list-Ab12cd', JSON.stringify(owner)],
    ['destino-db-list-Ab12ce', JSON.stringify(await thisProcess())],
    ['destino-db-list-Ab12cf', 'mine'],
    ['destino-db-mine', JSON.stringify(owner)],
  ] as const) {
    await mkdir(join(home, name), {mode: 0o700});
    await writeFile(join(home, name, '.owner'), content);
  }
  await mkdir(join(home, 'precious'));
  await writeFile(join(home, 'precious', '.owner'), JSON.stringify(owner));
  await symlink(join(home, 'precious'), join(home, 'destino-db-list-Ab12cg'));
  await withTemporaryFolder('trial', () => Promise.resolve());
  expect((await readdir(home)).sort()).toEqual([
    'destino-db-list-Ab12ce',
    'destino-db-list-Ab12cf',
    'destino-db-list-Ab12cg',
    'destino-db-mine',
    'precious',
  ]);
});

it('reports a full or unwritable folder with a code and the variable TMPDIR', async () => {
  const hint = expect.stringContaining('TMPDIR') as string;
  for (const [code, told] of [['ENOSPC', 'DISK_FULL'], ['EROFS', 'FOLDER_NOT_WRITABLE']] as const) {
    const failing = withTemporaryFolder('trial', () => Promise.reject(fileError(code)));
    await expect(failing).rejects.toMatchObject({code: told, hint});
  } // prettier-ignore
  const other = fileError('57P01');
  await expect(withTemporaryFolder('trial', () => Promise.reject(other))).rejects.toBe(other);
  await rm(home, {recursive: true});
  await expect(withTemporaryFolder('trial', () => Promise.resolve())).rejects.toMatchObject({
    code: 'FOLDER_NOT_WRITABLE',
    hint,
  });
});
