/** Applies a retention policy to the backups of a location. */
import {type Backup, databaseIdentity, lockOfBackup} from '../../catalog/catalogue.js';
import {decideRetention} from '../../catalog/decide-retention.js';
import {checkLabels, refuseEmptyPolicy, type RetentionPolicy, ruleNames} from '../../catalog/retention.js';
import {defined} from '../../base/defined.js';
import {AppError, messageOf} from '../../base/errors.js';
import {countOf} from '../../base/format.js';
import {unknownName} from '../../base/unknown-name.js';
import {identityOf} from '../../catalog/database-groups.js';
import {chooseSources, configuredSources, isNamed} from '../../settings/sources.js';
import {sourceNames} from '../databases/source-names.js';
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
  /** The labels of all backups. */
  readonly labels: readonly (string | null)[];
  /** Newest first. */
  readonly kept: readonly PruneDecision[];
  readonly removable: readonly {readonly backup: Backup; readonly reason: string}[];
  /** Keys left behind by interrupted copies, which are removed too. */
  readonly leftovers: readonly string[];
  /** The leftovers as paths, or unfinished files that `recover` removes (`*.partial`). */
  readonly partials: readonly string[];
  /** Unusable metadata files; files that may belong to them are not removed. */
  readonly problems: readonly {readonly path: string; readonly reason: string}[];
}

export interface PruneResult {
  readonly dryRun: boolean;
  readonly folder: string;
  readonly kept: readonly PruneDecision[];
  /** Removed backups, or in a dry run those that would be removed. */
  readonly removed: readonly PruneDecision[];
  readonly partials: readonly string[];
  readonly problems: readonly {readonly path: string; readonly reason: string}[];
}

export interface PruneOptions {
  /** The rules of the command line; without any, those of the config file apply. */
  readonly policy: RetentionPolicy;
  readonly dryRun: boolean;
  /** How long to wait for another run, ms. */
  readonly waitMs?: number;
  /** Only databases with these names, their own or those of the config file. */
  readonly databases?: readonly string[];
  /** Only those of `databases` in the config file. */
  readonly isAllDatabases?: boolean;
}

/** The rules of retention for one backup. */
export interface BackupRule {
  readonly policy: RetentionPolicy;
  /** Whether flags choose its database; others are left alone and not mentioned. */
  readonly isChosen: boolean;
}

/** A copy that takes longer than this counts as interrupted. */
const leftoverAfterMs = 24 * 3_600_000;

/**
 * Shows what the policy keeps and removes, asks, and removes the backups and the leftovers of interrupted copies that no journal lists.
 * Backups under object lock are kept, and the reason contains the date.
 * @throws USAGE for an empty policy; LOCKED after the backups of other databases were removed; NOT_CONFIRMED; the errors of
 * `executePrune`, and the codes of the store
 */
export async function pruneBackups(
  ctx: RunContext,
  place: Place,
  options: PruneOptions,
): Promise<PruneResult> {
  const {retention = {}} = ctx.settings.config;
  const ruleOf = await rulesOf(ctx, place, options);
  const plan = await planPrune(place, ruleOf, ctx.clock.now(), ctx.signal);
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
    action: `Remove ${countOf(removable.length, 'backup')} ${isHere ? '' : copies}permanently.`,
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
  const remove = (isOurs: (backup: Backup) => boolean) =>
    ctx.progress.step('Remove backups', async () => {
      // Another run may have changed the location while the question was open, so the plan is made again.
      const current = await planPrune(place, ruleOf, ctx.clock.now(), ctx.signal);
      const items = current.removable.filter(
        ({backup}) => isOurs(backup) && confirmed.has(backup.metadataPath),
      );
      return {...(await removeEach(ctx, place, items)), leftovers: current.leftovers};
    });
  const {withLock} = place;
  if (!withLock) {
    const {leftovers: current, ...done} = await remove(() => true);
    const removed = allRemoved(done);
    const cleared = await clearLeftovers(
      ctx,
      place,
      current.filter((key) => confirmed.has(key)),
    );
    return {...result, partials: isHere ? partials : cleared, removed};
  }
  const removed: PruneDecision[] = [];
  const failures: AppError[] = [];
  for (const [database, ofDatabase] of byLock(removable)) {
    const isOurs = (backup: Backup): boolean => lockOfBackup(backup) === database;
    const waitMs = options.waitMs ?? 0;
    const lock = {command: 'prune', waitMs, ...(database === undefined ? {} : {database})};
    try {
      const done = await withLock(ctx, () => remove(isOurs), lock);
      removed.push(...done.removed);
      failures.push(...done.failures);
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'LOCKED') throw error;
      failures.push(...ofDatabase.map(() => error));
    }
  }
  return {
    ...result,
    removed: allRemoved({removed, failures}).sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1)),
  };
}

