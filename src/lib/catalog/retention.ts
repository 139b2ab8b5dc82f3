/** Decides which backups a retention policy keeps, and why. Pure, so that a dry run and a real run cannot differ. */
import {AppError} from '../base/errors.js';
import {nearest} from '../base/nearest.js';
import {parseDuration} from '../base/parse-duration.js';

/** Rules are combined with "or": a backup kept by any of them is kept. */
export interface RetentionPolicy {
  /** All backups of the last N times 24 hours. */
  readonly keepDays?: number;
  /** All backups of this duration before the newest intact one of their database, such as "36h". */
  readonly keepWithin?: string;
  /** The newest N backups. */
  readonly keepLast?: number;
  /** The newest backup of each of the last N hours (days, weeks, months, years) that have one; UTC, ISO 8601 weeks. */
  readonly keepHourly?: number;
  readonly keepDaily?: number;
  readonly keepWeekly?: number;
  readonly keepMonthly?: number;
  readonly keepYearly?: number;
  /** Every backup with one of these labels. */
  readonly keepLabels?: readonly string[];
  /** Minimum number of intact backups of a database, whatever their age; 2 by default. */
  readonly keepMin?: number;
}

export const defaultKeepMin = 2;

/** The facts about a backup that retention needs. */
export interface RetentionCandidate {
  readonly id: string;
  /** The database of the backup; backups of different databases never influence each other. */
  readonly identity: string;
  readonly createdAt: Date;
  readonly label: string | null;
  /** Not known to be damaged. Only intact ones are counted. */
  readonly isGood: boolean;
  /** Whether a restore test has passed. */
  readonly isProvenByRestore: boolean;
  /** Whether an unaccepted shrink alarm was raised for it. */
  readonly isShrunk: boolean;
  /** Whether `label --keep` keeps it, whatever the policy. */
  readonly isKeptByLabel?: boolean;
}

export interface RetentionDecision<T extends RetentionCandidate> {
  readonly backup: T;
  readonly isKept: boolean;
  /** The rules that keep it, or why none does. */
  readonly reason: string;
}

/**
 * Decides on every backup. The newest intact backup and the newest one proven by restore of each
 * database are always kept, as are `keepMin` intact ones
 * and those that `label --keep` keeps. Nothing of a database is removed while its newest intact backup has an
 * unaccepted shrink alarm. Backups dated in the future are kept and not counted.
 * @returns newest first
 * @throws USAGE if no rule of the policy keeps anything
 */
export function applyRetention<T extends RetentionCandidate>(
  backups: readonly T[],
  policy: RetentionPolicy,
  now: Date,
): RetentionDecision<T>[] {
  refuseEmptyPolicy(policy);
  const groups = new Map<string, T[]>();
  for (const backup of [...backups].sort(newestFirst)) {
    const group = groups.get(backup.identity);
    if (group) group.push(backup);
    else groups.set(backup.identity, [backup]);
  }
  const decisions = [...groups.values()].flatMap((group) => decideGroup(group, policy, now));
  return decisions.sort((a, b) => newestFirst(a.backup, b.backup));
}

/** @throws USAGE */
export function refuseEmptyPolicy(policy: RetentionPolicy): void {
  if (ruleNames(policy).length > 0) return;
  throw new AppError(
    'USAGE',
    'The retention policy is empty: no rule keeps anything, so nothing was removed.',
    {
      hint: 'Set at least one rule, such as --keep-days 30 or --keep-daily 7 --keep-weekly 4, or "retention" in the config file.',
    },
  );
}

/** The rules in force, spelled as flags: "keep-days 30", "keep-label release". @throws USAGE for a duration that is none */
export function ruleNames(policy: RetentionPolicy): string[] {
  const counted: [string, number | undefined][] = [
    ['keep-days', policy.keepDays],
    ['keep-last', policy.keepLast],
    ['keep-hourly', policy.keepHourly],
    ['keep-daily', policy.keepDaily],
    ['keep-weekly', policy.keepWeekly],
    ['keep-monthly', policy.keepMonthly],
    ['keep-yearly', policy.keepYearly],
  ];
  return [
    ...counted.flatMap(([name, count]) => (count === undefined || count === 0 ? [] : [`${name} ${count}`])),
    ...(withinMs(policy) > 0 ? [`keep-within ${policy.keepWithin ?? ''}`] : []),
    ...(policy.keepLabels ?? []).map((label) => `keep-label ${label}`),
  ];
}

/**
 * A mistyped label would keep nothing, and its backups would be removed. A label in the config file only causes a warning: its first
 * backup may not exist yet, and retention after a backup must not stop.
 * @param labels the labels of the backups
 * @throws USAGE for a label of a flag that no backup has and that resembles one that some backup has
 */
export function checkLabels(
  flags: RetentionPolicy,
  config: RetentionPolicy,
  labels: readonly (string | null)[],
  warn: (message: string) => void,
): void {
  const known = [...new Set(labels.filter((label) => label !== null))];
  const unknown = (named: readonly string[] = []): {label: string; guess: string | undefined}[] =>
    named
      .filter((label) => !known.includes(label))
      .map((label) => ({
        label,
        guess: nearest(
          label,
          known.filter((other) => !named.includes(other)),
        ),
      }));
  for (const {label, guess} of unknown(flags.keepLabels)) {
    const problem = `--keep-label: no backup has the label "${label}"`;
    if (guess === undefined) warn(`${problem}.`);
    else {
      throw new AppError('USAGE', `${problem}; nothing was removed. Did you mean "${guess}"?`, {
        hint: 'List the labels: destino-db list',
      });
    }
  }
  if (ruleNames(flags).length > 0) return;
  for (const {label, guess} of unknown(config.keepLabels))
    if (guess !== undefined)
      warn(`retention.keepLabels: no backup has the label "${label}". Did you mean "${guess}"?`);
}

