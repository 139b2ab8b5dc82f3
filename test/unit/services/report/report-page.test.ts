/** What the page of the report says of the simulated month, word by word: its figures, sentences and tables. */
import {beforeAll, describe, expect, it} from 'vitest';
import {type ReportData, reportData} from '../../../../src/lib/services/report/report-data.js';
import {reportPage} from '../../../../src/lib/services/report/report-page.js';
import {story} from '../../../support/simulated-month.js';
import {reportedAt as now, simulatedReport} from '../../../support/simulated-report.js';

let month: ReportData;

beforeAll(async () => {
  month = await simulatedReport();
});

/** The first figures, each with a mark where it needs somebody. */
function figuresOf(data: ReportData): string[] {
  const figures = reportPage(data, '1.0').matchAll(/<div( class="bad")?><dt>(.*?)<\/dt><dd>(.*?)<\/dd>/g);
  return [...figures].map(([, bad, name, value]) => `${bad === undefined ? 'ok' : 'BAD'} ${name}: ${value}`);
}

/** Sentence, rows of the table as texts, and what follows the table, of the section with that title. */
function sectionOf(data: ReportData, title: string) {
  const html =
    reportPage(data, '1.0')
      .split('<section>')
      .find((text) => text.includes(`<h2>${title}</h2>`)) ?? '';
  const body = /<tbody>(.*?)<\/tbody>/.exec(html)?.[1] ?? '';
  return {
    sentence: /<p>(.*?)<\/p>/.exec(html)?.[1],
    rows: [...body.matchAll(/<tr>(.*?)<\/tr>/g)].map(([, row = '']) =>
      [...row.matchAll(/<td[^>]*>(.*?)<\/td>/g)].map(([, cell = '']) => cell),
    ),
    rest: /<\/table><\/div><p[^>]*>(.*?)<\/p>/.exec(html)?.[1],
  };
}

describe('the first figures', () => {
  it('mark what needs somebody, and nothing else', () => {
    expect(figuresOf(month)).toEqual([
      'ok Newest good backup: 9 h ago',
      'BAD Backup runs that worked: ! 90 % of 33',
      expect.stringMatching(/^BAD Storage used: ! [\d.]+ GB, 14 backups, 1 DAMAGED$/),
      'ok Last restore test: passed 8 h ago',
      'ok Usual time to restore: 1 min 45 s',
    ]);
  });

  it('say of a restore test that failed that it failed', () => {
    const summary = {...month.summary, lastRestoreTest: {at: '2026-11-22T04:00:00.000Z', ok: false}};
    expect(figuresOf({...month, summary})[3]).toBe('BAD Last restore test: ! failed 8 h ago');
  });

  it('never round up to all: one failure in a thousand is not 100 %', () => {
    const summary = {...month.summary, backupRuns: {ok: 999, failed: 1}};
    expect(figuresOf({...month, summary})[1]).toBe('BAD Backup runs that worked: ! 99 % of 1,000');
  });

  it('mark that there is nothing', () => {
    const empty = reportData({backups: [], runs: [], plan: undefined, findings: [], now});
    expect(figuresOf(empty)).toEqual([
      'BAD Newest good backup: ! none',
      'ok Backup runs that worked: no runs',
      'ok Storage used: 0 B, 0 backups',
      'BAD Last restore test: ! never',
      'ok Usual time to restore: not measured',
    ]);
  });
});

/** The verdict's sentence and its lines. */
function verdictOf(data: ReportData) {
  const [, bad, text, list = ''] =
    /<div class="verdict( bad)?"><p>(.*?)<\/p>(?:<ul>(.*?)<\/ul>)?<\/div>/.exec(reportPage(data, '1.0')) ??
    [];
  return [
    bad === undefined ? 'ok' : 'BAD',
    text,
    ...[...list.matchAll(/<li>(.*?)<\/li>/g)].map(([, line]) => line),
  ];
}