/** Each database has its own lock, so that a long backup of one does not delay the others. */
function byLock(
  removable: PrunePlan['removable'],
): Map<string | undefined, PrunePlan['removable'][number][]> {
  const groups = new Map<string | undefined, PrunePlan['removable'][number][]>();
  for (const item of removable) {
    const lock = lockOfBackup(item.backup);
    groups.set(lock, [...(groups.get(lock) ?? []), item]);
  }
  return groups;
}

/** @returns the removed leftovers */
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
      ctx.warn(`An unfinished copy remains: ${error.message}`);
    }
  }
  return cleared;
}

/** The name that confirms the question: the databases of the backups, or a word if only unfinished copies are removed. */
function namesToConfirm(
  removable: readonly {readonly backup: Backup}[],
): Pick<ConfirmRequest, 'database' | 'databaseLabel'> {
  const names = [...new Set(removable.map(({backup}) => backup.database))].sort();
  if (names.length === 0) return {database: 'prune', databaseLabel: 'word'};
  return {database: names.join(','), ...(names.length > 1 ? {databaseLabel: 'databases'} : {})};
}

/**
 * Whether --confirm-db is required: for backups of production, if the rules come from the command line. The rules of the config file
 * were decided before; they also remove backups after each `backup`.
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

/** The rules of the flags if there are any, otherwise those of the config file; the minimum to keep may come from either. */
function policyInForce(flags: RetentionPolicy, config: RetentionPolicy): RetentionPolicy {
  const keepMin = flags.keepMin ?? config.keepMin;
  return {...(ruleNames(flags).length > 0 ? flags : config), ...(keepMin === undefined ? {} : {keepMin})};
}

/**
 * The rule of every backup: flags, else those of its database in the config file, else those of all.
 * @throws USAGE for a name that no database has, and where no rule is given at all
 */
async function rulesOf(
  ctx: RunContext,
  place: Place,
  options: PruneOptions,
): Promise<(backup: Backup) => BackupRule> {
  const {settings} = ctx;
  const sources = configuredSources(settings);
  const sourceOf = sourceNames(settings);
  const policies = sources.map((source) => ({
    ...source,
    policy: policyInForce(options.policy, source.settings.config.retention ?? {}),
  }));
  const general = policyInForce(options.policy, settings.config.retention ?? {});
  if (policies.every(({policy}) => ruleNames(policy).length === 0)) refuseEmptyPolicy(general);
  const wanted =
    options.isAllDatabases === true
      ? chooseSources(settings, {isAll: true}).map(({name}) => name)
      : options.databases;
  const labelOf = (backup: Backup): string => sourceOf(identityOf(backup)) ?? backup.database;
  if (options.databases) {
    const {backups} = await place.catalogue(ctx.signal);
    const labels = backups.map((backup) => ({label: labelOf(backup), name: backup.database}));
    const known = [...new Set([...sources.map(({name}) => name), ...labels.map(({label}) => label)])];
    const unknown = options.databases.find(
      (one) => !known.includes(one) && !labels.some((label) => isNamed([one], label)),
    );
    if (unknown !== undefined)
      throw unknownName(
        'USAGE',
        `--database: there is no database "${unknown}"; nothing was removed.`,
        unknown,
        known,
      );
  }
  return (backup) => {
    const label = labelOf(backup);
    return {
      policy: policies.find(({name}) => isNamed([name], {label, name: label}))?.policy ?? general,
      isChosen: wanted === undefined || isNamed(wanted, {label, name: backup.database}),
    };
  };
}

