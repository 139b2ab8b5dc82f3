/** Plans `orders:clean`: finds and counts the rows without changing anything. */
import {AppError} from '../../../base/errors.js';
import {
  type CleanCounts,
  completeCounts,
  countFound,
  countLeaves,
  type FoundOrders,
  type RowDigest,
} from './count-plan.js';
import {collectRows, createRowLists, type RowLists, rowListsFor} from './collect-rows.js';
import {parseCriteria, resolveExcludedIds, type SelectionFlags} from '../rules/criteria.js';
import {
  checkAllowed,
  findRules,
  findSlowLinks,
  findTriggers,
  refuseHiddenRows,
  type Rule,
  seesChanges,
  type SlowLink,
  type Trigger,
  unseenEffects,
} from './delete-effects.js';
import {refuseForeignCasts} from '../../../rows/model/foreign-casts.js';
import {joinedTables, type OrderGraph, readOrderGraph} from '../rules/order-graph.js';
import type {Criteria, Selection} from '../rules/order-conditions.js';
import {type OrdersProfile, ordersProfile} from '../rules/profile.js';
import {refuseOversizedRows} from './row-size.js';
import {rowsToSave, type SnapshotRows} from './write-order-snapshot.js';
import {createCandidateTables, guardCustomers, selectCandidates} from './select-orders.js';
import {type Session, withSession, withTransaction} from '../../../postgres/client.js';
import {type Connection, refuseTransactionPooler} from '../../../postgres/connect/connection.js';
import {resolveConnection} from '../../../postgres/connect/resolve-connection.js';
import {type DatabaseIdentity, inspectIdentity} from '../../../postgres/inspect/inspect-database.js';
import {requireWritable} from '../../../postgres/inspect/writable.js';
import type {RunContext} from '../../../run/run-context.js';
import type {OrdersConfig} from '../../../settings/orders-config.js';

export interface CleanPlan extends CleanCounts {
  readonly database: string;
  readonly host: string;
  readonly profile: string;
  readonly criteria: Criteria;
  readonly triggers: readonly Trigger[];
  readonly rules: readonly Rule[];
  /** Triggers and rules, as named in --allow-trigger, that prevent the deletion because their effects cannot be counted. */
  readonly unseen: readonly string[];
  readonly slowLinks: readonly SlowLink[];
}

export interface FindOptions {
  /** The largest row that the order backup can contain, bytes; undefined without an order backup. */
  readonly rowLimit?: number | undefined;
  /** Whether to list every order, as `orders` of the plan. */
  readonly listsAll?: boolean | undefined;
}

/** A session in which rows can be selected and listed. */
export interface Cleaning extends FindOptions {
  readonly session: Session;
  readonly connection: Connection;
  readonly identity: DatabaseIdentity;
  readonly selection: Selection;
  readonly rowLists: RowLists;
  /** Whether the session counts the rows that triggers change. */
  readonly isCounting: boolean;
  /** Triggers and rules that flags and config allow. */
  readonly allowed: readonly string[];
  /** Distinguishes this database from others, for plan hashes. */
  readonly databaseKey: string;
}

/**
 * Counts the rows that a cleaning would change, in one read-only snapshot.
 * @throws USAGE, CONFIG_INVALID, TRANSACTION_POOLER, ROW_SECURITY, PERMISSION_DENIED, NOT_SUPPORTED_HERE and the codes of connections
 */
export async function planClean(
  context: RunContext,
  flags: SelectionFlags,
  options: FindOptions = {},
): Promise<CleanPlan> {
  return withCleaning(context, flags, {...options, isExecuting: false}, findOrders);
}

/** Fills the row lists of the session and counts them. */
export async function findOrders(cleaning: Cleaning): Promise<CleanPlan> {
  const {session, selection, rowLists} = cleaning;
  // In this transaction only temporary tables can be written.
  return withTransaction(session, 'ISOLATION LEVEL REPEATABLE READ, READ ONLY', async () => {
    await selectCandidates(session, selection);
    await guardCustomers(session, selection);
    await collectRows(session, selection, rowLists, false);
    return completePlan(cleaning, await describeFound(cleaning), await countLeaves(session, rowLists));
  });
}

/** The row lists in the session, and the side effects of deleting the rows. */
export interface FoundPlan extends Pick<CleanPlan, 'triggers' | 'rules' | 'unseen' | 'slowLinks'> {
  readonly found: FoundOrders;
  readonly rows: SnapshotRows;
}

