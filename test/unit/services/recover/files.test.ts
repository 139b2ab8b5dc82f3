/** Unfinished files of runs on other machines and in other containers. */
import {mkdir, readdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect, it} from 'vitest';
import {readJournals} from '../../../../src/lib/run/journal.js';
import {withFolderLock} from '../../../../src/lib/run/lock.js';
import {findLeftoverFiles} from '../../../../src/lib/services/recover/files.js';
import {tempFolder} from '../../../support/run-cli.js';
import {testContext} from '../../../support/test-context.js';

it('are left while their run may be running, and removed a day later unless a run holds the lock', async () => {
  const home = await tempFolder();
  const folder = join(home, 'backups/database');
  const path = join(folder, 'shop-2026-11-20T02-00-00.dump.partial');
  await mkdir(folder, {recursive: true});
  await mkdir(join(home, 'backups/.journal'));
  await writeFile(path, 'PGDMP');
  const run = '2026-11-20T02-00-00-000Z-0a1b2c';
  const owner = {pid: 1, host: 'other-container', pidNamespace: null, processStart: null};
  const head = {run, command: 'backup', startedAt: '2026-11-20T02:00:00.000Z', owner};
  const begin = {begin: 1, entry: {kind: 'partial', path}};
  await writeFile(
    join(home, `backups/.journal/${run}.jsonl`),
    `${JSON.stringify(head)}\n${JSON.stringify(begin)}\n`,
  );
  const find = async (now: string) => {
    const context = testContext(home, {now});
    return findLeftoverFiles(context, await readJournals(context.settings.backupsDir));
  };
  expect(await find('2026-11-21T01:00:00Z')).toEqual([
    {
      kind: 'partial',
      what: path,
      action: 'leave',
      reason:
        'its run on other-container may still be running; after a day without a lock the file counts as abandoned',
    },
  ]);
  const late = '2026-11-21T03:00:00Z';
  const command = 'backup';
  const held = await withFolderLock(testContext(home), folder, () => find(late), {command});
  expect(held).toMatchObject([{action: 'leave', reason: expect.stringContaining('"backup"') as string}]);
  const [left] = await find(late);
  expect(left).toMatchObject({what: path, action: 'remove'});
  if (left !== undefined && 'run' in left) await left.run();
  expect(await readdir(folder)).toEqual([]);
});

it('are left for a minute where a run takes a name, which needs no journal', async () => {
  const home = await tempFolder();
  await mkdir(join(home, 'backups'));
  const path = join(home, 'backups/safe-cleanup-2026-11-20T02-00-00.id.partial');
  await writeFile(path, '');
  const find = (now: number) => findLeftoverFiles(testContext(home, {now: new Date(now).toISOString()}), []);
  expect(await find(Date.now())).toMatchObject([{what: path, action: 'leave'}]);
  expect(await find(Date.now() + 61_000)).toMatchObject([{what: path, action: 'remove'}]);
});