/** Reads the location and decides; changes nothing. @throws USAGE for an empty policy, READ_FAILED and the codes of the store */
export async function planPrune(
  place: Place,
  ruleOf: (backup: Backup) => BackupRule,
  now: Date,
  signal?: AbortSignal,
): Promise<PrunePlan> {
  const {backups: all, problems} = await place.catalogue(signal);
  const rules = new Map(all.map((backup) => [backup, ruleOf(backup)]));
  const backups = all.filter((backup) => rules.get(backup)?.isChosen === true);
  const kept: PruneDecision[] = [];
  const removable: {backup: Backup; reason: string}[] = [];
  for (const decision of decideRetention(backups, (backup) => rules.get(backup)?.policy ?? {}, now)) {
    const {backup} = decision.backup;
    const {isKept, reason} = decision;
    const obstacle = isKept ? reason : await place.whyKept(backup, reason, now);
    if (obstacle === undefined) removable.push({backup, reason});
    else kept.push(decisionOf({backup, reason: obstacle}));
  }
  const partials = await place.findPartials?.();
  // An unusable metadata file may belong to any of them and be written by a newer version.
  const leftovers = partials || problems.length > 0 ? [] : await findLeftovers(place, all, now);
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

/** Folders without metadata, and multipart uploads, those of order backups too, that have not changed for a day. */
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

/** @throws the first failure, with the number of backups that could not be removed */
function allRemoved({removed, failures}: Removal): PruneDecision[] {
  const [first] = failures;
  if (!first) return [...removed];
  if (removed.length === 0 && failures.every((failure) => failure === first) && first.code === 'LOCKED')
    throw first;
  throw new AppError(
    first.code,
    `${countOf(failures.length, 'backup')} could not be removed; ${countOf(removed.length, 'was', 'were')} removed.`,
    defined({hint: first.hint, details: [...new Set(failures.map(messageOf))], cause: first}),
  );
}

interface Removal {
  readonly removed: readonly PruneDecision[];
  readonly failures: readonly AppError[];
}

/**
 * Removes the backups of the plan, oldest first, so that after an interruption the newer ones remain.
 * @returns the removed backups
 * @throws FOLDER_NOT_WRITABLE, WRITE_FAILED, STORAGE_DENIED after every backup was tried; INTERRUPTED between two; immediately if the store is unreachable
 */
export async function executePrune(ctx: RunContext, plan: PrunePlan): Promise<PruneDecision[]> {
  return allRemoved(await removeEach(ctx, plan.place, plan.removable));
}

async function removeEach(ctx: RunContext, place: Place, items: PrunePlan['removable']): Promise<Removal> {
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
 * Applies retention after a backup to the backups of the same database. Call it once the new backup is complete and verified.
 * A failure to remove is only a warning, because the backup itself succeeded.
 */
export async function pruneAfterBackup(
  ctx: RunContext,
  backup: Backup,
  folder: string,
  policy: RetentionPolicy,
): Promise<PruneDecision[]> {
  const plan = await planPrune(localPlace(folder), () => ({policy, isChosen: true}), ctx.clock.now());
  checkLabels({}, policy, plan.labels, ctx.warn);
  const identity = databaseIdentity(backup);
  const ofSameDatabase = plan.removable.filter((item) => databaseIdentity(item.backup) === identity);
  const {removed, failures} = await removeEach(ctx, plan.place, ofSameDatabase);
  for (const failure of failures) {
    ctx.warn(`The backup is complete, but an old one could not be removed: ${failure.message}`);
  }
  return [...removed];
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
