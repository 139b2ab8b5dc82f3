/** The conditions on orders in SQL: the reasons to select an order, and the guards that keep it. */
import {quoteIdentifier, quoteLiteral} from '../../../postgres/quote.js';
import type {OrdersConfig} from '../../../settings/orders-config.js';
import {columnType} from './relation-sql.js';
import type {OrderGraph} from './order-graph.js';
import type {RootProfile} from './profile.js';
import type {Root} from './resolve-root.js';
import {testAddressRules, testAddressSql} from './test-address.js';

/** Why an order is selected. "linked": it depends on a selected order by a foreign key. */
export const reasons = ['test-email', 'failed-payment', 'cancelled', 'old', 'linked'] as const;
/** Why a matching order is kept. "linked": a guarded order depends on it. */
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
  /** Keys of orders that flags and config exclude, in the server's notation. */
  readonly excludedIds: readonly string[];
}

export interface Selection {
  readonly graph: OrderGraph;
  readonly criteria: Criteria;
  readonly config: OrdersConfig;
  /** The start of the run, from which "90 days ago" is counted. */
  readonly now: Date;
}

/** Failed and cancelled orders older than this have the reason "old". */
const oldAfterDays = 90;
const defaultHighValue = 100;

/** SQL condition: `t` is the row version that `s` lists. Also valid under the role's own search_path. */
export const isListed = [
  't.tableoid OPERATOR(pg_catalog.=) s.part',
  't.ctid OPERATOR(pg_catalog.=) s.tid',
  't.xmin OPERATOR(pg_catalog.=) s.ver',
].join(' AND ');

/** "CANCELLED/PAID": order status and payment status of the row `t`. */
export function statusSql({status, paymentStatus}: RootProfile): string {
  const parts = [status, paymentStatus].map((name) =>
    name === undefined ? `'-'` : `coalesce(t.${quoteIdentifier(name)}::pg_catalog.text, '-')`,
  );
  return parts.join(` || '/' || `);
}

/** SQL condition: whether the column of the row `t` has one of the values; never null. */
export function isOneOf(column: string | undefined, values: readonly string[]): string {
  return column === undefined
    ? 'false'
    : `coalesce(t.${quoteIdentifier(column)}::pg_catalog.text IN (${values.map(quoteLiteral).join(', ')}), false)`;
}

/** SQL condition: whether the address in the column of the row `t` is a test address; never null. */
export function isTestSql(selection: Selection, column: string | undefined): string {
  return column === undefined
    ? 'false'
    : testAddressSql(`t.${quoteIdentifier(column)}`, testAddressRules(selection.config));
}

type Word = (typeof reasons)[number] | (typeof guards)[number];

/** The bit of a word among the words of its kind. */
export function bitOf(words: readonly Word[], word: Word): number {
  return 1 << words.indexOf(word);
}

/** The words whose bits are set. */
export function wordsOf<T extends Word>(words: readonly T[], bits: number): T[] {
  return words.filter((word) => (bits & bitOf(words, word)) !== 0);
}

/** SQL integer with the bits of the words whose condition is true. */
function bitsSql(words: readonly Word[], conditions: Readonly<Partial<Record<Word, string>>>): string {
  const parts = words.flatMap((word) => {
    const condition = conditions[word];
    return condition === undefined || condition === 'false'
      ? []
      : [`CASE WHEN ${condition} THEN ${bitOf(words, word)} ELSE 0 END`];
  });
  return parts.length === 0 ? '0' : `(${parts.join(' | ')})`;
}

/** SQL integer with the bits of the reasons to select the row `t` of the root; 0 without a reason. */
export function reasonsSql(selection: Selection, root: Root): string {
  return bitsSql(reasons, reasonConditions(selection, root));
}

/** SQL condition: whether there is a reason to select the row `t` of the root. */
export function isChosenSql(selection: Selection, root: Root): string {
  return `(${Object.values(reasonConditions(selection, root)).join(' OR ')})`;
}

function reasonConditions(
  selection: Selection,
  root: Root,
): Partial<Record<(typeof reasons)[number], string>> {
  const {criteria, graph} = selection;
  const {profile} = root;
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
      words.old = `(${failed} OR ${cancelled}) AND ${instantSql(root, profile.createdAt)} < ${quoteLiteral(limit)}::timestamptz`;
    }
  }
  return words;
}

/**
 * SQL integer with the bits of the guards that keep the row `t` of the root. Whether its customer ever paid is a separate query
 * (`customersTable` in select-orders.ts).
 */
export function guardsSql(selection: Selection, root: Root): string {
  const {profile} = root;
  const {criteria, config, graph} = selection;
  const paid = isOneOf(profile.paymentStatus, graph.profile.paidPayments);
  const words: Partial<Record<(typeof guards)[number], string>> = {};
  if (profile.total !== undefined) {
    const column = `t.${quoteIdentifier(profile.total)}`;
    // Money can be compared only with money.
    const total = columnType(root, profile.total) === 'money' ? `${column}::pg_catalog.numeric` : column;
    // A paid order with an unknown total could have a high one.
    words['high-value-paid'] =
      `${paid} AND NOT coalesce(${total} <= ${config.highValue ?? defaultHighValue}, false)`;
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
    const instant = instantSql(root, profile.createdAt);
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
  return bitsSql(guards, words);
}

/** The key as text; commas separate the columns of a composite key. */
export function keyTextSql(alias: string, key: readonly string[]): string {
  return key.map((name) => `${alias}.${quoteIdentifier(name)}::pg_catalog.text`).join(` || ',' || `);
}

/** The address in a column of the row `t`, normalised for comparison. */
export function addressSql(column: string): string {
  return `pg_catalog.lower(pg_catalog.btrim(t.${quoteIdentifier(column)}::pg_catalog.text))`;
}

/** A time as timestamptz: a timestamp without zone is UTC, as Prisma writes it. */
function instantSql(root: Root, column: string): string {
  const name = `t.${quoteIdentifier(column)}`;
  return columnType(root, column).includes('without time zone')
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
