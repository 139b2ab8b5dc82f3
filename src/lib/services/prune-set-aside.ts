/** Drops databases that a restore has set aside, all but the newest for each name. */
import type {Connection} from '../postgres/connection.js';
import {resolveConnection} from '../postgres/resolve-connection.js';
import {type DatabaseMark, type ListedDatabase, listDatabases} from '../postgres/database-mark.js';
import {withMaintenanceSession} from '../postgres/maintenance.js';
import {quoteIdentifier} from '../postgres/quote.js';
import {AppError} from '../errors.js';
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
 * Finds them by their marks, asks, and drops; one that somebody is connected to is kept.
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
  await ctx.progress.step('Drop set-aside databases', () => dropEach(ctx, connection, plan));
  return plan;
}

async function dropEach(ctx: RunContext, connection: Connection, plan: SetAsideResult): Promise<void> {
  await withMaintenanceSession(
    connection,
    async (session) => {
      for (const {id} of plan.removed) {
        ctx.signal.throwIfAborted();
        // The mark is looked at again: undo may have brought the database back meanwhile.
        const now = decideSetAside(await listDatabases(session));
        if (now.removed.some((one) => one.id === id))
          await session.query(`DROP DATABASE ${quoteIdentifier(id)}`);
        else
          throw new AppError('PLAN_CHANGED', `"${id}" is no longer a database to drop; it was left alone.`);
      }
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