describe('the verdict', () => {
  it('says that nothing needs attention only where status finds nothing', () => {
    expect(verdictOf({...month, findings: []})).toEqual(['ok', 'Nothing needs attention.']);
    expect(verdictOf(month)).toEqual([
      'BAD',
      '1 problem needs attention.',
      'WARNING: shop: 1 backup is damaged; see destino-db list.',
    ]);
    const findings = [
      {severity: 'critical', code: 'TOO_OLD', database: 'shop', message: 'shop: too old.'},
      {severity: 'warning', code: 'DAMAGED', database: 'shop', message: 'shop: 1 backup is damaged.'},
    ] as const;
    const bad = {...month, findings};
    expect(verdictOf(bad)).toEqual([
      'BAD',
      '2 problems need attention, 1 of them critical.',
      'CRITICAL: shop: too old.',
      'WARNING: shop: 1 backup is damaged.',
    ]);
    expect(figuresOf(bad)[0]).toBe('BAD Newest good backup: ! 9 h ago');
  });

  it('has DAMAGED beside every backup of which a check failed', () => {
    const [newest] = month.backups.slice(-1);
    if (!newest) throw new Error('the month has no backups');
    const damaged = {...month, backups: [...month.backups.slice(0, -1), {...newest, isDamaged: true}]};
    expect(sectionOf(damaged, 'Size of backups').rows[0]?.[1]).toBe('shop, sql DAMAGED');
  });
});

describe('curves', () => {
  /** The sentence about backups of these sizes, in kB. */
  const about = (...sizes: readonly (readonly [kB: number, format?: string])[]) => {
    const [one] = month.backups;
    if (!one) throw new Error('the month has no backups');
    const backups = sizes.map(([kB, format = 'custom'], index) => ({
      ...one,
      at: `2026-11-${String(index + 1).padStart(2, '0')}T02:00:00.000Z`,
      sizeBytes: kB * 1000,
      format,
      alarms: [],
    }));
    return sectionOf({...month, backups}, 'Size of backups').sentence;
  };

  it.each([
    [[[163]], '1 backup; its size was 163 kB.'],
    [[[163], [165], [163]], '3 backups; their size stayed at about 163 kB.'],
    [[[100], [120], [129]], '3 backups; their size went from 100 kB to 129 kB, 29 % more.'],
    [
      [[163], [235], [163]],
      '3 backups; their size went from 163 kB to 163 kB, with 235 kB at most (2026-11-02).',
    ],
    [
      [[100], [50], [300], [110]],
      '4 backups; their size went from 100 kB to 110 kB, 10 % more, with 300 kB at most (2026-11-03) and 50.0 kB at least (2026-11-02).',
    ],
    [
      [[100], [400, 'sql'], [120], [800, 'sql'], [130]],
      '5 backups; their size: &quot;shop, custom&quot; went from 100 kB to 130 kB, 30 % more; &quot;shop, sql&quot; went from 400 kB to 800 kB, 100 % more.',
    ],
  ] as const)('%j', (sizes, sentence) => {
    expect(about(...sizes)).toBe(sentence);
  });
});

