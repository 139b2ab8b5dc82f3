/** Drops databases that restores set aside: all but the newest, and with a flag of its own the newest too. */
import {AppError, withState} from '../../base/errors.js';
import {countOf, formatAge, formatBytes} from '../../base/format.js';
import {unknownName} from '../../base/unknown-name.js';
import {type Connection, withDatabase} from '../../postgres/connect/connection.js';
import {
  type OwnerComment,
  type ListedDatabase,
  listDatabases,
  setAsideFor,
  whyDoubtful,
} from '../../postgres/databases/owner-comment.js';
import {withMaintenanceSession} from '../../postgres/databases/maintenance.js';
import {quoteIdentifier} from '../../postgres/quote.js';
import {resolveConnection} from '../../postgres/connect/resolve-connection.js';
import {requireWritable} from '../../postgres/inspect/writable.js';
import type {RunContext} from '../../run/run-context.js';
import {isProduction} from '../../settings/production.js';
import {isProductionDatabase} from '../guards/production.js';
import {recordGone} from '../../run/record-set-aside.js';

export interface SetAsideDecision {
  /** Name of the database. */
  readonly id: string;
  /** The database that it was before the restore. */
  readonly database: string;
  readonly owner: string;
  readonly setAsideAt: string;
  /** Bytes; null if the role may not see it. */
  readonly size: number | null;
  readonly reason: string;
}

export interface SetAsideResult {
  readonly kept: readonly SetAsideDecision[];
  readonly removed: readonly SetAsideDecision[];
}

export interface SetAsideRequest {
  readonly dryRun: boolean;
  /** The database for which they were set aside; by default that of the URL. */
  readonly targetDb?: string;
  /** Whether the newest is dropped too; `undo` is then impossible. */
  readonly isNewestToo?: boolean;
  /** Only these, even if their owner is doubtful; by default all that are certain. */
  readonly names?: readonly string[];
}

/**
 * Finds the databases by their owner comments, asks, and drops them. A database with sessions, also later ones, is kept.
 * A separate question confirms the newest.
 * @throws NO_DATABASE_URL, DATABASE_NOT_FOUND, BACKUP_NOT_FOUND for a name that is not set aside, NOT_CONFIRMED, PERMISSION_DENIED, ...
 */
export async function pruneSetAside(ctx: RunContext, request: SetAsideRequest): Promise<SetAsideResult> {
  const named = resolveConnection(ctx.settings);
  const connection = withDatabase(named, request.targetDb ?? named.database);
  const {signal} = ctx;
  const {database} = connection;
  const decide = (databases: readonly ListedDatabase[]): SetAsidePlan =>
    decideSetAside(databases, database, ctx.clock.now(), request);
  const databases = await withMaintenanceSession(
    connection,
    async (session) => {
      await requireWritable(session, 'No database can be dropped here', {database});
      return listDatabases(session);
    },
    {signal},
  );
  const plan = decide(databases);
  refuseUnknownTarget(databases, connection);
  ctx.checkName({database});
  refuseUnknown(request.names ?? [], plan, connection);
  if (request.dryRun || plan.removed.length === 0) return {kept: plan.kept, removed: plan.removed};
  const isGuarded =
    (await isProductionDatabase(ctx, connection)) ||
    (
      await Promise.all(plan.removed.map(({id}) => isProduction(ctx.settings, {...connection, database: id})))
    ).some(Boolean);
  const ask = async (action: string, goes: readonly SetAsideDecision[]): Promise<void> => {
    const at = {host: `${connection.host}:${connection.port}`, database, isProduction: isGuarded};
    await ctx.confirm({action, ...at, plan: goes.map((one) => `drop  ${describe(one, ctx.clock.now())}`)});
  };
  const older = plan.removed.filter((one) => one !== plan.newest);
  if (older.length > 0)
    await ask(`Drop ${countOf(older.length, 'database')} that a restore set aside for "${database}".`, older);
  if (plan.newest && plan.removed.includes(plan.newest))
    await ask(
      `Drop the newest database that a restore set aside for "${database}": undo is then impossible.`,
      [plan.newest],
    );
  return ctx.progress.step('Drop set-aside databases', () => dropEach(ctx, connection, plan, decide));
}

/**
 * Drops the databases that were set aside for the connection's database, except for the newest `count`, those in use and those with a doubtful
 * comment. The question of the run that calls it covers them.
 */
export async function dropOlderSetAside(
  ctx: RunContext,
  connection: Connection,
  count: number,
): Promise<SetAsideResult> {
  const decide = (databases: readonly ListedDatabase[]): SetAsidePlan => {
    const plan = decideSetAside(databases, connection.database, ctx.clock.now());
    // Newest first, without the newest itself.
    return {...plan, removed: plan.removed.slice(count - 1)};
  };
  const plan = decide(await withMaintenanceSession(connection, listDatabases, {signal: ctx.signal}));
  return plan.removed.length === 0 ? plan : dropEach(ctx, connection, plan, decide);
}

