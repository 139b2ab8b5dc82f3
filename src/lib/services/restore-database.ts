/** The story of `restore`: find and check the backup, look at the target, ask, load, compare. */
import {AppError} from '../errors.js';
import {withSession} from '../postgres/client.js';
import type {Connection} from '../postgres/connection.js';
import {createDatabase, dropDatabase} from '../postgres/create-database.js';
import {applyDatabaseProperties, databasePropertiesSchema} from '../postgres/database-properties.js';
import {describeObjects, inspectRoleNames} from '../postgres/inspect-target.js';
import {isProduction} from '../settings/production.js';
import type {RunContext} from '../run-context.js';
import type {RestoredTable} from './compare-restored.js';
import {
  analyzeAndCompare,
  asFailedRestore,
  expectedTables,
  loadAndCompare,
  requireEqual,
} from './load-and-compare.js';
import {loadInto} from './load-into.js';
import {planRestore, type RestorePlan, type RestoreWay} from './plan-restore.js';
import type {RestoreRequest} from './restore-request.js';

export interface RestoreResult {
  readonly mode: 'dry-run' | 'execute';
  readonly way: RestoreWay;
  /** The backup's id. */
  readonly backup: string;
  readonly backupPath: string;
  readonly backupCreatedAt: string;
  /** Bytes. */
  readonly backupSize: number;
  /** The target database. */
  readonly target: string;
  readonly host: string;
  /** What stood there before, in words; null when the database did not exist. */
  readonly present: string | null;
  /** In a dry run the tables of the backup, otherwise those of the target afterwards. */
  readonly tables: readonly RestoredTable[];
  /** ms */
  readonly duration: number;
  /** The database that the old content was set aside as. */
  readonly setAside: string | null;
  /** Id of the backup that was made of the target before it was changed. */
  readonly safetyBackup: string | null;
  readonly notes: readonly string[];
  /** Errors that --skip-errors went over. */
  readonly errors: readonly string[];
  readonly commands: readonly string[];
}

/**
 * Restores a backup, or with `dryRun` tells what would be done.
 * @throws USAGE, BACKUP_NOT_FOUND, VERIFY_FAILED, CHECKSUM_MISMATCH, TARGET_NOT_EMPTY, RESTORE_FAILED, RESTORED_DIFFERS
 *   and the codes of connection, tools and disk; the message says what state the target is in
 */
export async function restoreDatabase(context: RunContext, request: RestoreRequest): Promise<RestoreResult> {
  const startedMs = context.clock.now().getTime();
  const plan = await planRestore(context, request);
  const {database, host, port} = plan.target;
  context.record({
    database: {name: database, systemIdentifier: null, host, port},
    backupId: plan.source.id,
    format: plan.source.dump.format,
    size: plan.source.sizeBytes,
    ...(request.dryRun === true ? {mode: 'preview'} : {}),
  });
  if (request.dryRun === true) return describe(context, plan, startedMs, {});
  await confirmPlan(context, plan);
  const done = await executeRestore(context, plan);
  context.record({rows: done.tables.reduce((sum, table) => sum + table.rows, 0)});
  return describe(context, plan, startedMs, done);
}

interface RestoreOutcome {
  readonly tables: readonly RestoredTable[];
  readonly notes: readonly string[];
  readonly errors: readonly string[];
  readonly setAside: string | null;
  readonly safetyBackup: string | null;
}

function describe(
  context: RunContext,
  plan: RestorePlan,
  startedMs: number,
  outcome: Partial<RestoreOutcome>,
): RestoreResult {
  const {source, present} = plan;
  return {
    mode: plan.request.dryRun === true ? 'dry-run' : 'execute',
    way: plan.way,
    backup: source.id,
    backupPath: source.path,
    backupCreatedAt: source.createdAt.toISOString(),
    backupSize: source.sizeBytes,
    target: plan.target.database,
    host: plan.target.host,
    present: present ? describeObjects(present.objects) : null,
    tables:
      outcome.tables ??
      expectedTables(plan).map(({schema, name, rows, fingerprint}) => ({
        table: `${schema}.${name}`,
        rows,
        fingerprint,
      })),
    duration: context.clock.now().getTime() - startedMs,
    setAside: outcome.setAside ?? null,
    safetyBackup: outcome.safetyBackup ?? null,
    notes: outcome.notes ?? [],
    errors: outcome.errors ?? [],
    commands: plan.commands,
  };
}

