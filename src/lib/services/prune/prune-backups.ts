/** Applies a retention policy to the backups of a place. */
import {type Backup, databaseIdentity, retentionCandidate} from '../../catalog/catalogue.js';
import {
  applyRetention,
  checkLabels,
  refuseEmptyPolicy,
  type RetentionPolicy,
  ruleNames,
} from '../../catalog/retention.js';
import {defined} from '../../base/defined.js';
import {AppError, messageOf} from '../../base/errors.js';
import {countOf} from '../../base/format.js';
import type {ConfirmRequest, RunContext} from '../../run/run-context.js';
import {isProductionBackup} from '../guards/production.js';
import {openJournal} from '../../run/journal.js';
import {localPlace} from '../../storage/local-place.js';
import {isAway, type Place} from '../../storage/place.js';
import {folderOf} from '../../storage/place-catalogue.js';
import {isOrderKey} from '../../storage/placed-orders.js';
import {removeStaged} from '../../storage/transfer-backup.js';

export interface PruneDecision {
  readonly id: string;
  readonly database: string;
  readonly createdAt: string;
  /** Bytes. */
  readonly size: number;
  readonly reason: string;
}

export interface PrunePlan {
  readonly place: Place;
  /** Of all backups. */
  readonly labels: readonly (string | null)[];
  /** Newest first. */
  readonly kept: readonly PruneDecision[];
  readonly removable: readonly {readonly backup: Backup; readonly reason: string}[];
  /** Keys of what copies that were cut off left, and that goes as well. */
  readonly leftovers: readonly string[];
  /** The same as paths, or unfinished files that `recover` removes (`*.partial`). */
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
  readonly waitMs?: number;
}

/** A copy that takes longer than this is taken for one that was cut off. */
const leftoverAfterMs = 24 * 3_600_000;

/**
 * Shows what the policy keeps and removes, asks, and removes; and what copies that were cut off left, where that is in no journal.
 * What object lock holds is kept, with the date.
 * @throws USAGE for an empty policy; LOCKED, NOT_CONFIRMED; what `executePrune` throws, and the codes of the store
 */
export async function pruneBackups(
  ctx: RunContext,
  place: Place,
  options: PruneOptions,
): Promise<PruneResult> {
  const {retention = {}} = ctx.settings.config;
  const policy = policyInForce(options.policy, retention);
  const plan = await planPrune(place, policy, ctx.clock.now(), ctx.signal);
  checkLabels(options.policy, retention, plan.labels, ctx.warn);
  const {kept, removable, leftovers, partials, problems} = plan;
  if (removable.length + leftovers.length > 0) ctx.checkName(namesToConfirm(removable));
  const result = {dryRun: options.dryRun, folder: place.url, kept, partials, problems};
  if (options.dryRun || removable.length + leftovers.length === 0) {
    return {...result, removed: removable.map(decisionOf)};
  }
  const isHere = place.isOnThisMachine;
  const copies = `and ${countOf(leftovers.length, 'unfinished copy', 'unfinished copies')} from ${place.url} `;
  await ctx.confirm({
    action: `Remove ${countOf(removable.length, 'backup')} ${isHere ? '' : copies}for good.`,
    host: place.url,
    hostLabel: isHere ? 'folder' : 'place',
    ...namesToConfirm(removable),
    isProduction: await needsProductionName(ctx, options.policy, removable),
    plan: [
      ...removable.map(({backup, reason}) => `${backup.id}: ${reason}`),
      ...leftovers.map((key) => `${place.url}/${key}`),
    ],
  });
  const confirmed = new Set([...removable.map(({backup}) => backup.metadataPath), ...leftovers]);
  const work = () =>
    ctx.progress.step('Remove backups', async () => {
      // Another run may have changed the place while the question was open: what stands now decides, too.
      const current = await planPrune(place, policy, ctx.clock.now(), ctx.signal);
      const removed = await executePrune(ctx, {
        ...current,
        removable: current.removable.filter(({backup}) => confirmed.has(backup.metadataPath)),
      });
      const ours = current.leftovers.filter((key) => confirmed.has(key));
      return {removed, cleared: await clearLeftovers(ctx, place, ours)};
    });
  const {removed, cleared} = place.withLock
    ? await place.withLock(ctx, work, {command: 'prune', waitMs: options.waitMs ?? 0})
    : await work();
  return {...result, partials: isHere ? partials : cleared, removed};
}

/** @returns what is gone */
async function clearLeftovers(
  ctx: RunContext,
  place: Place,
  leftovers: readonly string[],
): Promise<string[]> {
  const cleared: string[] = [];
  for (const staging of leftovers) {
    try {
      await removeStaged(place, staging);
      cleared.push(`${place.url}/${staging}`);
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'STORAGE_DENIED') throw error;
      ctx.warn(`An unfinished copy stays: ${error.message}`);
    }
  }
  return cleared;
}

