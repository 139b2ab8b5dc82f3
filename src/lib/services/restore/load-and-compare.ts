/** Loads a dump as planned, then verifies that the database contains exactly the dump's content. */
import {qualifiedName} from '../../base/qualified-name.js';
import {tablesWithoutRows} from '../../catalog/backup-record.js';
import {defined} from '../../base/defined.js';
import {AppError, withState} from '../../base/errors.js';
import {countOf} from '../../base/format.js';
import {analyzeDatabase} from '../../postgres/databases/analyze-database.js';
import {withSession} from '../../postgres/client.js';
import type {Connection} from '../../postgres/connect/connection.js';
import {type DumpState, inspectHealth} from './compare/inspect-health.js';
import type {RowTakerOf} from '../../postgres/take-rows.js';
import type {RunContext} from '../../run/run-context.js';
import type {DumpedTable, ObjectName} from '../../fingerprint/table-contents.js';
import {listDefinitions} from '../../dump/compare-definitions.js';
import {compareCatalog, describeDifferences, limitsOf} from './compare/compare-catalog.js';
import {emptyTables, emptyTablesNotes} from './compare/empty-tables.js';
import {compareRestored, type RestoredTable} from './compare/compare-restored.js';
import {loadInto} from './load/load-dump-step.js';
import type {LoadOutcome} from './load/load-dump.js';
import type {BeforeSwap, RestorePlan} from './plan.js';
import {strategies} from './strategy.js';
import {readDumpDefinitions} from './source.js';

export interface LoadedAndCompared extends LoadOutcome {
  readonly tables: readonly RestoredTable[];
  /** Differences from the backup if errors were skipped, a line each. */
  readonly differences: readonly string[];
  /** Parts of the database that could not be compared with the backup, a line each. */
  readonly notCompared: readonly string[];
}

/** The comparison of a restored database with its backup. */
export interface RestoreComparison {
  readonly tables: RestoredTable[];
  /** Tables whose rows differ, a line each. */
  readonly rows: readonly string[];
  /** Objects, owners, grants and states that differ, a line each. */
  readonly catalog: readonly string[];
  readonly notes: readonly string[];
  readonly notCompared: readonly string[];
}

/**
 * Loads into a fresh database, compares, and collects statistics.
 * @param work what another command does to the new database: it changes the rows before there are indexes and keys, which are then
 *   built once, and before the statistics, which would show the old values
 * @throws RESTORED_DIFFERS
 */
export async function loadAndCompare(
  context: RunContext,
  plan: RestorePlan,
  target: Connection,
  work?: BeforeSwap,
): Promise<LoadedAndCompared> {
  const own = work && {
    builtWithRows: work.builtWithRows(),
    beforeRows: () => work.beforeRows(context, target),
  };
  const load = {...plan.load, target, ...own};
  if (!work) return joinOutcomes(plan, await loadInto(context, load), await analyzeAndCompare(context, plan, target), ''); // prettier-ignore
  const loaded = await loadInto(context, load, 'rows');
  const none: Objects = {catalog: [], notes: [], notCompared: []};
  const rows = await compareRows(context, plan, target, () => Promise.resolve(none), work.takerOf);
  try {
    joinOutcomes(plan, loaded, rows, '');
  } catch (error) {
    throw await work.explain(context, target, error);
  }
  await context.checkpoint('staging.compared');
  await work.change(context, target, rows.tables);
  const rest = await loadInto(context, load, 'rest').catch(async (error: unknown) => {
    throw await work.explain(context, target, error);
  });
  await work.check(context, target);
  await context.checkpoint('staging.changed');
  const objects = await context.progress.step('Compare definitions', () =>
    compareObjects(context, plan, target),
  );
  const whole = {
    notes: [...new Set([...loaded.notes, ...rest.notes])],
    errors: [...loaded.errors, ...rest.errors],
  };
  const comparison = {...rows, ...objects, notes: [...rows.notes, ...objects.notes]};
  const compared = joinOutcomes(plan, whole, comparison, '');
  await analyze(context, target);
  return compared;
}

/** More sessions from a machine with many cores would slow down other users of the server. */
const mostSessions = 4;

