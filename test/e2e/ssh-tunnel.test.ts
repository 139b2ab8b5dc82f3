/** A database behind an SSH server: a real sshd, and a database host that only the tunnel reaches. */
import {once} from 'node:events';
import {readdirSync, readFileSync} from 'node:fs';
import {chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {createServer} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, it, vi} from 'vitest';
import {withSession} from '../../src/lib/postgres/client.js';
import {withDatabase} from '../../src/lib/postgres/connect/connection.js';
import type {LocalCluster} from '../../src/lib/postgres/tools/local-cluster.js';
import {createSshTunnel} from '../../src/lib/postgres/tools/ssh-tunnel.js';
import {environmentOf} from '../../src/lib/settings/environment.js';
import type {SshConfig} from '../../src/lib/settings/ssh-config.js';
import {type Certificates, makeCertificates} from '../support/certificates.js';
import {requireServerDisk} from '../../src/lib/services/guards/server-disk.js';
import {freePort} from '../support/ports.js';
import {type CliResult, runCli, tempFolder} from '../support/run-cli.js';
import {type SshServer, startSshServer} from '../support/ssh-server.js';
import {createTempDatabase, type TempDatabase, urlOf} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';
import {startTlsServer} from '../support/tls-server.js';

let database: TempDatabase;
let folder: string;
let ssh: SshServer;
let certificates: Certificates;
let secure: LocalCluster;
let sockets: string;

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
  sockets = await mkdtemp(join(tmpdir(), 's'));
  await chmod(sockets, 0o777);
  certificates = await makeCertificates(folder, 'card');
  secure = await startTlsServer(certificates, {
    hostRules:
      'hostssl all all 127.0.0.1/32 scram-sha-256\nlocal all all scram-sha-256\nhost all postgres 127.0.0.1/32 scram-sha-256\n',
    users: ['anyone'],
    settings: [`unix_socket_directories = '${sockets}'`],
  });
  await withSession(secure.connection, async ({client}) => {
    await client.query('CREATE DATABASE shop OWNER anyone');
  });
});

