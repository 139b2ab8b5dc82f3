/** Creates and drops databases. */
import {setTimeout as delay} from 'node:timers/promises';
import {AppError, systemErrorCode} from '../../base/errors.js';
import {type Session, withSession} from '../client.js';
import {type Connection, withDatabase} from '../connect/connection.js';
import {type OwnerComment, ownerCommentStatement} from './owner-comment.js';
import type {DatabaseLocale} from '../inspect/inspect-database.js';
import {quoteIdentifier, quoteLiteral} from '../quote.js';

export interface NewDatabase {
  /** Locale of the source, or null for the server's default. */
  readonly locale: DatabaseLocale | null;
  /** Undefined for the current role. */
  readonly owner: string | undefined;
  readonly tablespace?: string;
  /** -1 for no limit. */
  readonly connectionLimit?: number;
  /** Whether it accepts no connections until `openWorkDatabase`. */
  readonly isClosed?: boolean;
}

/**
 * CREATE DATABASE from template0, the only template that allows another encoding or locale (manual, CREATE DATABASE).
 * @param serverMajor the options for locale providers were added in 15 and renamed later
 */
export function createDatabaseStatement(name: string, database: NewDatabase, serverMajor: number): string {
  return [
    `CREATE DATABASE ${quoteIdentifier(name)} TEMPLATE template0`,
    ...(database.owner === undefined ? [] : [`OWNER ${quoteIdentifier(database.owner)}`]),
    ...(database.tablespace === undefined ? [] : [`TABLESPACE ${quoteIdentifier(database.tablespace)}`]),
    ...(database.connectionLimit === undefined ? [] : [`CONNECTION LIMIT ${database.connectionLimit}`]),
    ...(database.isClosed === true ? ['ALLOW_CONNECTIONS false'] : []),
    ...(database.locale ? localeOptions(database.locale, serverMajor) : []),
  ].join(' ');
}

function localeOptions(locale: DatabaseLocale, serverMajor: number): string[] {
  const options = [
    `ENCODING ${quoteLiteral(locale.encoding)}`,
    `LC_COLLATE ${quoteLiteral(locale.collation)}`,
    `LC_CTYPE ${quoteLiteral(locale.ctype)}`,
  ];
  const needed = {libc: 13, icu: 15, builtin: 17}[locale.provider] ?? Number.POSITIVE_INFINITY;
  if (serverMajor < needed) {
    throw new AppError(
      'NOT_SUPPORTED_HERE',
      `The database uses the locale provider "${locale.provider}", which PostgreSQL ${serverMajor} does not support.`,
      {hint: 'Create the target database yourself and restore into it with --target-db.'},
    );
  }
  if (serverMajor >= 15) options.push(`LOCALE_PROVIDER ${locale.provider}`);
  if (locale.provider !== 'libc' && locale.providerLocale !== null) {
    const option = locale.provider === 'icu' ? 'ICU_LOCALE' : 'BUILTIN_LOCALE';
    options.push(`${option} ${quoteLiteral(locale.providerLocale)}`);
  }
  if (locale.icuRules !== null && serverMajor >= 16)
    options.push(`ICU_RULES ${quoteLiteral(locale.icuRules)}`);
  return options;
}

/** SQLSTATEs (manual, appendix A). */
const duplicateDatabase = '42P04';
const insufficientPrivilege = '42501';
/** Errors about an unknown locale or provider, and about an encoding that does not match the locale. */
const aboutLocale = new Set<string | undefined>(['42809', '22023', '0A000']);

/** @throws TARGET_EXISTS, PERMISSION_DENIED, NOT_SUPPORTED_HERE if the server lacks the locale, DISK_FULL */
export async function createDatabase(
  session: Session,
  name: string,
  database: NewDatabase,
  serverMajor: number,
): Promise<void> {
  const statement = createDatabaseStatement(name, database, serverMajor);
  try {
    await session.query(statement);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const state = systemErrorCode(error.cause);
    if (state === duplicateDatabase) {
      throw new AppError('TARGET_EXISTS', `The database "${name}" already exists. Nothing was changed.`, {
        cause: error,
      });
    }
    if (state === insufficientPrivilege) {
      throw new AppError(
        'PERMISSION_DENIED',
        `The role may not create the database "${name}": ${error.message}`,
        {
          hint: 'Use a role with CREATEDB, or restore into an existing empty database (--target-db).',
          cause: error,
        },
      );
    }
    if (aboutLocale.has(state)) {
      throw new AppError(
        'NOT_SUPPORTED_HERE',
        `The server cannot create a database with the source's settings: ${error.message}`,
        {
          hint: 'Create the target database yourself with a locale that the server supports, and restore into it with --target-db.',
          cause: error,
        },
      );
    }
    throw error;
  }
}

