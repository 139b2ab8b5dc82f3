/** Decides whether this program may write on a server. */
import {z} from 'zod';
import {AppError} from '../../base/errors.js';
import type {Session} from '../client.js';
import {parseOnlyRow, pgBoolean} from './inspect-database.js';

/** Why writing is not possible, and what to do. */
export interface ReadOnly {
  readonly isStandby: boolean;
  readonly why: string;
  readonly hint: string;
}

const row = z.object({
  is_standby: pgBoolean,
  is_read_only: pgBoolean,
  /** The value in pg_settings. */
  source: z.string().nullable(),
  is_database_read_only: pgBoolean,
  /** The session's value, which the session sets itself if it may. */
  replication_role: z.string(),
});

/** Where the setting comes from, by its source in pg_settings. */
const places: Readonly<Record<string, string>> = {
  client: 'in the options of the URL or PGOPTIONS',
  'database user': 'for this role in this database',
  user: 'for this role',
  database: 'for this database',
};

/**
 * @param database the database to be changed, if the session is in another one; its own setting for this role counts too
 */
export async function whyReadOnly(session: Session, database?: string): Promise<ReadOnly | undefined> {
  const found = parseOnlyRow(
    row,
    await session.query(
      `SELECT pg_catalog.pg_is_in_recovery() AS is_standby,
              current_setting('transaction_read_only')::bool AS is_read_only,
              current_setting('session_replication_role') AS replication_role,
              (SELECT source FROM pg_catalog.pg_settings WHERE name = 'default_transaction_read_only') AS source,
              coalesce((SELECT pg_catalog.split_part(line, '=', 2)::bool
                 FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.datname = $1, unnest(s.setconfig) line
                WHERE line LIKE 'default_transaction_read_only=%'
                  AND s.setdatabase IN (0, d.oid) AND s.setrole IN (0, (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = session_user))
                -- What holds for the role wins over what holds for the database (manual, ALTER ROLE).
                ORDER BY s.setrole = 0, s.setdatabase = 0 LIMIT 1), false) AS is_database_read_only`,
      [database ?? null],
    ),
  );
  if (found.is_standby)
    return {
      isStandby: true,
      why: 'the server is a standby',
      hint: 'Use the URL of the primary server.',
    };
  if (found.replication_role === 'replica')
    return {
      isStandby: false,
      why: 'session_replication_role is replica for this role, so foreign keys and triggers are not active',
      hint: 'As a superuser: ALTER ROLE ... RESET session_replication_role; or use the URL of another role.',
    };
  if (!found.is_read_only && !found.is_database_read_only) return undefined;
  const place = found.is_read_only
    ? (places[found.source ?? ''] ?? 'in the configuration of the server')
    : `for the database "${database ?? ''}"`;
  return {
    isStandby: false,
    why: `default_transaction_read_only is on ${place}`,
    hint: 'Turn that setting off, or use the URL of a role or server without it.',
  };
}

/**
 * Refuses a standby and read-only sessions before any work begins.
 * @param what the impossible operation: "A scratch database cannot be created"
 * @param options.database as for `whyReadOnly`
 * @param options.hint replaces the usual one
 * @throws NOT_SUPPORTED_HERE
 */
export async function requireWritable(
  session: Session,
  what: string,
  {database, hint}: {readonly database?: string; readonly hint?: string} = {},
): Promise<void> {
  const readOnly = await whyReadOnly(session, database);
  if (!readOnly) return;
  throw new AppError('NOT_SUPPORTED_HERE', `${what}: ${readOnly.why}. Nothing was changed.`, {
    hint: hint ?? readOnly.hint,
  });
}
