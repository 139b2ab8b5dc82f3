/** Creates the extensions of a scratch database before it is loaded, and before any code of the backup runs. */
import {z} from 'zod';
import type {DumpNeeds} from '../../dump/dump-needs.js';
import {AppError} from '../../base/errors.js';
import {type Session, withSession} from '../../postgres/client.js';
import type {Connection} from '../../postgres/connect/connection.js';
import {parseRows} from '../../postgres/inspect/inspect-database.js';
import {quoteIdentifier} from '../../postgres/quote.js';

export interface PreparedScratch {
  /** Schemas and extensions of the dump that exist before the load. */
  readonly schemas: readonly string[];
  readonly extensions: readonly string[];
  /** Extensions that could not be installed, each with the server's message. */
  readonly missing: readonly {readonly name: string; readonly why: string}[];
}

/** Schemas that exist in every database. */
const everywhere = new Set(['public', 'pg_catalog']);

/**
 * Installs the dump's extensions as far as possible. As a superuser, it also grants the role access to the extensions' objects,
 * because their rows and servers are part of a dump.
 * @param scratch an empty database, connected to as a superuser or as the role itself
 * @param role the role that loads the database
 */
export async function prepareScratch(
  scratch: Connection,
  role: string,
  isSuperuser: boolean,
  {installations}: DumpNeeds,
  signal: AbortSignal,
): Promise<PreparedScratch> {
  const owner = quoteIdentifier(role);
  const schemas = new Set<string>();
  const extensions: string[] = [];
  const missing: {name: string; why: string}[] = [];
  await withSession(
    scratch,
    async (session) => {
      for (const {extension, schema} of installations) {
        if (extension === 'plpgsql') continue;
        if (schema !== null && !everywhere.has(schema)) {
          await session.query(
            `CREATE SCHEMA IF NOT EXISTS ${quoteIdentifier(schema)} AUTHORIZATION ${owner}`,
          );
          schemas.add(schema);
        }
        const why = await install(session, extension, schema);
        if (why === undefined) extensions.push(extension);
        else missing.push({name: extension, why});
      }
      if (isSuperuser) await changeGrants(session, 'GRANT ALL ON %s %s TO %s', owner);
    },
    {signal},
  );
  return {schemas: [...schemas], extensions, missing};
}

/** @returns the reason if it cannot be installed */
async function install(
  session: Session,
  extension: string,
  schema: string | null,
): Promise<string | undefined> {
  const into = schema === null ? '' : ` SCHEMA ${quoteIdentifier(schema)}`;
  try {
    await session.query(`CREATE EXTENSION IF NOT EXISTS ${quoteIdentifier(extension)}${into}`);
    return undefined;
  } catch (error) {
    if (!(error instanceof AppError) || ['CONNECTION_LOST', 'DISK_FULL', 'INTERRUPTED'].includes(error.code))
      throw error;
    return error.message;
  }
}

/** Revokes the grants of `prepareScratch`. @param scratch as a superuser */
export async function withdrawGrants(scratch: Connection, role: string, signal: AbortSignal): Promise<void> {
  await withSession(
    scratch,
    (session) => changeGrants(session, 'REVOKE ALL ON %s %s FROM %s', quoteIdentifier(role)),
    {signal},
  );
}

async function changeGrants(session: Session, format: string, owner: string): Promise<void> {
  for (const {sql} of parseRows(grantRow, await session.query(extensionGrants, [format, owner])))
    await session.query(sql);
}

const grantRow = z.object({sql: z.string()});

/** A statement for each of the schemas, tables, sequences and foreign-data wrappers that belong to extensions. */
const extensionGrants = `
  SELECT pg_catalog.format($1, o.kind, o.name, $2::text) AS sql
    FROM (SELECT 'SCHEMA' AS kind, pg_catalog.quote_ident(n.nspname) AS name, n.oid, 'pg_catalog.pg_namespace'::pg_catalog.regclass AS class
            FROM pg_catalog.pg_namespace n WHERE n.nspname <> 'pg_catalog'
          UNION ALL
          SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
                 pg_catalog.format('%I.%I', n.nspname, c.relname), c.oid, 'pg_catalog.pg_class'::pg_catalog.regclass
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'S')
          UNION ALL
          SELECT 'FOREIGN DATA WRAPPER', pg_catalog.quote_ident(w.fdwname), w.oid, 'pg_catalog.pg_foreign_data_wrapper'::pg_catalog.regclass
            FROM pg_catalog.pg_foreign_data_wrapper w) o
    JOIN pg_catalog.pg_depend d ON d.classid = o.class AND d.objid = o.oid AND d.objsubid = 0 AND d.deptype = 'e'`;
