/** Applies a retention policy to a bucket, and removes what copies that were cut off left there. */
import {type RecordedBackup, retentionCandidate} from '../../catalog/catalogue.js';
import {
  applyRetention,
  checkLabels,
  refuseEmptyPolicy,
  type RetentionPolicy,
} from '../../catalog/retention.js';
import {AppError} from '../../base/errors.js';
import {countOf} from '../../base/format.js';
import type {RunContext} from '../../run/run-context.js';
import {openPlace} from '../../storage/open-place.js';
import type {Place} from '../../storage/place.js';
import {folderOf, metadataKeyOf, readPlace} from '../../storage/place-catalogue.js';
import {filesOf} from '../../storage/stored-record.js';
import {isOrderKey} from '../../storage/placed-orders.js';
import {removeStaged} from '../../storage/transfer-backup.js';
import {
  decisionOf,
  needsProductionName,
  policyInForce,
  type PruneDecision,
  type PruneOptions,
  type PruneResult,
  namesToConfirm,
} from './prune-backups.js';

/** A copy that takes longer than this is taken for one that was cut off. */
const leftoverAfterMs = 24 * 3_600_000;

/**
 * Each backup loses its metadata first: no metadata, no backup. What object lock holds is kept, with the date.
 * @throws USAGE for an empty policy, NOT_CONFIRMED, the codes of the stores
 */
export async function prunePlace(ctx: RunContext, from: string, options: PruneOptions): Promise<PruneResult> {
  const {retention = {}} = ctx.settings.config;
  const policy = policyInForce(options.policy, retention);
  refuseEmptyPolicy(policy);
  const place = await openPlace(ctx.settings, from);
  const {labels, kept, removable, leftovers, problems} = await planPrune(ctx, place, policy);
  checkLabels(options.policy, retention, labels, ctx.warn);
  const plan = {folder: place.url, kept, problems, partials: leftovers.map((key) => `${place.url}/${key}`)};
  if (removable.length + leftovers.length > 0) ctx.checkName(namesToConfirm(removable));
  if (options.dryRun || removable.length + leftovers.length === 0) {
    return {...plan, dryRun: options.dryRun, removed: removable.map(decisionOf)};
  }
  await ctx.confirm({
    action: `Remove ${countOf(removable.length, 'backup')} and ${countOf(leftovers.length, 'unfinished copy', 'unfinished copies')} from ${place.url} for good.`,
    host: place.url,
    hostLabel: 'place',
    ...namesToConfirm(removable),
    isProduction: await needsProductionName(ctx, options.policy, removable),
    plan: [...removable.map(({backup, reason}) => `${backup.id}: ${reason}`), ...plan.partials],
  });
  // Another machine may have changed the place while the question was open: what stands now decides, too.
  const confirmed = new Set(removable.map(({backup}) => backup.metadataPath));
  const current = await planPrune(ctx, place, policy);
  const removed: PruneDecision[] = [];
  for (const item of current.removable.toReversed()) {
    if (!confirmed.has(item.backup.metadataPath)) continue;
    ctx.signal.throwIfAborted();
    await removePlaced(place, item.backup);
    removed.unshift(decisionOf(item));
    ctx.record({pruned: [item.backup.id]});
  }
  const cleared: string[] = [];
  for (const staging of current.leftovers.filter((key) => leftovers.includes(key))) {
    try {
      await removeStaged(place, staging);
      cleared.push(`${place.url}/${staging}`);
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'STORAGE_DENIED') throw error;
      ctx.warn(`An unfinished copy stays: ${error.message}`);
    }
  }
  return {...plan, partials: cleared, dryRun: false, removed};
}

interface PlacePlan {
  readonly labels: readonly (string | null)[];
  readonly kept: readonly PruneDecision[];
  /** Newest first. */
  readonly removable: readonly {readonly backup: RecordedBackup; readonly reason: string}[];
  /** Keys of what copies that were cut off left. */
  readonly leftovers: readonly string[];
  readonly problems: PruneResult['problems'];
}

async function planPrune(ctx: RunContext, place: Place, policy: RetentionPolicy): Promise<PlacePlan> {
  const {backups, problems} = await readPlace(place, ctx.signal);
  const kept: PruneDecision[] = [];
  const removable: {backup: RecordedBackup; reason: string}[] = [];
  const placed = new Map(backups.map((backup) => [backup.metadataPath, backup]));
  for (const decision of applyRetention(backups.map(retentionCandidate), policy, ctx.clock.now())) {
    const backup = placed.get(decision.backup.backup.metadataPath);
    if (!backup) continue;
    const {isKept, reason} = decision;
    const lockedUntil = isKept ? null : await lockOf(place, backup, ctx.clock.now());
    if (isKept) kept.push(decisionOf({backup, reason}));
    else if (lockedUntil)
      kept.push(
        decisionOf({backup, reason: `locked until ${lockedUntil.toISOString()} (would go: ${reason})`}),
      );
    else removable.push({backup, reason});
  }
  // A file that tells no backup may be the metadata of any of them, written by a newer version.
  const leftovers = problems.length > 0 ? [] : await findLeftovers(place, backups, ctx.clock.now());
  return {labels: backups.map(({label}) => label), kept, removable, leftovers, problems};
}

async function removePlaced(place: Place, backup: RecordedBackup): Promise<void> {
  const {record} = backup;
  await place.remove(metadataKeyOf(backup));
  for (const {name} of filesOf(record)) await place.remove(folderOf(record) + name);
}

/** The latest date until which any object of the backup is locked. */
async function lockOf(place: Place, backup: RecordedBackup, now: Date): Promise<Date | null> {
  let latest: Date | null = null;
  const {record} = backup;
  for (const key of [metadataKeyOf(backup), ...filesOf(record).map(({name}) => folderOf(record) + name)]) {
    const until = (await place.status(key))?.lockedUntil ?? null;
    if (until && until > now && (!latest || until > latest)) latest = until;
  }
  return latest;
}

/** Folders of files that no metadata names, and uploads in parts, those of order backups too, when nothing was added to them for a day. */
async function findLeftovers(place: Place, backups: readonly RecordedBackup[], now: Date): Promise<string[]> {
  const known = new Set(backups.map(({record}) => folderOf(record)));
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
