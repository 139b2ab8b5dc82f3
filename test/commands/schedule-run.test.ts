/** schedule --run on the compiled program: its jobs are processes of their own. */
import type {ChildProcess} from 'node:child_process';
import {existsSync, readFileSync} from 'node:fs';
import {mkdir, rm, writeFile} from 'node:fs/promises';
import {createServer, type Server} from 'node:net';
import {join} from 'node:path';
import {fileURLToPath, pathToFileURL} from 'node:url';
import {afterEach, beforeEach, expect, it} from 'vitest';
import {runCli, tempFolder} from '../support/run-cli.js';

const clock = pathToFileURL(fileURLToPath(new URL('../support/jumping-clock.mjs', import.meta.url))).href;

let folder = '';
let env: Record<string, string> = {};

beforeEach(async () => {
  folder = await tempFolder();
  // The minute ends three seconds after the start, so jobs of every minute are due then.
  const jump = join(folder, 'jump');
  await writeFile(jump, String(60_000 - (Date.now() % 60_000) - 3000));
  env = {NODE_OPTIONS: `--import=${clock}`, CLOCK_JUMP: jump, TZ: 'UTC'};
});

afterEach(() => rm(folder, {recursive: true, force: true}));

/** @param act called once, as soon as `isTime` is true for what the process printed on stderr */
async function runPlan(
  plan: string[],
  isTime: (stderr: string) => boolean,
  act: (child: ChildProcess) => void,
  flags: string[] = [],
) {
  await writeFile(join(folder, 'destino-db.config.json'), JSON.stringify({schedule: {plan}}));
  let stderr = '';
  let isOver = false;
  return runCli(['schedule', '--run', ...flags], {
    cwd: folder,
    env,
    onStart: (child) => {
      child.stderr?.on('data', (text: string) => {
        stderr += text;
        if (isOver || !isTime(stderr)) return;
        isOver = true;
        act(child);
      });
    },
  });
}

it('passes on what jobs print, goes on after a failed one, and ends with 130 on SIGINT', async () => {
  const result = await runPlan(
    ['cron * * * * * status', 'cron * * * * * run verify --latest'],
    (stderr) => stderr.match(/^".*" failed: /gm)?.length === 2,
    (child) => child.kill('SIGINT'),
  );
  expect(result.stderr).toContain('"cron * * * * * status": destino-db status\n');
  expect(result.stderr).toContain('"cron * * * * * status" failed: exit code 4.');
  expect(result.stderr).toContain('"cron * * * * * run verify --latest" failed: exit code 2.');
  expect(result.stderr).toContain('BACKUP_NOT_FOUND');
  expect(result.stdout).toContain('CRITICAL There is no backup at all');
  expect(result.status).toBe(130);
});

it('ends the running job on SIGTERM, waits until it has cleaned up, and ends with 143', async () => {
  const server = await silentServer();
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  env['DIRECT_URL'] = `postgresql://u:geheim@127.0.0.1:${address.port}/shop?sslmode=disable`;
  await mkdir(join(folder, 'backups'));
  let recorded = '';
  const result = await runPlan(
    ['cron * * * * * custom'],
    (stderr) => stderr.includes('Next run:'),
    (child) => {
      server.once('connection', () => child.kill('SIGTERM'));
      child.once('exit', () => (recorded = history()));
    },
  ).finally(() => server.close());
  expect(JSON.parse(recorded.trimEnd().split('\n').at(-1) ?? '')).toMatchObject({
    command: 'backup',
    exitCode: 143,
  });
  expect(result.stderr).not.toContain(' failed: ');
  expect(result.stderr).not.toContain('geheim');
  expect(result.status).toBe(143);
});

it('reports only failures with --quiet, and refuses --json, whose document never comes', async () => {
  const {stderr} = await runPlan(
    ['cron * * * * * run verify --latest'],
    (stderr) => stderr.includes('failed'),
    (child) => child.kill('SIGTERM'),
    ['--quiet'],
  );
  expect(stderr).not.toContain('Next run:');
  const refused = await runCli(['schedule', '--run', '--json'], {cwd: folder, env});
  expect(refused.status).toBe(2);
});

/** Accepts connections, and never says anything. */
function silentServer(): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.on('error', () => undefined));
    server.listen(0, '127.0.0.1', () => resolve(server));
  });
}

function history(): string {
  const path = join(folder, 'backups/history.jsonl');
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}
