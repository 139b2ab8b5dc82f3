/** SQL of the user's: the server reads it as a temporary view, whose stored tree is judged before anything of it runs. */
import {z} from 'zod';
import {type AppError, messageOf} from '../../base/errors.js';
import type {Session} from '../../postgres/client.js';
import {parseOnlyRow, parseRows, pgBoolean} from '../../postgres/inspect/inspect-database.js';
import {quoteIdentifier} from '../../postgres/quote.js';
import {sendStatement} from '../../postgres/single-statement.js';

/** How the program speaks of the SQL. */
export interface UserSql {
  /** 'values': the columns of the view, which call compiled functions alone; 'condition': its WHERE, which may call functions of this role too. */
  readonly kind: 'values' | 'condition';
  invalid(why: string): AppError;
  /** The error for SQL that could do more than read, or that others could replace. */
  refused(why: string, hint: string, isVolatile: boolean): AppError;
  /** The error for subqueries and the like. */
  more(): AppError;
}

/** Roles whose code runs anyway: superusers, this role, and the owner of the database where it is one of these. */
const trusted = `trusted AS (
    SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolsuper OR r.rolname = CURRENT_USER
    UNION
    SELECT r.oid FROM pg_catalog.pg_roles r, pg_catalog.pg_database d JOIN pg_catalog.pg_roles o ON o.oid = d.datdba
     WHERE r.rolname = 'pg_database_owner' AND d.datname = pg_catalog.current_database()
       AND (o.rolsuper OR o.rolname = CURRENT_USER))`;

/**
 * Whether the tree of a view contains more than an expression over one row. A value of an array or of a row over a domain runs the
 * domain's checks without a node in the tree, so the types of constants and of conversions are looked through.
 */
const moreSql = `
  WITH RECURSIVE stored AS (
    SELECT r.ev_action::pg_catalog.text AS text FROM pg_catalog.pg_rewrite r WHERE r.ev_class = $1::pg_catalog.regclass),
  ${trusted},
  used AS (
    SELECT m.match[1]::pg_catalog.oid AS type
      FROM stored, pg_catalog.regexp_matches(stored.text, ':(?:consttype|resulttype|typid) (\\d+)', 'g') m(match)
    UNION
    SELECT below.type FROM used JOIN pg_catalog.pg_type t ON t.oid = used.type
     CROSS JOIN LATERAL (
       SELECT t.typbasetype UNION ALL SELECT t.typelem
       UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a WHERE a.attrelid = t.typrelid AND NOT a.attisdropped
       UNION ALL SELECT g.rngsubtype FROM pg_catalog.pg_range g WHERE g.rngtypid = t.oid) below(type)
     WHERE below.type <> 0)
  SELECT stored.text ~ ':(hasAggs|hasWindowFuncs|hasTargetSRFs|hasSubLinks) true|:setOperations [{]|[{]COERCETODOMAIN'
      OR EXISTS (SELECT 1 FROM used JOIN pg_catalog.pg_type t ON t.oid = used.type
                  WHERE t.typtype = 'd' AND NOT EXISTS (SELECT 1 FROM trusted WHERE trusted.oid = t.typowner)) AS is_more
    FROM stored`;

const calledRow = z.object({
  name: z.string(),
  is_volatile: pgBoolean,
  is_known: pgBoolean,
  reads_any: pgBoolean,
  open_schema: z.string().nullable(),
});

/**
 * Built-in functions are not among the dependencies of a view, hence the tree. Spaces and parentheses in names are escaped
 * there, so no name can look like a part of the tree.
 */
