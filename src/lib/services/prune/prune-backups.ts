/** Applies a retention policy to a folder of backups. */
import {readdir} from 'node:fs/promises';
import {basename, join} from 'node:path';
import {backupFolder} from '../../catalog/backup-name.js';
import {exists} from '../../base/safe-file.js';
import {type Backup, databaseIdentity, readCatalogue, retentionCandidate} from '../../catalog/catalogue.js';
import {partialSuffix} from '../../base/file-names.js';
import {withFolderLock} from '../../run/lock.js';
import {removeBackup, whyNotOurs} from '../../catalog/remove-backup.js';
import {
  applyRetention,
  checkLabels,
  refuseEmptyPolicy,
  type RetentionPolicy,
  ruleNames,
} from '../../catalog/retention.js';
import {AppError, messageOf, systemErrorCode} from '../../base/errors.js';
import {countOf} from '../../base/format.js';
import type {ConfirmRequest, RunContext} from '../../run/run-context.js';
import {isProductionBackup} from '../guards/production.js';
import {openJournal} from '../../run/journal.js';

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
  /** Of all backups. */
  readonly labels: readonly (string | null)[];
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
  /** The rules of the command line; with none of them, those of the config file hold. */
  readonly policy: RetentionPolicy;
  readonly dryRun: boolean;
  /** How long to wait for another run, ms. */
  readonly waitMs?: number | undefined;
  /** Folder of the backups; `database` in the backups folder by default. */
  readonly folder?: string | undefined;
}

/**
 * Shows what the policy keeps and removes, asks, and removes.
 * @throws USAGE for an empty policy; LOCKED; what `executePrune` throws
 */
export async function pruneBackups(ctx: RunContext, options: PruneOptions): Promise<PruneResult> {
  const folder = options.folder ?? backupFolder(ctx.settings);
  const {retention = {}} = ctx.settings.config;
  const policy = policyInForce(options.policy, retention);
  const plan = await planPrune(folder, policy, ctx.clock.now());
  checkLabels(options.policy, retention, plan.labels, ctx.warn);
  if (plan.removable.length > 0) ctx.checkName(namesToConfirm(plan.removable));
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
    hostLabel: 'folder',
    ...namesToConfirm(plan.removable),
    isProduction: await needsProductionName(ctx, options.policy, plan.removable),
    plan: plan.removable.map(({backup, reason}) => `${backup.id}: ${reason}`),
  });
  const confirmed = new Set(plan.removable.map(({backup}) => backup.id));
  const removed = await withFolderLock(
    ctx,
    folder,
    () =>
      ctx.progress.step('Remove backups', async () => {
        // Another run may have changed the folder while the question was open: what stands now decides, too.
        const current = await planPrune(folder, policy, ctx.clock.now());
        const removable = current.removable.filter(({backup}) => confirmed.has(backup.id));
        return executePrune(ctx, {...current, removable});
      }),
    {command: 'prune', waitMs: options.waitMs},
  );
  return {dryRun: false, folder, kept, removed, partials, problems};
}

/** What the question asks for: the databases whose backups go, or a word where unfinished copies alone do. */
export function namesToConfirm(
  removable: readonly {readonly backup: Backup}[],
): Pick<ConfirmRequest, 'database' | 'databaseLabel'> {
  const names = [...new Set(removable.map(({backup}) => backup.database))].sort();
  if (names.length === 0) return {database: 'prune', databaseLabel: 'word'};
  return {database: names.join(','), ...(names.length > 1 ? {databaseLabel: 'databases'} : {})};
}

/**
 * Whether only --confirm-db may remove these: backups of production, by rules of the command line. The rules of the config
 * file are a decision that was made before; they remove backups after each `backup`, too.
 */
export async function needsProductionName(
  ctx: RunContext,
  flags: RetentionPolicy,
  removable: readonly {readonly backup: Backup}[],
): Promise<boolean> {
  if (ruleNames(flags).length === 0) return false;
  for (const {backup} of removable) if (await isProductionBackup(ctx, backup)) return true;
  return false;
}

/** The flags' rules when there are any, else the config file's; the least number to keep counts from either. */
export function policyInForce(flags: RetentionPolicy, config: RetentionPolicy): RetentionPolicy {
  const keepMin = flags.keepMin ?? config.keepMin;
  return {...(ruleNames(flags).length > 0 ? flags : config), ...(keepMin === undefined ? {} : {keepMin})};
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
  const labels = backups.map(({label}) => label);
  return {folder, labels, kept, removable, partials: await findPartials(folder), problems};
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
  const journal = openJournal(ctx, 'prune');
  try {
    for (const item of [...items].reverse()) {
      ctx.signal.throwIfAborted();
      const {path, metadataPath} = item.backup;
      const done = await journal.begin({kind: 'dump-without-metadata', path, metadataPath});
      try {
        await removeBackup(item.backup, ctx.reach);
        await ctx.reach('prune.removed');
        removed.unshift(decisionOf(item));
        ctx.record({pruned: [item.backup.id]});
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        failures.push(error);
        // Half removed, it stays in the journal, from which `recover` knows the rest.
        if (!(await exists(metadataPath))) continue;
      }
      await done();
    }
  } finally {
    await journal.close();
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
  checkLabels({}, policy, plan.labels, ctx.warn);
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

export function decisionOf({
  backup,
  reason,
}: {
  readonly backup: Backup;
  readonly reason: string;
}): PruneDecision {
  return {
    id: backup.id,
    database: backup.database,
    createdAt: backup.createdAt.toISOString(),
    size: backup.sizeBytes,
    reason,
  };
}