/** Collects the planner's statistics, which are not restored, and compares every table and the catalog. */
export async function analyzeAndCompare(
  context: RunContext,
  plan: RestorePlan,
  target: Connection,
): Promise<RestoreComparison> {
  await analyze(context, target);
  return compareWithBackup(context, plan, target);
}

async function analyze({progress, settings, signal}: RunContext, target: Connection): Promise<void> {
  const sessions = Math.min(settings.cores, mostSessions);
  await progress.step('Analyze', () => analyzeDatabase(target, sessions, signal));
}

async function compareWithBackup(
  context: RunContext,
  plan: RestorePlan,
  target: Connection,
): Promise<RestoreComparison> {
  return compareRows(context, plan, target, () => compareObjects(context, plan, target));
}

type Objects = Omit<RestoreComparison, 'tables' | 'rows'>;

/** Compares the rows, and in the same step what `also` compares. `takerOf` gets the rows too. */
async function compareRows(
  context: RunContext,
  plan: RestorePlan,
  target: Connection,
  also: () => Promise<Objects>,
  takerOf?: RowTakerOf,
): Promise<RestoreComparison> {
  const {signal} = context;
  const expected = expectedTables(plan);
  const empty = await findEmptyTables(plan, signal);
  return context.progress.step('Compare', async (step) => {
    const {tables, differences: rows} = await compareRestored(target, [...expected, ...empty], {
      encoding: plan.source.encoding,
      signal,
      ...(takerOf ? {takerOf} : {}),
      onBytes: (bytes) => step.advance(bytes, undefined, 'bytes'),
    });
    const count = tables.reduce((sum, table) => sum + table.rows, 0);
    step.note(`${countOf(tables.length, 'table')}, ${countOf(count, 'row')}`);
    const objects = await also();
    return {...objects, tables, rows, notes: [...objects.notes, ...emptyTablesNotes(empty)]};
  });
}

/** The tables that the restore makes without rows; rows alone make none. */
async function findEmptyTables(
  {load, source, selection}: RestorePlan,
  signal: AbortSignal,
): Promise<DumpedTable[]> {
  const record = source.backup?.record;
  if (load.options.dataOnly || load.options.schemaOnly || !record || tablesWithoutRows(record).length === 0)
    return [];
  const definitions = selection?.chosen ?? (await readDumpDefinitions(source, load.pgRestore, signal));
  return emptyTables(record, definitions, load.leftOut);
}

async function compareObjects(
  context: RunContext,
  {load, source, strategy, selection}: RestorePlan,
  target: Connection,
): Promise<Objects> {
  const {signal} = context;
  if (load.options.dataOnly)
    return {
      catalog: [],
      notes: [],
      notCompared: [
        'definitions, owners and grants (rows alone were restored)',
        ...(load.onlyTables.length > 0 ? ['sequences, which are unchanged (chosen tables)'] : []),
        ...(source.refreshedViews.length > 0
          ? [
              `materialized views, which show the old rows until REFRESH MATERIALIZED VIEW: ${source.refreshedViews.map(qualifiedName).join(', ')}`,
            ]
          : []),
      ],
    };
  const {isBeside: isNew} = strategies[strategy];
  const state = expectedState(load, source);
  const health = await withSession(target, (session) => inspectHealth(session, state, !isNew), {signal});
  const limits = limitsOf(load);
  const isPart = source.backup?.content === 'tables';
  const {differences, notCompared} = await compareCatalog(context, {
    dump: source.dump,
    definitions: selection?.chosen ?? (await readDumpDefinitions(source, load.pgRestore, signal)),
    encoding: source.encoding,
    database: target,
    serverMajor: load.serverMajor,
    excludeSchemas: source.backup?.record?.config.excludeSchemas ?? [],
    limits: {
      ...limits,
      ...(isNew ? {} : {extras: 'objects that are not in the backup'}),
      ...(selection ? {grants: {why: 'which are not restored with chosen tables'}} : {}),
      ...(isPart
        ? {
            leftOut: (one) =>
              limits.leftOut?.(one) ??
              (one.name === 'SCHEMA public' ? 'objects outside a backup of chosen tables' : undefined),
          }
        : {}),
    },
  });
  const left = selection?.left.filter(({type}) => type !== 'ACL') ?? [];
  return {
    catalog: [...health.findings, ...describeDifferences(differences)],
    notes: health.notes,
    notCompared: [
      ...notCompared,
      ...(left.length > 0 ? [`objects not restored with chosen tables: ${listDefinitions(left)}`] : []),
    ],
  };
}

