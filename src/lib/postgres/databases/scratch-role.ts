/** The role that owns and loads a scratch database: code in a backup runs with its privileges, so it has none elsewhere. */
import {createHash, createHmac, pbkdf2Sync, randomBytes} from 'node:crypto';
import {z} from 'zod';
import type {Session} from '../client.js';
import {type OwnerComment, formatOwnerComment, parseOwnerComment} from './owner-comment.js';
import {parseOnlyRow, parseRows, pgBoolean} from '../inspect/inspect-database.js';
import {quoteIdentifier, quoteLiteral} from '../quote.js';

/** Name of a scratch database and of its role. */
export const scratchName = (): string => `destino_scratch_${randomBytes(6).toString('hex')}`;
const nameForm = /^destino_scratch_[0-9a-f]{12}$/;

export interface ScratchRole {
  readonly name: string;
  readonly password: string;
}

const creatorRow = z.object({may_create: pgBoolean, is_superuser: pgBoolean, bypasses: pgBoolean});

/**
 * Creates the role with a random password. It must log in itself, because loaded code could RESET a SET ROLE. It may bypass
 * row level security if its creator may, so that it sees all rows of its own tables.
 * @returns undefined if the session's role may not create roles
 */
export async function createScratchRole(
  session: Session,
  name: string,
  mark: OwnerComment,
  serverMajor: number,
): Promise<ScratchRole | undefined> {
  const creator = parseOnlyRow(
    creatorRow,
    await session.query(`
      SELECT r.rolsuper OR r.rolcreaterole AS may_create, r.rolsuper AS is_superuser, r.rolbypassrls AS bypasses
        FROM pg_catalog.pg_roles r WHERE r.rolname = current_user`),
  );
  if (!creator.may_create) return undefined;
  // Before 16, only a superuser may give BYPASSRLS (manual, CREATE ROLE).
  const bypasses = creator.is_superuser || (creator.bypasses && serverMajor >= 16);
  const password = randomBytes(24).toString('base64url');
  const role = quoteIdentifier(name);
  const tablespaces = creator.is_superuser ? await listTablespaces(session) : [];
  await session.query(
    [
      `CREATE ROLE ${role} LOGIN ${bypasses ? 'BYPASSRLS' : 'NOBYPASSRLS'} PASSWORD ${quoteLiteral(scramVerifier(password))}`,
      `COMMENT ON ROLE ${role} IS ${quoteLiteral(formatOwnerComment(mark))}`,
      // pg_restore forwards the server's messages, in which a missing privilege is recognised.
      ...(creator.is_superuser ? [`ALTER ROLE ${role} SET lc_messages = 'C'`] : []),
      // Only a member can give a database to the role and drop it afterwards.
      ...(creator.is_superuser ? [] : [`GRANT ${role} TO CURRENT_USER`]),
      ...tablespaces.map(
        (tablespace) => `GRANT CREATE ON TABLESPACE ${quoteIdentifier(tablespace)} TO ${role}`,
      ),
    ].join('; '),
  );
  return {name, password};
}

async function listTablespaces(session: Session): Promise<string[]> {
  const rows = parseRows(
    z.object({name: z.string()}),
    await session.query(
      "SELECT t.spcname AS name FROM pg_catalog.pg_tablespace t WHERE t.spcname NOT IN ('pg_default', 'pg_global')",
    ),
  );
  return rows.map(({name}) => name);
}

/** Drops the role and its privileges; a missing role is not an error. */
export async function dropScratchRole(session: Session, name: string): Promise<void> {
  const found = await session.query('SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1', [name]);
  if (found.length === 0) return;
  const role = quoteIdentifier(name);
  await session.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
}

/** Roles of scratch databases, found by the form of their name and their comment. */
export async function listScratchRoles(
  session: Session,
): Promise<{readonly name: string; readonly mark: OwnerComment}[]> {
  const rows = parseRows(
    z.object({name: z.string(), comment: z.string().nullable()}),
    await session.query(`
      SELECT r.rolname AS name, pg_catalog.shobj_description(r.oid, 'pg_authid') AS comment
        FROM pg_catalog.pg_roles r
       WHERE pg_catalog.starts_with(r.rolname::text, 'destino_scratch_') AND NOT r.rolsuper`),
  );
  return rows.flatMap(({name, comment}) => {
    const mark = parseOwnerComment(comment);
    return mark?.kind === 'scratch' && nameForm.test(name) ? [{name, mark}] : [];
  });
}

const iterations = 4096;

/** The stored form of a password (RFC 5803), so that the password does not appear in statements in a log. */
function scramVerifier(password: string): string {
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256');
  const hmac = (text: string): Buffer => createHmac('sha256', salted).update(text).digest();
  const storedKey = createHash('sha256').update(hmac('Client Key')).digest('base64');
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${storedKey}:${hmac('Server Key').toString('base64')}`;
}
