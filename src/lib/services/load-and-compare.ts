/** Loads a dump as planned, then proves that the database holds what the dump held. */
import {AppError, withState} from '../errors.js';
import {analyzeDatabase} from '../postgres/analyze-database.js';
import type {Connection} from '../postgres/connection.js';
import type {RunContext} from '../run-context.js';
import {compareRestored, type RestoredTable} from './compare-restored.js';
import {loadInto} from './load-into.js';
import type {LoadOutcome} from './load-dump.js';
import type {RestorePlan} from './plan-restore.js';

export interface LoadedAndCompared extends LoadOutcome {
  readonly tables: readonly RestoredTable[];
}

/** Loads into a fresh database and compares. @throws RESTORED_DIFFERS */
export async function loadAndCompare(
  context: RunContext,
  plan: RestorePlan,
  target: Connection,
): Promise<LoadedAndCompared> {
  const loaded = await loadInto(context, {...plan.load, target});
  const {tables, differences} = await analyzeAndCompare(context, plan, target);
  requireEqual(differences, loaded.errors, '');
  return {tables, ...loaded};
}

/** A machine of many cores would keep everybody else from a server in use. */
const mostSessions = 4;

/** Gathers the planner's statistics, which dumps lack, and compares every table. */
export async function analyzeAndCompare(
  context: RunContext,
  plan: RestorePlan,
  target: Connection,
): Promise<{tables: RestoredTable[]; differences: string[]}> {
  const {signal} = context;
  const expected = expectedTables(plan);
  const sessions = Math.min(context.settings.cores, mostSessions);
  await context.progress.step('Analyze', () => analyzeDatabase(target, sessions, signal));
  return context.progress.step('Compare', async (step) =>
    compareRestored(target, expected, {
      encoding: plan.source.encoding,
      signal,
      onBytes: (bytes) => step.advance(bytes, undefined, 'bytes'),
    }),
  );
}

/** The tables of the dump that the restore fills, with the rows they must have afterwards. */
export function expectedTables(plan: RestorePlan): RestorePlan['source']['tables'] {
  const {onlyTables, options} = plan.load;
  const chosen = plan.source.tables.filter(
    (table) =>
      onlyTables.length === 0 ||
      onlyTables.some(({schema, name}) => schema === table.schema && name === table.name),
  );
  return options.schemaOnly ? chosen.map((table) => ({...table, rows: 0, fingerprint: null})) : chosen;
}

/** @throws RESTORED_DIFFERS */
export function requireEqual(
  differences: readonly string[],
  skipped: readonly string[],
  state: string,
): void {
  if (differences.length === 0) return;
  throw new AppError(
    'RESTORED_DIFFERS',
    `What was restored differs from the backup in ${differences.length} tables. ${state}`.trim(),
    {
      hint: 'Something changed rows while they were loaded, a trigger perhaps. Prove the backup by itself: destino-db verify --level restore',
      details: [...differences, ...skipped.map((error) => `skipped error: ${error}`)],
    },
  );
}

/** A tool's failure as a failed restore, with what state things are in; errors with a telling code keep it. */
export function asFailedRestore(error: unknown, state: string): unknown {
  if (!(error instanceof AppError)) return error;
  const isGeneral = error.code === 'PG_RESTORE_FAILED' || error.code === 'PSQL_FAILED';
  if (!isGeneral) return withState(error, state);
  return new AppError('RESTORE_FAILED', `${error.message} ${state}`, {
    hint: error.hint,
    details: error.details,
    cause: error,
  });
}
