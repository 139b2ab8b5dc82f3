/** Errors of the file system while a schedule is written are explained. */
import {rm, symlink} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, beforeEach, expect, it} from 'vitest';
import {installUnits} from '../../../../src/lib/services/schedule/install-units.js';
import {replaceOwnFile} from '../../../../src/lib/services/schedule/own-file.js';
import {tempFolder} from '../../../support/run-cli.js';

let folder: string;
beforeEach(async () => {
  folder = await tempFolder();
});
afterEach(async () => {
  await rm(folder, {recursive: true, force: true});
});

it('a folder that cannot be created', async () => {
  await symlink('/nowhere/at/all', join(folder, '.github'));
  const path = join(folder, '.github/workflows/destino-db.yml');
  await expect(replaceOwnFile(path, '# header', '# header\n')).rejects.toMatchObject({
    code: 'FOLDER_NOT_WRITABLE',
  });
});

it('a unit that cannot be read', async () => {
  await symlink('/nowhere/at/all', join(folder, 'destino-db-shop-daily.timer'));
  await expect(installUnits(folder, '/srv/shop', [])).rejects.toMatchObject({code: 'WRITE_FAILED'});
});
