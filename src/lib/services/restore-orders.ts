/** orders:restore: put back what orders:clean took away, or show what that would do. */
import {elapsedMs} from '../clock.js';
import {AppError, withState} from '../errors.js';
import {countOf, formatCount} from '../format.js';
import {findOrderBackup, openOrderFile} from '../orders/open-order-file.js';
import type {OrderFile} from '../orders/order-file.js';
import {countReasons, countRows, listConflicts, type RestoreConflict} from '../orders/count-staged.js';
import {findConflicts} from '../orders/find-conflicts.js';
import {selectOrders} from '../orders/select-staged-orders.js';
import {keyNumbers} from '../orders/staged-conditions.js';
import {ordersProfile} from '../orders/profile.js';
import type {RestoredCounts} from '../orders/prove-rows.js';
import {putBackOrders} from '../orders/put-back-orders.js';
import {type StagedOrders, stageOrders} from '../orders/stage-orders.js';
import {changedTypes, type StagedTable} from '../orders/staged-table.js';
import {listFiringTriggers} from '../orders/user-triggers.js';
import {withAdvisoryLock} from '../postgres/advisory-lock.js';
import {type Session, withSession, withTransaction} from '../postgres/client.js';
import {type Connection, refuseTransactionPooler, resolveConnection} from '../postgres/connection.js';
import {type DatabaseIdentity, inspectIdentity} from '../postgres/inspect-database.js';
import type {RunContext} from '../run-context.js';
import {isProduction} from '../settings/production.js';

export interface RestoreOrdersOptions {
  /** A path, the name of a file in the backups folder, or "latest". */
  readonly backupFile: string | undefined;
  readonly execute: boolean;
  readonly failOnConflicts: boolean;
  /** Keys of the orders to take; all of them when empty. */
  readonly onlyOrders: readonly string[];
  /** How long to wait for another run on the same database, ms. */
  readonly waitMs?: number;
}

export interface RestoredTable {
  /** Rows put back, or with a preview those that would be. */
  readonly restored: number;
  /** Rows that were there and got their link back. */
  readonly relinked: number;
  readonly skipped: number;
}

export interface RestoreOrdersResult {
  readonly mode: 'preview' | 'execute';
  readonly backupPath: string;
  /** When the backup was written. */
  readonly backupTimestamp: string;
  readonly database: string;
  /** Orders put back, by table. */
  readonly orders: Readonly<Record<string, number>>;
  readonly tables: Readonly<Record<string, RestoredTable>>;
  /** Rows that are skipped, at most `conflictsListed` of them. */
  readonly conflicts: readonly RestoreConflict[];
  readonly conflictCount: number;
  /** Skipped rows by table and reason: all of them. */
  readonly reasons: readonly {readonly table: string; readonly reason: string; readonly rows: number}[];
  /** Sequences that were behind the restored ids and were brought forward. */
  readonly sequences: readonly string[];
  /** What the file cannot give back exactly, and what has changed since. */
  readonly notes: readonly string[];
  /** ms */
  readonly duration: number;
}

/** So many conflicts are named one by one; the rest is counted. */
const conflictsListed = 1000;
const lockTimeout = '30s';

/**
 * @throws USAGE, BACKUP_NOT_FOUND, ORDER_BACKUP_INVALID before the database is touched; CONFLICTS with
 *   `failOnConflicts`; ROW_SECURITY; LOCKED; ORDERS_RESTORE_FAILED after rolling everything back
 */
export async function restoreOrders(
  ctx: RunContext,
  options: RestoreOrdersOptions,
): Promise<RestoreOrdersResult> {
  const startedMs = ctx.clock.now().getTime();
  const connection = resolveConnection(ctx.settings);
  refuseTransactionPooler(connection);
  const path = await findOrderBackup(ctx.settings, options.backupFile);
  const schema = connection.schema ?? 'public';
  // An execution asks between reading and writing, and nothing may be on the screen then.
  const step: RunContext['progress']['step'] = options.execute
    ? (_title, work) => work({note: () => {}, advance: () => {}, skip: () => {}})
    : (title, work) => ctx.progress.step(title, work);
  if (!options.execute) ctx.progress.plan(['Read and check the order backup', 'Compare with the database']);

  const file = await step('Read and check the order backup', () => openOrderFile(path, schema, ctx.signal));
  return withSession(
    connection,
    async (session) => {
      const identity = await inspectIdentity(session);
      ctx.record({
        mode: options.execute ? 'execute' : 'preview',
        database: {
          name: identity.database,
          systemIdentifier: identity.systemIdentifier,
          host: connection.host,
          port: connection.port,
        },
      });
      for (const warning of originWarnings(file, identity)) ctx.warn(warning);
      const work = async (): Promise<RestoreOrdersResult> => {
        const {softLinks} = ordersProfile(ctx.settings.config.orders ?? {}, schema);
        const plan = await step('Compare with the database', () =>
          makePlan(session, file, softLinks, options),
        );
        await ctx.reach('orders.staged');
        const triggers = await triggersOf(ctx, session, plan.staged);
        const result = {...plan.result, mode: 'preview' as const, database: identity.database, sequences: []};
        const sequences = options.execute
          ? await execute(ctx, session, {connection, options, plan, triggers, identity})
          : undefined;
        const duration = elapsedMs(ctx.clock, startedMs);
        return sequences === undefined
          ? {...result, duration}
          : {...result, mode: 'execute', sequences, duration};
      };
      return options.execute
        ? withAdvisoryLock(
            session,
            {purpose: 'change', database: identity.database, waitMs: options.waitMs, signal: ctx.signal},
            work,
          )
        : work();
    },
    {signal: ctx.signal},
  );
}

