/** Implements `restore`: finds and checks the backup, inspects the target, asks for confirmation, loads and compares. */
import {isWithoutRows} from '../../base/left-out-rows.js';
import {qualifiedName} from '../../base/qualified-name.js';
import {isMasked, tablesWithoutRows} from '../../catalog/backup-record.js';
import {contentWords, safetyLabel} from '../../catalog/catalogue.js';
import type {BackupContent} from '../../run/check-outcome.js';
import {elapsedMs} from '../../base/clock.js';
import {defined} from '../../base/defined.js';
import {AppError} from '../../base/errors.js';
import {countOf, formatTime} from '../../base/format.js';
import {stillLocked, withAdvisoryLock} from '../../postgres/databases/advisory-lock.js';
import {withSession} from '../../postgres/client.js';
import {addDatabaseProperties} from '../../postgres/databases/database-properties.js';
import {lockWaitMsFor, withLockWatch} from '../../postgres/databases/lock-watch.js';
import {toolsName} from '../../postgres/connect/connection.js';
import {describeObjects} from '../../postgres/inspect/inspect-target.js';
import {removeMaskedTag} from '../../postgres/inspect/masked-comment.js';
import {isProductionDatabase} from '../guards/production.js';
import type {RunContext} from '../../run/run-context.js';
import {backupDatabase} from '../backup/local-backup.js';
import type {BackupRequest} from '../backup/options.js';
import type {Connection} from '../../postgres/connect/connection.js';
import type {CopiedProperties} from './can-swap.js';
import {backupProperties, propertiesFromBackup} from './database-defaults.js';
import {compareWithLive, type LiveComparison} from './diff-live.js';
import type {RestoredTable} from './compare/compare-restored.js';
import {
  analyzeAndCompare,
  type LoadedAndCompared,
  asFailedRestore,
  expectedTables,
  joinOutcomes,
} from './load-and-compare.js';
import {loadInto} from './load/load-dump-step.js';
import {planBackup} from '../backup/plan.js';
import {describeGlobals, describeRoles, withMadeRoles} from './plan-roles.js';
import {warnOfRecentRestore} from './recent-restore.js';
import {describeDependents} from './dependents.js';
import {readTargetStatements} from './drop-statements.js';
import {isNotNeeded, planRestore, planWithout, type BeforeSwap, type RestorePlan} from './plan.js';
import {isTied, type RestoreStrategy, strategies} from './strategy.js';
import {describeLeftOut} from './what-to-restore.js';
import {restoreBySwap} from './replace-database.js';
import type {RestoreRequest} from './options.js';
import {readChecked, readDumpDefinitions, type RestoreSource} from './source.js';

export interface RestoreResult {
  readonly mode: 'dry-run' | 'execute';
  readonly way: RestoreStrategy;
  /** The backup's id. */
  readonly backup: string;
  readonly backupPath: string;
  readonly backupCreatedAt: string;
  /** The part of the database in the backup; null for a dump without metadata. */
  readonly content: BackupContent | null;
  /** Bytes. */
  readonly backupSize: number;
  /** The target database. */
  readonly target: string;
  readonly host: string;
  /** The previous content in words; null if the database did not exist. */
  readonly present: string | null;
  /** The tables of the backup in a dry run, otherwise the tables of the target afterwards. */
  readonly tables: readonly RestoredTable[];
  /** ms */
  readonly duration: number;
  /** Name of the database with the old content, which was set aside. */
  readonly setAside: string | null;
  /** Id of the backup of the target from before the change. */
  readonly safetyBackup: string | null;
  readonly notes: readonly string[];
  /** Differences from the backup afterwards, a line each. They are listed only if errors were skipped; otherwise they are an error. */
  readonly differences: readonly string[];
  /** Parts that could not be compared with the backup afterwards, a line each. */
  readonly notCompared: readonly string[];
  readonly warnings: readonly string[];
  /** Statements that failed and were skipped (--skip-errors). */
  readonly errors: readonly string[];
  readonly commands: readonly string[];
  /** Tables whose rows differ; only in a dry run for a database that is not empty. */
  readonly wouldLose: LiveComparison['wouldLose'];
  readonly schemaDifferences: LiveComparison['schemaDifferences'];
  readonly migrations: LiveComparison['migrations'];
}