describe('the sections', () => {
  it('tell growth as growth, alarms beside their backup, and how many rows a table is cut by', () => {
    const {sentence, rows, rest} = sectionOf(month, 'Size of backups');
    expect(sentence).toBe(
      '30 backups; their size: &quot;shop, custom&quot; went from 100 MB to 129 MB, 29 % more, with 24.8 MB at least (2026-11-17); &quot;shop, sql&quot; went from 131 MB to 168 MB, 28 % more. 1 backup held far fewer rows than the one before.',
    );
    expect(rows.find(([at]) => at === `${story.shrunk} 02:00`)?.[1]).toMatch(
      /^shop, custom \(alarm: public\.orders has 1440 rows, 14300 before\.\)$/,
    );
    expect(rows).toHaveLength(12);
    expect(rest).toBe('and 18 more; destino-db report --json has them all');
    const shrinking = {...month, backups: month.backups.toReversed()};
    expect(sectionOf(shrinking, 'Size of backups').sentence).toContain('from 129 MB to 100 MB, 22 % less,');
  });

  it('tell failed runs among the gaps, with their codes', () => {
    const {sentence, rows} = sectionOf(month, 'Gaps in the schedule');
    expect(sentence).toBe('The longest time without a new backup was 2 d 23 h.');
    const failed = rows.filter(([, , what]) => what?.startsWith('backup '));
    expect(failed).toEqual([
      [`${story.interrupted} 02:00`, '', 'backup interrupted: INTERRUPTED'],
      [`${story.diskFull} 02:00`, '', 'backup failed: DISK_FULL'],
      [`${story.connectionRefused} 02:00`, '', 'backup failed: CONNECTION_REFUSED'],
    ]);
  });

  it('tell the runs of the plan that never began', () => {
    const {sentence, rows} = sectionOf(month, 'Success by week');
    expect(sentence).toBe('30 backup runs worked, 3 failed, 2 of the plan never began.');
    expect(rows[1]).toEqual(['2026-11-09', '5', '1', '2', '62 %']);
  });

  it('tell restore tests that failed in the sentence and in the table', () => {
    const {sentence, rows} = sectionOf(month, 'Restore tests');
    expect(sentence).toBe('5 restore tests, 1 of them failed; restoring usually takes 1 min 45 s.');
    // The one figure, also where a test that failed took longer.
    const summary = {...month.summary, usualRestoreTime: 592};
    expect(sectionOf({...month, summary}, 'Restore tests').sentence).toContain('usually takes 592 ms.');
    expect(rows.map(([at, , result]) => [at?.slice(0, 10), result])).toContainEqual([
      story.restoreTestFailed,
      'failed',
    ]);
    expect(rows.filter(([, , result]) => result === 'passed')).toHaveLength(4);
  });

  it('count the orders that were taken out, not those put back', () => {
    const {sentence, rows} = sectionOf(month, 'Order cleanings');
    expect(sentence).toBe('2 runs changed orders; 12 testing orders were taken out.');
    expect(rows.map((row) => row.slice(1))).toEqual([
      ['orders:restore', 'ok', '12', '61'],
      ['orders:clean', 'ok', '12', '61'],
    ]);
  });

  it('tell rows that were not counted as such, not as none', () => {
    const [table] = month.tables;
    if (!table) throw new Error('the month has no tables');
    const {rows} = sectionOf({...month, tables: [{...table, rows: null, sizeBytes: null}]}, 'Tables of shop');
    expect(rows).toEqual([['public.orders', 'not counted', 'not measured']]);
  });

  it('name the place that could not be read, and why', () => {
    const here = {
      place: '/backups',
      backups: 14,
      size: 1_000_000,
      newestGood: {createdAt: '2026-11-22T02:00:00.000Z'},
    };
    const away = {
      place: 's3://bucket/<x>',
      backups: 0,
      size: 0,
      newestGood: null,
      error: {message: 'no such bucket'},
    };
    const data = reportData({
      backups: [],
      runs: [],
      plan: undefined,
      findings: [],
      now,
      places: [{...here, error: null}, away],
    });
    const {sentence, rows} = sectionOf(data, 'Places');
    expect(sentence).toBe('1 place could not be read.');
    expect(rows).toEqual([
      ['/backups', '14', '1.0 MB', '2026-11-22 02:00'],
      ['s3://bucket/&lt;x&gt;', '', '', 'no such bucket'],
    ]);
  });
});

it('the page forbids itself every script and everything from elsewhere', () => {
  const policy = /<meta http-equiv="Content-Security-Policy" content="([^"]*)">/.exec(
    reportPage(month, '1.0'),
  )?.[1];
  expect(policy).toBe("default-src 'none'; style-src 'unsafe-inline'; img-src data:");
});