/** What would be surprising about putting this file into this database. */
function originWarnings(file: OrderFile, identity: DatabaseIdentity): string[] {
  if (!file.database) return [];
  const {name, systemIdentifier} = file.database;
  const isOtherServer =
    systemIdentifier !== null &&
    identity.systemIdentifier !== null &&
    systemIdentifier !== identity.systemIdentifier;
  if (name === identity.database && !isOtherServer) return [];
  return [
    `The order backup was taken from the database "${name}"${isOtherServer ? ' of another server' : ''}; this is "${identity.database}".`,
  ];
}

interface Plan {
  readonly staged: StagedOrders;
  readonly result: Omit<RestoreOrdersResult, 'mode' | 'database' | 'sequences' | 'duration'>;
  readonly restored: RestoredCounts;
  /** Rows to insert and links to set. */
  readonly rows: number;
  readonly links: number;
}

/** Everything in one snapshot; the transaction can write to temporary tables only. */
async function makePlan(
  session: Session,
  file: OrderFile,
  softLinks: Parameters<typeof stageOrders>[2],
  options: RestoreOrdersOptions,
): Promise<Plan> {
  return withTransaction(session, 'ISOLATION LEVEL REPEATABLE READ', async () => {
    const staged = await stageOrders(session, file, softLinks);
    if (options.onlyOrders.length > 0) await selectOrders(session, staged, options.onlyOrders);
    await findConflicts(session, staged);
    return summarize(session, staged, options.onlyOrders.length > 0);
  });
}

async function summarize(session: Session, staged: StagedOrders, isSelection: boolean): Promise<Plan> {
  const tables: Record<string, RestoredTable> = {};
  const conflicts: RestoreConflict[] = [];
  const reasons: {table: string; reason: string; rows: number}[] = [];
  const counts = new Map<StagedTable, number>();
  const totals = {rows: 0, links: 0};
  const add = (table: string, more: RestoredTable): void => {
    const {restored, relinked, skipped} = tables[table] ?? {restored: 0, relinked: 0, skipped: 0};
    tables[table] = {
      restored: restored + more.restored,
      relinked: relinked + more.relinked,
      skipped: skipped + more.skipped,
    };
  };
  const list = async (each: StagedTable, key: readonly number[]): Promise<void> => {
    for (const reason of await countReasons(session, each)) reasons.push({table: each.file.table, ...reason});
    const room = conflictsListed - conflicts.length;
    if (room > 0) conflicts.push(...(await listConflicts(session, each, key, room)));
  };
  for (const each of staged.tables) {
    const {restored, skipped} = await countRows(session, each);
    counts.set(each, restored);
    totals.rows += restored;
    add(each.file.table, {restored, relinked: 0, skipped});
    if (skipped > 0) await list(each, each.key);
  }
  for (const each of staged.links) {
    const {restored, skipped} = await countRows(session, each);
    counts.set(each, restored);
    totals.links += restored;
    add(each.file.table, {restored: 0, relinked: restored, skipped});
    if (skipped > 0) await list(each, keyNumbers(each));
  }
  for (const {table, rows} of isSelection ? [] : [...staged.gone, ...staged.goneLinks]) {
    if (rows === 0) continue;
    add(table, {restored: 0, relinked: 0, skipped: rows});
    reasons.push({table, reason: 'table gone', rows});
    conflicts.push({table, key: 'all rows', reason: 'table gone'});
  }
  const {file} = staged;
  return {
    staged,
    restored: counts,
    ...totals,
    result: {
      backupPath: file.path,
      backupTimestamp: file.timestamp,
      orders: Object.fromEntries(file.roots.map((root) => [root, tables[root]?.restored ?? 0])),
      tables,
      conflicts,
      conflictCount: reasons.reduce((sum, {rows}) => sum + rows, 0),
      reasons,
      notes: [...file.notes, ...changeNotes(staged)],
    },
  };
}