/**
 * Restores a backup, or with `dryRun` reports what would be done.
 * @param given the backup, if it was found outside the backups folder
 * @param beforeSwap the work of another command on the new database
 * @throws USAGE, BACKUP_NOT_FOUND, VERIFY_FAILED, CHECKSUM_MISMATCH, TARGET_NOT_EMPTY, RESTORE_FAILED, RESTORED_DIFFERS
 *   and the codes of connection, tools and disk; the message describes the state of the target
 */
export async function restoreDatabase(
  outer: RunContext,
  request: RestoreRequest,
  given?: RestoreSource,
  beforeSwap?: BeforeSwap,
): Promise<RestoreResult> {
  const warnings: string[] = [];
  const context = {
    ...outer,
    warn: (message: string) => {
      warnings.push(message);
      outer.warn(message);
    },
  };
  return {...(await planAndRestore(context, request, given, beforeSwap)), warnings};
}

async function planAndRestore(
  context: RunContext,
  request: RestoreRequest,
  given: RestoreSource | undefined,
  beforeSwap: BeforeSwap | undefined,
): Promise<Omit<RestoreResult, 'warnings'>> {
  const startedMs = context.clock.now().getTime();
  const planned = await planRestore(context, request, given, beforeSwap);
  const plan = await readUnlessCompared(context, planned);
  if (plan.strategy === 'clean') await refuseUncoveredTables(context, plan);
  await warnOfRecentRestore(context, plan);
  const {database, host, port} = plan.target;
  context.checkName({database});
  const facts = {
    database: {name: database, systemIdentifier: null, host, port},
    backupId: plan.source.id,
    format: plan.source.dump.format,
    size: plan.source.sizeBytes,
  };
  if (beforeSwap) {
    context.record(request.dryRun === true ? {...facts, mode: 'preview'} : facts);
    await beforeSwap.review(context, plan);
    if (request.dryRun === true) return describe(context, plan, startedMs, {});
  } else if (request.dryRun === true) {
    context.record({...facts, mode: 'preview'});
    return describe(context, plan, startedMs, defined({comparison: await compare(context, plan)}));
  }
  if (!beforeSwap) {
    context.record(facts);
    await confirmPlan(context, plan);
  }
  const done = await executeRestore(context, plan);
  // Recorded again, because a safety backup records its own facts in between.
  context.record({...facts, rows: done.tables.reduce((sum, table) => sum + table.rows, 0)});
  return describe(context, plan, startedMs, done);
}

/** Reads the backup first if some of its rows are not restored, because those are not compared afterwards. */
async function readUnlessCompared(context: RunContext, plan: RestorePlan): Promise<RestorePlan> {
  const {source} = plan;
  const needed = source.tables.filter((table) => !isNotNeeded(plan, table));
  if (source.isReadWhole || expectedTables(plan).length === needed.length) return plan;
  return {...plan, source: await readChecked(context, source)};
}

/** The request for a backup of the target before its objects are dropped. */
function safetyRequest({target, request}: RestorePlan): BackupRequest {
  return {
    label: safetyLabel,
    database: target.database,
    isPruning: false,
    hasAllRows: true,
    waitMs: request.waitMs ?? 0,
  };
}

/** The config file can exclude tables from the safety backup, so that replaced rows could not be restored. @throws GUARD, and the errors of a backup plan */
async function refuseUncoveredTables(context: RunContext, plan: RestorePlan): Promise<void> {
  const {selection} = await planBackup(context, safetyRequest(plan));
  const replaced = new Set(expectedTables(plan).map(qualifiedName));
  // Rows of an extension's own tables are dropped and created with the extension.
  const missing = selection.leftOut.filter(
    ({table, reason}) => reason.startsWith('--exclude') && replaced.has(table),
  );
  if (missing.length === 0) return;
  throw new AppError(
    'GUARD',
    `The restore replaces ${missing.map(({table}) => table).join(', ')}, but the safety backup would not contain ${missing.length === 1 ? 'it' : 'them'}. Nothing was changed.`,
    {
      hint: `${isTied(plan.target.database, plan.present) ? 'See' : 'Use --drop-existing, which keeps the old database aside, or see'} backup.excludeTables and backup.excludeSchemas in the config.`,
      details: missing.map(({table, reason}) => `${table}: ${reason}`),
    },
  );
}

