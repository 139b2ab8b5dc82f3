/** Connections to a store: certificates, clocks and credentials of every kind, against real gateways; each fault has its own code. */
import {S3Client} from '@aws-sdk/client-s3';
import {execFileSync} from 'node:child_process';
import {once} from 'node:events';
import {createServer, type Server} from 'node:http';
import {rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {createBucket, store, storeEnvironment} from '../support/bucket.js';
import {administrate, clockAhead, type Gateway, startGateway} from '../support/gateway.js';
import {requirePrograms} from '../support/require-programs.js';
import {runCli, tempFolder} from '../support/run-cli.js';

let folder: string;
let place: string;
/** Issues temporary credentials. */
let tokens: Gateway;
/** The same at least a quarter of an hour later, when they have expired. */
let later: Gateway;
let secure: Gateway;
const tokenSettings = ['--rgw-sts-key=abcdefghijklmnop', '--rgw-s3-auth-use-sts=true'];
const aheadSeconds = 1000;

beforeAll(async () => {
  folder = await tempFolder();
  place = `s3://${await createBucket()}/shop`;
  for (const name of ['our', 'other']) makeAuthority(name);
  makeCertificate('our', 'server', 'IP:127.0.0.1');
  [tokens, later, secure] = await Promise.all([
    startGateway({settings: tokenSettings}),
    startGateway({settings: tokenSettings, aheadSeconds}),
    startGateway({tls: {certificate: join(folder, 'server.pem'), key: join(folder, 'server.key')}}),
  ]);
  makeRole();
  await writeFile(
    join(folder, 'profiles'),
    '[profile plain]\naws_access_key_id = tester-key\naws_secret_access_key = tester-secret\n' +
      '[profile wrong]\naws_access_key_id = tester-key\naws_secret_access_key = wrong\n' +
      '[profile role]\nrole_arn = arn:aws:iam:::role/backup\nsource_profile = plain\nregion = us-east-1\nduration_seconds = 900\n',
  );
});
afterAll(async () => {
  for (const gateway of [tokens, later, secure]) await gateway.signal('SIGKILL');
  await rm(folder, {recursive: true, force: true});
});

/** "backup", which the tests' user may use. */
function makeRole(): void {
  const policy = (statement: object): string =>
    JSON.stringify({Version: '2012-10-17', Statement: [{Effect: 'Allow', ...statement}]});
  const trust = policy({Principal: {AWS: ['arn:aws:iam:::user/tester']}, Action: ['sts:AssumeRole']});
  const rights = policy({Action: ['s3:*'], Resource: 'arn:aws:s3:::*'});
  administrate(['role', 'create', '--role-name=backup', '--path=/', `--assume-role-policy-doc=${trust}`]);
  administrate(['role-policy', 'put', '--role-name=backup', '--policy-name=all', `--policy-doc=${rights}`]);
}

function openssl(...args: string[]): void {
  requirePrograms('openssl');
  execFileSync('openssl', args, {cwd: folder, stdio: 'ignore'});
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

function makeAuthority(name: string): void {
  const files = ['-keyout', `${name}.key`, '-out', `${name}.pem`];
  openssl('req', '-x509', ...newKey, '-days', '2', ...files, '-subj', `/CN=${name}`);
}

function makeCertificate(authority: string, name: string, subject: string): void {
  const files = ['-keyout', `${name}.key`, '-out', `${name}.pem`];
  const signer = ['-CA', `${authority}.pem`, '-CAkey', `${authority}.key`];
  const names = ['-subj', '/CN=gateway', '-addext', `subjectAltName=${subject}`];
  openssl('req', '-x509', ...newKey, '-days', '2', ...files, ...names, ...signer);
}

/** `list --from` in a separate process: its error code, or "done". */
async function list(
  environment: Record<string, string>,
  storage: object = {},
): Promise<{code: string; hint?: string}> {
  await writeFile(join(folder, 'destino-db.config.json'), JSON.stringify({storage}));
  const env = {
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_CONFIG_FILE: join(folder, 'profiles'),
    AWS_SHARED_CREDENTIALS_FILE: join(folder, 'none'), // not those of whoever runs the tests
    ...environment,
  };
  const run = await runCli(['list', '--from', place, '--json'], {cwd: folder, env});
  const {error} = run.json() as {error?: {code: string; hint: string}};
  return error ?? {code: 'done'};
}

const keys = storeEnvironment();

describe('a certificate of a private authority', () => {
  const at = (): Record<string, string> => ({...keys, AWS_ENDPOINT_URL_S3: secure.endpoint});

  it('is accepted when storage.caFile or AWS_CA_BUNDLE names the authority', async () => {
    expect(await list(at(), {caFile: 'our.pem'})).toEqual({code: 'done'});
    expect(await list({...at(), AWS_CA_BUNDLE: 'our.pem'})).toEqual({code: 'done'});
  });

  it.each([
    ['an unknown authority', {}],
    ['another authority', {caFile: 'other.pem'}],
  ])('is refused as that of %s', async (_what, storage) => {
    const error = await list(at(), storage);
    expect(error).toMatchObject({code: 'STORAGE_UNREACHABLE'});
    expect(error.hint).toContain('storage.caFile');
  });

  it('is refused for another name', async () => {
    const elsewhere = secure.endpoint.replace('127.0.0.1', 'localhost');
    expect(await list({...keys, AWS_ENDPOINT_URL_S3: elsewhere}, {caFile: 'our.pem'})).toMatchObject({
      code: 'STORAGE_UNREACHABLE',
    });
  });

  it('ends in an error if plain and secure are mixed up', async () => {
    for (const endpoint of [
      secure.endpoint.replace('https', 'http'),
      store.endpoint.replace('http', 'https'),
    ])
      expect(await list({...keys, AWS_ENDPOINT_URL_S3: endpoint})).toMatchObject({
        code: 'STORAGE_UNREACHABLE',
      });
  });

  it('is a mistake in the settings if its file contains none', async () => {
    await writeFile(join(folder, 'none.pem'), 'nothing');
    expect(await list(at(), {caFile: 'none.pem'})).toMatchObject({code: 'CONFIG_INVALID'});
  });
});

it.each([20 * 60, -20 * 60])(
  'a clock that is %i seconds off is reported, and nothing is done with it',
  async (seconds) => {
    expect(await list({...keys, ...clockAhead(seconds)})).toMatchObject({code: 'STORAGE_CLOCK_SKEW'});
  },
);

it('an unknown region is reported before any request', async () => {
  const amazon = Object.entries(keys).filter(([name]) => name !== 'AWS_ENDPOINT_URL_S3');
  const error = await list(Object.fromEntries(amazon));
  expect(error.code).toBe('STORAGE_WRONG_REGION');
  expect(error.hint).toContain('AWS_REGION');
});

describe('credentials', () => {
  const at = (gateway: {endpoint: string}): Record<string, string> => ({
    AWS_ENDPOINT_URL_S3: gateway.endpoint,
  });

  it('come from a profile, by AWS_PROFILE or storage.profile', async () => {
    expect(await list({...at(store), AWS_PROFILE: 'plain'})).toEqual({code: 'done'});
    expect(await list(at(store), {profile: 'plain'})).toEqual({code: 'done'});
    expect(await list(at(store), {profile: 'wrong'})).toMatchObject({code: 'STORAGE_CREDENTIALS'});
    expect(await list(at(store), {profile: 'not there'})).toMatchObject({code: 'STORAGE_CREDENTIALS'});
  });

  it('come from a role, for which a profile gets temporary ones', async () => {
    const role = {AWS_PROFILE: 'role', AWS_ENDPOINT_URL_STS: tokens.endpoint};
    expect(await list({...at(tokens), ...role})).toEqual({code: 'done'});
  });

  it('that are temporary work until they expire, which Ceph reports as a denial', async () => {
    const token = await temporaryCredentials();
    expect(await list({...at(tokens), ...token})).toEqual({code: 'done'});
    const error = await list({...at(later), ...token, ...clockAhead(aheadSeconds)});
    expect(error.code).toBe('STORAGE_DENIED');
    expect(error.hint).toContain('expired');
    // The clock is not the reason: with keys that do not expire, the same location is accessible then.
    expect(await list({...keys, ...at(later), ...clockAhead(aheadSeconds)})).toEqual({
      code: 'done',
    });
  });

  it("come from the machine's role, from its metadata service", async () => {
    const token = await temporaryCredentials();
    const service = await metadataService(token);
    const machine = {AWS_EC2_METADATA_DISABLED: 'false', AWS_EC2_METADATA_SERVICE_ENDPOINT: service.endpoint};
    expect(await list({...at(tokens), ...machine})).toEqual({code: 'done'});
    service.server.close();
  });

  it('that a silent metadata service does not deliver end in an error', async () => {
    const server = createServer(() => undefined).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const machine = {
      AWS_EC2_METADATA_DISABLED: 'false',
      AWS_EC2_METADATA_SERVICE_ENDPOINT: endpointOf(server),
    };
    expect(await list({...at(store), ...machine})).toMatchObject({code: 'STORAGE_CREDENTIALS'});
    server.closeAllConnections();
    server.close();
  });

  it('that do not exist end in an error', async () => {
    expect(await list(at(store))).toMatchObject({code: 'STORAGE_CREDENTIALS'});
  });
});

/** Credentials of the role, as variables; valid for a quarter of an hour, the shortest that Ceph allows. */
async function temporaryCredentials(): Promise<Record<string, string>> {
  Object.assign(process.env, {
    AWS_CONFIG_FILE: join(folder, 'profiles'),
    AWS_ENDPOINT_URL_STS: tokens.endpoint,
  });
  const given = await new S3Client({region: 'us-east-1', profile: 'role'}).config.credentials();
  return {
    AWS_ACCESS_KEY_ID: given.accessKeyId,
    AWS_SECRET_ACCESS_KEY: given.secretAccessKey,
    AWS_SESSION_TOKEN: given.sessionToken ?? '',
  };
}

/** The service of a cloud machine, version 2, with these credentials. */
async function metadataService(token: Record<string, string>): Promise<{server: Server; endpoint: string}> {
  const credentials = {
    Code: 'Success',
    Type: 'AWS-HMAC',
    LastUpdated: new Date().toISOString(),
    Expiration: new Date(Date.now() + 900_000).toISOString(),
    AccessKeyId: token['AWS_ACCESS_KEY_ID'],
    SecretAccessKey: token['AWS_SECRET_ACCESS_KEY'],
    Token: token['AWS_SESSION_TOKEN'],
  };
  const server = createServer((request, answer) => {
    if (request.method === 'PUT') return void answer.end('a-token');
    if (request.headers['x-aws-ec2-metadata-token'] !== 'a-token') return void answer.writeHead(401).end();
    answer.end(
      request.url?.endsWith('/security-credentials/') === true ? 'backup' : JSON.stringify(credentials),
    );
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {server, endpoint: endpointOf(server)};
}

function endpointOf(server: Server): string {
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  return `http://127.0.0.1:${address.port}`;
}
