import {mkdir, readFile, rm, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, beforeEach, expect, it} from 'vitest';
import {folderLockOwner, withFolderLock} from '../../../src/lib/run/lock.js';
import {tempFolder} from '../../support/run-cli.js';
import {testContext} from '../../support/test-context.js';

let home: string;
beforeEach(async () => {
  home = await tempFolder();
  await mkdir(join(home, 'backups/database'), {recursive: true});
  await mkdir(join(home, 'other'));
  await symlink(join(home, 'backups'), join(home, 'other/backups'));
  await symlink(join(home, 'backups/database'), join(home, 'other/dumps'));
});
afterEach(() => rm(home, {recursive: true}));

const command = 'backup';

it('is one lock for a folder, whatever the path and the backups folder', async () => {
  const own = testContext(home);
  const folder = join(home, 'backups/database');
  const ways = [
    [own, folder],
    [testContext(join(home, 'other')), join(home, 'other/backups/database')],
    [testContext(join(home, 'another')), folder],
    [testContext(join(home, 'another')), join(home, 'other/dumps')],
  ] as const;
  await withFolderLock(own, folder, () => Promise.resolve(), {command}); // the first run creates the folder for locks
  for (const [holder, held] of ways) {
    await withFolderLock(
      holder,
      held,
      async () => {
        for (const [context, path] of ways) {
          const second = withFolderLock(context, path, () => Promise.resolve(), {command});
          await expect(second).rejects.toMatchObject({code: 'LOCKED'});
          expect(await folderLockOwner(context.settings.backupsDir, path)).toMatchObject({command});
        }
      },
      {command},
    );
  }
});

it('is not removed if another run has taken it over', async () => {
  const context = testContext(home);
  const folder = join(home, 'backups/database');
  const path = join(home, 'backups/.locks/database.lock');
  const taken = async (): Promise<string> => {
    const other = (await readFile(path, 'utf8')).replace(/"token":\s*"[0-9a-f]+"/, '"token":"0123"');
    await writeFile(path, other);
    return other;
  };
  const other = await withFolderLock(context, folder, taken, {command});
  expect(await readFile(path, 'utf8')).toBe(other);
  expect(context.warnings).toEqual([expect.stringContaining('Another run took over the lock')]);
});

it('is a different lock for another folder, even if that does not exist yet', async () => {
  const context = testContext(home);
  const inAnother = () =>
    withFolderLock(context, join(home, 'new/dumps'), () => Promise.resolve('free'), {command});
  const folder = join(home, 'backups/database');
  expect(await withFolderLock(context, folder, inAnother, {command})).toBe('free');
});
