/** Applies a retention policy to a folder of backups. */
import {readdir} from 'node:fs/promises';
import {basename, join} from 'node:path';
import {type Backup, databaseIdentity, readCatalogue, retentionCandidate} from '../backups/catalogue.js';
import {partialSuffix} from '../backups/backup-name.js';
import {removeBackup, whyNotOurs} from '../backups/remove-backup.js';
import {applyRetention, refuseEmptyPolicy, type RetentionPolicy} from '../backups/retention.js';
import {AppError, messageOf, systemErrorCode} from '../errors.js';
import {countOf} from '../format.js';
import type {RunContext} from '../run-context.js';

export interface PruneDecision {
  readonly id: string;
  readonly database: string;
  readonly createdAt: string;
  /** Bytes. */
  readonly size: number;
  readonly reason: string;
}

export interface PrunePlan {
  readonly folder: string;
  /** Newest first. */
  readonly kept: readonly PruneDecision[];
  readonly removable: readonly {readonly backup: Backup; readonly reason: string}[];
  /** Unfinished files and folders (`*.partial`) in the folder. */
  readonly partials: readonly string[];
  /** Metadata files that tell no backup; what they may belong to is left alone. */
  readonly problems: readonly {readonly path: string; readonly reason: string}[];
}

export interface PruneResult {
  readonly dryRun: boolean;
  readonly folder: string;
  readonly kept: readonly PruneDecision[];
  /** Removed, or with a dry run what would be. */
  readonly removed: readonly PruneDecision[];
  readonly partials: readonly string[];
  readonly problems: readonly {readonly path: string; readonly reason: string}[];
}

export interface PruneOptions {
  readonly dryRun: boolean;
  /** Folder of the backups; `database` in the backups folder by default. */
  readonly folder?: string | undefined;
}

/**
 * Shows what the policy keeps and removes, asks, and removes.
 * @throws USAGE for an empty policy; what `executePrune` throws
 */
export async function pruneBackups(
  ctx: RunContext,
  policy: RetentionPolicy,
  options: PruneOptions,
): Promise<PruneResult> {
  const folder = options.folder ?? join(ctx.settings.backupsDir, 'database');
  const plan = await planPrune(folder, policy, ctx.clock.now());
  const {kept, partials, problems} = plan;
  if (options.dryRun || plan.removable.length === 0) {
    return {
      dryRun: options.dryRun,
      folder,
      kept,
      removed: plan.removable.map(decisionOf),
      partials,
      problems,
    };
  }
  await ctx.confirm({
    action: `Remove ${countOf(plan.removable.length, 'backup')} for good.`,
    host: folder,
    database: [...new Set(plan.removable.map(({backup}) => backup.database))].join(','),
    isProduction: false,
    plan: plan.removable.map(({backup, reason}) => `${backup.id}: ${reason}`),
  });
  const removed = await ctx.progress.step('Remove backups', () => executePrune(ctx, plan));
  return {dryRun: false, folder, kept, removed, partials, problems};
}

/** Reads the folder and decides; changes nothing. @throws USAGE for an empty policy, READ_FAILED */
export async function planPrune(folder: string, policy: RetentionPolicy, now: Date): Promise<PrunePlan> {
  refuseEmptyPolicy(policy);
  const {backups, problems} = await readCatalogue(folder);
  const kept: PruneDecision[] = [];
  const removable: {backup: Backup; reason: string}[] = [];
  for (const {backup: candidate, isKept, reason} of applyRetention(
    backups.map(retentionCandidate),
    policy,
    now,
  )) {
    const {backup} = candidate;
    const obstacle = isKept ? undefined : await whyNotOurs(backup);
    if (isKept) kept.push(decisionOf({backup, reason}));
    else if (obstacle !== undefined) kept.push(decisionOf({backup, reason: `left alone: ${obstacle}`}));
    else removable.push({backup, reason});
  }
  return {folder, kept, removable, partials: await findPartials(folder), problems};
}

/**
 * Removes what the plan names, oldest first, so that an interruption leaves the newer ones.
 * @returns what was removed
 * @throws FOLDER_NOT_WRITABLE, WRITE_FAILED after trying every one; INTERRUPTED between two
 */
export async function executePrune(ctx: RunContext, plan: PrunePlan): Promise<PruneDecision[]> {
  const {removed, failures} = await removeEach(ctx, plan.removable);
  const [first] = failures;
  if (!first) return removed;
  throw new AppError(
    first.code,
    `${countOf(failures.length, 'backup')} could not be removed, ${countOf(removed.length, 'was', 'were')}.`,
    {hint: first.hint, details: failures.map(messageOf), cause: first},
  );
}

async function removeEach(
  ctx: RunContext,
  items: PrunePlan['removable'],
): Promise<{removed: PruneDecision[]; failures: AppError[]}> {
  const removed: PruneDecision[] = [];
  const failures: AppError[] = [];
  for (const item of [...items].reverse()) {
    ctx.signal.throwIfAborted();
    try {
      await removeBackup(item.backup);
      removed.unshift(decisionOf(item));
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      failures.push(error);
    }
  }
  return {removed, failures};
}

/**
 * Retention after a backup, for backups of the same database only; call it once that backup is whole and proven.
 * What cannot be removed is a warning: the backup itself succeeded.
 */
export async function pruneAfterBackup(
  ctx: RunContext,
  backup: Backup,
  folder: string,
  policy: RetentionPolicy,
): Promise<PruneDecision[]> {
  const plan = await planPrune(folder, policy, ctx.clock.now());
  const identity = databaseIdentity(backup);
  const ofSameDatabase = plan.removable.filter((item) => databaseIdentity(item.backup) === identity);
  const {removed, failures} = await removeEach(ctx, ofSameDatabase);
  for (const failure of failures) {
    ctx.warn(`The backup is complete, but an old one could not be removed: ${failure.message}`);
  }
  return removed;
}

/** Absolute paths of unfinished work right in `folder`. */
export async function findPartials(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder))
      .filter((name) => name.endsWith(partialSuffix))
      .sort()
      .map((name) => join(folder, name));
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw new AppError('READ_FAILED', `${basename(folder)} cannot be read: ${messageOf(error)}.`, {
      cause: error,
    });
  }
}

function decisionOf({backup, reason}: {readonly backup: Backup; readonly reason: string}): PruneDecision {
  return {
    id: backup.id,
    database: backup.database,
    createdAt: backup.createdAt.toISOString(),
    size: backup.sizeBytes,
    reason,
  };
}
