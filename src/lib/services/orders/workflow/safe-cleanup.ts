/** Implements `workflow:safe-cleanup`: find, ask, full backup, verify, back up and delete the orders, check, report. */
import {readBackupRecord} from '../../../catalog/backup-record.js';
import {replacingFlags} from '../../../catalog/replacing-flags.js';
import {defined} from '../../../base/defined.js';
import {AppError, withState} from '../../../base/errors.js';
import {countOf} from '../../../base/format.js';
import {readOrderSnapshot} from '../../../rows/file/read-order-snapshot.js';
import {type StepOutcome, timedProgress} from '../../../progress/timed-progress.js';
import type {RunContext} from '../../../run/run-context.js';
import {shellCommand} from '../../../base/shell-quote.js';
import {requirePlaces} from '../../../storage/open-place.js';
import {ageSuffix} from '../../../storage/stored-record.js';
import {backupDatabase} from '../../backup/local-backup.js';
import {backupToPlaces} from '../../backup/backup.js';
import type {BackupRequest} from '../../backup/options.js';
import {
  cleanConfirmed,
  type CleanRequest,
  type CleanResult,
  confirmClean,
  findOptionsOf,
  ordersIn,
} from '../clean/execute.js';
import type {BackupResult} from '../../backup/result.js';
import {copyNewOrders} from '../../copy/copy-orders.js';
import {restoreOrdersCommand} from '../../../rows/file/restore-command.js';
import {
  type Encryption,
  type EncryptionFlags,
  encryptionOf,
  keyWords,
  requireEncryption,
} from '../../../encryption/settings.js';
import {ordersAt, withPlainOrders} from '../restore/restore.js';
import {planClean} from '../clean/plan.js';
import {type CleanupState, writeCleanupReport} from './cleanup-report.js';

export interface SafeCleanupRequest {
  readonly clean: CleanRequest;
  /** Undefined without a full backup. */
  readonly fullBackup: BackupRequest | undefined;
  /** Encryption of the full backup and of the order backup. */
  readonly encryption?: EncryptionFlags;
  /** The first words of a command for the same database and folders: "destino-db", "--config=...". */
  readonly command: (id: string) => readonly string[];
  /** Waits until the next phase may begin. */
  readonly pause: ((phase: string, signal: AbortSignal) => Promise<void>) | undefined;
}

export interface SafeCleanupResult {
  readonly mode: 'preview' | 'execute';
  /** In the order in which they ended. */
  readonly steps: readonly StepOutcome[];
  /** In a preview, the planned backup. */
  readonly backup: BackupResult | null;
  readonly orders: CleanResult;
  /** The Markdown report; the JSON report has the same name. Null in a preview, and if it could not be written. */
  readonly reportPath: string | null;
  /** The commands that undo it: the previous state of the whole database, or only the deleted orders. */
  readonly undo: readonly string[];
}

/**
 * Runs the phases in order and stops at the first failure; nothing is deleted before the full backup is verified.
 * @throws the errors of the phases, with the state at that time
 */
export async function safeCleanup(
  parent: RunContext,
  request: SafeCleanupRequest,
): Promise<SafeCleanupResult> {
  const encryption = await encryptionOf(parent, request.encryption ?? {});
  if (request.clean.execute) {
    requireEncryption(encryption);
    await requirePlaces(parent, parent.settings.config.storage?.places ?? []);
  }
  const steps: StepOutcome[] = [];
  const context = {...parent, progress: timedProgress(parent.progress, parent.clock, steps)};
  const plan = await context.progress.step('Find the orders', () =>
    planClean(context, request.clean.selection, findOptionsOf(request.clean)),
  );
  context.checkName({database: plan.database});
  const state: CleanupState = {
    steps,
    backup: null,
    orders: {mode: 'preview', ...plan, backupPath: null, sideEffects: []},
    undo: [],
  };
  if (!request.clean.execute) return previewRest(context, request, state);
  await confirmClean(context, request.clean, plan, request.fullBackup !== undefined);
  if (ordersIn(plan) === 0) {
    skip(steps, ['Full backup', 'Delete the rows', 'Check the result']);
    return {mode: 'execute', ...state, orders: {...state.orders, mode: 'execute'}, reportPath: null};
  }
  try {
    await runPhases(context, request, encryption, state);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const failure = withState(error, describeState(state));
    await report(context, state, failure);
    throw failure;
  }
  const reportPath = await context.progress.step('Write the report', () => report(context, state));
  return {mode: 'execute', ...state, reportPath};
}

/** A failure to write the report must not hide the outcome that it reports. */
async function report(context: RunContext, state: CleanupState, error?: AppError): Promise<string | null> {
  try {
    return await writeCleanupReport(context, state, error);
  } catch (failure) {
    if (!(failure instanceof AppError)) throw failure;
    context.warn(`The report of the cleanup could not be written: ${failure.message}`);
    return null;
  }
}

async function previewRest(
  context: RunContext,
  request: SafeCleanupRequest,
  state: CleanupState,
): Promise<SafeCleanupResult> {
  await pauseAfter(context, request, 'Find the orders');
  const backup = request.fullBackup
    ? await backupDatabase(context, {...request.fullBackup, dryRun: true})
    : null;
  if (backup) refuseUncoveredTables(backup, state.orders);
  skip(state.steps, [
    ...(backup ? ['Dump', 'Checksum', 'Verify'] : ['Full backup']),
    'Lock the orders',
    'Back up the rows',
    'Delete the rows',
    'Check the result',
  ]);
  return {mode: 'preview', ...state, backup, reportPath: null};
}

