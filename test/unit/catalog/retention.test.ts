import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {defined} from '../../../src/lib/base/defined.js';
import type {AppError} from '../../../src/lib/base/errors.js';
import {
  applyRetention,
  checkLabels,
  type RetentionCandidate,
  type RetentionPolicy,
  ruleNames,
} from '../../../src/lib/catalog/retention.js';

const now = new Date('2026-11-23T02:00:00Z');

/** "2026-11-22T03:10 [shop] [!] [proven] [shrunk] [#label]" */
function candidate(text: string): RetentionCandidate {
  const [at = '', ...words] = text.split(' ');
  const database =
    words.find((word) => /^[a-z]+$/.test(word) && word !== 'proven' && word !== 'shrunk') ?? 'shop';
  return {
    id: `${database}-${at.replaceAll(':', '-')}`,
    identity: database,
    createdAt: new Date(`${at}Z`),
    label: words.find((word) => word.startsWith('#'))?.slice(1) ?? null,
    isGood: !words.includes('!'),
    isProvenByRestore: words.includes('proven'),
    isShrunk: words.includes('shrunk'),
  };
}

/** Nightly for seven weeks, weekly for a year before, then yearly; two on some days; borders of weeks, months and years. */
const history = [
  ...Array.from({length: 50}, (_, day) => new Date(Date.UTC(2026, 10, 22 - day, 3, 10)).toISOString().slice(0, 16)),
  ...Array.from({length: 45}, (_, week) => new Date(Date.UTC(2026, 9, 1 - 7 * week, 3, 10)).toISOString().slice(0, 16)),
  '2026-11-22T15:00', '2026-11-21T23:59', '2026-11-16T00:00', '2026-11-15T23:59', '2026-11-01T00:00', '2026-10-31T23:59',
  '2026-01-01T00:00', '2025-12-31T23:59', '2024-12-30T12:00', '2023-01-01T12:00', '2022-07-01T12:00', '2019-07-01T12:00',
].map((at) => candidate(at)); // prettier-ignore

const policies: Record<string, RetentionPolicy> = {
  'days-30': {keepDays: 30},
  'days-1': {keepDays: 1},
  'last-5': {keepLast: 5},
  'daily-7': {keepDaily: 7},
  'weekly-8': {keepWeekly: 8},
  'monthly-6': {keepMonthly: 6},
  'yearly-10': {keepYearly: 10},
  'grandfather-father-son': {keepDaily: 7, keepWeekly: 4, keepMonthly: 12, keepYearly: 3},
  'everything-together': {
    keepDays: 2,
    keepLast: 3,
    keepDaily: 4,
    keepWeekly: 3,
    keepMonthly: 2,
    keepYearly: 2,
  },
  'last-1-min-4': {keepLast: 1, keepMin: 4},
  'last-1-min-1': {keepLast: 1, keepMin: 1},
};

function table(backups: readonly RetentionCandidate[], policy: RetentionPolicy): string {
  const decisions = applyRetention(backups, policy, now);
  const kept = decisions.filter((decision) => decision.isKept).length;
  return [
    `policy: ${ruleNames(policy).join(', ')}${policy.keepMin === undefined ? '' : `, keep-min ${policy.keepMin}`}`,
    `now: ${now.toISOString()}`,
    `kept ${kept}, removed ${decisions.length - kept}`,
    '',
    ...decisions.map(
      ({backup, isKept, reason}) => `${isKept ? 'keep  ' : 'remove'}  ${backup.id}  ${reason}`,
    ),
    '',
  ].join('\n');
}