/** The rows that a restore over a non-empty database would lose. */
async function compare(context: RunContext, plan: RestorePlan): Promise<LiveComparison | undefined> {
  if (!strategies[plan.strategy].replaces) return undefined;
  const encoding = plan.present?.identity.locale.encoding;
  if (encoding !== undefined && encoding !== plan.source.encoding)
    context.warn(
      `The backup's text is in ${plan.source.encoding}, that of "${plan.target.database}" in ${encoding}, so rows with non-ASCII letters count as changed here. The restore converts them.`,
    );
  return context.progress.step('Compare with the live database', () =>
    compareWithLive({
      source: plan.source,
      tables: expectedTables(plan),
      withoutRows: plan.source.backup?.record ? tablesWithoutRows(plan.source.backup.record) : [],
      // Only a swap replaces the whole old database.
      isLeftAlone: (table) =>
        plan.strategy === 'clean' && plan.load.leftOut.why({...table, type: 'TABLE'}) !== undefined,
      isWithoutRows: plan.load.options.schemaOnly,
      pgRestore: plan.load.pgRestore,
      target: plan.target,
      hasDetails: plan.request.details ?? false,
      signal: context.signal,
    }),
  );
}

interface RestoreOutcome extends LoadedAndCompared {
  /** The plan as executed, without objects that the server refused. */
  readonly plan?: RestorePlan;
  readonly setAside: string | null;
  readonly safetyBackup: string | null;
}

function describe(
  context: RunContext,
  plan: RestorePlan,
  startedMs: number,
  outcome: Partial<RestoreOutcome> & {readonly comparison?: LiveComparison},
): Omit<RestoreResult, 'warnings'> {
  const {source, present} = plan;
  return {
    mode: plan.request.dryRun === true ? 'dry-run' : 'execute',
    way: plan.strategy,
    backup: source.id,
    backupPath: source.path,
    backupCreatedAt: source.createdAt.toISOString(),
    content: source.backup?.content ?? null,
    backupSize: source.sizeBytes,
    target: plan.target.database,
    host: plan.target.host,
    present: present ? describeObjects(present.objects) : null,
    tables:
      outcome.tables ??
      expectedTables(plan).map(({schema, name, rows, fingerprint}) => ({
        table: qualifiedName({schema, name}),
        rows,
        fingerprint,
      })),
    duration: elapsedMs(context.clock, startedMs),
    setAside: outcome.setAside ?? null,
    safetyBackup: outcome.safetyBackup ?? null,
    notes: outcome.notes
      ? [...describeParts(outcome.plan ?? plan, null), ...outcome.notes]
      : [...describeContents(plan), ...(plan.rights.isSuperuser ? [superuserNote(plan)] : [])],
    differences: outcome.differences ?? [],
    notCompared: outcome.notCompared ?? [],
    errors: outcome.errors ?? [],
    commands: plan.commands,
    wouldLose: outcome.comparison?.wouldLose ?? [],
    schemaDifferences: outcome.comparison?.schemaDifferences ?? [],
    migrations: outcome.comparison?.migrations ?? {onlyLive: [], onlyBackup: []},
  };
}

/** Roles created first, left out objects with the reason, and the load order of rows alone, a line each. */
function describeContents(plan: RestorePlan): string[] {
  const {load, roles, missing} = plan;
  return [
    ...(roles ? [`created first: ${describeRoles(roles)}`] : []),
    ...describeParts(plan, missing),
    ...(load.keyOrder?.notes ?? []),
  ];
}

/** @param missing as in `describeLeftOut` */
function describeParts(plan: RestorePlan, missing: RestorePlan['missing']): string[] {
  const {load, dependents, roles, request} = plan;
  const {leftOut, onlyTables, options} = load;
  const isPart = onlyTables.length > 0 || options.dataOnly || options.schemaOnly;
  return [
    ...(leftOut.counts.size > 0 && !isPart ? [`restored: ${countOf(leftOut.restored, 'object')}`] : []),
    ...describeLeftOut({...load, ...plan}, missing),
    ...describeDependents(dependents),
    ...(request.globals ? describeGlobals(request.globals, roles) : []),
  ];
}

