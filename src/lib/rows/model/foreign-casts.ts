/** Casts of the types of columns: the owner of a type decides what runs when a value of it becomes text. */
import {z} from 'zod';
import {AppError} from '../../base/errors.js';
import type {Session} from '../../postgres/client.js';
import {parseRows} from '../../postgres/inspect/inspect-database.js';

const castRow = z.object({table: z.string(), column: z.string(), type: z.string(), role: z.string()});

/** With the types below domains and arrays; superusers, who make the casts of extensions, are trusted. */
const castsSql = `
  WITH RECURSIVE used AS (
    SELECT a.attrelid, a.attname, a.atttypid AS type FROM pg_catalog.pg_attribute a
     WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
    UNION
    SELECT used.attrelid, used.attname, below.type
      FROM used JOIN pg_catalog.pg_type t ON t.oid = used.type
     CROSS JOIN LATERAL (VALUES (t.typbasetype), (t.typelem)) below(type) WHERE below.type <> 0)
  SELECT n.nspname || '.' || c.relname AS table, used.attname AS column,
         pg_catalog.format_type(used.type, NULL) AS type, r.rolname AS role
    FROM used JOIN pg_catalog.pg_type t ON t.oid = used.type AND t.typnamespace <> 'pg_catalog'::pg_catalog.regnamespace
    JOIN pg_catalog.pg_cast k ON used.type IN (k.castsource, k.casttarget)
    JOIN pg_catalog.pg_proc f ON f.oid = k.castfunc JOIN pg_catalog.pg_roles r ON r.oid = f.proowner
    JOIN pg_catalog.pg_class c ON c.oid = used.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE NOT r.rolsuper AND r.rolname <> CURRENT_USER ORDER BY 1, 2 LIMIT 1`;

/**
 * Reading a value as text or JSON would run a cast's function with the rights of this role.
 * @param tables oids of the tables whose columns are read
 * @throws GUARD where such a function belongs to another role that is not a superuser
 */
export async function refuseForeignCasts(session: Session, tables: readonly string[]): Promise<void> {
  const [cast] = parseRows(castRow, await session.query(castsSql, [tables]));
  if (!cast) return;
  throw new AppError(
    'GUARD',
    `The type ${cast.type} of ${cast.table}.${cast.column} has a cast that would run code of the role "${cast.role}" with your rights. Nothing was changed.`,
    {hint: `Run as "${cast.role}", or drop the cast (\\dC in psql lists it).`},
  );
}