/** Anything that changes a database with something in it is asked for first. */
async function confirmPlan(context: RunContext, plan: RestorePlan): Promise<void> {
  const isHarmless = plan.way === 'create' || (plan.way === 'fill' && plan.request.dataOnly !== true);
  if (isHarmless) return;
  const {database, host} = plan.target;
  const steps: Readonly<Record<RestoreWay, string>> = {
    create: '',
    fill: 'rows are added to its empty tables, in one transaction',
    clean: 'a safety backup is made first; then its objects are dropped and made anew, in one transaction',
    swap: 'the backup is restored beside it and compared; then they change names, and the old one stays as it is',
  };
  await context.confirm({
    action: `Restore the backup ${plan.source.id} into the database "${database}".`,
    host,
    database,
    isProduction: isProduction(context.settings, plan.target),
    plan: [
      `backup    ${plan.source.path}, made ${plan.source.createdAt.toISOString()}`,
      `there now ${plan.present ? describeObjects(plan.present.objects) : 'nothing'}`,
      `how       ${steps[plan.way]}`,
    ],
  });
}

/** Carries the plan out. */
export async function executeRestore(context: RunContext, plan: RestorePlan): Promise<RestoreOutcome> {
  const nothing = {setAside: null, safetyBackup: null};
  if (plan.way === 'swap' && plan.maintenance && plan.carried) {
    const {restoreBySwap} = await import('./restore-by-swap.js');
    return {...nothing, ...(await restoreBySwap(context, plan, plan.maintenance, plan.carried))};
  }
  if (plan.way === 'create') return {...nothing, ...(await restoreIntoNew(context, plan))};
  if (plan.way === 'fill') return {...nothing, ...(await restoreInPlace(context, plan))};
  throw new AppError(
    'NOT_SUPPORTED_HERE',
    'A clean restore needs a safety backup first, which cannot be made.',
  );
}

/** Into a database made for it; dropped again when anything fails. */
async function restoreIntoNew(
  context: RunContext,
  plan: RestorePlan,
): Promise<Pick<RestoreOutcome, 'tables' | 'notes' | 'errors'>> {
  const {database} = plan.target;
  const record = plan.source.backup?.record ?? null;
  const properties = databasePropertiesSchema.parse(record?.inventory ?? {});
  const maintenance = plan.maintenance ?? plan.target;
  await context.progress.step(`Make the database ${database}`, async () =>
    withSession(
      maintenance,
      async (session) => {
        const owner = await usableOwner(context, session, record?.source.owner);
        const locale = record?.source.locale ?? null;
        await createDatabase(session, database, {locale, owner}, plan.rights.serverMajor);
      },
      {signal: context.signal},
    ),
  );
  try {
    const restored = await loadAndCompare(context, plan, plan.target);
    const failures = await withSession(maintenance, (session) =>
      applyDatabaseProperties(session, database, properties),
    );
    for (const failure of failures) context.warn(`Not carried over: ${failure}`);
    return restored;
  } catch (error) {
    await dropAgain(maintenance, database, error);
    throw asFailedRestore(error, `The new database "${database}" was dropped again.`);
  }
}

async function dropAgain(maintenance: Connection, database: string, cause: unknown): Promise<void> {
  try {
    await withSession(maintenance, (session) => dropDatabase(session, database));
  } catch (error) {
    throw new AppError(
      'RESTORE_FAILED',
      `The restore failed, and the half-filled database "${database}" could not be dropped.`,
      {
        hint: `Drop it yourself: DROP DATABASE "${database}"`,
        details: [cause, error].map((thrown) => (thrown instanceof Error ? thrown.message : String(thrown))),
        cause,
      },
    );
  }
}

async function usableOwner(
  context: RunContext,
  session: Parameters<typeof inspectRoleNames>[0],
  owner: string | undefined,
): Promise<string | undefined> {
  if (owner === undefined) return undefined;
  const {missing, foreign} = await inspectRoleNames(session, [owner]);
  if (missing.length + foreign.length === 0) return owner;
  context.warn(
    `The database will belong to the connecting role: its owner "${owner}" ${missing.length > 0 ? 'does not exist here' : 'is a role this one is no member of'}.`,
  );
  return undefined;
}

/** Into the database that exists, in one transaction (unless errors are skipped). */
async function restoreInPlace(
  context: RunContext,
  plan: RestorePlan,
): Promise<Pick<RestoreOutcome, 'tables' | 'notes' | 'errors'>> {
  const {database} = plan.target;
  const state = plan.load.options.isSingleTransaction
    ? `Everything was rolled back: "${database}" is as it was.`
    : `"${database}" holds a part of the backup.`;
  let loaded;
  try {
    loaded = await loadInto(context, plan.load);
  } catch (error) {
    throw asFailedRestore(error, state);
  }
  const {tables, differences} = await analyzeAndCompare(context, plan, plan.target);
  requireEqual(differences, loaded.errors, `"${database}" holds what was restored.`);
  return {tables, ...loaded};
}