/** The SQL of a dump runs with the rights of the restoring role, including functions, triggers and defaults of other users. */
function superuserNote({target}: RestorePlan): string {
  return `"${target.user}" is a superuser: code in the backup runs with all rights on the server, including programs and files of its machine; restore backups from others with a role that has fewer rights`;
}

/** Asks for confirmation before a non-empty database is changed. */
async function confirmPlan(context: RunContext, plan: RestorePlan): Promise<void> {
  const isHarmless = !strategies[plan.strategy].replaces && plan.request.dataOnly !== true;
  // Roles belong to the whole server.
  if (isHarmless && !plan.roles) return;
  const {database, host} = plan.target;
  const steps: Readonly<Record<RestoreStrategy, string>> = {
    create: 'the database is created, filled and compared; then it gets its name',
    fill: `${isHarmless ? 'everything is restored' : 'rows are added to its empty tables'}, in one transaction`,
    clean:
      'a safety backup is made first; then its objects are dropped and created again, in one transaction',
    swap: 'the backup is restored beside it and compared; then the names are swapped, and the old database is kept unchanged',
  };
  await context.confirm({
    action: `Restore the backup ${plan.source.id} into the database "${database}".`,
    host,
    database,
    isProduction: await isProductionDatabase(context, plan.target),
    plan: [
      `backup  ${plan.source.path}, made ${formatTime(plan.source.createdAt.toISOString())}`,
      `content  ${describeContent(plan)}`,
      `there now  ${plan.present ? describeObjects(plan.present.objects) : 'nothing'}`,
      `how  ${steps[plan.strategy]}`,
      ...describeContents(plan).map((line) => `    ${line}`),
      ...(plan.rights.isSuperuser ? [`rights  ${superuserNote(plan)}`] : []),
    ],
  });
}

/** "the whole database, 1,975 rows", with the excluded tables. */
function describeContent({source: {backup, tables}}: RestorePlan): string {
  const rows = countOf(
    tables.reduce((sum, table) => sum + table.rows, 0),
    'row',
  );
  if (!backup) return `${rows}; without metadata it is not known whether this is the whole database`;
  const leftOut = (backup.record?.inventory.leftOut ?? []).flatMap(({table, reason}) => {
    if (isWithoutRows(reason)) return [`the rows of ${table}`];
    return reason.startsWith('--exclude') ? [table] : [];
  });
  const without = leftOut.length === 0 ? '' : ` without ${leftOut.join(', ')}`;
  const purpose = backup.label === safetyLabel ? ', as it was before an earlier restore' : '';
  return `${contentWords[backup.content]}${without}${purpose}, ${rows}`;
}

async function executeRestore(context: RunContext, plan: RestorePlan): Promise<RestoreOutcome> {
  const made = {wanted: plan.roles, connection: plan.beside?.maintenance ?? plan.target};
  const {result, notes} = await withMadeRoles(context, made, () => restorePlanned(context, plan));
  return {...result, notes: [...notes, ...result.notes]};
}

async function propertiesForNew(
  context: RunContext,
  {source, load, beforeSwap}: RestorePlan,
  maintenance: Connection,
): Promise<CopiedProperties> {
  const made = await propertiesFromBackup(context, maintenance, source, load.pgRestore);
  return beforeSwap ? {...made, properties: beforeSwap.properties(context, made.properties)} : made;
}