afterAll(async () => {
  await ssh.stop();
  await database.drop();
  await secure.stop();
  await rm(sockets, {recursive: true, force: true});
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
  await expect.poll(tunnels, {timeout: 60_000}).toEqual([]);
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

it('a server that accepts the connection and stays silent has a code of its own', async () => {
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const address = silent.address();
  await setSsh({port: typeof address === 'object' ? address?.port : 0, timeoutSeconds: 3});
  const run = await cli(['backup', '--json']);
  silent.close();
  expect(run.json()).toMatchObject({error: {code: 'SSH_TIMEOUT', exitCode: 3}});
});

/** A program instead of ssh, with messages of the test's choice. */
async function withFakeSsh<T>(script: string, work: () => Promise<T>): Promise<T> {
  const bin = join(folder, 'fake');
  await mkdir(bin, {recursive: true});
  await writeFile(join(bin, 'ssh'), `#!/bin/sh\n${script}\n`, {mode: 0o755});
  vi.stubEnv('PATH', `${bin}:${process.env['PATH']}`);
  try {
    return await work();
  } finally {
    vi.unstubAllEnvs();
  }
}
const openFake = async (): Promise<number> => {
  const config = ssh.settings({timeoutSeconds: 2}) as SshConfig;
  const tunnel = createSshTunnel(config, environmentOf([]), new AbortController().signal);
  try {
    return await tunnel.open({host: '127.0.0.1', port: 5432});
  } finally {
    await tunnel.close();
  }
};

it('a login that never ends has a limit, and ssh is ended', async () => {
  const started = join(folder, 'fake-ssh.pid');
  const script = `echo $$ > ${started}; echo 'debug1: Connection established.' >&2; exec sleep 600`;
  await withFakeSsh(script, () => expect(openFake()).rejects.toMatchObject({code: 'SSH_TIMEOUT'}));
  const pid = (await readFile(started, 'utf8')).trim();
  expect(() => readFileSync(`/proc/${pid}/cmdline`)).toThrow('ENOENT');
  await withFakeSsh('exec sleep 600', () =>
    expect(openFake()).rejects.toMatchObject({code: 'SSH_UNREACHABLE'}),
  );
});

it.each([
  ['another port', 'Local forwarding listening on 127.0.0.1 port 1.'],
  ['a jump host', 'Authenticated to jump ([10.0.0.1]:22).'],
])('takes the session of %s for none of its own', async (_what, line) => {
  const script = `printf 'debug1: ${line}\\ndebug1: Entering interactive session.\\nPermission denied\\n' >&2; exit 255`;
  await withFakeSsh(script, () => expect(openFake()).rejects.toMatchObject({code: 'SSH_KEY_REFUSED'}));
});

it('a database of the config file may have an SSH server of its own', async () => {
  const databases = [
    {name: 'own', urlEnv: 'SHOP_URL', ssh: ssh.settings()},
    {name: 'general', urlEnv: 'SHOP_URL'},
  ];
  // That of the whole file leads nowhere.
  await setSsh({port: await freePort()}, {databases});
  const run = (name: string) =>
    cli(['backup', '--database', name, '--dry-run', '--json'], {env: {SHOP_URL: database.url}});
  expect((await run('own')).json()).toMatchObject({databases: [{name: 'own', exitCode: 0}]});
  expect((await run('general')).json()).toMatchObject({databases: [{error: {code: 'SSH_UNREACHABLE'}}]});
  expect(tunnels()).toEqual([]);
});

it('ssh that is not installed has a code of its own', async () => {
  await setSsh();
  const run = await cli(['backup', '--json'], {env: {PATH: folder}});
  expect(run.json()).toMatchObject({error: {code: 'SSH_NOT_FOUND', exitCode: 3}});
});

const codeOf = (run: CliResult): string => (run.json() as {error?: {code: string}}).error?.code ?? 'ok';

/** The database "shop" on the server with TLS, whose certificate is for "localhost". */
const secureUrl = (host: string, parameters: string): string =>
  `postgresql://anyone:anyone@${host}:${secure.connection.port}/shop?${parameters}`;

it.each([
  ['localhost', 'the certificate of the database', () => certificates.rootCert, 'ok'],
  ['127.0.0.1', 'a certificate for another name', () => certificates.rootCert, 'TLS_FAILED'],
  ['localhost', 'a certificate of a stranger', () => certificates.strangerCert, 'TLS_FAILED'],
] as const)('verify-full of %s through the tunnel, %s', async (host, _what, root, expected) => {
  await setSsh();
  const url = secureUrl(host, `sslmode=verify-full&sslrootcert=${encodeURIComponent(root())}`);
  expect(codeOf(await cli(['backup', '--json'], {env: {DIRECT_URL: url}}))).toBe(expected);
});

it('reaches a socket of the SSH server', async () => {
  await setSsh();
  const url = secureUrl('', `host=${encodeURIComponent(sockets)}&port=${secure.connection.port}`);
  expect(codeOf(await cli(['backup', '--json'], {env: {DIRECT_URL: url}}))).toBe('ok');
});

it('takes the password of the database from the password file, and writes it nowhere', async () => {
  const {host, port, password = ''} = database.connection;
  expect(password).not.toBe('');
  await setSsh(
    {},
    {
      hooks: {
        beforeDump: {
          argv: [
            '/bin/sh',
            '-c',
            'for each in /proc/[0-9]*/cmdline; do tr "\\0" " " <$each; echo; done 2>/dev/null',
          ],
        },
      },
    },
  );
  const passwords = join(folder, 'passwords');
  await writeFile(passwords, `${host}:${port}:*:*:${password}\n`, {mode: 0o600});
  const run = await cli(['backup', '--verbose'], {
    env: {DIRECT_URL: urlOf({...database.connection, password: undefined}), PGPASSFILE: passwords},
  });
  expect(run.stderr).toContain(`-L 127.0.0.1:`);
  expect(run.status).toBe(0);
  const names = (await readdir(join(folder, 'backups'), {recursive: true, withFileTypes: true}))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const texts = await Promise.all([ssh.log, ...names].map((name) => readFile(name, 'latin1')));
  for (const text of [run.stdout, run.stderr, ...texts]) expect(text).not.toContain(password);
});

it('gives the password to no program that has taken the port before ssh', async () => {
  await setSsh();
  const bin = join(folder, 'bin');
  await mkdir(bin);
  await writeFile(
    join(bin, 'ssh'),
    `#!${process.execPath}
const {spawn} = require('node:child_process');
const args = process.argv.slice(2);
const port = /^127\\.0\\.0\\.1:(\\d+):/.exec(args[args.indexOf('-L') + 1])[1];
require('node:net').createServer(() => require('node:fs').writeFileSync(${JSON.stringify(join(bin, 'taken'))}, ''))
  .listen(port, '127.0.0.1', () => spawn('/usr/bin/ssh', args, {stdio: 'inherit'}).on('exit', process.exit));
`,
    {mode: 0o755},
  );
  const run = await cli(['backup', '--json'], {env: {PATH: `${bin}:${process.env['PATH'] ?? ''}`}});
  expect(run.json()).toMatchObject({error: {code: 'SSH_FAILED', exitCode: 3}});
  expect(run.stdout).toContain('already in use');
  expect(run.stdout).not.toContain('debug1');
  expect(await readdir(bin)).toEqual(['ssh']);
});

const databases = [
  {name: 'shop', urlEnv: 'SHOP_URL'},
  {name: 'secure', urlEnv: 'SECURE_URL', include: ['shop']},
];
const severalUrls = () => ({SHOP_URL: database.url, SECURE_URL: secureUrl('localhost', 'sslmode=require')});

interface Several {
  databases: {name: string; exitCode: number; error?: {code: string}}[];
}

it('reaches each of several databases through the same SSH server', async () => {
  await setSsh({}, {databases});
  const before = (await readFile(ssh.log, 'utf8')).length;
  const run = await cli(['backup', '--all-databases', '--json'], {env: severalUrls()});
  expect(run.json()).toMatchObject({
    databases: [
      {name: 'shop', exitCode: 0},
      {name: 'secure/shop', exitCode: 0},
    ],
  });
  const log = (await readFile(ssh.log, 'utf8')).slice(before);
  const reached = new Set(
    [...log.matchAll(/target (\S+) port (\d+)/g)].map((found) => `${found[1]}:${found[2]}`),
  );
  const {host, port} = database.connection;
  expect([...reached].sort()).toEqual([`${host}:${port}`, `localhost:${secure.connection.port}`].sort());
  expect(tunnels()).toEqual([]);
});

it('several databases behind a dead SSH server: each has the code, and no connection', async () => {
  await setSsh({port: await freePort()}, {databases});
  const run = await cli(['backup', '--all-databases', '--json'], {env: severalUrls()});
  expect(run.status).toBe(3);
  const outcomes = (run.json() as Several).databases.map(({exitCode, error}) => [exitCode, error?.code]);
  expect(outcomes).toEqual([
    [3, 'SSH_UNREACHABLE'],
    [3, 'SSH_UNREACHABLE'],
  ]);
});

it('a session after the end of ssh opens another tunnel, and nothing falls back to this machine', async () => {
  const tunnel = createSshTunnel(
    ssh.settings() as SshConfig,
    testContext(folder).settings.environment,
    new AbortController().signal,
  );
  const {connection} = database;
  expect(() => tunnel.port(connection)).toThrow('has ended');
  const count = async (): Promise<unknown> =>
    withSession({...connection, sshTunnel: tunnel}, (session) =>
      session.query('SELECT count(*) FROM public.orders'),
    );
  expect(await count()).toEqual([{count: '50'}]);
  for (const pid of tunnels()) process.kill(Number(pid));
  await vi.waitFor(() => expect(() => tunnel.port(connection)).toThrow('has ended'), 60_000);
  expect(await count()).toEqual([{count: '50'}]);
  await tunnel.close();
  expect(tunnels()).toEqual([]);
});

it('the disk of the SSH server is not that of this machine', async () => {
  const context = testContext(folder);
  const tunnel = createSshTunnel(ssh.settings() as SshConfig, context.settings.environment, context.signal);
  const connection = {...withDatabase(secure.connection, 'postgres'), host: 'localhost', sshTunnel: tunnel};
  const size = {bytes: 1000, largestTableBytes: 1000};
  await withSession(connection, (session) =>
    requireServerDisk(context, session, connection, {
      what: 'A restore',
      size,
      isLikeCurrent: false,
      hint: '',
    }),
  );
  await tunnel.close();
  expect(context.warnings).toEqual([expect.stringContaining('not visible from here')]);
});

it('doctor says which ssh leads to the database, or how to install it', async () => {
  interface Doctor {
    checks: {name: string; ok: boolean; message: string; hint: string | null}[];
    commands: {command: string; because: string[]}[];
  }
  const doctor = async (env: Record<string, string> = {}): Promise<Doctor> =>
    (await cli(['doctor', '--json'], {env})).json() as Doctor;
  await setSsh({}, {production: {hosts: ['db.invalid']}});
  const {checks} = await doctor();
  expect(checks.find(({name}) => name === 'ssh')).toMatchObject({
    ok: true,
    message: expect.stringMatching(/^OpenSSH_.*reached through 127\.0\.0\.1$/) as string,
  });
  expect(checks.filter(({name}) => ['connection', 'production'].includes(name)).map(({ok}) => ok)).toEqual([
    true,
    true,
  ]);
  const without = await doctor({PATH: folder});
  expect(without.checks.find(({name}) => name === 'ssh')).toMatchObject({
    ok: false,
    hint: expect.stringContaining('openssh-client') as string,
  });
  expect(without.checks.some(({name}) => name === 'connection')).toBe(false);
  expect(without.commands.find(({command}) => command === 'backup')?.because).toContain('ssh');
  await setSsh({}, {ssh: undefined});
  expect((await doctor()).checks.some(({name}) => name === 'ssh')).toBe(false);
});
