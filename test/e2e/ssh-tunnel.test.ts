/** A database behind an SSH server: a real sshd, and a database host that only the tunnel reaches. */
import {readdirSync, readFileSync} from 'node:fs';
import {mkdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {freePort} from '../support/ports.js';
import {runCli, tempFolder} from '../support/run-cli.js';
import {type SshServer, startSshServer} from '../support/ssh-server.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';

let database: TempDatabase;
let folder: string;
let ssh: SshServer;

async function setSsh(changes: object = {}, more: object = {}): Promise<void> {
  const config = {ssh: ssh.settings(changes), ...more};
  await writeFile(join(folder, 'destino-db.config.json'), JSON.stringify(config));
}

const cli = (args: readonly string[], options: Parameters<typeof runCli>[1] = {}) =>
  runCli(args, {cwd: folder, ...options, env: {DIRECT_URL: database.url, ...options.env}});

/** Processes of ssh with this server's port in their arguments. */
function tunnels(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        return words[0] === 'ssh' && words.includes(String(ssh.port)) ? [pid] : [];
      } catch {
        return []; // it has ended
      }
    });
}

beforeAll(async () => {
  folder = await tempFolder();
  await mkdir(join(folder, 'server'), {mode: 0o700});
  ssh = await startSshServer(join(folder, 'server'));
  database = await createTempDatabase('template0');
  await database.run('CREATE TABLE public.orders AS SELECT i AS id FROM generate_series(1, 50) i');
});

afterAll(async () => {
  await ssh.stop();
  await database.drop();
  await rm(folder, {recursive: true, force: true});
});

it('backs up through the tunnel, records the address of the database, and ends ssh', async () => {
  await setSsh();
  const run = await cli(['backup', '--json']);
  expect(run.stderr).not.toContain('rror');
  expect(run.status).toBe(0);
  const {metadataPath} = run.json() as {metadataPath: string};
  const record = JSON.parse(await readFile(metadataPath, 'utf8')) as {source: object};
  const {host, port} = database.connection;
  expect(record).toMatchObject({source: {host, port}, tables: [{rows: 50}]});
  expect(tunnels()).toEqual([]);
  // Sessions and pg_dump: each is a connection that sshd forwards.
  const log = await readFile(ssh.log, 'utf8');
  expect(log.match(/server_request_direct_tcpip/g)?.length).toBeGreaterThan(3);
});

it('ends ssh with the program even after SIGKILL', async () => {
  await setSsh(
    {},
    {hooks: {beforeDump: {argv: ['/bin/sh', '-c', 'echo "up $PGHOST $PGHOSTADDR $PGPORT"; sleep 600']}}},
  );
  let during: string[] = [];
  let printed = '';
  await cli(['backup'], {
    onStart: (child) =>
      child.stderr?.on('data', (chunk: string) => {
        if (!chunk.includes('up')) return;
        printed = chunk;
        during = tunnels();
        child.kill('SIGKILL');
      }),
  });
  expect(during.length).toBe(1);
  const {host, port} = database.connection;
  expect(printed).toContain(`up ${host} 127.0.0.1 `);
  expect(printed).not.toContain(`${port}`);
  await expect.poll(tunnels, {timeout: 20_000}).toEqual([]);
});

it.each([
  ['another host key', () => ({knownHostsFile: ssh.changedHosts}), 'SSH_HOST_KEY_CHANGED'],
  ['an unknown host', () => ({knownHostsFile: ssh.emptyHosts}), 'SSH_HOST_UNKNOWN'],
  ['a refused key', () => ({identityFile: ssh.otherKey}), 'SSH_KEY_REFUSED'],
  ['a dead server', async () => ({port: await freePort()}), 'SSH_UNREACHABLE'],
] as const)('%s: no connection, and a code of its own', async (_what, changes, code) => {
  await setSsh(await changes());
  const run = await cli(['backup', '--json']);
  expect(run.json()).toMatchObject({error: {code, exitCode: 3}});
  expect(tunnels()).toEqual([]);
});

it('ssh that is not installed has a code of its own', async () => {
  await setSsh();
  const run = await cli(['backup', '--json'], {env: {PATH: folder}});
  expect(run.json()).toMatchObject({error: {code: 'SSH_NOT_FOUND', exitCode: 3}});
});
