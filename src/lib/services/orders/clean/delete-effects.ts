/** Side effects and obstacles of a deletion: triggers, rules, slow constraint checks, missing rights and policies. */
import {z} from 'zod';
import {AppError} from '../../../base/errors.js';
import {didYouMean} from '../../../base/nearest.js';
import {unknownName} from '../../../base/unknown-name.js';
import type {Session} from '../../../postgres/client.js';
import {parseRows, pgBoolean, pgCount} from '../../../postgres/inspect/inspect-database.js';
import {shellCommand} from '../../../base/shell-quote.js';
import {joinedTables, type Link, type OrderGraph} from '../rules/order-graph.js';
import type {Table} from '../../../rows/model/read-schema.js';
import {rowSecurityHint} from '../../../postgres/row-security.js';

export interface Trigger {
  readonly table: string;
  readonly trigger: string;
  readonly event: 'delete' | 'update';
  readonly timing: 'before' | 'after' | 'instead of';
  readonly function: string;
}

const triggerRow = z.object({
  oid: z.string(),
  trigger: z.string(),
  event: z.enum(['delete', 'update']),
  timing: z.enum(['before', 'after', 'instead of']),
  function: z.string(),
});

/** A rewrite rule (manual, chapter 41): its commands run inside the statement that deletes or unlinks rows. */
export interface Rule {
  readonly table: string;
  readonly rule: string;
  readonly event: 'delete' | 'update';
  readonly timing: 'also' | 'instead';
}

const ruleRow = z.object({
  oid: z.string(),
  rule: z.string(),
  event: z.enum(['delete', 'update']),
  timing: z.enum(['also', 'instead']),
});

/** The tables themselves and their partitions. */
const withPartitions = `(SELECT r.oid AS top, coalesce(p.relid::oid, r.oid) AS oid
   FROM pg_catalog.unnest($1::oid[]) r(oid) LEFT JOIN LATERAL pg_catalog.pg_partition_tree(r.oid) p ON true)`;

/** User triggers that fire when rows are deleted, or unlinked from deleted ones. */
export async function findTriggers(session: Session, graph: OrderGraph): Promise<Trigger[]> {
  const find = async (tables: readonly Table[], event: 'delete' | 'update'): Promise<Trigger[]> => {
    const rows = parseRows(
      triggerRow,
      await session.query(
        `SELECT DISTINCT r.top::text AS oid, t.tgname AS trigger, $2::text AS event, t.tgfoid::pg_catalog.regproc::text AS function,
                CASE WHEN t.tgtype::integer & 64 <> 0 THEN 'instead of' WHEN t.tgtype::integer & 2 <> 0 THEN 'before' ELSE 'after' END AS timing
           FROM ${withPartitions} r JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid
          WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgtype::integer & $3::integer <> 0
          ORDER BY 1, 2`,
        [tables.map((table) => table.oid), event, event === 'delete' ? 8 : 16],
      ),
    );
    return rows.map(({oid, ...row}) => ({
      table: tables.find((table) => table.oid === oid)?.label ?? oid,
      ...row,
    }));
  };
  const kept = [...new Set(graph.unlinks.map((link) => link.child))];
  return [...(await find(graph.tables, 'delete')), ...(await find(kept, 'update'))];
}

/** Rules that apply when rows are deleted, or unlinked from deleted ones. */
export async function findRules(session: Session, graph: OrderGraph): Promise<Rule[]> {
  const kept = graph.unlinks.map((link) => link.child);
  const tables = [...new Set([...graph.tables, ...kept])];
  const rows = parseRows(
    ruleRow,
    await session.query(
      `SELECT DISTINCT r.top::text AS oid, w.rulename AS rule, CASE w.ev_type WHEN '4' THEN 'delete' ELSE 'update' END AS event,
              CASE WHEN w.is_instead THEN 'instead' ELSE 'also' END AS timing
         FROM ${withPartitions} r JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.oid
        WHERE w.ev_enabled IN ('O', 'A') AND w.ev_type IN ('2', '4') ORDER BY 1, 2`,
      [tables.map((table) => table.oid)],
    ),
  );
  return rows.map(({oid, ...row}) => ({
    table: tables.find((table) => table.oid === oid)?.label ?? oid,
    ...row,
  }));
}

