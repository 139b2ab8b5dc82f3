/** TLS against a real server: this program's sessions and the client tools refuse the same connections. */
import {chmod, copyFile, mkdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, describe, expect, inject, it} from 'vitest';
import {AppError} from '../../src/lib/base/errors.js';
import {withSession} from '../../src/lib/postgres/client.js';
import {type Connection, libpqEnvironment} from '../../src/lib/postgres/connect/connection.js';
import {parseConnectionUrl} from '../../src/lib/postgres/connect/connection-url.js';
import {findTool} from '../../src/lib/postgres/tools/find-tools.js';
import type {LocalCluster} from '../../src/lib/postgres/tools/local-cluster.js';
import {runTool} from '../../src/lib/postgres/tools/run-tool.js';
import {type Certificates, makeCertificates} from '../support/certificates.js';
import {testSettings} from '../support/make-dump.js';
import {tempFolder} from '../support/run-cli.js';
import {startTlsServer} from '../support/tls-server.js';

let folder: string;
let certificates: Certificates;
let secure: LocalCluster;
const formerHome = process.env['HOME'];

/** Who may connect how; the password of each is its name. */
const hostRules = `
hostssl   all tls_only   127.0.0.1/32 scram-sha-256
hostnossl all plain_only 127.0.0.1/32 scram-sha-256
hostssl   all card       127.0.0.1/32 cert
host      all clear      127.0.0.1/32 password
host      all trusted    127.0.0.1/32 trust
host      all anyone     127.0.0.1/32 scram-sha-256
host      all postgres   127.0.0.1/32 scram-sha-256
`;

beforeAll(async () => {
  folder = await tempFolder();
  // libpq and this program's sessions look into ~/.postgresql
  process.env['HOME'] = join(folder, 'home');
  await mkdir(join(folder, 'home/.postgresql'), {recursive: true});
  certificates = await makeCertificates(folder, 'card');
  secure = await startTlsServer(certificates, {
    hostRules,
    users: ['tls_only', 'plain_only', 'card', 'clear', 'trusted', 'anyone'],
  });
});
afterAll(async () => {
  process.env['HOME'] = formerHome;
  await secure.stop();
  await rm(folder, {recursive: true, force: true});
});

/** A URL to the server with TLS; CA, STRANGER and so on are placeholders for files. */
function at(parameters: string, user = 'anyone', host = 'localhost'): Connection {
  const files: Record<string, string> = {
    CA: certificates.rootCert,
    STRANGER: certificates.strangerCert,
    CARD: certificates.clientCert,
    CARDKEY: certificates.clientKey,
    FOREIGNCARD: certificates.strangerClientCert,
    CRL: certificates.revocations,
    NONE: join(folder, 'none.crt'),
  };
  const query = parameters.replace(/[A-Z]{2,}(?=&|$)/g, (name) => encodeURIComponent(files[name] ?? name));
  return parseConnectionUrl(
    `postgresql://${user}:${user}@${host}:${secure.connection.port}/postgres?${query}`,
    'the test',
  );
}

const question = 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()';
const answers: Record<string, string> = {true: 'tls', t: 'tls', false: 'plain', f: 'plain'};

/** "tls", "plain", or the code of the refusal. */
async function bySession(connection: Connection): Promise<string> {
  return withSession(connection, (session) => session.query(question)).then(
    ([row]) => answers[row?.['ssl'] ?? ''] ?? 'nothing',
    (error: unknown) => (error instanceof AppError ? error.code : String(error)),
  );
}

async function byPsql(connection: Connection): Promise<string> {
  const tool = await findTool('psql', await testSettings(folder), 13);
  let answer = '';
  return runTool({
    tool: 'psql',
    path: tool.path,
    args: ['-X', '-w', '-A', '-t', '-c', question],
    environment: libpqEnvironment(connection),
    failureCode: 'TOOL_FAILED',
    readStdout: async (stdout) => {
      for await (const chunk of stdout.setEncoding('utf8') as AsyncIterable<string>) answer += chunk;
    },
  }).then(
    () => answers[answer.trim()] ?? 'nothing',
    (error: unknown) => (error instanceof AppError ? error.code : String(error)),
  );
}