const dayMs = 86_400_000;

/** @throws USAGE */
function withinMs({keepWithin}: RetentionPolicy): number {
  return keepWithin === undefined ? 0 : parseDuration(keepWithin, '--keep-within');
}

/** @param group all backups of one database, newest first */
function decideGroup<T extends RetentionCandidate>(
  group: readonly T[],
  policy: RetentionPolicy,
  now: Date,
): RetentionDecision<T>[] {
  const reasons = new Map<T, string[]>(group.map((backup) => [backup, []]));
  const keep = (backup: T, reason: string): void => void reasons.get(backup)?.push(reason);
  const isFuture = (backup: T): boolean => backup.createdAt > now;
  const counted = group.filter((backup) => backup.isGood && !isFuture(backup));
  const [newestGood] = counted;
  const newestProven = counted.find((backup) => backup.isProvenByRestore);
  const youngerThan = now.getTime() - (policy.keepDays ?? 0) * dayMs;
  // As restic counts: from the newest backup, so that backups that no longer run lose nothing.
  const within = withinMs(policy);
  const isWithin = (at: Date): boolean =>
    within > 0 && newestGood !== undefined && at.getTime() > newestGood.createdAt.getTime() - within;

  for (const backup of group) {
    if (isFuture(backup)) keep(backup, 'dated in the future');
    if (backup.isKeptByLabel === true) keep(backup, 'kept by label --keep');
    if (backup === newestGood) keep(backup, 'newest intact backup');
    if (backup === newestProven) keep(backup, 'newest proven by restore');
    if (backup.label !== null && policy.keepLabels?.includes(backup.label))
      keep(backup, `label ${backup.label}`);
    if (!isFuture(backup) && backup.createdAt.getTime() > youngerThan)
      keep(backup, `within ${policy.keepDays ?? 0} days`);
    if (!isFuture(backup) && isWithin(backup.createdAt))
      keep(backup, `within ${policy.keepWithin ?? ''} of the newest`);
    if (!backup.isGood && !(newestGood && newestGood.createdAt > backup.createdAt))
      keep(backup, 'damaged, but no intact one is newer');
    if (newestGood?.isShrunk)
      keep(backup, 'the newest backup shrank and this was not accepted (backup --accept-shrink)');
  }
  counted.slice(0, policy.keepLast ?? 0).forEach((backup, index) => keep(backup, `last ${index + 1}`));
  const periods: [number | undefined, string, (at: Date) => string][] = [
    [policy.keepHourly, 'hourly', (at) => at.toISOString().slice(0, 13)],
    [policy.keepDaily, 'daily', dayOf],
    [policy.keepWeekly, 'weekly', weekOf],
    [policy.keepMonthly, 'monthly', (at) => dayOf(at).slice(0, 7)],
    [policy.keepYearly, 'yearly', (at) => dayOf(at).slice(0, 4)],
  ];
  for (const [count, name, periodOf] of periods) {
    for (const [period, backup] of newestOfEach(counted, count ?? 0, periodOf))
      keep(backup, `${name} ${period}`);
  }
  const keepMin = policy.keepMin ?? defaultKeepMin;
  const isUnkept = (backup: T): boolean => reasons.get(backup)?.length === 0;
  let missing = keepMin - counted.filter((backup) => !isUnkept(backup)).length;
  for (const backup of counted) {
    if (missing <= 0) break;
    if (!isUnkept(backup)) continue;
    keep(backup, `keep-min ${keepMin}`);
    missing -= 1;
  }
  const rules = ruleNames(policy).join(', ');
  return group.map((backup) => {
    const kept = reasons.get(backup) ?? [];
    const why = backup.isGood ? `no rule keeps it (${rules})` : 'damaged, and a newer intact one is kept';
    return {backup, isKept: kept.length > 0, reason: kept.length > 0 ? kept.join(', ') : why};
  });
}

/** The newest backup of each of the newest `count` periods, with the period's name. */
function newestOfEach<T extends RetentionCandidate>(
  backups: readonly T[],
  count: number,
  periodOf: (at: Date) => string,
): Map<string, T> {
  const chosen = new Map<string, T>();
  for (const backup of backups) {
    const period = periodOf(backup.createdAt);
    if (chosen.has(period)) continue;
    if (chosen.size === count) break;
    chosen.set(period, backup);
  }
  return chosen;
}

/** "2026-11-22" */
function dayOf(at: Date): string {
  return at.toISOString().slice(0, 10);
}

/** "2026-W47": ISO 8601 weeks begin on Monday and belong to the year of their Thursday. */
function weekOf(at: Date): string {
  const thursday = new Date(at);
  thursday.setUTCDate(at.getUTCDate() + 4 - (at.getUTCDay() || 7));
  const dayOfYear = (Date.UTC(thursday.getUTCFullYear(), thursday.getUTCMonth(), thursday.getUTCDate()) - Date.UTC(thursday.getUTCFullYear(), 0, 1)) / dayMs; // prettier-ignore
  return `${thursday.getUTCFullYear()}-W${String(Math.floor(dayOfYear / 7) + 1).padStart(2, '0')}`;
}

/** Several backups can have the same second; the longer id (-2, -10) is the later one then. */
export function newestFirst(
  a: Pick<RetentionCandidate, 'id' | 'createdAt'>,
  b: Pick<RetentionCandidate, 'id' | 'createdAt'>,
): number {
  return (
    b.createdAt.getTime() - a.createdAt.getTime() ||
    b.id.length - a.id.length ||
    (a.id < b.id ? 1 : a.id > b.id ? -1 : 0)
  );
}
