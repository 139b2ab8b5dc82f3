/**
 * The Containerfile's default client tools, from a repository on this machine with the address, key and files of apt.postgresql.org. Its
 * packages are stand-ins that only print their version.
 */
import {execFileSync} from 'node:child_process';

import {createHash, randomInt} from 'node:crypto';
import {chmod, mkdir, readFile, writeFile} from 'node:fs/promises';
import {createServer} from 'node:https';
import {dirname, join} from 'node:path';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {baseImage, buildahOf, must} from '../support/container-image.js';
import {host} from '../support/container.js';
import {requirePrograms} from '../support/require-programs.js';
import {tempFolder} from '../support/run-cli.js';

const majors = [14, 15, 16, 17, 18];
const buildah = buildahOf(host);
const image = 'localhost/destino-db-pgdg';
/** An address of this machine alone, on which nobody else listens. */
const address = `127.${randomInt(1, 255)}.${randomInt(1, 255)}.${randomInt(1, 255)}`;
let folder: string;

const at = (name: string): string => join(folder, name);
const inFolder = (program: string, ...args: string[]): Buffer =>
  execFileSync(program, args, {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {...process.env, GNUPGHOME: at('gpg')},
  });

async function write(name: string, text: string | Buffer, mode = 0o644): Promise<void> {
  await mkdir(dirname(at(name)), {recursive: true});
  await writeFile(at(name), text);
  await chmod(at(name), mode);
}

const sha256 = (content: Buffer | string): string => createHash('sha256').update(content).digest('hex');

/** A package, and its paragraph in the list of packages. */
async function makePackage(major: number, architecture: string): Promise<string> {
  const name = `postgresql-client-${major}`;
  for (const tool of ['psql', 'pg_dump', 'pg_restore'])
    await write(
      `${name}/usr/lib/postgresql/${major}/bin/${tool}`,
      `#!/bin/sh\necho '${tool} (PostgreSQL) ${major}.99'\n`,
      0o755,
    );
  const control = [
    `Package: ${name}`,
    `Version: ${major}.99-1.pgdg13+1`,
    `Architecture: ${architecture}`,
    'Maintainer: Tests <tests@localhost>',
    'Description: stand-in for the client tools',
  ].join('\n');
  await write(`${name}/DEBIAN/control`, `${control}\n`);
  const file = `pool/main/p/postgresql-${major}/${name}.deb`;
  await mkdir(dirname(at(`repository/${file}`)), {recursive: true});
  inFolder('dpkg-deb', '--root-owner-group', '--build', name, `repository/${file}`);
  const content = await readFile(at(`repository/${file}`));
  return `${control}\nFilename: ${file}\nSize: ${content.length}\nSHA256: ${sha256(content)}\n`;
}

async function makeRepository(): Promise<void> {
  const architecture = inFolder('dpkg', '--print-architecture').toString().trim();
  const packages: string[] = [];
  for (const major of majors) packages.push(await makePackage(major, architecture));
  const list = packages.join('\n');
  const path = `main/binary-${architecture}/Packages`;
  await write(`repository/dists/trixie-pgdg/${path}`, list);
  const release = [
    'Origin: apt.postgresql.org', 'Suite: trixie-pgdg', 'Codename: trixie-pgdg', `Date: ${new Date().toUTCString()}`,
    `Architectures: ${architecture}`, 'Components: main', 'SHA256:', ` ${sha256(list)} ${list.length} ${path}`, '',
  ].join('\n'); // prettier-ignore
  await write('Release', release);
  await mkdir(at('gpg'), {mode: 0o700});
  inFolder(
    'gpg',
    '--batch',
    '--passphrase',
    '',
    '--quick-generate-key',
    'Test repository',
    'rsa3072',
    'sign',
    '2d',
  );
  inFolder('gpg', '--batch', '--output', 'repository/dists/trixie-pgdg/InRelease', '--clear-sign', 'Release');
  await write('key.gpg', inFolder('gpg', '--export'));
}

async function startRepository(): Promise<void> {
  const key = ['-newkey', 'rsa:2048', '-nodes', '-keyout', 'tls.key'];
  const name = ['-subj', '/CN=apt.postgresql.org', '-addext', 'subjectAltName=DNS:apt.postgresql.org'];
  inFolder('openssl', 'req', '-x509', '-days', '2', ...key, ...name, '-out', 'tls.crt');
  const server = createServer(
    {key: await readFile(at('tls.key')), cert: await readFile(at('tls.crt'))},
    (request, response) => {
      const path = request.url?.replace('/pub/repos/apt', '') ?? '';
      readFile(at(`repository${path}`)).then(
        (content) => response.end(content),
        () => response.writeHead(404).end(),
      );
    },
  );
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(443, address, resolve));
  afterAll(() => void server.close());
}

/** A base that trusts the repository's certificate, and its key too if `isTrusted`. */
async function makeBase(name: string, isTrusted: boolean): Promise<void> {
  const container = (await must([...buildah, 'from', baseImage])).trim();
  const keyring = '/usr/share/postgresql-common/pgdg/apt.postgresql.org.gpg';
  await write('apt.conf', 'Acquire::https::CAInfo "/etc/ssl/repository.crt";\n');
  await write('dpkg.cfg', `path-exclude=${keyring}\n`);
  const files = [
    ['tls.crt', '/etc/ssl/repository.crt'],
    ['apt.conf', '/etc/apt/apt.conf.d/90repository'],
    ...(isTrusted ? [['key.gpg', keyring], ['dpkg.cfg', '/etc/dpkg/dpkg.cfg.d/own-key']] : []),
  ]; // prettier-ignore
  for (const [file = '', target = ''] of files)
    await must([...buildah, 'add', '--quiet', '--chmod=644', container, at(file), target]);
  await must([...buildah, 'commit', '--quiet', '--rm', container, name]);
}

/** Builds the image as the page does, without other arguments than the base. */
function build(base: string): Promise<string> {
  const file = '--file=image/node_modules/destino-db/Containerfile';
  const tag = `--tag=${image}`;
  return must([
    ...buildah, 'build', '--isolation=chroot', `--add-host=apt.postgresql.org:${address}`, `--build-arg=BASE_IMAGE=${base}`, file, tag, 'image',
  ]); // prettier-ignore
}

beforeAll(async () => {
  requirePrograms('gpg', 'openssl');
  folder = await tempFolder();
  await makeRepository();
  await startRepository();
});

it('the default build has the client tools of all supported majors', async () => {
  await makeBase('localhost/base-with-key', true);
  await build('localhost/base-with-key');
  const container = (await must([...buildah, 'from', image])).trim();
  const run = (line: string): Promise<string> =>
    must([...buildah, 'run', '--isolation=chroot', container, '--', 'sh', '-c', line]);
  expect(await run('for tool in /usr/lib/postgresql/*/bin/pg_dump; do $tool --version; done')).toBe(
    majors.map((major) => `pg_dump (PostgreSQL) ${major}.99\n`).join(''),
  );
  expect(await run('destino-db doctor --json || true')).toContain('18.99');
  expect(await run('cat /etc/apt/sources.list.d/pgdg.sources')).toContain(
    'https://apt.postgresql.org/pub/repos/apt',
  );
  await must([...buildah, 'rm', container]);
});

it('a repository with another key is refused', async () => {
  await makeBase('localhost/base-without-key', false);
  await expect(build('localhost/base-without-key')).rejects.toThrow(/not signed|NO_PUBKEY|Missing key/);
});
