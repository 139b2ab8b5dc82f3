/** Finishes or reverts what interrupted runs left behind, in the folders and on the server. */
import {rm} from 'node:fs/promises';
import {withFolderLock} from '../../run/lock.js';
import {foreignNote} from '../../base/own-file.js';
import {explainFileError} from '../../base/safe-file.js';
import {AppError, type ErrorCode, messageOf} from '../../base/errors.js';
import {countOf} from '../../base/format.js';
import {unknownName} from '../../base/unknown-name.js';
import type {Connection} from '../../postgres/connect/connection.js';
import {withMaintenanceSession} from '../../postgres/databases/maintenance.js';
import {hasSqlState} from '../../postgres/sql-state.js';
import {resolveConnection} from '../../postgres/connect/resolve-connection.js';
import {requireWritable} from '../../postgres/inspect/writable.js';
import {describeProcess} from '../../base/process-identity.js';
import type {RunContext} from '../../run/run-context.js';
import {type JournalEntry, type LeftJournal, readJournals, removeTornJournals} from '../../run/journal.js';
import {findLeftoverDatabases, isSameServer} from './databases.js';
import {findLeftoverIndexes} from './indexes.js';
import {findLeftoverFiles} from './files.js';
import {findLeftoverUploads} from './uploads.js';
import type {Leftover, LeftoverThing} from './leftover.js';

export interface RecoveredThing extends LeftoverThing {
  readonly action: string;
}

export interface FailedThing extends LeftoverThing {
  /** The code of the error; undefined if it is unexpected. */
  readonly code?: ErrorCode;
}

export interface RecoverResult {
  readonly dryRun: boolean;
  /** Recovered leftovers, or in a dry run those that would be. */
  readonly recovered: readonly RecoveredThing[];
  /** Leftovers that were not changed, with the reason. */
  readonly left: readonly LeftoverThing[];
  /** Leftovers that could not be cleared up. */
  readonly failed: readonly FailedThing[];
  /** The reason why the server was not checked, or null if it was. */
  readonly serverNotLookedAt: string | null;
  /** The code of the error, if a URL names the server; null otherwise. */
  readonly serverError: ErrorCode | null;
}

export interface RecoverOptions {
  readonly dryRun: boolean;
  /** Working databases to drop even if their owner comments are doubtful. */
  readonly dropDbs?: readonly string[];
  readonly waitMs?: number;
}

/**
 * Finds leftovers of runs that have ended, with and without their journals, asks, and clears them up.
 * Leftovers of a run that is still running are not changed.
 * @throws LOCKED, NOT_CONFIRMED, READ_FAILED
 */
export async function recoverLeftovers(ctx: RunContext, options: RecoverOptions): Promise<RecoverResult> {
  const plan = await ctx.progress.step('Look for leftovers', () => planRecovery(ctx, options.dropDbs));
  refuseUnknown(options.dropDbs ?? [], plan);
  const doable = plan.leftovers.filter((one) => one.action !== 'leave');
  const left = plan.leftovers.filter((one) => one.action === 'leave').map(thingOf);
  const {serverNotLookedAt, serverError} = plan;
  const database = plan.connection?.database ?? 'recover';
  ctx.checkName({database});
  if (options.dryRun) {
    const recovered = doable.map(recoveredThing);
    return {dryRun: true, recovered, left, failed: [], serverNotLookedAt, serverError};
  }
  if (doable.length > 0) {
    await ctx.confirm({
      action: `Clear up ${countOf(doable.length, 'leftover')} of interrupted runs.`,
      host: plan.connection?.host ?? ctx.settings.backupsDir,
      database,
      isProduction: false,
      plan: doable.map((one) => `${one.action} ${one.what}: ${one.reason}`),
    });
  }
  await ctx.checkpoint('recover.planned');
  const clearUp = () => ctx.progress.step('Clear up', () => executeRecovery(ctx, doable));
  const {recovered, failed} =
    doable.length === 0
      ? {recovered: [], failed: []}
      : await withFolderLock(ctx, ctx.settings.backupsDir, clearUp, {
          command: 'recover',
          waitMs: options.waitMs ?? 0,
        });
  await ctx.checkpoint('recover.all-done');
  const unresolved = new Set([...left, ...failed].map((one) => one.what));
  for (const journal of plan.journals) {
    if (
      journal.liveness === 'dead' &&
      journal.unfinished.every((entry) => isResolved(entry, unresolved, plan))
    )
      await removeJournal(journal.path);
  }
  await removeTornJournals(ctx.settings.backupsDir, ctx.clock.now());
  return {dryRun: false, recovered, left, failed, serverNotLookedAt, serverError};
}

/** @throws USAGE for a database of --drop-db that no run left; not if the server could not be checked */
function refuseUnknown(names: readonly string[], {leftovers, connection}: RecoveryPlan): void {
  const known = leftovers.map(({what}) => what);
  const unknown = connection && names.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw unknownName(
    'USAGE',
    `--drop-db: no run left a database "${unknown}"; nothing was done.`,
    unknown,
    known,
    'List the leftovers: destino-db recover --dry-run',
  );
}