async function restorePlanned(context: RunContext, plan: RestorePlan): Promise<RestoreOutcome> {
  if (plan.beside) {
    const {maintenance} = plan.beside;
    const copied = plan.beside.copied ?? (await propertiesForNew(context, plan, maintenance));
    return {...(await restoreBySwap(context, plan, maintenance, copied)), safetyBackup: null};
  }
  // Other runs that change rows of the same database wait or refuse to start meanwhile.
  const {database} = plan.target;
  const lock = {
    purpose: 'change',
    database,
    waitMs: plan.request.waitMs ?? 0,
    signal: context.signal,
  } as const;
  return withSession(plan.target, (session) =>
    withAdvisoryLock(session, lock, async () => {
      if (plan.strategy !== 'clean')
        return {...(await restoreInPlace(context, plan)), setAside: null, safetyBackup: null};
      const safety = await backupDatabase(context, safetyRequest(plan));
      const undo = `Its previous content is in the safety backup ${safety.id ?? ''}.`;
      const load = {...plan.load, ...(await readTarget(context, plan))};
      const restored = await stillLocked(plan.target, session, lock, () =>
        restoreInPlace(context, {...plan, load}, undo),
      );
      return {...restored, setAside: null, safetyBackup: safety.id};
    }),
  );
}

/** Reads the target's definitions before the restore holds any lock. */
async function readTarget(context: RunContext, plan: RestorePlan): Promise<Partial<RestorePlan['load']>> {
  const {source, load, dependents} = plan;
  if (load.pgRestore && dependents.length === 0) return {};
  const {drops, dependents: script} = await readTargetStatements(
    context,
    await planBackup(context, safetyRequest(plan)),
    load.pgRestore ? null : await readDumpDefinitions(source, null, context.signal),
    load.leftOut,
    dependents.map(({entry}) => entry),
  );
  const filled = dependents.flatMap((one) => one.filled ?? []);
  const keys = new Set(dependents.flatMap((one) => one.key ?? []));
  return defined({drops, dependents: script && {script, filled, keys}});
}

/** Restores into the existing database, in one transaction. */
async function restoreInPlace(
  context: RunContext,
  planned: RestorePlan,
  undo = '',
): Promise<LoadedAndCompared & Pick<RestoreOutcome, 'plan'>> {
  let plan = planned;
  const {database} = plan.target;
  await untagMasked(context, plan);
  const refused: string[] = [];
  const without = async (extension: string): Promise<RestorePlan['load']> => {
    refused.push(extension);
    plan = await planWithout(context, planned, refused);
    if (plan.strategy === 'clean')
      plan = {...plan, load: {...plan.load, ...(await readTarget(context, plan))}};
    return plan.load;
  };
  const state = plan.load.options.isSingleTransaction
    ? `Everything was rolled back; "${database}" is unchanged.`
    : `"${database}" contains a part of the backup.`;
  let loaded;
  try {
    // The lock watch is needed because a dump starts with SET lock_timeout = 0.
    const watch = {
      connection: plan.target,
      ours: toolsName,
      limitMs: lockWaitMsFor(plan.request.lockWaitMs),
      state: '',
      signal: context.signal,
    };
    loaded = await withLockWatch(watch, (signal) =>
      loadInto({...context, signal}, planned.load, 'whole', without),
    );
  } catch (error) {
    throw asFailedRestore(error, state, plan);
  }
  await context.checkpoint('restore.loaded');
  const comparison = await analyzeAndCompare(context, plan, plan.target);
  const isWhole = !plan.load.options.dataOnly && plan.load.onlyTables.length === 0;
  const kept = isWhole ? await addProperties(context, plan) : [];
  await context.checkpoint('restore.compared');
  const notCompared = [...comparison.notCompared, ...kept];
  const restored = `"${database}" contains the restored content. ${undo}`;
  return {...joinOutcomes(plan, loaded, {...comparison, notCompared}, restored), plan};
}

/** The database no longer is a masked copy once rows of another backup are in it. */
async function untagMasked({signal}: RunContext, {source, target}: RestorePlan): Promise<void> {
  if (isMasked(source.backup?.record ?? null)) return;
  await withSession(target, (session) => removeMaskedTag(session, target.database), {signal});
}

/** Adds missing settings to an existing database. @returns remaining differences from the backup, a line each */
async function addProperties(
  {signal}: RunContext,
  {source, load, target}: RestorePlan,
): Promise<readonly string[]> {
  const {properties, unknown} = await backupProperties(source, load.pgRestore, signal);
  const kept = await withSession(
    target,
    (session) => addDatabaseProperties(session, target.database, properties),
    {
      signal,
    },
  );
  return [...unknown, ...kept];
}
