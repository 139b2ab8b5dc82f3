/** Which orders are testing orders: chosen on the server, with the reasons, and with the guards that keep an order. */
import type {Session} from '../postgres/client.js';
import {quoteIdentifier, quoteLiteral, quoteQualified} from '../postgres/quote.js';
import type {OrdersConfig} from '../settings/orders-config.js';
import type {OrderGraph, Root} from './foreign-key-graph.js';
import type {RootProfile} from './profile.js';
import type {Table} from './read-catalog.js';
import {testAddressRules, testAddressSql} from './test-address.js';

/** Why an order is chosen. "linked": it hangs on a chosen order by a foreign key. */
export const reasons = ['test-email', 'failed-payment', 'cancelled', 'old', 'linked'] as const;
/** Why a matching order stays. "linked": an order that hangs on it is guarded. */
export const guards = [
  'high-value-paid',
  'production-customer',
  'protected',
  'excluded',
  'outside-range',
  'linked',
] as const;

export interface Criteria {
  readonly testEmailsOnly: boolean;
  readonly includeOld: boolean;
  readonly includeCustomers: boolean;
  /** First and last day, YYYY-MM-DD in `timeZone`. */
  readonly from: string | null;
  readonly to: string | null;
  readonly timeZone: string;
  /** Of flags and config, as they were given. */
  readonly excludedIds: readonly string[];
}

export interface Selection {
  readonly graph: OrderGraph;
  readonly criteria: Criteria;
  readonly config: OrdersConfig;
  /** The start of the run: what "90 days ago" is counted from. */
  readonly now: Date;
}

/** Failed and cancelled orders older than this are named as old. */
const oldAfterDays = 90;
const defaultHighValue = 100;

/** Name of the temporary table of the candidates of the root at `index`. */
export function candidatesTable(index: number): string {
  return `pg_temp."destino_db_candidates_${index}"`;
}

/**
 * Makes the empty tables of candidates: one row for each order that matches a criterion, guarded or not.
 * Temporary tables made beforehand can be filled in a read-only transaction.
 */
export async function createCandidateTables(session: Session, roots: readonly Root[]): Promise<void> {
  for (const [index, {table, profile}] of roots.entries()) {
    const columns = ['part oid', 'tid tid', 'ver xid'];
    for (const [position, name] of profile.key.entries())
      columns.push(`k${position} ${columnType(table, name)}`);
    columns.push('reasons text[]', 'guards text[]');
    await session.query(`CREATE TEMPORARY TABLE ${candidatesTable(index)} (${columns.join(', ')})`);
  }
  await session.query(`CREATE TEMPORARY TABLE ${customersTable} (address text)`);
}

/** Addresses with at least one paid order of any root. */
const customersTable = 'pg_temp."destino_db_customers"';

async function findCustomers(session: Session, {graph}: Selection): Promise<void> {
  const parts = graph.roots.flatMap(({table, profile}) =>
    profile.email === undefined || profile.paymentStatus === undefined
      ? []
      : [
          `SELECT ${addressSql(profile.email)} FROM ${relationSql(table)} t
            WHERE ${isOneOf(profile.paymentStatus, graph.profile.paidPayments)} AND t.${quoteIdentifier(profile.email)} IS NOT NULL`,
        ],
  );
  await session.query(`DELETE FROM ${customersTable}`);
  if (parts.length > 0) await session.query(`INSERT INTO ${customersTable} ${parts.join(' UNION ')}`);
  await session.query(`ANALYZE ${customersTable}`);
}

/** The join that `guardsSql` needs: the customer with the address of the order `t`. */
export function customerJoinSql(profile: RootProfile): string {
  return `LEFT JOIN ${customersTable} c ON ${profile.email === undefined ? 'false' : `c.address = ${addressSql(profile.email)}`}`;
}

/**
 * Fills the tables of candidates.
 * @param among SQL of a table with the columns k0, k1, ... : only these orders are looked at
 */
export async function selectCandidates(
  session: Session,
  selection: Selection,
  among?: (rootIndex: number) => string,
): Promise<void> {
  await findCustomers(session, selection);
  for (const [index, root] of selection.graph.roots.entries()) {
    const {table, profile} = root;
    const keys = profile.key.map((name) => `t.${quoteIdentifier(name)}`);
    const restriction =
      among === undefined
        ? ''
        : `JOIN ${among(index)} l ON ${keys.map((key, position) => `${key} = l.k${position}`).join(' AND ')}`;
    // OFFSET 0 keeps the reasons from being worked out once for the filter and once for the result.
    await session.query(`
      INSERT INTO ${candidatesTable(index)}
      SELECT ${own('part')}, ${own('tid')}, ${own('ver')}, ${keys.join(', ')}, ${own('reasons')},
             ${guardsSql(selection, root, `'test-email' = ANY (${own('reasons')})`)}
        FROM (SELECT t.tableoid AS ${mark('part')}, t.ctid AS ${mark('tid')}, t.xmin AS ${mark('ver')},
                     ${reasonsSql(selection, root)} AS ${mark('reasons')}, t.*
                FROM ${relationSql(table)} t ${restriction} OFFSET 0) t
        ${customerJoinSql(profile)}
       WHERE ${own('reasons')} <> '{}'`);
    await session.query(`ANALYZE ${candidatesTable(index)}`);
  }
}

/** A column name that no table of orders has. */
const mark = (name: string): string => `"destino-db ${name}"`;
const own = (name: string): string => `t.${mark(name)}`;

/** The table itself, without what inherits from it. */
export function relationSql(table: Table): string {
  return `${table.isPartitioned ? '' : 'ONLY '}${quoteQualified(table.schema, table.name)}`;
}