/** "shop_before_20261122_031005: 1.2 GB, owner shop, set aside 3 days ago" */
export function describe(
  one: Pick<SetAsideDecision, 'id' | 'owner' | 'setAsideAt' | 'size'>,
  now: Date,
): string {
  const size = one.size === null ? 'size unknown' : formatBytes(one.size);
  return `${one.id}: ${size}, owner ${one.owner}, set aside ${formatAge(new Date(one.setAsideAt), now)}`;
}

/** A dropped database may still have set-aside ones; a mistyped name has neither. @throws DATABASE_NOT_FOUND */
function refuseUnknownTarget(databases: readonly ListedDatabase[], {host, database}: Connection): void {
  const names = databases.map(({name}) => name);
  if (names.includes(database) || setAsideFor(databases, database).length > 0) return;
  throw unknownName(
    'DATABASE_NOT_FOUND',
    `${host} has no database "${database}" and none that was set aside for it. Nothing was dropped.`,
    database,
    names,
  );
}

function refuseUnknown(names: readonly string[], plan: SetAsidePlan, {host, database}: Connection): void {
  const known = [...plan.kept, ...plan.removed].map(({id}) => id);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw unknownName(
    'BACKUP_NOT_FOUND',
    `"${unknown}" is not set aside for "${database}" on ${host}. Nothing was dropped.`,
    unknown,
    known,
    'List them: destino-db prune --set-aside --dry-run',
  );
}

/** Tries every database; keeps those that are in use or restored by now. @throws the first error after that */
async function dropEach(
  ctx: RunContext,
  connection: Connection,
  plan: SetAsidePlan,
  decide: (databases: readonly ListedDatabase[]) => SetAsidePlan,
): Promise<SetAsideResult> {
  return withMaintenanceSession(
    connection,
    async (session) => {
      const removed: SetAsideDecision[] = [];
      const failures: AppError[] = [];
      const newest = plan.newest?.id;
      // The newest is dropped last, so that undo still works after an interruption.
      for (const one of plan.removed.toSorted((a, b) => Number(a.id === newest) - Number(b.id === newest))) {
        ctx.signal.throwIfAborted();
        // The owner comment is read again: undo may have restored the database while the question was open.
        const now = decide(await listDatabases(session));
        if (!now.removed.some(({id}) => id === one.id)) {
          ctx.warn(`"${one.id}" was not dropped: it is in use, or no longer set aside.`);
          continue;
        }
        try {
          await session.query(`DROP DATABASE ${quoteIdentifier(one.id)}`);
          removed.push(one);
          recordGone(ctx, connection, one);
        } catch (error) {
          if (!(error instanceof AppError)) throw error;
          failures.push(error);
        }
      }
      const [first] = failures;
      if (first)
        throw withState(first, `${countOf(removed.length, 'database was', 'databases were')} dropped.`);
      return {kept: decide(await listDatabases(session)).kept, removed};
    },
    {signal: ctx.signal},
  );
}

interface SetAsidePlan extends SetAsideResult {
  /** The one that `undo` would restore. */
  readonly newest: SetAsideDecision | undefined;
}

/** The plan for one database, newest first. The newest is kept unless requested; one with a doubtful owner comment, unless named. */
export function decideSetAside(
  databases: readonly ListedDatabase[],
  target: string,
  now: Date,
  {isNewestToo, names}: Omit<SetAsideRequest, 'dryRun'> = {},
): SetAsidePlan {
  const kept: SetAsideDecision[] = [];
  const removed: SetAsideDecision[] = [];
  let newest: SetAsideDecision | undefined;
  for (const {database, mark} of setAsideFor(databases, target)) {
    const decision = (reason: string): SetAsideDecision => decisionOf(database, mark, reason);
    const doubt = whyDoubtful(database, mark, databases, now);
    const isNamed = names?.includes(database.name) === true;
    const isNewest = doubt === undefined && newest === undefined;
    let reason: string | undefined;
    if (names !== undefined && !isNamed) reason = 'not named';
    else if (doubt !== undefined && !isNamed)
      reason = `kept: it ${doubt}; name it with --set-aside-db to drop it`;
    else if (database.sessions > 0) reason = `in use: ${countOf(database.sessions, 'session')}`;
    else if (isNewest && isNewestToo !== true)
      reason = `the newest of "${target}": undo can restore it; --all-of-them drops it too`;
    const one = decision(
      reason ??
        (isNewest
          ? 'the newest, with --all-of-them'
          : isNamed
            ? 'named'
            : `a newer one of "${target}" is kept`),
    );
    if (isNewest) newest = one;
    (reason === undefined ? removed : kept).push(one);
  }
  return {kept, removed, newest};
}

function decisionOf(database: ListedDatabase, mark: OwnerComment, reason: string): SetAsideDecision {
  return {
    id: database.name,
    database: mark.database,
    owner: database.owner,
    setAsideAt: mark.at,
    size: database.sizeBytes,
    reason,
  };
}