async function runPhases(
  context: RunContext,
  request: SafeCleanupRequest,
  encryption: Encryption,
  state: CleanupState,
): Promise<void> {
  if (request.fullBackup) {
    await pauseAfter(context, request, 'Find the orders');
    state.backup = await backupToPlaces(
      context,
      request.fullBackup,
      defined({
        ...request.encryption,
        isLocal: undefined,
        isLocalEncrypted: request.encryption?.isLocal,
      }),
    );
    refuseUnverifiedBackup(state.backup);
    refuseUncoveredTables(state.backup, state.orders);
    if (state.backup.path !== null) {
      const words = ['--backup-file', state.backup.path, ...(await restoreFlags(context, state.backup))];
      state.undo.push(shellCommand([...request.command('restore'), ...words]));
    }
    await pauseAfter(context, request, 'Full backup');
  } else {
    skip(state.steps, ['Full backup']);
    await pauseAfter(context, request, 'Find the orders');
  }
  const recordOrderBackup = ({backupPath}: CleanResult): void => {
    if (backupPath === null) return;
    state.undo.push(restoreOrdersCommand(context.settings, encryption, backupPath, request.command));
  };
  state.orders = await cleanConfirmed(context, {
    ...request.clean,
    encryption,
    onDeletedDespiteError: (outcome, backupPath) => {
      state.cutOff = outcome;
      state.orders = {...state.orders, backupPath};
      recordOrderBackup(state.orders);
    },
  });
  recordOrderBackup(state.orders);
  await pauseAfter(context, request, 'Clean');
  await checkResult(context, request, encryption, state.orders);
  if (state.orders.backupPath !== null) {
    const deleted = `The ${countOf(ordersIn(state.orders), 'order')} were deleted before that.`;
    await copyNewOrders(context, state.orders.backupPath, encryption, deleted);
  }
}

async function pauseAfter({signal}: RunContext, {pause}: SafeCleanupRequest, phase: string): Promise<void> {
  if (!pause) return;
  try {
    await pause(phase, signal);
  } catch (error) {
    signal.throwIfAborted(); // an interruption is reported as such
    throw error;
  }
}

/** The flags that decrypt the backup and restore it over its database. */
async function restoreFlags({settings}: RunContext, {metadataPath}: BackupResult): Promise<string[]> {
  if (metadataPath === null) return [];
  const record = await readBackupRecord(metadataPath);
  const {databaseName, format} = record;
  return [...keyWords(settings, record), ...replacingFlags(databaseName, {format, record})];
}

/** @throws VERIFY_FAILED unless the full backup was read back completely */
function refuseUnverifiedBackup(backup: BackupResult): void {
  if (backup.verification?.ok === true) return;
  throw new AppError(
    'VERIFY_FAILED',
    `The full backup ${backup.id ?? ''} is not verified; no order was deleted.`,
    {
      hint: 'Check it: destino-db verify --latest',
    },
  );
}

/** A full backup that the config limits to some tables could not restore the orders. @throws GUARD */
function refuseUncoveredTables(backup: BackupResult, orders: CleanResult): void {
  const covered = new Set(backup.tables.map(({table}) => table));
  const missing = Object.entries(orders.tables).filter(
    ([label, {deleted, relinked}]) => deleted + relinked > 0 && !covered.has(label),
  );
  if (missing.length === 0) return;
  const names = missing.map(([label]) => label).join(', ');
  throw new AppError(
    'GUARD',
    `The full backup does not contain ${names}, in which rows would be deleted; no order was deleted.`,
    {
      hint: 'Check backup.excludeTables, backup.excludeTableData and backup.excludeSchemas in the config, or use --no-full-backup.',
    },
  );
}

/** Reads the order backup again and checks whether orders still match. @throws ORDER_BACKUP_INVALID */
async function checkResult(
  context: RunContext,
  request: SafeCleanupRequest,
  encryption: Encryption,
  orders: CleanResult,
): Promise<void> {
  await context.progress.step('Check the result', async (step) => {
    if (orders.backupPath !== null) await readBackOrders(context, orders.backupPath, encryption);
    const left = ordersIn(await planClean(context, {...request.clean.selection}));
    step.note(left === 0 ? 'no order matches now' : `${countOf(left, 'order')} arrived meanwhile`);
    if (left > 0) context.warn(`${countOf(left, 'order')} match now: they arrived while the cleaning ran.`);
  });
}

/** Without a key the file is not read: it was verified before it was encrypted, and its bytes afterwards. */
async function readBackOrders(context: RunContext, path: string, {to, keys}: Encryption): Promise<void> {
  const hasKey = (to && 'passphrase' in to ? keys.passphrases : keys.identities).length > 0;
  if (path.endsWith(ageSuffix) && !hasKey) return;
  await withPlainOrders(context, ordersAt(path), keys, (plain) => readOrderSnapshot(plain, context.signal));
}

function skip(steps: StepOutcome[], names: readonly string[]): void {
  for (const name of names) steps.push({name, status: 'skipped', duration: 0});
}

function describeState({backup, orders, cutOff}: CleanupState): string {
  const full = backup?.path == null ? 'no full backup was made' : `the full backup is ${backup.path}`;
  // An interrupted deletion is described by its own error.
  const deleted =
    cutOff !== undefined
      ? ''
      : orders.mode === 'execute'
        ? `, ${countOf(ordersIn(orders), 'order')} deleted`
        : ', no order was deleted';
  return `The workflow stopped: ${full}${deleted}.`;
}