export function columnType(table: Table, name: string): string {
  return table.columns.find((column) => column.name === name)?.type ?? 'text';
}

/** "CANCELLED/PAID": order status and payment status of the row `t`. */
export function statusSql({status, paymentStatus}: RootProfile): string {
  const parts = [status, paymentStatus].map((name) =>
    name === undefined ? `'-'` : `coalesce(t.${quoteIdentifier(name)}::pg_catalog.text, '-')`,
  );
  return parts.join(` || '/' || `);
}

function isOneOf(column: string | undefined, values: readonly string[]): string {
  return column === undefined
    ? 'false'
    : `coalesce(t.${quoteIdentifier(column)}::pg_catalog.text IN (${values.map(quoteLiteral).join(', ')}), false)`;
}

function isTestSql(selection: Selection, column: string | undefined): string {
  return column === undefined
    ? 'false'
    : testAddressSql(`t.${quoteIdentifier(column)}`, testAddressRules(selection.config));
}

/** SQL array of the words of `conditions` that hold. */
function wordsSql(conditions: Readonly<Record<string, string>>): string {
  const parts = Object.entries(conditions)
    .filter(([, condition]) => condition !== 'false')
    .map(([word, condition]) => `CASE WHEN ${condition} THEN ${quoteLiteral(word)} END`);
  return `pg_catalog.array_remove(ARRAY[${parts.join(', ')}]::text[], NULL)`;
}

function reasonsSql(selection: Selection, {table, profile}: Root): string {
  const {criteria, graph} = selection;
  const words: Partial<Record<(typeof reasons)[number], string>> = {
    'test-email': isTestSql(selection, profile.email),
  };
  if (!criteria.testEmailsOnly) {
    const failed = isOneOf(profile.paymentStatus, graph.profile.failedPayments);
    const cancelled = isOneOf(profile.status, graph.profile.cancelledStatuses);
    words['failed-payment'] = failed;
    words.cancelled = cancelled;
    if (criteria.includeOld && profile.createdAt !== undefined) {
      const limit = new Date(selection.now.getTime() - oldAfterDays * 86_400_000).toISOString();
      words.old = `(${failed} OR ${cancelled}) AND ${instantSql(table, profile.createdAt)} < ${quoteLiteral(limit)}::timestamptz`;
    }
  }
  return wordsSql(words);
}

/**
 * The guards that keep the row `t` of the root, whatever criterion it matches.
 * @param isTest SQL condition: whether its address is a test address, where that is known already
 */
export function guardsSql(
  selection: Selection,
  {table, profile}: Root,
  isTest = isTestSql(selection, profile.email),
): string {
  const {criteria, config, graph} = selection;
  const paid = isOneOf(profile.paymentStatus, graph.profile.paidPayments);
  const words: Partial<Record<(typeof guards)[number], string>> = {};
  if (profile.total !== undefined) {
    const column = `t.${quoteIdentifier(profile.total)}`;
    // Money can be compared with money only.
    const total = columnType(table, profile.total) === 'money' ? `${column}::pg_catalog.numeric` : column;
    // A paid order whose total is unknown could be any.
    words['high-value-paid'] =
      `${paid} AND NOT coalesce(${total} <= ${config.highValue ?? defaultHighValue}, false)`;
  }
  if (profile.email !== undefined && !criteria.includeCustomers) {
    words['production-customer'] = `c.address IS NOT NULL AND NOT ${isTest}`;
  }
  if (profile.email !== undefined && config.protected !== undefined && config.protected.length > 0) {
    const patterns = config.protected.map((pattern) => quoteLiteral(likePattern(pattern)));
    words.protected = `coalesce(${addressSql(profile.email)} LIKE ANY (ARRAY[${patterns.join(', ')}]), false)`;
  }
  if (criteria.excludedIds.length > 0) {
    words.excluded = `${keyTextSql('t', profile.key)} IN (${criteria.excludedIds.map(quoteLiteral).join(', ')})`;
  }
  if (profile.createdAt !== undefined && (criteria.from !== null || criteria.to !== null)) {
    const zone = quoteLiteral(criteria.timeZone);
    const instant = instantSql(table, profile.createdAt);
    const bounds = [
      ...(criteria.from === null
        ? []
        : [`${instant} >= ${quoteLiteral(criteria.from)}::timestamp AT TIME ZONE ${zone}`]),
      ...(criteria.to === null
        ? []
        : [`${instant} < (${quoteLiteral(criteria.to)}::timestamp + '1 day') AT TIME ZONE ${zone}`]),
    ];
    words['outside-range'] = `NOT coalesce(${bounds.join(' AND ')}, false)`;
  }
  return wordsSql(words);
}

/** The key as text; the columns of a composite key are joined by commas. */
export function keyTextSql(alias: string, key: readonly string[]): string {
  return key.map((name) => `${alias}.${quoteIdentifier(name)}::pg_catalog.text`).join(` || ',' || `);
}

function addressSql(column: string): string {
  return `pg_catalog.lower(pg_catalog.btrim(t.${quoteIdentifier(column)}::pg_catalog.text))`;
}

/** A time as timestamptz: a timestamp without zone is UTC, as Prisma writes it. */
function instantSql(table: Table, column: string): string {
  const name = `t.${quoteIdentifier(column)}`;
  return columnType(table, column).includes('without time zone')
    ? `(${name} AT TIME ZONE 'UTC')`
    : `${name}::timestamptz`;
}

/** "*@shop.com" as a LIKE pattern. */
function likePattern(pattern: string): string {
  return pattern
    .trim()
    .toLowerCase()
    .replace(/[\\%_]/g, '\\$&')
    .replaceAll('*', '%');
}