const calledSql = `
  WITH stored AS (
    SELECT r.ev_action::pg_catalog.text AS text FROM pg_catalog.pg_rewrite r WHERE r.ev_class = $1::pg_catalog.regclass),
  tree AS (
    SELECT CASE WHEN $2::pg_catalog.bool THEN pg_catalog.substr(text, pg_catalog.strpos(text, ' :targetList ({')) ELSE text END AS text
      FROM stored),
  named AS (
    SELECT p.oid, p.pronamespace AS namespace
      FROM tree, pg_catalog.regexp_matches(tree.text, ':(funcid|opfuncid|aggfnoid|winfnoid) (\\d+)', 'g') m(match)
      JOIN pg_catalog.pg_proc p ON p.oid = m.match[2]::pg_catalog.oid
    UNION
    SELECT o.oprcode::pg_catalog.oid, namespace
      FROM tree, pg_catalog.regexp_matches(tree.text, ':(?:opno|opnos \\(o) ([\\d ]+)', 'g') m(match),
           pg_catalog.regexp_split_to_table(pg_catalog.btrim(m.match[1]), ' ') number
      JOIN pg_catalog.pg_operator o ON o.oid = number::pg_catalog.oid
      JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode::pg_catalog.oid
     CROSS JOIN LATERAL (VALUES (o.oprnamespace), (p.pronamespace)) spaces(namespace)),
  called AS (
    SELECT named.oid, named.namespace FROM named
    UNION
    SELECT p.oid, n.oid FROM named JOIN pg_catalog.pg_proc p ON p.oid = named.oid
     CROSS JOIN LATERAL pg_catalog.unnest(p.proconfig) setting
     CROSS JOIN LATERAL pg_catalog.regexp_matches(pg_catalog.substr(setting, 13), '"((?:[^"]|"")*)"|([^\\s,"]+)', 'g') m(match)
     CROSS JOIN LATERAL (VALUES (coalesce(pg_catalog.replace(m.match[1], '""', '"'), pg_catalog.lower(m.match[2])))) path(name)
      JOIN pg_catalog.pg_namespace n ON n.nspname = path.name
        OR path.name = '$user' AND (n.nspname = CURRENT_USER OR n.nspname = pg_catalog.pg_get_userbyid(p.proowner))
     WHERE pg_catalog.starts_with(setting, 'search_path=')),
  ${trusted}
  SELECT fn.nspname || '.' || p.proname AS name, p.provolatile = 'v' AS is_volatile,
         fn.nspname = 'pg_catalog' OR (l.lanname IN ('c', 'internal') AND r.rolsuper)
           OR (NOT $2::pg_catalog.bool AND EXISTS (SELECT 1 FROM trusted WHERE trusted.oid = p.proowner)) AS is_known,
         fn.nspname = 'pg_catalog' AND p.proname ~ '^(?:table|schema|database)_to_xml' AS reads_any,
         CASE WHEN n.nspname <> 'pg_catalog' AND (
             NOT EXISTS (SELECT 1 FROM trusted WHERE trusted.oid = n.nspowner)
             OR EXISTS (SELECT 1 FROM pg_catalog.aclexplode(n.nspacl) x
                         WHERE x.privilege_type = 'CREATE' AND x.grantee <> n.nspowner
                           AND NOT EXISTS (SELECT 1 FROM trusted WHERE trusted.oid = x.grantee)))
           THEN n.nspname END AS open_schema
    FROM called JOIN pg_catalog.pg_proc p ON p.oid = called.oid
    JOIN pg_catalog.pg_namespace fn ON fn.oid = p.pronamespace JOIN pg_catalog.pg_namespace n ON n.oid = called.namespace
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang JOIN pg_catalog.pg_roles r ON r.oid = p.proowner
   ORDER BY 1, 5`;

/**
 * Makes the view, by one statement whatever the text contains. Nothing of it runs here; names in it are found in pg_catalog alone
 * unless they are qualified.
 * @param session in a transaction that may write
 * @param view its quoted name
 * @param text the CREATE VIEW
 * @throws the errors of `sql`
 */
export async function makeUserView(
  session: Session,
  view: string,
  text: string,
  sql: UserSql,
): Promise<void> {
  if (text.includes('\0')) throw sql.invalid('it contains a NUL byte');
  try {
    const statement = sendStatement(session, Buffer.from(text), false);
    await statement.started;
    await statement.end();
  } catch (error) {
    throw sql.invalid(messageOf(error));
  }
  const isValues = sql.kind === 'values';
  const called = parseRows(calledRow, await session.query(calledSql, [view, isValues ? 't' : 'f']));
  for (const {name, is_volatile, is_known, reads_any, open_schema} of called) {
    if (is_volatile)
      throw sql.refused(
        `calls ${name}, which is volatile`,
        'Built-in functions that are stable or immutable are allowed.',
        true,
      );
    if (!is_known)
      throw sql.refused(
        `calls ${name}, whose code is neither built in nor part of an extension${isValues ? '' : ' nor yours'}`,
        isValues
          ? 'Write what the function computes into the profile.'
          : 'Write what the function computes into the condition.',
        false,
      );
    if (reads_any)
      throw sql.refused(`calls ${name}, which reads other tables`, 'Name columns of this table.', false);
    if (open_schema !== null)
      throw sql.refused(
        `calls ${name} by the schema ${open_schema}, where other roles may create functions`,
        `Use a built-in function, or let nobody else create there (REVOKE CREATE ON SCHEMA ${quoteIdentifier(open_schema)}).`,
        false,
      );
  }
  const {is_more: isMore} = parseOnlyRow(
    z.object({is_more: pgBoolean}),
    await session.query(moreSql, [view]),
  );
  if (isMore) throw sql.more();
}
