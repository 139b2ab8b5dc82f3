/** Decides for backups of several databases, each by its own policy. */
import {type Backup, retentionCandidate} from './catalogue.js';
import {applyRetention, newestFirst, type RetentionPolicy, ruleNames} from './retention.js';

/** Newest first. Without a policy for its database a backup stays. */
export function decideRetention(
  backups: readonly Backup[],
  policyOf: (backup: Backup) => RetentionPolicy,
  now: Date,
) {
  const byPolicy = new Map<string, {policy: RetentionPolicy; some: Backup[]}>();
  for (const backup of backups) {
    const policy = policyOf(backup);
    const key = JSON.stringify(policy);
    const group = byPolicy.get(key) ?? {policy, some: []};
    group.some.push(backup);
    byPolicy.set(key, group);
  }
  return [...byPolicy.values()]
    .flatMap(({policy, some}) => {
      const candidates = some.map(retentionCandidate);
      return ruleNames(policy).length === 0
        ? candidates.map((backup) => ({backup, isKept: true, reason: 'no rule for its database'}))
        : applyRetention(candidates, policy, now);
    })
    .sort((a, b) => newestFirst(a.backup, b.backup));
}
