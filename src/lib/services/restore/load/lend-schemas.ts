/** Grants the owners of a dump's objects CREATE on their schemas temporarily, until the dump's own grants. */
import {z} from 'zod';
import type {DumpStatement} from '../../../dump/dump-statements.js';
import {readRightsStatement} from '../../../dump/sql/rights-statement.js';
import {textOf} from '../../../postgres/client-encoding.js';
import type {Session} from '../../../postgres/client.js';
import {parseOnlyRow, pgBoolean} from '../../../postgres/inspect/inspect-database.js';
import {quoteIdentifier, quoteLiteral} from '../../../postgres/quote.js';

export interface LentSchemas {
  /** Grants CREATE if the statement needs it, and revokes all temporary grants before the dump's first grant. */
  before(statement: DumpStatement): Promise<void>;
  takeBack(): Promise<void>;
}

/**
 * A role that is not a superuser can give an object only to a role with CREATE on its schema (manual, ALTER TABLE), and the grants of a
 * dump come after all objects.
 * @param session the session that runs the dump's statements
 */
export function lendSchemas(session: Session): LentSchemas {
  const seen = new Set<string>();
  const lent: {readonly schema: string; readonly role: string}[] = [];
  let encoding = 'UTF8';
  /** The dump sets its own encoding, but the driver uses UTF8. */
  const inUtf8 = async (work: () => Promise<void>): Promise<void> => {
    if (encoding === 'UTF8') return work();
    await session.query(`SET client_encoding = 'UTF8'`);
    await work();
    await session.query(`SET client_encoding = ${quoteLiteral(encoding)}`);
  };
  const takeBack = async (): Promise<void> => {
    const all = lent.splice(0);
    if (all.length === 0) return;
    await inUtf8(async () => {
      for (const {schema, role} of all)
        await session.query(
          `REVOKE CREATE ON SCHEMA ${quoteIdentifier(schema)} FROM ${quoteIdentifier(role)}`,
        );
    });
  };
  return {
    takeBack,
    before: async (statement) => {
      const {section, sql} = statement;
      ({encoding} = statement);
      if (!section) return;
      if (section.type === 'ACL') return takeBack();
      const rights = section.schema === '-' ? undefined : readRightsStatement(textOf(sql, encoding));
      if (rights?.kind !== 'owner') return;
      const {schema} = section;
      const {role} = rights;
      const key = JSON.stringify([schema, role]);
      if (seen.has(key)) return;
      seen.add(key);
      await inUtf8(async () => {
        if (!(await isLendable(session, schema, role))) return;
        await session.query(`GRANT CREATE ON SCHEMA ${quoteIdentifier(schema)} TO ${quoteIdentifier(role)}`);
        lent.push({schema, role});
      });
    },
  };
}

async function isLendable(session: Session, schema: string, role: string): Promise<boolean> {
  const row = parseOnlyRow(
    z.object({is_lendable: pgBoolean}),
    await session.query(
      `SELECT coalesce(pg_catalog.bool_or(
                NOT pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE')
                AND pg_catalog.has_schema_privilege(n.oid, 'CREATE WITH GRANT OPTION')), false) AS is_lendable
         FROM pg_catalog.pg_namespace n, pg_catalog.pg_roles r WHERE n.nspname = $1 AND r.rolname = $2`,
      [schema, role],
    ),
  );
  return row.is_lendable;
}
