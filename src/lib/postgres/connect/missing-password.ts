/** The password for a server that asks for one: of the connection, typed in, of libpq's file, or missing. */
import {AppError} from '../../base/errors.js';
import {type Connection, describeConnection} from './connection.js';
import {lookUpPassword, passwordLine} from './password-file.js';

/** AUTHENTICATION_FAILED: the server wants a password and none is known. */
export class PasswordMissing extends AppError {}

/**
 * @returns the password and where it came from
 * @throws PasswordMissing, which says how to name one
 */
export async function passwordOf(connection: Connection): Promise<{password: string; source: string}> {
  const {origin, typedPasswords} = connection;
  if (connection.password !== undefined && connection.password !== '')
    return {password: connection.password, source: origin};
  const typed = typedPasswords?.known(connection);
  if (typed !== undefined) return {password: typed, source: 'the terminal'};
  const {file, password, problem = ''} = await lookUpPassword(connection);
  if (password !== undefined) return {password, source: file ?? ''};
  const looked = file === undefined ? '' : ` The password file ${file} ${problem}.`;
  throw new PasswordMissing(
    'AUTHENTICATION_FAILED',
    `${describeConnection(connection)} (${origin}) wants a password, and none is known.${looked}`,
    {
      hint: `Add this line to ${file ?? 'the file that PGPASSFILE names'} (mode 0600): ${passwordLine(connection)}. Or set PGPASSWORD, or write the password into the URL.`,
    },
  );
}