/** @throws NOT_SUPPORTED_HERE if a row is larger than an order backup can contain */
export async function describeFound({
  session,
  selection,
  rowLists,
  isCounting,
  allowed,
  rowLimit,
  listsAll,
}: Cleaning): Promise<FoundPlan> {
  const {graph} = selection;
  const found = await countFound(session, selection, rowLists, listsAll);
  const slow = await findSlowLinks(session, graph, (label) => found.deleted.get(label)?.rows ?? 0);
  const triggers = await findTriggers(session, graph);
  const rules = await findRules(session, graph);
  const rows = rowsToSave(graph, rowLists, found, [...triggers, ...rules]);
  if (rowLimit !== undefined) await refuseOversizedRows(session, rows, rowLimit);
  return {
    found,
    rows,
    triggers,
    rules,
    unseen: unseenEffects({triggers, rules}, isCounting, allowed),
    slowLinks: slow.map((each) => each.slow),
  };
}

/** @param leaves the counts of the leaf tables */
export function completePlan(
  {connection, selection: {graph, criteria}, databaseKey}: Cleaning,
  {found, triggers, rules, unseen, slowLinks}: FoundPlan,
  leaves: ReadonlyMap<string, RowDigest>,
): CleanPlan {
  return {
    ...completeCounts(found, leaves, graph.tables, databaseKey),
    database: connection.database,
    host: connection.host,
    profile: graph.profile.name,
    criteria,
    triggers,
    rules,
    unseen,
    slowLinks,
  };
}

/**
 * Opens a session, reads the order graph and creates the temporary tables.
 * @param options `isExecuting` also requires the rights to delete
 */
export async function withCleaning<T>(
  context: RunContext,
  flags: SelectionFlags,
  {isExecuting, ...options}: FindOptions & {readonly isExecuting: boolean},
  work: (cleaning: Cleaning) => Promise<T>,
): Promise<T> {
  const config = context.settings.config.orders ?? {};
  const parsed = parseCriteria(flags, config);
  const connection = resolveConnection(context.settings);
  refuseTransactionPooler(connection);
  return withSession(
    connection,
    async (session) => {
      const identity = await inspectIdentity(session);
      // A preview needs temporary tables too.
      await requireWritable(session, 'Orders cannot be found or deleted here');
      const graph = await readOrderGraph(session, profileFor(config, connection));
      refuseMissingColumns(parsed, graph.roots);
      await refuseHiddenRows(session, graph, isExecuting);
      const tables = [...graph.tables, ...graph.unlinks.map(({child}) => child), ...joinedTables(graph)];
      await refuseForeignCasts(
        session,
        tables.map(({oid}) => oid),
      );
      const excludedIds = await resolveExcludedIds(session, graph.roots, flags.excludeIds, config, (id) =>
        context.warn(`No order has the excluded id "${id}".`),
      );
      const {allowTriggers = []} = flags;
      await checkAllowed(session, graph, allowTriggers, config.allowTriggers ?? [], context.warn);
      const selection = {graph, criteria: {...parsed, excludedIds}, config, now: context.clock.now()};
      const rowLists = rowListsFor(graph);
      await createCandidateTables(session, graph);
      await createRowLists(session, rowLists);
      const databaseKey = `${identity.systemIdentifier ?? `${connection.host}:${connection.port}`}/${identity.database}`;
      const isCounting = await seesChanges(session);
      const allowed = [...(config.allowTriggers ?? []), ...allowTriggers];
      const chosen = {selection, rowLists, allowed, databaseKey, ...options};
      return work({session, connection, identity, isCounting, ...chosen});
    },
    {signal: context.signal},
  );
}

function profileFor(config: OrdersConfig, connection: Connection): OrdersProfile {
  return ordersProfile(config, connection.schema ?? 'public');
}

/**
 * Checks the tables again once they are locked; their columns, keys, triggers and rules cannot change after that.
 * @throws PLAN_CHANGED if they changed since the cleaning was planned
 */
export async function refuseOtherTables({session, connection, selection}: Cleaning): Promise<void> {
  const {graph, config} = selection;
  const textOf = (value: OrderGraph): string =>
    JSON.stringify(value, (key, part: unknown) => (key === 'hasIndex' ? undefined : part)); // some are created temporarily
  const now = await readOrderGraph(session, profileFor(config, connection), true);
  if (textOf(now) === textOf(graph)) return;
  throw new AppError(
    'PLAN_CHANGED',
    'The tables of the orders were altered since the cleaning was planned. Nothing was changed.',
    {hint: 'Run it again.'},
  );
}

/** A range without a column to compare would keep nothing. */
function refuseMissingColumns(criteria: Criteria, roots: Selection['graph']['roots']): void {
  const flag = criteria.from !== null ? '--from' : criteria.to !== null ? '--to' : undefined;
  const root = roots.find(({profile}) => profile.createdAt === undefined);
  if (flag === undefined || root === undefined) return;
  throw new AppError(
    'USAGE',
    `${flag} cannot be used: the profile names no createdAt column of ${root.table.label}.`,
    {
      hint: 'Name it under orders.profile.roots in destino-db.config.json.',
    },
  );
}