describe('a server with TLS', () => {
  it.each<[string, string, string?, string?]>([
    ['sslmode=verify-full&sslrootcert=CA', 'tls'],
    ['sslmode=verify-full&sslrootcert=STRANGER', 'TLS_FAILED'],
    ['sslmode=verify-full&sslrootcert=CA', 'TLS_FAILED', 'anyone', '127.0.0.1'],
    ['sslmode=verify-full&sslrootcert=CA&hostaddr=127.0.0.1', 'tls'],
    ['sslmode=verify-full&sslrootcert=CA&hostaddr=127.0.0.1', 'TLS_FAILED', 'anyone', 'db.example.org'],
    ['sslmode=verify-ca&sslrootcert=CA', 'tls', 'anyone', '127.0.0.1'],
    ['sslmode=verify-ca&sslrootcert=STRANGER', 'TLS_FAILED'],
    ['sslmode=verify-full', 'TLS_FAILED'],
    ['sslmode=verify-ca&sslrootcert=NONE', 'TLS_FAILED'],
    ['sslmode=verify-full&sslrootcert=CA&sslcrl=CRL', 'TLS_FAILED'],
    ['sslmode=verify-full&sslrootcert=system', 'TLS_FAILED'],
    ['sslrootcert=system', 'TLS_FAILED'],
    ['sslmode=require', 'tls'],
    ['sslmode=require&sslrootcert=STRANGER', 'TLS_FAILED'],
    ['sslmode=require', 'AUTHENTICATION_FAILED', 'plain_only'],
    ['sslmode=require&ssl_min_protocol_version=TLSv1.3', 'tls'],
    ['sslmode=prefer', 'tls'],
    ['', 'tls'],
    // According to libpq's documentation, "prefer" does not protect against an attacker in between.
    ['sslmode=prefer&sslrootcert=STRANGER', 'plain'],
    ['sslmode=prefer', 'plain', 'plain_only'],
    ['sslmode=allow', 'plain'],
    ['sslmode=allow', 'tls', 'tls_only'],
    ['sslmode=disable', 'plain'],
    ['sslmode=disable', 'AUTHENTICATION_FAILED', 'tls_only'],
    ['sslmode=require&sslcert=CARD&sslkey=CARDKEY', 'tls', 'card'],
    ['sslmode=require', 'AUTHENTICATION_FAILED', 'card'],
    ['sslmode=require&sslcert=FOREIGNCARD&sslkey=CARDKEY', 'TLS_FAILED', 'card'],
    ['sslmode=require&sslcert=CARD&sslkey=NONE', 'TLS_FAILED', 'card'],
    ['sslmode=require&channel_binding=require', 'tls'],
    ['sslmode=disable&channel_binding=require', 'TLS_FAILED'],
    ['sslmode=require&channel_binding=require', 'TLS_FAILED', 'clear'],
    ['sslmode=require&channel_binding=require', 'TLS_FAILED', 'trusted'],
  ])('%s: %s %s %s', async (parameters, expected, user, host) => {
    const connection = at(parameters, user, host);
    const [session, tool] = await Promise.all([bySession(connection), byPsql(connection)]);
    expect({session, tool}).toEqual({session: expected, tool: expected});
  });

  it('names the wrong file or name, and what to do', async () => {
    const failure = async (parameters: string, host?: string): Promise<string> =>
      withSession(at(parameters, 'anyone', host), () => Promise.resolve('connected')).catch(
        (error: unknown) =>
          error instanceof AppError ? `${error.message} ${error.hint ?? ''}` : String(error),
      );
    expect(await failure('sslmode=verify-full&sslrootcert=CA', '127.0.0.1')).toMatch(
      /127\.0\.0\.1.*sslmode/s,
    );
    expect(await failure('sslmode=verify-full&sslrootcert=STRANGER')).toMatch(/certificate.*sslrootcert/s);
    expect(await failure('sslmode=verify-full')).toContain(join(folder, 'home/.postgresql/root.crt'));
  });

  it('accepts no private key that others can read', async () => {
    await chmod(certificates.clientKey, 0o644);
    const connection = at('sslmode=require&sslcert=CARD&sslkey=CARDKEY', 'card');
    const results = await Promise.all([bySession(connection), byPsql(connection)]);
    await chmod(certificates.clientKey, 0o600);
    expect(results).toEqual(['TLS_FAILED', 'TLS_FAILED']);
  });

  it('uses the root certificate of the home folder in every mode, as libpq does', async () => {
    const root = join(folder, 'home/.postgresql/root.crt');
    await copyFile(certificates.strangerCert, root);
    const refused = await Promise.all([bySession(at('sslmode=require')), byPsql(at('sslmode=require'))]);
    await writeFile(root, await readFile(certificates.rootCert));
    const taken = await Promise.all([
      bySession(at('sslmode=verify-full')),
      byPsql(at('sslmode=verify-full')),
    ]);
    await rm(root);
    expect([refused, taken]).toEqual([
      ['TLS_FAILED', 'TLS_FAILED'],
      ['tls', 'tls'],
    ]);
  });

  it.each([
    ['scram-sha-256', 'anyone', 'tls'],
    ['scram-sha-256', 'clear', 'AUTHENTICATION_FAILED'],
    ['!password', 'clear', 'AUTHENTICATION_FAILED'],
    ['!password', 'trusted', 'tls'],
    ['password,scram-sha-256', 'clear', 'tls'],
    ['scram-sha-256', 'trusted', 'AUTHENTICATION_FAILED'],
  ])('require_auth=%s for the user %s: %s', async (methods, user, expected) => {
    // The client tools support it from version 16 on, so they are not asked.
    expect(await bySession(at(`sslmode=require&require_auth=${methods}`, user))).toBe(expected);
  });
});

describe('a server without TLS', () => {
  it.each([
    ['require', 'TLS_FAILED'],
    ['verify-ca', 'TLS_FAILED'],
    ['verify-full', 'TLS_FAILED'],
    ['prefer', 'plain'],
    ['allow', 'plain'],
    ['disable', 'plain'],
  ])('sslmode=%s: %s', async (sslmode, expected) => {
    const connection = {
      ...inject('cluster'),
      options: {sslmode, sslrootcert: certificates.rootCert},
    };
    const [session, tool] = await Promise.all([bySession(connection), byPsql(connection)]);
    expect({session, tool}).toEqual({session: expected, tool: expected});
  });
});
