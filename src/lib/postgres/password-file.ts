/** libpq's password file (manual, 34.16) for the driver, which only looks for it in its usual place. */
import {readFile, stat} from 'node:fs/promises';
import type {Connection} from './connection.js';

/**
 * The password for the connection in its `passfile`; undefined when there is no such file or no fitting line.
 * Like libpq, a file that others can read counts as absent.
 */
export async function passwordFromFile(connection: Connection): Promise<string | undefined> {
  const file = connection.options['passfile'];
  if (file === undefined) return undefined;
  let text: string;
  try {
    const isOpenToOthers = process.platform !== 'win32' && ((await stat(file)).mode & 0o077) !== 0;
    if (isOpenToOthers) return undefined;
    text = await readFile(file, 'utf8');
  } catch {
    return undefined; // the server says next that a password is missing
  }
  return findPassword(text, connection);
}

/** The password of the first line host:port:database:user:password that fits; "*" fits everything. */
export function findPassword(text: string, connection: Connection): string | undefined {
  const {host, port, database, user} = connection;
  // libpq looks up sockets of the default folders as "localhost"
  const hosts = host.startsWith('/') ? [host, 'localhost'] : [host];
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#')) continue;
    const fields = [...line.matchAll(/(?:[^:\\]|\\.)*(?::|$)/g)].map(([field]) => field.replace(/:$/, ''));
    const [lineHost, linePort, lineDatabase, lineUser] = fields.slice(0, 4).map(unescapeField);
    const fits =
      (lineHost === '*' || hosts.includes(lineHost ?? '')) &&
      (linePort === '*' || linePort === String(port)) &&
      (lineDatabase === '*' || lineDatabase === database) &&
      (lineUser === '*' || lineUser === user);
    if (fits && fields[4]) return unescapeField(fields[4]);
  }
  return undefined;
}

function unescapeField(field: string): string {
  return field.replace(/\\(.)/g, '$1');
}
