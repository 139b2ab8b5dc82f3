/** Reads libpq's password file (manual, "The Password File") for the program's own sessions: the driver's support is deprecated. */
import {readFile, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {messageOf, systemErrorCode} from '../../base/errors.js';
import {homeFolder} from '../../base/home-folder.js';
import type {Connection} from './connection.js';

export interface FileLookup {
  /** The file that was read; undefined for an account without a home folder. */
  readonly file: string | undefined;
  readonly password?: string;
  /** Why no password was found: "does not exist". */
  readonly problem?: string;
}

/**
 * Looks up the connection's password in the file of `passfile` or PGPASSFILE, else in ~/.pgpass.
 * Like libpq, ignores a file that the group or others may access.
 */
export async function lookUpPassword(connection: Connection): Promise<FileLookup> {
  const home = homeFolder();
  const file = connection.options['passfile'] ?? (home === undefined ? undefined : join(home, '.pgpass'));
  if (file === undefined) return {file};
  try {
    const status = await stat(file);
    if (!status.isFile()) return {file, problem: 'is not a regular file'};
    if (process.platform !== 'win32' && (status.mode & 0o077) !== 0)
      return {file, problem: `is ignored, because other users can access it (chmod 600 ${file})`};
    const password = findPassword(await readFile(file, 'utf8'), connection);
    return password === undefined ? {file, problem: 'has no line for it'} : {file, password};
  } catch (error) {
    const isAbsent = systemErrorCode(error) === 'ENOENT';
    return {file, problem: isAbsent ? 'does not exist' : `cannot be read: ${messageOf(error)}`};
  }
}

/** Socket folders of upstream's and the distributions' builds: libpq looks up its own default under "localhost". */
const defaultSocketFolders = ['/tmp', '/var/run/postgresql'];

/** The password of the first matching line host:port:database:user:password; undefined if there is none, or if it is empty. */
export function findPassword(text: string, connection: Connection): string | undefined {
  const {host, port, database, user} = connection;
  const hosts = defaultSocketFolders.includes(host) ? ['localhost', host] : [host];
  for (const line of text.split(/\r*\n/)) {
    if (line.startsWith('#')) continue;
    const [lineHost = '', linePort = '', lineDatabase = '', lineUser = '', password] = fieldsOf(line);
    const fits =
      hosts.some((one) => matches(lineHost, one)) &&
      matches(linePort, String(port)) &&
      matches(lineDatabase, database) &&
      matches(lineUser, user);
    if (fits && password !== undefined) return unescapeField(password) || undefined;
  }
  return undefined;
}

/** The line of a password file for the connection, with PASSWORD as a placeholder. */
export function passwordLine({host, port, database, user}: Connection): string {
  const fields = [host, String(port), database, user].map((field) => field.replaceAll(/[\\:]/g, '\\$&'));
  return [...fields, 'PASSWORD'].join(':');
}

function fieldsOf(line: string): string[] {
  return [...line.matchAll(/((?:[^:\\]|\\.|\\$)*)(?::|$)/g)].map(([, field = '']) => field);
}

function matches(field: string, value: string): boolean {
  return field === '*' || unescapeField(field) === value;
}

function unescapeField(field: string): string {
  return field.replace(/\\(.)/g, '$1');
}