/** Whether the database may exist: true from the request to create it, false again if the server refuses. */
export interface Existence {
  isPossible: boolean;
}

/**
 * Creates a database that accepts no connections until `openWorkDatabase`.
 * @throws the errors of `createDatabase`
 */
export async function createWorkDatabase(
  session: Session,
  name: string,
  database: NewDatabase,
  serverMajor: number,
  existence: Existence,
): Promise<void> {
  existence.isPossible = true;
  try {
    await createDatabase(session, name, {...database, isClosed: true}, serverMajor);
  } catch (error) {
    existence.isPossible = !isRefusal(error);
    throw error;
  }
}

/** Whether the server refused; a statement may still complete after its connection broke. */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof AppError) || error.code === 'CONNECTION_LOST') return false;
  const cause = error.cause instanceof AppError ? error.cause.cause : error.cause;
  return error.code === 'NOT_SUPPORTED_HERE' || systemErrorCode(cause) !== undefined;
}

/**
 * Opens a database that was created closed, for its owner and superusers only: with the default privileges every role of the server
 * could read the restored rows. One implicit transaction, so after a kill it is either closed and empty, or has its owner comment.
 */
export async function openWorkDatabase(session: Session, name: string, mark: OwnerComment): Promise<void> {
  const database = quoteIdentifier(name);
  await session.query(
    [
      ownerCommentStatement(name, mark),
      `REVOKE CONNECT, TEMPORARY ON DATABASE ${database} FROM PUBLIC`,
      `ALTER DATABASE ${database} WITH ALLOW_CONNECTIONS true`,
    ].join('; '),
  );
}

/** Gives the database to another role, which can connect to it from then on. */
export async function setDatabaseOwner(session: Session, name: string, owner: string): Promise<void> {
  await session.query(`ALTER DATABASE ${quoteIdentifier(name)} OWNER TO ${quoteIdentifier(owner)}`);
}

const dropAttempts = 6;
/** SQLSTATEs of a DROP DATABASE that may succeed a moment later: "permission denied to terminate process", "is being accessed by other users". */
const inTheWay = new Set<string | undefined>([insufficientPrivilege, '55006']);

/**
 * Drops the database and ends its sessions; a missing database is not an error. FORCE fails if the role may not end an autovacuum
 * worker; without FORCE the server ends the worker itself and waits up to 5 s (CountOtherDBBackends in
 * src/backend/storage/ipc/procarray.c). Both are tried, for at most 15 s.
 */
export async function dropDatabase(session: Session, name: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const option = attempt % 2 === 1 ? ' WITH (FORCE)' : '';
    try {
      await session.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(name)}${option}`);
      return;
    } catch (error) {
      const state = error instanceof AppError ? systemErrorCode(error.cause) : undefined;
      if (!inTheWay.has(state) || attempt === dropAttempts) throw error;
      await delay(50 * attempt);
    }
  }
}

/**
 * Drops a temporary database of this program. A restored subscription would prevent that, and dropping
 * the subscription would also remove the replication slot of the original (manual, DROP SUBSCRIPTION, "slot_name = NONE").
 * @param server to any database of the server
 */
export async function dropWorkDatabase(session: Session, server: Connection, name: string): Promise<void> {
  const rows = await session.query(
    `SELECT s.subname FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid WHERE d.datname = $1`,
    [name],
  );
  if (rows.length > 0) {
    await withSession(withDatabase(server, name), async (inside) => {
      for (const row of rows) {
        const subscription = quoteIdentifier(row['subname'] ?? '');
        await inside.query(`ALTER SUBSCRIPTION ${subscription} DISABLE`);
        await inside.query(`ALTER SUBSCRIPTION ${subscription} SET (slot_name = NONE)`);
        await inside.query(`DROP SUBSCRIPTION ${subscription}`);
      }
    });
  }
  await dropDatabase(session, name);
}
