/** libpq's channel_binding=require and require_auth (manual, 34.1.2), which the driver does not support. */
import type {EventEmitter} from 'node:events';
import {AppError} from '../../base/errors.js';

/** The parts of the driver's connection that are needed: its messages, and the socket to close. */
interface DriverConnection extends EventEmitter {
  readonly stream: {destroy(error: Error): unknown};
}

/**
 * Checks the authentication method, and closes the connection before a password is sent with a method that is not allowed.
 * @returns a check to run after connecting: whether the server skipped a required method
 * @throws (by the check) TLS_FAILED, AUTHENTICATION_FAILED
 */
export function guardAuthentication(
  connection: DriverConnection,
  options: Readonly<Record<string, string>>,
): () => void {
  const needsBinding = options['channel_binding'] === 'require';
  const allowed = allowedMethods(options['require_auth']);
  let used = 'none';
  let isBound = false;
  let hasServerProof = false;
  const ask = (method: string, mechanisms: readonly string[] = []): void => {
    used = method;
    isBound = mechanisms.includes('SCRAM-SHA-256-PLUS');
    const refusal = refuse();
    if (refusal) connection.stream.destroy(refusal);
  };
  const refuse = (): AppError | undefined => {
    if (needsBinding && !isBound) {
      return new AppError(
        'TLS_FAILED',
        'The server does not offer channel binding, which the URL requires.',
        {
          hint: 'Is this really the server? channel_binding=require needs TLS and a SCRAM password on it.',
        },
      );
    }
    if (allowed(used)) return undefined;
    return new AppError(
      'AUTHENTICATION_FAILED',
      `The server asks for authentication by "${used}", which require_auth does not allow. No password was sent.`,
    );
  };
  connection.on('authenticationCleartextPassword', () => ask('password'));
  connection.on('authenticationMD5Password', () => ask('md5'));
  connection.on('authenticationSASL', ({mechanisms}: {mechanisms: string[]}) =>
    ask('scram-sha-256', mechanisms),
  );
  connection.on('authenticationSASLFinal', () => (hasServerProof = true));
  return () => {
    // A server that requests no authentication, or sends "ok" without showing that it knows the password, provides no channel binding.
    if (!hasServerProof) isBound = false;
    const refusal = refuse();
    if (refusal) throw refusal;
  };
}

/** "scram-sha-256,md5" allows these methods, "!password" all others. */
function allowedMethods(list: string | undefined): (method: string) => boolean {
  if (list === undefined || list === '') return () => true;
  const names = list.split(',').map((name) => name.trim());
  return names.every((name) => name.startsWith('!'))
    ? (method) => !names.includes(`!${method}`)
    : (method) => names.includes(method);
}
