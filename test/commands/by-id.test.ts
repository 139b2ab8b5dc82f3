/** Chooses backups by their ids on the command line: show, delete, label, and other commands that take an id. */
import {chmod, readdir, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, beforeEach, describe, expect, it} from 'vitest';
import {type CliResult, runCli, tempFolder} from '../support/run-cli.js';
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

describe('a backup given as an argument', () => {
  it.each([
    [['restore', 'shop', '--latest'], '--latest'],
    [['restore', 'shop', '--at', '2026-01-01'], '--at'],
    [['restore', 'shop', '--backup-file', 'shop'], '--backup-file'],
    [['verify', 'shop', '--all'], '--all'],
    [['verify', 'shop', '--sample', '1'], '--sample'],
    [['verify', 'shop', '--latest'], '--latest'],
    [['restore:rows', 'shop', '--at', '2026-01-01'], '--at'],
    [['orders', 'restore', 'shop', '--backup-file', 'latest'], '--backup-file'],
  ])('is not given by a flag as well: %j', async (args, flag) => {
    const {code, message} = await errorOf(...args);
    expect([code, message]).toEqual(['USAGE', `The argument "shop" contradicts ${flag}: name one backup.`]);
  });

  it('is verified by the beginning of its id', async () => {
    const run = await runCli(['verify', 'shop-2026-01-02', '--level', 'checksum', '--json'], {cwd: folder});
    expect(run.json()).toMatchObject({results: [{id: 'shop-2026-01-02T00-00-00', outcome: 'passed'}]});
  });

  it('is not guessed if several ids or none begin like it, or if no id is given', async () => {
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

describe('show, delete and label', () => {
  const old = 'shop-2026-02-01T00-00-00';
  let home: string;
  let backups: string;
  const cli = (...args: string[]): Promise<CliResult> => runCli(args, {cwd: home});
  beforeEach(async () => {
    home = await tempFolder();
    backups = join(home, 'backups/database');
    await writeSampleBackup(backups, '2026-02-01T00:00:00Z');
    await writeSampleBackup(backups, '2026-02-02T00:00:00Z');
    return () => rm(home, {recursive: true});
  });

  it('show one backup in its order, and the same as JSON', async () => {
    const {stdout, stderr, status} = await cli('show', 'shop-2026-02-01');
    expect([status, stderr]).toEqual([0, '']);
    const titles = ['TABLE', 'Not in it', 'Checks', 'Where it is', 'To restore it'];
    const found = titles.map((title) => stdout.split('\n').findIndex((line) => line.startsWith(title)));
    // This backup left nothing out.
    expect(found[1]).toBe(-1);
    const shown = found.filter((at) => at >= 0);
    expect(shown).toHaveLength(4);
    expect(shown).toEqual(shown.toSorted((a, b) => a - b));
    expect(stdout).toContain(`\n  destino-db restore ${old} --target-db shop_copy --create-db\n`);
    expect((await cli('show', old, '--json')).json()).toMatchObject({schemaVersion: 1, id: old, rows: 1240});
    expect((await cli('history', '--json')).json()).toMatchObject({runs: []});
  });

  it('delete only after confirmation, with the statuses of a refusal, and record it', async () => {
    const before = await readdir(backups);
    const asked = await cli('delete', old, '--json');
    expect([asked.status, asked.json()]).toMatchObject([5, {error: {code: 'CONFIRMATION_NEEDED'}}]);
    const wrong = await cli('delete', old, '--confirm-db', 'blog', '--json');
    expect([wrong.status, wrong.json()]).toMatchObject([5, {error: {code: 'NOT_CONFIRMED'}}]);
    const newest = await cli('delete', 'shop-2026-02-02', '--yes', '--json');
    expect([newest.status, newest.json()]).toMatchObject([5, {error: {code: 'NEWEST_BACKUP'}}]);
    const dry = await cli('delete', 'shop-2026-02-01', '--dry-run');
    expect([dry.status, dry.stdout]).toEqual([
      0,
      expect.stringMatching(`\nNext: destino-db delete ${old}\n$`),
    ]);
    expect(await readdir(backups)).toEqual(before);
    const done = await cli('delete', 'shop-2026-02-01', '--yes', '--json');
    expect(done.json()).toMatchObject({id: old, dryRun: false, goodBackupsLeft: 1});
    expect(await readdir(backups)).toEqual(before.filter((name) => !name.startsWith(old)));
    const {stdout} = await cli('history', '--command', 'delete');
    expect(stdout).toContain(`${old} deleted`);
    expect((await cli('delete', old, '--yes')).status).toBe(2);
  });

  it('of production asks for the name, even with --yes', async () => {
    const refused = await runCli(['delete', old, '--yes', '--json'], {
      cwd: home,
      env: {NODE_ENV: 'production'},
    });
    expect([refused.status, refused.json()]).toMatchObject([5, {error: {code: 'CONFIRMATION_NEEDED'}}]);
    const done = await runCli(['delete', old, '--confirm-db', 'shop'], {
      cwd: home,
      env: {NODE_ENV: 'production'},
    });
    expect(done.status).toBe(0);
  });

  it('label a backup so that list, prune and history show it', async () => {
    expect((await cli('label', old, 'before release', '--keep')).stdout).toBe(
      `${old} has the label "before release" and is kept.\nprune never removes it, and delete refuses it until label --no-keep.\n`,
    );
    expect((await cli('list', '--label', 'before release', '--json')).json()).toMatchObject({
      backups: [{id: old, label: 'before release', keep: true}],
    });
    expect((await cli('list')).stdout).toContain('before release (keep)');
    expect((await cli('prune', '--keep-last', '1', '--keep-min', '1', '--dry-run')).stdout).toMatch(
      /kept +shop-2026-02-01T00-00-00 .* kept by label --keep/,
    );
    expect((await cli('history')).stdout).toContain(`${old} has label "before release", kept`);
    expect((await cli('label', old, '', '--no-keep', '--json')).json()).toMatchObject({
      id: old,
      label: null,
      keep: false,
      before: {label: 'before release', keep: true},
    });
    expect((await cli('label', old)).status).toBe(2);
    expect((await cli('label')).stderr).toContain('The argument backup is missing.');
  });

  it('in a read-only folder change nothing, and say so', async () => {
    const before = await readdir(backups);
    await chmod(backups, 0o500);
    // Root writes everywhere unless it gives up that capability.
    const under = process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-dac_override'] : [];
    for (const args of [
      ['label', old, 'x'],
      ['delete', old, '--yes'],
    ])
      expect((await runCli(args, {cwd: home, under})).status).toBe(3);
    await chmod(backups, 0o700);
    expect(await readdir(backups)).toEqual(before);
  });
});
