/** The password for a server that requests one: from the connection, the terminal or libpq's password file. */
import {AppError} from '../../base/errors.js';
import {type Connection, describeConnection} from './connection.js';
import {lookUpPassword, passwordLine} from './password-file.js';

/** AUTHENTICATION_FAILED: the server requests a password and none is known. */
export class PasswordMissing extends AppError {}

/**
 * @returns the password and its source
 * @throws PasswordMissing, with a hint where to store it
 */
export async function passwordOf(connection: Connection): Promise<{password: string; source: string}> {
  const {origin, typedPasswords} = connection;
  if (connection.password !== undefined && connection.password !== '')
    return {password: connection.password, source: origin};
  const printed = connection.commandPassword?.latest();
  if (printed !== undefined) return {password: printed, source: 'passwordCommand of the config file'};
  const typed = typedPasswords?.known(connection);
  if (typed !== undefined) return {password: typed, source: 'the terminal'};
  const {file, password, problem = ''} = await lookUpPassword(connection);
  if (password !== undefined) return {password, source: file ?? ''};
  const looked = file === undefined ? '' : ` The password file ${file} ${problem}.`;
  throw new PasswordMissing(
    'AUTHENTICATION_FAILED',
    `${describeConnection(connection)} (${origin}) requires a password, and none was found.${looked}`,
    {
      hint: `Add this line to ${file ?? 'the file of PGPASSFILE'} (mode 0600): ${passwordLine(connection)}. Or set PGPASSWORD, or write the password into the URL.`,
    },
  );
}