/**
 * Whether this session counts the rows that triggers change. The server may have switched the setting off; only superusers, and roles with
 * the privilege, can switch it on for themselves.
 */
export async function seesChanges(session: Session): Promise<boolean> {
  const [row] = await session.query(`SELECT pg_catalog.current_setting('track_counts') AS setting`);
  if (row?.['setting'] === 'on') return true;
  try {
    await session.query('SET track_counts = on');
    return true;
  } catch (error) {
    if (error instanceof AppError && error.code === 'PERMISSION_DENIED') return false;
    throw error;
  }
}

/**
 * Checks the names of --allow-trigger and of the config file against all triggers and rules of the database and of the orders' partitions.
 * @throws USAGE for an unknown name in the flag; an unknown name in the config file, which may serve several databases, is only a warning
 */
export async function checkAllowed(
  session: Session,
  graph: OrderGraph,
  flags: readonly string[],
  config: readonly string[],
  warn: (message: string) => void,
): Promise<void> {
  if (flags.length + config.length === 0) return;
  const rows = await session.query(
    `SELECT n.nspname || '.' || c.relname || '.' || e.name AS name
       FROM (SELECT tgrelid AS oid, tgname AS name FROM pg_catalog.pg_trigger WHERE NOT tgisinternal
             UNION SELECT ev_class, rulename FROM pg_catalog.pg_rewrite WHERE rulename <> '_RETURN') e
       JOIN pg_catalog.pg_class c ON c.oid = e.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname <> 'pg_catalog' ORDER BY 1`,
  );
  const effects = [
    ...(await findTriggers(session, graph)).map(({table, trigger}) => `${table}.${trigger}`),
    ...(await findRules(session, graph)).map(({table, rule}) => `${table}.${rule}`),
  ];
  const known = [...new Set([...effects, ...rows.flatMap(({name}) => name ?? [])])];
  const message = (name: string): string => `the database has no trigger or rule "${name}"`;
  for (const name of config.filter((each) => !known.includes(each)))
    warn(`orders.allowTriggers: ${message(name)}.${didYouMean(name, known)}`);
  const unknown = flags.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw unknownName(
      'USAGE',
      `--allow-trigger: ${message(unknown)}; nothing was changed.`,
      unknown,
      known,
      'A name reads schema.table.trigger.',
    );
}

/** Triggers and rules whose effects cannot be counted and are not allowed: "schema.table.name". */
export function unseenEffects(
  {triggers, rules}: {readonly triggers: readonly Trigger[]; readonly rules: readonly Rule[]},
  isCounting: boolean,
  allowed: readonly string[],
): string[] {
  const names = [
    ...rules.map(({table, rule}) => `${table}.${rule}`),
    ...(isCounting ? [] : triggers.map(({table, trigger}) => `${table}.${trigger}`)),
  ];
  return [...new Set(names)].filter((name) => !allowed.includes(name));
}

/** @throws GUARD with their names */
export function refuseUnseenEffects(unseen: readonly string[]): void {
  if (unseen.length === 0) return;
  throw new AppError(
    'GUARD',
    `Rules, or triggers on a server that does not count changed rows (track_counts), may delete rows that no backup contains: ${unseen.join(', ')}. Nothing was changed.`,
    {
      hint: `Read their code, or disable them during the cleaning. Allow by name those that delete no other rows: ${unseen.map((name) => shellCommand(['--allow-trigger', name])).join(' ')}`,
    },
  );
}

export interface SlowLink {
  readonly table: string;
  readonly columns: readonly string[];
  readonly constraint: string;
  /** An estimate: for every deleted parent row the server reads the whole table. */
  readonly seconds: number;
}