/** Columns that are not what they were when the file was written. */
function changeNotes({tables, links}: StagedOrders): string[] {
  return [...tables, ...links].flatMap((each) => {
    const {file, gone, added} = each;
    return [
      ...(gone.length === 0
        ? []
        : [`${file.table} no longer has the column ${gone.map(({name}) => name).join(', ')}.`]),
      ...changedTypes(each).map(
        ({name, before, now}) =>
          `${file.table}: the column ${name} was ${before} and is ${now}; its values must read the same.`,
      ),
      ...(added.length === 0 || links.some((link) => link.file === file)
        ? []
        : [
            `${file.table} has columns that the file does not have; they get their default: ${added.map(({name}) => name).join(', ')}.`,
          ]),
    ];
  });
}

/** Triggers that will be switched off meanwhile. Those that cannot be are warned about. */
async function triggersOf(
  ctx: RunContext,
  session: Session,
  {tables, links}: StagedOrders,
): Promise<readonly string[]> {
  const oids = [...tables, ...links].map(({target}) => target.oid);
  const {ours, foreign} = await listFiringTriggers(session, oids);
  if (foreign.length > 0) {
    ctx.warn(
      `This role does not own the tables of these triggers, so they fire while rows are put back: ${foreign.join(', ')}. ` +
        'Rows that they change are noticed, and then nothing is restored.',
    );
  }
  return ours;
}

interface Execution {
  readonly connection: Connection;
  readonly options: RestoreOrdersOptions;
  readonly plan: Plan;
  readonly triggers: readonly string[];
  readonly identity: DatabaseIdentity;
}

/** Returns the sequences that were moved. */
async function execute(ctx: RunContext, session: Session, execution: Execution): Promise<string[]> {
  const {plan, options, connection, identity, triggers} = execution;
  const {conflicts, conflictCount} = plan.result;
  if (options.failOnConflicts && conflictCount > 0) {
    throw new AppError(
      'CONFLICTS',
      `${countOf(conflictCount, 'row')} of the order backup cannot be put back; nothing was changed.`,
      {
        hint: 'Without --fail-on-conflicts they are skipped, with everything that hangs on them.',
        details: conflicts.slice(0, 20).map(({table, key, reason}) => `${table} ${key}: ${reason}`),
      },
    );
  }
  if (plan.rows + plan.links === 0) return [];
  await ctx.confirm({
    action: `Put back ${countOf(plan.rows, 'row')}${plan.links > 0 ? ` and ${countOf(plan.links, 'link')}` : ''} from ${plan.result.backupPath}.`,
    host: connection.host,
    database: identity.database,
    isProduction: isProduction(ctx.settings, connection),
    plan: [
      ...originWarnings(plan.staged.file, identity),
      ...Object.entries(plan.result.tables).map(
        ([table, {restored, relinked, skipped}]) =>
          `${table}: ${formatCount(restored)} rows${relinked > 0 ? `, ${formatCount(relinked)} links` : ''}${skipped > 0 ? `, ${formatCount(skipped)} skipped` : ''}`,
      ),
      ...(triggers.length > 0 ? [`off meanwhile: ${triggers.join(', ')}`] : []),
    ],
  });
  return ctx.progress.step('Put the rows back and compare them', async (progress) => {
    let done = 0;
    try {
      const sequences = await withTransaction(session, 'ISOLATION LEVEL READ COMMITTED', async () => {
        await session.query(`SET LOCAL lock_timeout = '${lockTimeout}'`);
        const moved = await putBackOrders(session, plan.staged, plan.restored, {
          inserted: (_table, rows) => progress.advance((done += rows), plan.rows, 'rows'),
        });
        await ctx.reach('orders.inserted');
        return moved;
      });
      ctx.record({
        restoredRows: plan.rows,
        orders: Object.values(plan.result.orders).reduce((a, b) => a + b, 0),
      });
      await ctx.reach('orders.committed');
      return sequences;
    } catch (error) {
      throw describeFailure(error);
    }
  });
}

/** Whatever the server refuses is a failed restore, and the transaction is rolled back. */
function describeFailure(error: unknown): unknown {
  if (!(error instanceof AppError) || error.code === 'ORDERS_RESTORE_FAILED') return error;
  const state = 'Everything was rolled back, nothing was changed.';
  if (error.code !== 'QUERY_FAILED') return withState(error, state);
  return new AppError(
    'ORDERS_RESTORE_FAILED',
    `The orders could not be put back. ${error.message} ${state}`,
    {
      hint: 'If another session changed these tables in the meantime, run the preview again: it shows the new conflicts.',
      details: error.details,
      cause: error,
    },
  );
}