describe('golden decisions', () => {
  it.each(Object.entries(policies))('%s', async (name, policy) => {
    await expect(table(history, policy)).toMatchFileSnapshot(`../../fixtures/retention/${name}.txt`);
  });

  it('damaged, proven, labelled, shrunk and future backups of several databases', async () => {
    const backups = [
      '2026-11-24T00:00 shop', '2026-11-22T03:10 shop !', '2026-11-21T03:10 shop', '2026-11-20T03:10 shop !',
      '2026-11-19T03:10 shop', '2026-10-19T03:10 shop', '2026-10-18T03:10 shop !', '2026-09-19T03:10 shop proven',
      '2026-08-19T03:10 shop proven', '2025-08-19T03:10 shop #release', '2025-08-18T03:10 shop #other',
      '2026-11-20T04:00 blog shrunk', '2026-10-20T04:00 blog', '2026-09-20T04:00 blog',
      '2020-01-03T04:00 archive !', '2020-01-02T04:00 archive', '2020-01-01T04:00 archive', '2019-12-31T04:00 archive',
    ].map(candidate); // prettier-ignore
    const policy = {keepDays: 7, keepLabels: ['release']};
    await expect(table(backups, policy)).toMatchFileSnapshot('../../fixtures/retention/mixed.txt');
  });

  it('treats the later one of two backups in a second as the newer', async () => {
    const twins = ['shop-2026-11-22T03-10-00', 'shop-2026-11-22T03-10-00-2', 'shop-2026-11-22T03-10-00-10'];
    const backups = twins.map((id) => ({...candidate('2026-11-22T03:10'), id}));
    const policy = {keepLast: 1, keepMin: 1};
    await expect(table(backups, policy)).toMatchFileSnapshot('../../fixtures/retention/equal-times.txt');
  });
});

describe('rules of hours', () => {
  const frequent = [
    '2026-11-23T03:00', '2026-11-22T23:45', '2026-11-22T23:15', '2026-11-22T22:59 !', '2026-11-22T22:30', '2026-11-22T22:00', '2026-11-22T21:59',
    '2026-11-22T18:10', '2026-11-21T11:46', '2026-11-21T11:45', '2026-11-21T11:44', '2026-11-20T23:45', '2026-06-01T08:00',
    '2026-11-01T09:30 blog', '2026-11-01T08:30 blog', '2026-10-30T21:30 blog', '2026-10-30T21:29 blog',
  ].map(candidate); // prettier-ignore
  it.each([
    ['hourly-3', {keepHourly: 3, keepMin: 1}],
    ['within-36h', {keepWithin: '36h', keepMin: 1}],
    ['hourly-2-within-45m', {keepHourly: 2, keepWithin: '45m', keepDaily: 1, keepMin: 1}],
  ])('%s', async (name, policy) => {
    await expect(table(frequent, policy)).toMatchFileSnapshot(`../../fixtures/retention/${name}.txt`);
  });

  it('refuses a duration that is none, and an empty one alone', () => {
    expect(() => table(frequent, {keepWithin: '36 hours'})).toThrow('--keep-within is "36 hours"');
    expect(() => table(frequent, {keepWithin: '0h'})).toThrow('The retention policy is empty');
  });
});

describe('a label that no backup has', () => {
  const warningsOf = (flags: RetentionPolicy, config: RetentionPolicy = {}): string[] => {
    const warnings: string[] = [];
    checkLabels(flags, config, ['release', 'v1', null], (message) => warnings.push(message));
    return warnings;
  };
  it('is refused if it resembles an existing label, because the intended backups would be removed', () => {
    expect(() => warningsOf({keepLabels: ['relase']})).toThrow(
      '--keep-label: no backup has the label "relase"; nothing was removed. Did you mean "release"?',
    );
  });
  it('causes a warning if it resembles no label, or is given together with the one that it resembles', () => {
    const policy = {keepLabels: ['release', 'audit', 'v1', 'v2']};
    expect(warningsOf(policy)).toEqual([
      '--keep-label: no backup has the label "audit".',
      '--keep-label: no backup has the label "v2".',
    ]);
    expect(warningsOf({}, policy)).toEqual([]);
  });
  it('causes a warning in the config file, unless flags have replaced its rules', () => {
    const config = {keepLabels: ['relase']};
    expect(warningsOf({}, config)).toEqual([
      'retention.keepLabels: no backup has the label "relase". Did you mean "release"?',
    ]);
    expect(warningsOf({keepLast: 3}, config)).toEqual([]);
  });
});

describe('an empty policy', () => {
  it.each([{}, {keepMin: 5}, {keepDays: 0, keepLast: 0}, {keepLabels: []}])('%j is refused', (policy) => {
    expect(() => applyRetention(history, policy, now)).toThrow(
      expect.objectContaining({code: 'USAGE', exitCode: 2}) as AppError,
    );
  });
});

