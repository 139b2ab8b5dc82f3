/** schedule on the compiled program: its output and the files it installs. */
import {execFile} from 'node:child_process';
import {chmod, mkdir, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {promisify} from 'node:util';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {cronBlock} from '../../src/lib/services/schedule/cron-block.js';
import {nextRuns} from '../../src/lib/services/schedule/next-runs.js';
import {parsePlan} from '../../src/lib/services/schedule/plan.js';
import {calendars} from '../../src/lib/services/schedule/systemd-units.js';
import {requirePrograms} from '../support/require-programs.js';
import {runCli, tempFolder} from '../support/run-cli.js';

const run = promisify(execFile);
const plan = ['daily custom at 02:00 keep 30 days; weekly sql; monthly restore test', 'hourly status at :15'];

let root = '';
let folder = '';
let env: Record<string, string> = {};
let crontabFile = '';

/** crontab(1) with its file in the test's folder, so that it does not touch a crontab of this machine. */
const fakeCrontab = `#!/bin/sh
case "$1" in
-l) [ -e "$0.file" ] || { echo "no crontab for tester" >&2; exit 1; }; cat "$0.file" ;;
-) cat > "$0.file" ;;
esac
`;

beforeAll(async () => {
  root = await tempFolder();
  folder = join(root, "my 100% $HOME shop's");
  await mkdir(folder);
  await mkdir(join(root, 'bin'));
  crontabFile = join(root, 'bin/crontab.file');
  await writeFile(join(root, 'bin/crontab'), fakeCrontab);
  await chmod(join(root, 'bin/crontab'), 0o755);
  await writeFile(
    join(folder, 'destino-db.config.json'),
    JSON.stringify({schedule: {plan, timeZone: 'America/Los_Angeles'}}),
  );
  env = {PATH: `${join(root, 'bin')}:/usr/bin:/bin`, TZ: 'America/Los_Angeles'};
});

afterAll(() => rm(root, {recursive: true, force: true}));

describe('schedule', () => {
  it('shows the plan with its next runs', async () => {
    const before = Date.now(); // a job may be due just after the program has ended
    const result = await runCli(['schedule', '--json'], {cwd: folder, env});
    const {jobs, timeZone} = result.json() as {
      timeZone: string;
      jobs: {name: string; command: string; nextRuns: string[]}[];
    };
    expect(timeZone).toBe('America/Los_Angeles');
    expect(jobs.map((job) => job.command)).toEqual([
      'destino-db backup --format=custom --retention-days=30',
      'destino-db backup --format=sql',
      'destino-db verify --latest --level=restore',
      'destino-db status',
    ]);
    for (const job of jobs) expect(Date.parse(job.nextRuns[0] ?? '')).toBeGreaterThan(before);
  });

  it('installs into the crontab once, and removes itself again', async () => {
    const others = '# mine\n5 4 * * * /usr/local/bin/other\n';
    await writeFile(crontabFile, others);
    const args = ['schedule', '--install', '--env-file', '.env.local', '--json'];
    await writeFile(join(folder, '.env.local'), 'DIRECT_URL=postgresql://u:geheim@db.example/shop\n');
    expect((await runCli(args, {cwd: folder, env})).json()).toMatchObject({isChanged: true, as: 'cron'});
    const installed = await readFile(crontabFile, 'utf8');
    expect(installed.startsWith(`${others}# BEGIN destino-db schedule of ${folder}\n`)).toBe(true);
    expect(installed.match(/^0 2 \* \* \* cd /gm)).toHaveLength(1);
    expect(installed).toContain(
      `--quiet '--env-file=${folder.replace('%', '\\%').replace("'", `'\\''`)}/.env.local'`,
    );
    expect(installed).not.toContain('geheim');
    expect((await runCli(args, {cwd: folder, env})).json()).toMatchObject({isChanged: false});
    expect(await readFile(crontabFile, 'utf8')).toBe(installed);
    expect((await runCli(['schedule', '--remove'], {cwd: folder, env})).stdout).toContain(
      'removed from the crontab',
    );
    expect(await readFile(crontabFile, 'utf8')).toBe(others);
  });

  it('reports where the plan is installed, and whether an older plan is', async () => {
    const units = join(root, 'shown-units');
    const shown = async (): Promise<unknown> => {
      const args = ['schedule', '--json'];
      return ((await runCli(args, {cwd: folder, env: shownEnv})).json() as {installed: unknown}).installed;
    };
    const shownEnv = {...env, XDG_CONFIG_HOME: units};
    await rm(crontabFile, {force: true});
    expect(await shown()).toEqual([]);
    expect((await runCli(['schedule'], {cwd: folder, env: shownEnv})).stdout).toContain(
      'The plan is not installed on this machine.',
    );
    await runCli(['schedule', '--install'], {cwd: folder, env: shownEnv});
    expect(await shown()).toEqual([{as: 'cron', isCurrent: true}]);
    const crontab = await readFile(crontabFile, 'utf8');
    await writeFile(crontabFile, crontab.replace('# hourly status at :15', '# hourly status at :20'));
    expect(await shown()).toEqual([{as: 'cron', isCurrent: false}]);
    expect((await runCli(['schedule'], {cwd: folder, env: shownEnv})).stdout).toContain(
      'Another plan is installed in the crontab',
    );
    await runCli(['schedule', '--remove'], {cwd: folder, env: shownEnv});
    expect(await shown()).toEqual([]);
  });

  it('does not touch a crontab whose bytes it could not restore', async () => {
    const latin1 = Buffer.from('# se\u00f1or\n5 4 * * * /usr/local/bin/other\n', 'latin1');
    await writeFile(crontabFile, latin1);
    const {stderr, status} = await runCli(['schedule', '--install'], {cwd: folder, env});
    expect(stderr).toContain('The crontab is not UTF-8');
    expect(status).toBe(5);
    expect(await readFile(crontabFile)).toEqual(latin1);
  });

  it('refuses a folder with a line break, which cron and systemd cannot represent', async () => {
    const odd = join(root, 'a\nb');
    await mkdir(odd);
    await writeFile(join(odd, 'destino-db.config.json'), JSON.stringify({schedule: {plan}}));
    const {stderr, status} = await runCli(['schedule', '--as', 'cron'], {cwd: odd, env});
    expect(stderr).toContain('line break');
    expect(status).toBe(2);
  });

  it('prints only the block, ready for a pipe', async () => {
    const {stdout, stderr} = await runCli(['schedule', '--as', 'cron'], {cwd: folder, env});
    expect(stdout.startsWith('# BEGIN')).toBe(true);
    expect(stdout.trimEnd().split('\n').at(-1)).toMatch(/^# END/);
    expect(stderr).toBe('');
  });

  it('includes the metrics file, but no folder for units, which cron does not have', async () => {
    const printed = await runCli(['schedule', '--as', 'cron', '--metrics-file', '/var/m.prom'], {
      cwd: folder,
      env,
    });
    expect(printed.stdout).toContain(' --metrics-file=/var/m.prom');
    const refused = await runCli(['schedule', '--unit-dir', folder, '--install', '--json'], {
      cwd: folder,
      env,
    });
    expect(refused.status).toBe(2);
    expect(refused.json()).toMatchObject({
      error: {code: 'USAGE', message: expect.stringContaining('--as systemd') as string},
    });
  });

  it('warns if the scheduler uses another time zone', async () => {
    await writeFile(join(folder, 'package-lock.json'), '{"packages": {"node_modules/destino-db": {}}}');
    const {stderr, stdout} = await runCli(['schedule', '--as', 'github'], {cwd: folder, env});
    expect(stderr).toContain('uses UTC');
    expect(stdout).toContain('DIRECT_URL: ${{ secrets.DIRECT_URL }}');
    expect(stdout).toMatch(/- cron: "0 (?:9|10) \* \* \*"/);
  });

  it('writes systemd units that systemd-analyze accepts, and removes only its own', async () => {
    const units = join(root, 'units');
    const args = ['schedule', '--as', 'systemd', '--unit-dir', units];
    const installed = await runCli([...args, '--install', '--json'], {cwd: folder, env});
    expect(installed.json()).toMatchObject({isChanged: true});
    const names = await readdir(units);
    expect(names).toHaveLength(8);
    requirePrograms('systemd-analyze');
    const paths = names.map((name) => join(units, name));
    const {stdout, stderr} = await run('systemd-analyze', ['verify', ...paths]);
    expect(stdout + stderr).toBe('');
    const calendars = await Promise.all(
      paths
        .filter((path) => path.endsWith('.timer'))
        .map(async (path) => /^OnCalendar=(.*)$/m.exec(await readFile(path, 'utf8'))?.[1] ?? ''),
    );
    for (const calendar of calendars) await run('systemd-analyze', ['calendar', calendar]);
    await writeFile(join(units, 'destino-db-mine.timer'), '[Timer]\n');
    expect((await runCli([...args, '--install', '--json'], {cwd: folder, env})).json()).toMatchObject({
      isChanged: false,
    });
    await runCli([...args, '--remove'], {cwd: folder, env});
    expect(await readdir(units)).toEqual(['destino-db-mine.timer']);
  });

  it('writes times that cron accepts and systemd reads as the plan does', async () => {
    requirePrograms('systemd-analyze', 'cron');
    const sentences = [
      'weekdays custom at 22:00',
      'every saturday and sunday sql at 00:05',
      'every 6 hours custom at :30',
      'cron 15 3 * * 1-5 status',
      'cron 30 6 13 * 5 status',
      'cron */20 9-17 * 1,12 mon,wed status',
      'cron 0 0 29 2 * status',
    ];
    const jobs = parsePlan(sentences);
    const commands = jobs.map((job) => ({...job, times: [job.every], words: ['true']}));
    const file = join(root, 'crontab.txt');
    await writeFile(file, cronBlock(commands, folder));
    // A dry run, which exits with 1 for a line that cron does not read.
    await run('/usr/bin/crontab', ['-n', file]);
    const base = new Date('2026-11-22T00:00:00Z');
    for (const job of jobs) {
      const found = new Set<number>();
      for (const calendar of calendars(job.every)) {
        const {stdout} = await run(
          'systemd-analyze',
          ['calendar', '--iterations=20', '--base-time=2026-11-22 00:00:00 UTC', calendar],
          {env: {...process.env, TZ: 'UTC'}},
        );
        for (const [, time] of stdout.matchAll(/(?:elapse|Iter\. #\d+): \w+ (.*) UTC$/gm))
          found.add(Date.parse(`${time ?? ''}Z`));
      }
      const times = [...found].sort((a, b) => a - b).slice(0, 20);
      expect(times, job.sentence).toEqual(nextRuns(job.every, 'UTC', base, 20).map(Number));
    }
  });

  it('does not touch a workflow that it did not create', async () => {
    const path = join(folder, '.github/workflows/destino-db.yml');
    await mkdir(join(folder, '.github/workflows'), {recursive: true});
    await writeFile(path, 'name: mine\n');
    const refused = await runCli(['schedule', '--as', 'github', '--install'], {cwd: folder, env});
    expect([refused.status, await readFile(path, 'utf8')]).toEqual([5, 'name: mine\n']);
    await rm(path);
    expect((await runCli(['schedule', '--as', 'github', '--install'], {cwd: folder, env})).status).toBe(0);
    expect(await readFile(path, 'utf8')).toContain('destino-db verify --latest --level=restore');
  });

  it('refuses a URL on the command line, which would be stored in plain text', async () => {
    const {status, stderr} = await runCli(
      ['schedule', '--install', '--database-url', 'postgresql://u:geheim@h/d'],
      {cwd: folder, env},
    );
    expect(status).toBe(2);
    expect(stderr).toContain('stored in the clear');
    expect(stderr).not.toContain('geheim');
  });

  it('names the sentence of the plan that it cannot parse', async () => {
    const config = join(root, 'bad.json');
    for (const [sentence, why] of [
      ['dialy custom', 'did you mean "daily"'],
      ['daily run bakup', 'Did you mean "backup"?'],
      ['daily run orders claen --execute', 'There is no command "orders"'],
      ['daily run backup --formt sql', 'backup has no flag --formt. Did you mean --format?'],
      ['daily run backup --format zip', '--format is "zip"; it takes custom, sql, directory.'],
      ['daily run copy --to s3//b/x', '"s3//b/x" is neither s3://bucket/prefix nor a folder'],
      ['daily run backup --env-file nope.env', '--env-file: there is no file nope.env.'],
    ]) {
      await writeFile(
        config,
        JSON.stringify({schedule: {plan: [sentence, 'weekly run orders clean --yes']}}),
      );
      const {status, stderr} = await runCli(['schedule', '--config', config], {cwd: folder, env});
      expect([status, stderr]).toEqual([2, expect.stringContaining(why ?? '')]);
    }
  });

  it('exits with 4 if --check finds a missed run', async () => {
    const {status, stdout} = await runCli(['schedule', '--check'], {cwd: folder, env});
    expect([status, stdout]).toEqual([4, expect.stringContaining('no run on record')]);
  });
});
