/** Certificates of two authorities, made by openssl: the one that signed the server's, and another one. */
import {execFileSync} from 'node:child_process';
import {chmod, mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {requirePrograms} from './require-programs.js';

export interface Certificates {
  /** Root certificate of the authority that signed `serverCert` and `clientCert`. */
  readonly rootCert: string;
  /** Root certificate of another authority with the same name. */
  readonly strangerCert: string;
  /** For the host "localhost" only. */
  readonly serverCert: string;
  readonly serverKey: string;
  readonly clientCert: string;
  readonly clientKey: string;
  /** A client certificate for the same user and key by the other authority. */
  readonly strangerClientCert: string;
  /** Revokes the server's certificate. */
  readonly revocations: string;
}

/** @param user common name of the client certificate */
export async function makeCertificates(folder: string, user: string): Promise<Certificates> {
  requirePrograms('openssl');
  const path = (name: string): string => join(folder, name);
  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, {cwd: folder, stdio: 'pipe'});
  };
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-sha256'];
  for (const authority of ['ours', 'stranger']) {
    await mkdir(path(authority));
    await writeFile(path(`${authority}/index.txt`), '');
    await writeFile(path(`${authority}/serial`), '1000\n');
    await writeFile(path(`${authority}/number`), '1000\n');
    await writeFile(
      path(`${authority}.cnf`),
      [
        '[ca]', 'default_ca = this', '[this]', `database = ${path(authority)}/index.txt`,
        `serial = ${path(authority)}/serial`, `crlnumber = ${path(authority)}/number`, `new_certs_dir = ${path(authority)}`,
        `certificate = ${path(authority)}.crt`, `private_key = ${path(authority)}.key`, 'default_md = sha256',
        'default_days = 2', 'default_crl_days = 2', 'policy = any', 'copy_extensions = copy', '[any]', 'commonName = supplied',
      ].join('\n'),
    ); // prettier-ignore
    const names = ['-keyout', `${authority}.key`, '-out', `${authority}.crt`, '-subj', '/CN=Test authority'];
    openssl(
      'req',
      '-x509',
      '-days',
      '2',
      ...newKey,
      ...names,
      '-addext',
      'keyUsage=critical,keyCertSign,cRLSign',
    );
  }
  const sign = (authority: string, request: string, out: string): void =>
    openssl('ca', '-batch', '-notext', '-config', `${authority}.cnf`, '-in', request, '-out', out);
  const localhost = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  openssl('req', ...newKey, '-keyout', 'server.key', '-out', 'server.csr', ...localhost);
  openssl('req', ...newKey, '-keyout', 'client.key', '-out', 'client.csr', '-subj', `/CN=${user}`);
  sign('ours', 'server.csr', 'server.crt');
  sign('ours', 'client.csr', 'client.crt');
  sign('stranger', 'client.csr', 'stranger-client.crt');
  openssl('ca', '-config', 'ours.cnf', '-revoke', 'server.crt');
  openssl('ca', '-config', 'ours.cnf', '-gencrl', '-out', 'revoked.crl');
  await chmod(path('client.key'), 0o600);
  return {
    rootCert: path('ours.crt'),
    strangerCert: path('stranger.crt'),
    serverCert: path('server.crt'),
    serverKey: path('server.key'),
    clientCert: path('client.crt'),
    clientKey: path('client.key'),
    strangerClientCert: path('stranger-client.crt'),
    revocations: path('revoked.crl'),
  };
}