interface RecoveryPlan {
  readonly journals: readonly LeftJournal[];
  readonly leftovers: readonly Leftover[];
  /** The server that was checked. */
  readonly connection: Connection | undefined;
  readonly serverNotLookedAt: string | null;
  readonly serverError: ErrorCode | null;
}

/** Reads folders and server; changes nothing. */
async function planRecovery(ctx: RunContext, dropDbs?: readonly string[]): Promise<RecoveryPlan> {
  const journals = await readJournals(ctx.settings.backupsDir, (foreign) =>
    foreignNote(foreign).forEach(ctx.warn),
  );
  const files = await findLeftoverFiles(ctx, journals);
  const unseen = journals.flatMap((journal) => entriesLeftAlone(journal));
  let connection: Connection | undefined;
  let databases: Leftover[] = [];
  let serverNotLookedAt: string | null = null;
  let serverError: ErrorCode | null = null;
  try {
    const resolved = resolveConnection(ctx.settings);
    const found = [
      ...(await findLeftoverDatabases(ctx, resolved, journals, dropDbs)),
      ...(await findLeftoverIndexes(ctx, resolved, journals)),
    ];
    if (found.some(({action}) => action !== 'leave'))
      await withMaintenanceSession(
        resolved,
        (session) =>
          requireWritable(session, 'Nothing can be cleared up on the server', {database: resolved.database}),
        {signal: ctx.signal},
      );
    databases = found;
    connection = resolved;
  } catch (error) {
    ctx.signal.throwIfAborted();
    if (!(error instanceof AppError)) throw error;
    serverNotLookedAt = error.message;
    if (error.code !== 'NO_DATABASE_URL') serverError = error.code;
  }
  const foreign = journals
    .filter((journal) => journal.liveness === 'dead')
    .flatMap((journal) => journal.unfinished.flatMap((entry) => outOfReach(entry, connection)));
  return {
    journals,
    leftovers: [...files, ...databases, ...findLeftoverUploads(ctx, journals), ...unseen, ...foreign],
    connection,
    serverNotLookedAt,
    serverError,
  };
}

/** The entries of runs that are running, or belong to other machines. */
function entriesLeftAlone(journal: LeftJournal): Leftover[] {
  if (journal.liveness === 'dead') return [];
  const who = `"${journal.command}" (${describeProcess(journal.owner)})`;
  const reason =
    journal.liveness === 'alive' ? `${who} is running` : `${who} may be running; run recover on that machine`;
  return journal.unfinished.map((entry) => ({
    kind: entry.kind,
    what: nameOf(entry),
    action: 'leave',
    reason,
  }));
}

/** Entries of dead runs that cannot be checked from here. */
function outOfReach(entry: JournalEntry, connection: Connection | undefined): Leftover[] {
  const what = {kind: entry.kind, what: nameOf(entry), action: 'leave'} as const;
  if (!('server' in entry) || (connection && isSameServer(entry.server, connection))) return [];
  const server = `${entry.server.host}:${entry.server.port}`;
  return [{...what, reason: `it is on the server ${server}: run recover with the URL of that server`}];
}

async function executeRecovery(
  ctx: RunContext,
  leftovers: readonly Leftover[],
): Promise<Pick<RecoverResult, 'recovered' | 'failed'>> {
  const recovered: RecoveredThing[] = [];
  const failed: FailedThing[] = [];
  for (const one of leftovers) {
    if (one.action === 'leave') continue;
    ctx.signal.throwIfAborted();
    try {
      await one.run();
      recovered.push(recoveredThing(one));
      await ctx.checkpoint('recover.one-done');
    } catch (error) {
      ctx.signal.throwIfAborted();
      // The next run of the killed command, or another recover, has dropped or renamed the database meanwhile.
      if (hasSqlState(error, '3D000')) continue;
      failed.push({...thingOf(one), ...failureOf(error)});
    }
  }
  return {recovered, failed};
}

/** Whether nothing of the entry remains to be cleared up. */
function isResolved(entry: JournalEntry, unresolved: ReadonlySet<string>, plan: RecoveryPlan): boolean {
  if ('server' in entry && !plan.connection) return false;
  if (entry.kind === 'swap')
    return ![entry.target, entry.setAside, entry.staging].some((name) => unresolved.has(name));
  return !unresolved.has(nameOf(entry));
}

async function removeJournal(path: string): Promise<void> {
  try {
    await rm(path, {force: true});
  } catch (error) {
    throw explainFileError(error, path);
  }
}

function nameOf(entry: JournalEntry): string {
  if ('path' in entry) return entry.path;
  if (entry.kind === 'temporary-index') return entry.index;
  if ('database' in entry) return entry.database;
  return entry.kind === 'swap' ? entry.target : entry.key;
}

function failureOf(error: unknown): Pick<FailedThing, 'reason' | 'code'> {
  if (!(error instanceof AppError)) return {reason: messageOf(error)};
  return {reason: [error.message, error.hint ?? ''].join(' ').trimEnd(), code: error.code};
}

function thingOf({kind, what, reason}: Leftover): LeftoverThing {
  return {kind, what, reason};
}

function recoveredThing(one: Leftover): RecoveredThing {
  return {...thingOf(one), action: one.action};
}