/** The expected state of sequences and materialized views; definitions alone create them without state. */
function expectedState(
  {options, selected, leftOut}: RestorePlan['load'],
  source: RestorePlan['source'],
): DumpState {
  if (options.schemaOnly) return {sequences: [], refreshedViews: []};
  const isKept = (type: string) => (one: ObjectName) => leftOut.why({type, ...one}) === undefined;
  if (!selected)
    return {
      sequences: source.sequences.filter(isKept('SEQUENCE SET')),
      refreshedViews: source.refreshedViews.filter(isKept('MATERIALIZED VIEW DATA')),
    };
  const sequences = source.sequences.filter(({schema, name}) =>
    [...selected].some((listed) => listed.startsWith(`SEQUENCE SET ${schema} ${name} `)),
  );
  return {sequences, refreshedViews: []};
}

/** The tables of the dump that the restore fills, with their expected rows. */
export function expectedTables(plan: RestorePlan): RestorePlan['source']['tables'] {
  const {onlyTables, options, leftOut, managed} = plan.load;
  const chosen = plan.source.tables.filter(
    (table) =>
      !managed.includes(table) &&
      leftOut.why({...table, type: 'TABLE DATA'}) === undefined &&
      (onlyTables.length === 0 ||
        onlyTables.some(({schema, name}) => schema === table.schema && name === table.name)),
  );
  return options.schemaOnly ? chosen.map((table) => ({...table, rows: 0, fingerprint: null})) : chosen;
}

/**
 * Joins the outcomes of load and comparison. If errors were skipped, differences are expected and only listed.
 * @param state the state of the database, for the message
 * @throws RESTORED_DIFFERS
 */
export function joinOutcomes(
  {request}: RestorePlan,
  loaded: LoadOutcome,
  {tables, rows, catalog, notes, notCompared}: RestoreComparison,
  state: string,
): LoadedAndCompared {
  const differences = [...rows, ...catalog];
  if (differences.length === 0 || loaded.errors.length > 0)
    return {...loaded, tables, differences, notCompared, notes: [...loaded.notes, ...notes]};
  const what = [
    ...(rows.length > 0 ? [`the rows of ${countOf(rows.length, 'table')}`] : []),
    ...(catalog.length > 0 ? [`${countOf(catalog.length, 'object')} beside the rows`] : []),
  ];
  throw new AppError(
    'RESTORED_DIFFERS',
    `The restored content differs from the backup in ${what.join(' and ')}. ${state}`.trim(),
    {
      hint: [
        'A trigger or an event trigger may have changed rows during the load.',
        withCheck('Check the backup alone', request),
      ]
        .filter(Boolean)
        .join(' '),
      details: differences,
    },
  );
}

const whatToSkip =
  'To see all failures and keep the rest, restore into a separate database: --target-db NAME --create-db --skip-errors (rows alone: --skip-errors in the same target).';

const whatToTry = 'To see how the backup restores without masks, into a scratch database';

function withCheck(purpose: string, {checkCommand}: RestorePlan['request']): string | undefined {
  return checkCommand === undefined ? undefined : `${purpose}: ${checkCommand}`;
}

/** Reports a tool's failure as a failed restore, with the state of the target; specific error codes are kept. */
export function asFailedRestore(
  error: unknown,
  state: string,
  {request, beforeSwap}: Pick<RestorePlan, 'request' | 'beforeSwap'>,
): unknown {
  if (!(error instanceof AppError)) return error;
  const isGeneral = ['PG_RESTORE_FAILED', 'QUERY_FAILED', 'RESTORE_FAILED'].includes(error.code);
  if (!isGeneral) return withState(error, state);
  // `refresh` lacks the flags of `restore`.
  const isOfRefresh = beforeSwap !== undefined || request.replacedRows !== undefined;
  const hint = error.hint ?? (isOfRefresh ? withCheck(whatToTry, request) : whatToSkip);
  return new AppError(
    'RESTORE_FAILED',
    `${error.message} ${state}`,
    defined({hint, details: error.details, cause: error}),
  );
}