const someCandidate = fc.record({
  id: fc.integer({min: 1, max: 99_999}).map((number) => `backup-${number}`),
  identity: fc.constantFrom('shop', 'blog', 'archive'),
  createdAt: fc.oneof(
    fc.date({min: new Date('2025-06-01'), max: new Date('2026-12-31'), noInvalidDate: true}),
    fc.constantFrom(new Date('2026-11-22T00:00:00Z'), new Date('2026-11-16T00:00:00Z'), now),
  ),
  label: fc.constantFrom(null, 'release', 'other'),
  isGood: fc.boolean(),
  isProvenByRestore: fc.boolean(),
  isShrunk: fc.nat(9).map((number) => number === 0),
});
const someBackups = fc.uniqueArray(someCandidate, {selector: (backup) => backup.id, maxLength: 60});
const rule = fc.option(fc.nat(12), {nil: undefined});
const somePolicy = fc
  .record({
    keepDays: rule, keepLast: rule, keepDaily: rule, keepWeekly: rule, keepMonthly: rule, keepYearly: rule,
    keepLabels: fc.option(fc.constant(['release']), {nil: undefined}),
    keepMin: fc.option(fc.integer({min: 1, max: 6}), {nil: undefined}),
  })
  .map((policy) => defined<RetentionPolicy>(policy))
  .filter((policy) => ruleNames(policy).length > 0); // prettier-ignore

/** Newest first, by time. */
function goodOnes(backups: readonly RetentionCandidate[], identity: string): RetentionCandidate[] {
  return backups
    .filter((backup) => backup.identity === identity && backup.isGood && backup.createdAt <= now)
    .sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime());
}

describe('for all backups and policies', () => {
  const always = (
    check: (backups: RetentionCandidate[], policy: RetentionPolicy, kept: Set<string>) => void,
  ): void => {
    fc.assert(
      fc.property(someBackups, somePolicy, (backups, policy) => {
        const decisions = applyRetention(backups, policy, now);
        expect(decisions).toHaveLength(backups.length);
        check(backups, policy, new Set(decisions.filter((one) => one.isKept).map((one) => one.backup.id)));
      }),
      {numRuns: 500},
    );
  };
  const identities = ['shop', 'blog', 'archive'];

  it('keeps a newest intact backup of each database', () => {
    always((backups, _policy, kept) => {
      for (const identity of identities) {
        const good = goodOnes(backups, identity);
        const newest = good.filter((backup) => backup.createdAt.getTime() === good[0]?.createdAt.getTime());
        if (newest.length > 0) expect(newest.some((backup) => kept.has(backup.id))).toBe(true);
      }
    });
  });

  it('keeps a newest one proven by restore', () => {
    always((backups, _policy, kept) => {
      for (const identity of identities) {
        const proven = goodOnes(backups, identity).filter((backup) => backup.isProvenByRestore);
        const newest = proven.filter(
          (backup) => backup.createdAt.getTime() === proven[0]?.createdAt.getTime(),
        );
        if (newest.length > 0) expect(newest.some((backup) => kept.has(backup.id))).toBe(true);
      }
    });
  });

  it('keeps at least keep-min intact backups of each database', () => {
    always((backups, policy, kept) => {
      for (const identity of identities) {
        const good = goodOnes(backups, identity);
        const keptGood = good.filter((backup) => kept.has(backup.id)).length;
        expect(keptGood).toBeGreaterThanOrEqual(Math.min(good.length, policy.keepMin ?? 2));
      }
    });
  });

  it('decides about each database separately', () => {
    always((backups, policy, kept) => {
      const shop = backups.filter((backup) => backup.identity === 'shop');
      const alone = applyRetention(shop, policy, now).filter((one) => one.isKept);
      expect(new Set(alone.map((one) => one.backup.id))).toEqual(
        new Set(shop.map((backup) => backup.id).filter((id) => kept.has(id))),
      );
    });
  });

  it('removes nothing more in a second run, and ignores the order of the list', () => {
    always((backups, policy, kept) => {
      const left = backups.filter((backup) => kept.has(backup.id));
      expect(applyRetention(left, policy, now).filter((one) => !one.isKept)).toEqual([]);
      const reversed = applyRetention([...backups].reverse(), policy, now).filter((one) => one.isKept);
      expect(new Set(reversed.map((one) => one.backup.id))).toEqual(kept);
    });
  });
});
