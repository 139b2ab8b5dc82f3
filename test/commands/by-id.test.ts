/** Backups chosen by their ids on the command line: show, delete, label, and where other commands take one. */
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {runCli, tempFolder} from '../support/run-cli.js';
import {writeSampleBackup} from '../support/sample-backups.js';

let folder: string;
beforeAll(async () => {
  folder = await tempFolder();
  await writeSampleBackup(join(folder, 'backups/database'), '2026-01-01T00:00:00Z');
  await writeSampleBackup(join(folder, 'backups/database'), '2026-01-02T00:00:00Z');
});
afterAll(() => rm(folder, {recursive: true, force: true}));

async function errorOf(...args: string[]): Promise<{code: string; message: string; details?: string[]}> {
  const run = await runCli([...args, '--json'], {cwd: folder});
  expect(run.status).toBe(2);
  return (run.json() as {error: {code: string; message: string; details?: string[]}}).error;
}

describe('a backup that an argument names', () => {
  it.each([
    [['restore', 'shop', '--latest'], '--latest'],
    [['restore', 'shop', '--at', '2026-01-01'], '--at'],
    [['restore', 'shop', '--backup-file', 'shop'], '--backup-file'],
    [['verify', 'shop', '--all'], '--all'],
    [['verify', 'shop', '--sample', '1'], '--sample'],
    [['verify', 'shop', '--latest'], '--latest'],
    [['restore:rows', 'shop', '--at', '2026-01-01'], '--at'],
    [['orders', 'restore', 'shop', '--backup-file', 'latest'], '--backup-file'],
  ])('is not named by a flag as well: %j', async (args, flag) => {
    const {code, message} = await errorOf(...args);
    expect([code, message]).toEqual(['USAGE', `The argument "shop" contradicts ${flag}: name one backup.`]);
  });

  it('is verified by the beginning of its id', async () => {
    const run = await runCli(['verify', 'shop-2026-01-02', '--level', 'checksum', '--json'], {cwd: folder});
    expect(run.json()).toMatchObject({results: [{id: 'shop-2026-01-02T00-00-00', outcome: 'passed'}]});
  });

  it('is not guessed where several ids begin like it, where none does, or where nothing is named', async () => {
    expect(await errorOf('verify', 'shop-2026')).toMatchObject({
      code: 'USAGE',
      details: ['shop-2026-01-02T00-00-00', 'shop-2026-01-01T00-00-00'],
    });
    expect((await errorOf('verify', 'shop-2027-01-02')).message).toContain(
      'Did you mean "shop-2026-01-02T00-00-00"?',
    );
    for (const command of ['verify', 'restore', 'orders:restore', 'diff'])
      expect((await errorOf(command, '')).message).toBe('The id of the backup is empty; nothing was done.');
  });
});
