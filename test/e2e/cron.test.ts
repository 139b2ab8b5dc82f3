/** An installed line of the schedule under a real cron daemon. */
import {type ChildProcess, spawn} from 'node:child_process';
import {watch} from 'node:fs';
import {mkdir, readdir, rm, truncate, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {until} from '../support/observe.js';
import {requirePrograms} from '../support/require-programs.js';
import {runCli, tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';

let folder = '';
let shop: TempDatabase;
let cron: ChildProcess | undefined;

beforeAll(async () => {
  requirePrograms('cron');
  folder = join(await tempFolder(), '100% shop');
  await mkdir(folder);
  shop = await createTempDatabase();
});
afterAll(async () => {
  cron?.kill('SIGTERM');
  await shop.drop();
  await rm(dirname(folder), {recursive: true, force: true});
});

/** Waits until the backups folder contains a metadata file, which completes a backup. */
async function backupAppears(backups: string): Promise<string> {
  await mkdir(backups, {recursive: true, mode: 0o700});
  return new Promise((resolve, reject) => {
    const watcher = watch(backups, () => {
      readdir(backups).then((names) => {
        const found = names.find((name) => name.endsWith('.metadata.json'));
        if (found === undefined) return;
        watcher.close();
        resolve(found);
      }, reject);
    });
  });
}

it('a scheduled line runs under cron with only its own environment, and the backup appears', async () => {
  if (process.getuid?.() !== 0) throw new Error('this test needs root, to start a cron of its own');
  const soon = new Date(Date.now() + 62_000);
  const time = (at: Date): string => String(at.getUTCMinutes()).padStart(2, '0');
  // Both of the next minutes, so that a slow machine does not wait an hour.
  const plan = [...new Set([soon, new Date(soon.getTime() + 60_000)].map(time))].map(
    (minute) => `hourly custom at :${minute}`,
  );
  await writeFile(
    join(folder, 'destino-db.config.json'),
    JSON.stringify({schedule: {plan, timeZone: 'UTC'}}),
  );
  await writeFile(join(folder, '.env.local'), `DIRECT_URL=${shop.url}\n`, {mode: 0o600});
  const {stdout: block} = await runCli(['schedule', '--as', 'cron'], {cwd: folder});
  expect(block).toContain('100\\% shop');
  await writeFile(join(folder, 'crontab.txt'), block);

  const appears = backupAppears(join(folder, 'backups/database'));
  // A separate namespace, so that no crontab and no daemon of this machine is touched.
  const script =
    'mount -t tmpfs tmpfs /var/spool/cron && mkdir -m 1730 /var/spool/cron/crontabs && mount -t tmpfs tmpfs /run && crontab "$1" && exec cron -f';
  cron = spawn('unshare', ['--mount', '/bin/sh', '-ec', script, 'sh', join(folder, 'crontab.txt')], {
    env: {PATH: '/usr/sbin:/usr/bin:/sbin:/bin'},
    stdio: 'ignore',
  });
  const name = await appears;
  expect(name.startsWith(shop.name)).toBe(true);
  // The run is recorded once it has ended, after its backup is complete.
  await until('the run is recorded', async () => {
    const {runs} = (await runCli(['history', '--json'], {cwd: folder})).json() as {
      runs: {command: string; outcome: string}[];
    };
    return runs.some(({command, outcome}) => command === 'backup' && outcome === 'ok');
  });
  cron.kill('SIGTERM'); // no second job beside the next tests, or in the folder that is removed after them
}, 240_000);

it('works with an empty environment, closed stdin and the C locale; silent on success, one message on failure', async () => {
  const env = {PATH: '/usr/bin:/bin', LANG: 'C', HOME: folder};
  const quiet = await runCli(['backup', '--quiet'], {cwd: folder, env});
  expect([quiet.status, quiet.stdout, quiet.stderr]).toEqual([0, '', '']);
  const broken = await runCli(['backup', '--quiet'], {
    cwd: folder,
    env: {...env, DIRECT_URL: 'postgresql://u@127.0.0.1:1/d'},
  });
  expect([broken.status, broken.stdout]).toEqual([3, '']);
  expect(broken.stderr).toMatch(/^Error CONNECTION_REFUSED: /);
  expect(broken.stderr.match(/Error /g)).toHaveLength(1);
});

it('reports with --quiet a damaged backup, one that shrank, and a missing recent one', async () => {
  const env = {DIRECT_URL: shop.url, DESTINO_DB_BACKUPS_DIR: join(folder, 'found')};
  const quiet = (...args: string[]) => runCli([...args, '--quiet'], {cwd: folder, env});
  expect((await quiet('backup')).stderr).toBe('');
  await shop.run('DELETE FROM refunds');
  const shrunk = await quiet('backup');
  expect([shrunk.status, shrunk.stdout]).toEqual([4, '']);
  expect(shrunk.stderr).toMatch(/^Warning: .*refunds.*\nBackup, with a shrink alarm: /s);
  const old = await quiet('status', '--max-age', '0s');
  expect([old.status, old.stdout]).toEqual([4, '']);
  expect(old.stderr).toMatch(/^CRITICAL .* old, limit /m);
  const {backups} = (await runCli(['list', '--json'], {cwd: folder, env})).json() as {
    backups: {path: string}[];
  };
  for (const {path} of backups) await truncate(path, 5000);
  const damaged = await quiet('verify', '--latest', '--level=restore');
  expect([damaged.status, damaged.stdout]).toEqual([4, '']);
  expect(damaged.stderr).toMatch(/^FAIL {2}.*failed the check by restore/m);
});
