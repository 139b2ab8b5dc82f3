/** Drops databases that a restore has set aside, all but the newest for each name. */
import type {Connection} from '../postgres/connection.js';
import {resolveConnection} from '../postgres/resolve-connection.js';
import {type DatabaseMark, type ListedDatabase, listDatabases} from '../postgres/database-mark.js';
import {withMaintenanceSession} from '../postgres/maintenance.js';
import {quoteIdentifier} from '../postgres/quote.js';
import {AppError, withState} from '../errors.js';
import {countOf} from '../format.js';
import type {RunContext} from '../run-context.js';
import {isProduction} from '../settings/production.js';

export interface SetAsideDecision {
  /** Name of the database. */
  readonly id: string;
  /** The database in whose place it stood. */
  readonly database: string;
  readonly setAsideAt: string;
  /** Bytes; null where the role may not see it. */
  readonly size: number | null;
  readonly reason: string;
}

export interface SetAsideResult {
  readonly kept: readonly SetAsideDecision[];
  readonly removed: readonly SetAsideDecision[];
}

/**
 * Finds them by their marks, asks, and drops; one that somebody is connected to, by then too, is kept.
 * @throws NO_DATABASE_URL, NOT_CONFIRMED, PERMISSION_DENIED, ...
 */
export async function pruneSetAside(ctx: RunContext, dryRun: boolean): Promise<SetAsideResult> {
  const connection = resolveConnection(ctx.settings);
  const {signal} = ctx;
  const databases = await withMaintenanceSession(connection, listDatabases, {signal});
  const plan = decideSetAside(databases);
  if (dryRun || plan.removed.length === 0) return plan;
  await ctx.confirm({
    action: `Drop ${countOf(plan.removed.length, 'database')} that a restore set aside; undo cannot bring them back then.`,
    host: connection.host,
    database: connection.database,
    isProduction: isProduction(ctx.settings, connection),
    plan: plan.removed.map((one) => `${one.id}: ${one.reason}`),
  });
  return ctx.progress.step('Drop set-aside databases', () => dropEach(ctx, connection, plan));
}

/** Tries every one; what is in use by now, or was brought back, stays. @throws the first error after that */
async function dropEach(
  ctx: RunContext,
  connection: Connection,
  plan: SetAsideResult,
): Promise<SetAsideResult> {
  return withMaintenanceSession(
    connection,
    async (session) => {
      const removed: SetAsideDecision[] = [];
      const failures: AppError[] = [];
      for (const one of plan.removed) {
        ctx.signal.throwIfAborted();
        // The mark is looked at again: undo may have brought the database back while the question was open.
        const now = decideSetAside(await listDatabases(session));
        if (!now.removed.some(({id}) => id === one.id)) {
          ctx.warn(`"${one.id}" was left alone: it is in use, or no longer set aside.`);
          continue;
        }
        try {
          await session.query(`DROP DATABASE ${quoteIdentifier(one.id)}`);
          removed.push(one);
        } catch (error) {
          if (!(error instanceof AppError)) throw error;
          failures.push(error);
        }
      }
      const [first] = failures;
      if (first)
        throw withState(first, `${countOf(removed.length, 'database was', 'databases were')} dropped.`);
      return {kept: decideSetAside(await listDatabases(session)).kept, removed};
    },
    {signal: ctx.signal},
  );
}

/** Newest first; the newest of each name stays, so that `undo` keeps working. */
export function decideSetAside(databases: readonly ListedDatabase[]): SetAsideResult {
  const kept: SetAsideDecision[] = [];
  const removed: SetAsideDecision[] = [];
  const seen = new Set<string>();
  const aside = databases
    .flatMap((database) => (database.mark?.kind === 'set-aside' ? [{database, mark: database.mark}] : []))
    .sort(
      (a, b) => Date.parse(b.mark.at) - Date.parse(a.mark.at) || (a.database.name < b.database.name ? 1 : -1),
    );
  for (const {database, mark} of aside) {
    const isNewest = !seen.has(mark.database);
    seen.add(mark.database);
    if (isNewest)
      kept.push(decisionOf(database, mark, `the newest of "${mark.database}": undo can bring it back`));
    else if (database.sessions > 0)
      kept.push(decisionOf(database, mark, `in use: ${countOf(database.sessions, 'session')}`));
    else removed.push(decisionOf(database, mark, `a newer one of "${mark.database}" is kept`));
  }
  return {kept, removed};
}

function decisionOf(database: ListedDatabase, mark: DatabaseMark, reason: string): SetAsideDecision {
  return {id: database.name, database: mark.database, setAsideAt: mark.at, size: database.sizeBytes, reason};
}