/** What the question asks for: the databases whose backups go, or a word where unfinished copies alone do. */
function namesToConfirm(
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
async function needsProductionName(
  ctx: RunContext,
  flags: RetentionPolicy,
  removable: readonly {readonly backup: Backup}[],
): Promise<boolean> {
  if (ruleNames(flags).length === 0) return false;
  for (const {backup} of removable) if (await isProductionBackup(ctx, backup)) return true;
  return false;
}

/** The flags' rules when there are any, else the config file's; the least number to keep counts from either. */
function policyInForce(flags: RetentionPolicy, config: RetentionPolicy): RetentionPolicy {
  const keepMin = flags.keepMin ?? config.keepMin;
  return {...(ruleNames(flags).length > 0 ? flags : config), ...(keepMin === undefined ? {} : {keepMin})};
}

/** Reads the place and decides; changes nothing. @throws USAGE for an empty policy, READ_FAILED and the codes of the store */
export async function planPrune(
  place: Place,
  policy: RetentionPolicy,
  now: Date,
  signal?: AbortSignal,
): Promise<PrunePlan> {
  refuseEmptyPolicy(policy);
  const {backups, problems} = await place.catalogue(signal);
  const kept: PruneDecision[] = [];
  const removable: {backup: Backup; reason: string}[] = [];
  for (const decision of applyRetention(backups.map(retentionCandidate), policy, now)) {
    const {backup} = decision.backup;
    const {isKept, reason} = decision;
    const obstacle = isKept ? reason : await place.whyKept(backup, reason, now);
    if (obstacle === undefined) removable.push({backup, reason});
    else kept.push(decisionOf({backup, reason: obstacle}));
  }
  const partials = await place.findPartials?.();
  // A file that tells no backup may be the metadata of any of them, written by a newer version.
  const leftovers = partials || problems.length > 0 ? [] : await findLeftovers(place, backups, now);
  return {
    place,
    labels: backups.map(({label}) => label),
    kept,
    removable,
    leftovers,
    partials: partials ?? leftovers.map((key) => `${place.url}/${key}`),
    problems,
  };
}

/** Folders of files that no metadata names, and uploads in parts, those of order backups too, when nothing was added to them for a day. */
async function findLeftovers(place: Place, backups: readonly Backup[], now: Date): Promise<string[]> {
  const known = new Set(backups.map(({record}) => record && folderOf(record)));
  const newest = new Map<string, number>();
  const note = (key: string, at: Date): void => {
    const folder = isOrderKey(key) ? key : /^data\/[^/]+\//.exec(key)?.[0];
    if (folder === undefined || known.has(folder)) return;
    newest.set(folder, Math.max(newest.get(folder) ?? 0, at.getTime()));
  };
  for await (const {key, modifiedAt} of place.list('data/', true)) note(key, modifiedAt);
  for await (const {key, startedAt} of place.unfinishedUploads()) note(key, startedAt);
  return [...newest].filter(([, at]) => now.getTime() - at > leftoverAfterMs).map(([folder]) => folder);
}

/**
 * Removes what the plan names, oldest first, so that an interruption leaves the newer ones.
 * @returns what was removed
 * @throws FOLDER_NOT_WRITABLE, WRITE_FAILED, STORAGE_DENIED after trying every one; INTERRUPTED between two; at once when the store is away
 */
export async function executePrune(ctx: RunContext, plan: PrunePlan): Promise<PruneDecision[]> {
  const {removed, failures} = await removeEach(ctx, plan.place, plan.removable);
  const [first] = failures;
  if (!first) return removed;
  throw new AppError(
    first.code,
    `${countOf(failures.length, 'backup')} could not be removed, ${countOf(removed.length, 'was', 'were')}.`,
    defined({hint: first.hint, details: failures.map(messageOf), cause: first}),
  );
}

async function removeEach(
  ctx: RunContext,
  place: Place,
  items: PrunePlan['removable'],
): Promise<{removed: PruneDecision[]; failures: AppError[]}> {
  const removed: PruneDecision[] = [];
  const failures: AppError[] = [];
  const journal = openJournal(ctx, 'prune');
  try {
    for (const item of [...items].reverse()) {
      ctx.signal.throwIfAborted();
      try {
        await place.removeBackup(item.backup, journal, ctx.checkpoint);
        removed.unshift(decisionOf(item));
        ctx.record({pruned: [item.backup.id]});
      } catch (error) {
        if (!(error instanceof AppError) || isAway(error)) throw error;
        failures.push(error);
      }
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
  const plan = await planPrune(localPlace(folder), policy, ctx.clock.now());
  checkLabels({}, policy, plan.labels, ctx.warn);
  const identity = databaseIdentity(backup);
  const ofSameDatabase = plan.removable.filter((item) => databaseIdentity(item.backup) === identity);
  const {removed, failures} = await removeEach(ctx, plan.place, ofSameDatabase);
  for (const failure of failures) {
    ctx.warn(`The backup is complete, but an old one could not be removed: ${failure.message}`);
  }
  return removed;
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
