/** Finds constraints of partitions and child tables that can only be dropped with the parent's constraint. */
import {z} from 'zod';
import {textOf} from '../../../postgres/client-encoding.js';
import type {DumpStatement} from '../../../dump/dump-statements.js';
import type {Session} from '../../../postgres/client.js';
import {parseRows} from '../../../postgres/inspect/inspect-database.js';

/** @returns whether a statement of `pg_restore --clean` drops an inherited constraint */
export async function findInheritedConstraints(
  session: Session,
): Promise<(statement: Pick<DumpStatement, 'sql' | 'encoding'>) => boolean> {
  const rows = await session.query(
    `SELECT pg_catalog.format('%I.%I %I', n.nspname, c.relname, k.conname) AS name
       FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE k.coninhcount > 0`,
  );
  const inherited = new Set(parseRows(z.object({name: z.string()}), rows).map(({name}) => name));
  return ({sql, encoding}) => {
    const drop = /^ALTER TABLE IF EXISTS (?:ONLY )?(.+) DROP CONSTRAINT IF EXISTS (.+);$/s.exec(sql);
    return drop !== null && inherited.has(textOf(`${drop[1] ?? ''} ${drop[2] ?? ''}`, encoding));
  };
}