/** Bytes per second that the server reads while it looks for referring rows without an index; measured 1.1e9. */
const scannedBytesPerSecond = 1e9;

/** Foreign keys without a usable index, slowest first. @param rowsOf the number of rows to delete, by table label */
export async function findSlowLinks(
  session: Session,
  graph: OrderGraph,
  rowsOf: (label: string) => number,
): Promise<{link: Link; slow: SlowLink}[]> {
  const found: {link: Link; slow: SlowLink}[] = [];
  for (const link of [...graph.links, ...graph.unlinks]) {
    const parents = rowsOf(link.parent.label);
    if (link.hasIndex || parents === 0) continue;
    const [row] = parseRows(
      z.object({bytes: pgCount}),
      await session.query(
        `SELECT coalesce(sum(pg_catalog.pg_relation_size(r.oid)), 0)::text AS bytes FROM ${withPartitions} r`,
        [[link.childRelation.oid]],
      ),
    );
    const seconds = ((row?.bytes ?? 0) * parents) / scannedBytesPerSecond;
    found.push({
      link,
      slow: {
        table: link.childRelation.label,
        columns: link.childColumns,
        constraint: link.name,
        seconds: Math.round(seconds * 10) / 10,
      },
    });
  }
  return found.sort((a, b) => b.slow.seconds - a.slow.seconds);
}

const rightsRow = z.object({
  oid: z.string(),
  can_read: pgBoolean,
  can_change: pgBoolean,
  has_policies: pgBoolean,
});

/**
 * Rows hidden by row-level security would make the result incomplete, and a missing right would fail half-way.
 * @throws ROW_SECURITY, PERMISSION_DENIED, each with the names of the tables
 */
export async function refuseHiddenRows(
  session: Session,
  graph: OrderGraph,
  isExecuting: boolean,
): Promise<void> {
  const changed = [...graph.tables, ...graph.unlinks.map((link) => link.child)];
  const tables = [...new Set([...changed, ...joinedTables(graph)])];
  const rows = parseRows(
    rightsRow,
    await session.query(
      `SELECT o.oid::text AS oid, pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE')
                AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AS can_read,
              (NOT o.oid = ANY ($3::oid[]) OR pg_catalog.has_table_privilege(c.oid, 'UPDATE'))
                AND (NOT o.oid = ANY ($2::oid[]) OR pg_catalog.has_table_privilege(c.oid, 'DELETE')) AS can_change,
              pg_catalog.row_security_active(c.oid) AS has_policies
         FROM pg_catalog.unnest($1::oid[]) o(oid) JOIN pg_catalog.pg_class c ON c.oid = o.oid`,
      [tables, graph.tables, changed].map((each) => each.map(({oid}) => oid)),
    ),
  );
  const labels = (condition: (row: z.infer<typeof rightsRow>) => boolean): string =>
    rows
      .filter(condition)
      .map((row) => tables.find((table) => table.oid === row.oid)?.label ?? row.oid)
      .join(', ');
  const hint = 'Connect as the owner of the tables, or grant SELECT, UPDATE and DELETE.';
  const unreadable = labels((row) => !row.can_read);
  if (unreadable !== '') {
    throw new AppError(
      'PERMISSION_DENIED',
      `The role may not read ${unreadable}, which contains rows or values of orders; nothing was changed.`,
      {hint},
    );
  }
  const hidden = labels((row) => row.has_policies);
  if (hidden !== '') {
    throw new AppError(
      'ROW_SECURITY',
      `Row-level security hides rows of ${hidden} from this role, so rows or values of orders would be missed; nothing was changed.`,
      {hint: rowSecurityHint},
    );
  }
  const unchangeable = isExecuting ? labels((row) => !row.can_change) : '';
  if (unchangeable === '') return;
  throw new AppError(
    'PERMISSION_DENIED',
    `The role may not delete the rows of orders in ${unchangeable}; nothing was changed.`,
    {hint},
  );
}
