/** Checks that a database can be replaced by renaming, and reads the properties to copy from it. */
import {z} from 'zod';
import {isSystemDatabase} from '../../catalog/replacing-flags.js';
import {defined} from '../../base/defined.js';
import {AppError} from '../../base/errors.js';
import {withSession} from '../../postgres/client.js';
import type {Connection} from '../../postgres/connect/connection.js';
import type {NewDatabase} from '../../postgres/databases/create-database.js';
import {parseOwnerComment} from '../../postgres/databases/owner-comment.js';
import {
  type DatabaseProperties,
  inspectDatabaseProperties,
} from '../../postgres/databases/database-properties.js';
import {
  type DatabaseIdentity,
  parseRows,
  pgBoolean,
  pgCount,
} from '../../postgres/inspect/inspect-database.js';
import {listPrepared, preparedHint} from '../../postgres/databases/prepared-transactions.js';
import {mayActFor, type ObjectCounts} from '../../postgres/inspect/inspect-target.js';
import type {Ownership} from '../../postgres/inspect/platform-objects.js';
import type {RunContext} from '../../run/run-context.js';

export interface PresentDatabase {
  readonly identity: DatabaseIdentity;
  readonly objects: ObjectCounts;
  /** Owners of objects on a managed server; null elsewhere. */
  readonly ownership: Ownership | null;
}

/** Properties that the new database copies from the one it replaces. */
export interface CopiedProperties {
  readonly database: NewDatabase;
  readonly properties: DatabaseProperties;
}

const targetRow = z.object({
  is_owner: pgBoolean,
  can_create: pgBoolean,
  is_hosted: pgBoolean,
  is_template: pgBoolean,
  owner: z.string(),
  tablespace: z.string(),
  connection_limit: pgCount,
  slots: z.string(),
});

const targetQuery = `
  SELECT ${mayActFor('d.datdba')} AS is_owner,
         (SELECT rolcreatedb OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) AS can_create,
         EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname IN ('supabase_admin', 'rdsadmin', 'cloudsqladmin', 'azuresu', 'neon_superuser'))
           AS is_hosted,
         d.datistemplate AS is_template, pg_catalog.pg_get_userbyid(d.datdba) AS owner, t.spcname AS tablespace,
         d.datconnlimit AS connection_limit,
         (SELECT coalesce(string_agg(slot_name, ', '), '') FROM pg_catalog.pg_replication_slots WHERE database = d.datname) AS slots
    FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace
   WHERE d.datname = current_database()`;

/** @throws NOT_SUPPORTED_HERE with a hint to the restore in place */
export async function checkSwap(
  context: RunContext,
  target: Connection,
  present: PresentDatabase,
): Promise<CopiedProperties> {
  const {row, prepared, properties} = await withSession(
    target,
    async (session) => ({
      row: parseRows(targetRow, await session.query(targetQuery))[0],
      prepared: await listPrepared(session, [target.database]),
      properties: await inspectDatabaseProperties(session),
    }),
    {signal: context.signal},
  );
  if (!row) throw new AppError('UNEXPECTED', 'The server does not list the database it is connected to.');
  const obstacle = findObstacle(row, target.database);
  if (obstacle !== undefined) {
    throw new AppError(
      'NOT_SUPPORTED_HERE',
      `"${target.database}" cannot be replaced by a swap: ${obstacle}. Nothing was changed.`,
      {
        hint: 'Restore in place instead, in one transaction after a safety backup: use --clean in place of --drop-existing.',
      },
    );
  }
  if (prepared.length > 0) {
    // A restore in place would have to wait for them too.
    throw new AppError(
      'NOT_SUPPORTED_HERE',
      `"${target.database}" has prepared transactions, which hold locks without a session. Nothing was changed.`,
      {hint: preparedHint, details: prepared},
    );
  }
  if (row.slots !== '') {
    context.warn(
      `The replication slots ${row.slots} remain with the old database. Set up the subscribers again.`,
    );
  }
  const isOwnerComment = parseOwnerComment(properties.databaseComment) !== undefined;
  return {
    database: defined({
      locale: present.identity.locale,
      owner: row.owner,
      tablespace: row.tablespace === 'pg_default' ? undefined : row.tablespace,
      connectionLimit: row.connection_limit,
    }),
    properties: {...properties, databaseComment: isOwnerComment ? null : properties.databaseComment},
  };
}

function findObstacle(row: z.infer<typeof targetRow>, database: string): string | undefined {
  if (isSystemDatabase(database)) {
    return row.is_hosted
      ? 'the hosting service needs the database of this name'
      : "it is the server's own database, and tools connect to it by this name";
  }
  if (row.is_template) return 'it is a template';
  if (!row.can_create) return 'the role may not create databases (CREATEDB)';
  if (!row.is_owner) return `it belongs to "${row.owner}", and this role may not act for that role`;
  return undefined;
}
