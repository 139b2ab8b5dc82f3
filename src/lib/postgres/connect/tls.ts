/** Translates libpq's sslmode and ssl* keywords (manual, 34.19) into Node's TLS options, as strict as the client tools. */
import {readFile, stat} from 'node:fs/promises';
import {isIP} from 'node:net';
import {join} from 'node:path';
import {checkServerIdentity, type ConnectionOptions, rootCertificates, type SecureVersion} from 'node:tls';
import {AppError, messageOf, systemErrorCode} from '../../base/errors.js';
import {homeFolder} from '../../base/home-folder.js';
import type {Connection} from './connection.js';

/** Connection attempts: encrypted or plain. */
export type Encryption = 'tls' | 'plain';

/** The attempts in their order; the second one is made if the encryption made the first one fail. */
export function encryptionOrder(connection: Connection): readonly Encryption[] {
  if (connection.host.startsWith('/')) return ['plain'];
  switch (connection.options['sslmode'] ?? 'prefer') {
    case 'disable':
      return ['plain'];
    case 'allow':
      return ['plain', 'tls'];
    case 'prefer':
      return ['tls', 'plain'];
    default:
      return ['tls'];
  }
}

/**
 * Options for `tls.connect`.
 * An existing root certificate is used in every mode, as in libpq; if it is missing, only verify-ca and verify-full fail.
 * @throws TLS_FAILED if a file is missing, unreadable or, for a private key, readable by others
 */
export async function tlsOptions(connection: Connection): Promise<ConnectionOptions> {
  const {options, host} = connection;
  const sslmode = options['sslmode'] ?? 'prefer';
  const roots = await rootsFor(options['sslrootcert'], sslmode);
  const crl = roots === undefined ? undefined : await readPem(options['sslcrl'], 'root.crl');
  const minVersion = options['ssl_min_protocol_version'] as SecureVersion | undefined;
  return {
    rejectUnauthorized: roots !== undefined,
    checkServerIdentity: (_name, certificate) =>
      sslmode === 'verify-full' ? checkServerIdentity(host, certificate) : undefined,
    ...(isIP(host) === 0 ? {servername: host} : {}),
    ...(roots === undefined ? {} : {ca: roots}),
    ...(crl === undefined ? {} : {crl}),
    ...(minVersion === undefined ? {} : {minVersion}),
    ...(await clientCertificate(options['sslcert'], options['sslkey'])),
  };
}

async function rootsFor(path: string | undefined, sslmode: string): Promise<string | string[] | undefined> {
  if (path === 'system') return systemRoots();
  const roots = await readPem(path, 'root.crt', 'if there');
  if (roots !== undefined || !sslmode.startsWith('verify')) return roots;
  throw new AppError(
    'TLS_FAILED',
    `Cannot make a secure connection: the root certificate file ${path ?? inHome('root.crt')} does not exist.`,
    {
      hint: `sslmode=${sslmode} needs the certificate of the server's authority: give its file with sslrootcert.`,
    },
  );
}

/** Where systems store the trusted certificates in one file (OpenSSL's SSL_CERT_FILE overrides it). */
const systemBundles = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

async function systemRoots(): Promise<string | string[]> {
  for (const path of systemBundles) {
    const bundle = await readPem(path, path, 'if there');
    if (bundle !== undefined) return bundle;
  }
  return [...rootCertificates];
}

/** libpq sends a client certificate if it exists, and then requires its key, which others must not be able to read. */
async function clientCertificate(
  certificatePath: string | undefined,
  keyPath: string | undefined,
): Promise<{cert?: string; key?: string}> {
  const cert = await readPem(certificatePath, 'postgresql.crt', 'if there');
  if (cert === undefined) return {};
  const path = keyPath ?? inHome('postgresql.key') ?? '';
  const key = await readPem(path, 'postgresql.key');
  const {mode, uid} = await stat(path);
  const forbidden = uid === 0 && process.getuid?.() !== 0 ? 0o027 : 0o077;
  if (process.platform !== 'win32' && (mode & forbidden) !== 0) {
    throw new AppError('TLS_FAILED', `Other users can read the private key ${path}.`, {
      hint: `chmod 600 '${path}', and consider making a new key.`,
    });
  }
  return {cert, ...(key === undefined ? {} : {key})};
}

/** @param fallback name of the file in ~/.postgresql that is used without a path, and may be missing */
async function readPem(
  path: string | undefined,
  fallback: string,
  whenAbsent: 'if there' | 'must be there' = 'must be there',
): Promise<string | undefined> {
  const file = path ?? inHome(fallback);
  if (file === undefined) return undefined;
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const isAbsent = ['ENOENT', 'ENOTDIR'].includes(systemErrorCode(error) ?? '');
    if (isAbsent && (path === undefined || whenAbsent === 'if there')) return undefined;
    throw new AppError('TLS_FAILED', `Cannot read ${file}: ${messageOf(error)}.`, {
      hint: 'Check sslrootcert, sslcert, sslkey and sslcrl in the URL.',
      cause: error,
    });
  }
}

function inHome(name: string): string | undefined {
  const home = homeFolder();
  return home === undefined ? undefined : join(home, '.postgresql', name);
}
