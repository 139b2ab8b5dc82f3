/** The exact text of the report: its verdict, its incidents, its figures, sentences and tables. */
import {beforeAll, describe, expect, it} from 'vitest';
import {
  type ReportData,
  reportData,
  type ReportInput,
} from '../../../../src/lib/services/report/report-data.js';
import {reportPage} from '../../../../src/lib/services/report/report-page.js';
import type {Finding} from '../../../../src/lib/services/status/assess.js';
import {generateHistory, type GeneratedHistory} from '../../../support/generated-history.js';
import {sampleRecord} from '../../../support/sample-backups.js';
import {sampleRun} from '../../../support/sample-run.js';
import {story} from '../../../support/simulated-month.js';
import {catalogueOf} from '../../../support/simulated-status.js';
import {reportedAt as now, simulatedReport} from '../../../support/simulated-report.js';

let month: ReportData;

beforeAll(async () => {
  month = await simulatedReport();
});

const nothing: ReportInput = {backups: [], runs: [], plan: undefined, findings: [], now};

/** The data of generated histories, as they are on disk and in the audit log. */
function dataOf(histories: readonly GeneratedHistory[], more: Partial<ReportInput> = {}): ReportData {
  const records = histories.flatMap(({backups}) => backups);
  return reportData({
    ...nothing,
    backups: catalogueOf(records.toSorted((a, b) => (a.timestamp < b.timestamp ? -1 : 1))).backups,
    runs: histories.flatMap(({runs}) => runs).toSorted((a, b) => (a.startedAt < b.startedAt ? -1 : 1)),
    ...more,
  });
}

const pageOf = (data: ReportData): string => reportPage(data, '1.0');
const textOf = (html: string): string =>
  html
    .replace(/<[^>]*>/g, ' ')
    .replace(/ +/g, ' ')
    .trim();
const matches = (html: string, pattern: RegExp): string[] =>
  [...html.matchAll(pattern)].map(([, found = '']) => textOf(found));

/** The part of a page about one database, or about the storage. */
const groupOf = (data: ReportData, title: string): string =>
  pageOf(data)
    .split('<section class="group"')
    .find((text) => text.includes(`<h2>${title}</h2>`)) ?? '';

/** Sentence and picture of a section. */
function sectionOf(data: ReportData, title: string, group = 'Database shop') {
  const html =
    groupOf(data, group)
      .split('<section class="card">')
      .find((text) => text.startsWith(`<h3>${title}</h3>`)) ?? '';
  return {sentence: /<p>(.*?)<\/p>/.exec(html)?.[1], html};
}

/** The rows of a folded table, by the beginning of its summary. */
function tableOf(data: ReportData, summary: string, group = 'Database shop'): string[][] {
  const html = new RegExp(`<summary>${summary}.*?</details>`, 's').exec(groupOf(data, group))?.[0] ?? '';
  const body = /<tbody>(.*?)<\/tbody>/s.exec(html)?.[1] ?? '';
  return [...body.matchAll(/<tr>(.*?)<\/tr>/g)].map(([, row = '']) =>
    [...row.matchAll(/<td[^>]*>(.*?)<\/td>/g)].map(([, cell = '']) => cell),
  );
}

/** The first figures, each highlighted if it needs attention. */
function figuresOf(data: ReportData): string[] {
  const figures = pageOf(data).matchAll(
    /<div( class="bad")?><dt>(.*?)<\/dt><dd>(.*?)<small>(.*?)<\/small><\/dd>/g,
  );
  return [...figures].map(
    ([, bad, name, value, note]) => `${bad === undefined ? 'ok' : 'BAD'} ${name}: ${value} (${note})`,
  );
}

describe('the title', () => {
  it('names the databases and the machine, or the location', () => {
    const title = (data: ReportData) => /<title>(.*?)<\/title>/.exec(pageOf(data))?.[1];
    const heading = (data: ReportData) => /<h1>(.*?)<\/h1>/.exec(pageOf(data))?.[1];
    expect(title(month)).toBe('Backups of shop');
    expect(title({...month, machine: 'ops.example'})).toBe('Backups of shop on ops.example');
    expect(heading({...month, machine: 'ops.example'})).toBe('Backups of shop on ops.example');
    expect(title({...month, place: 's3://bucket'})).toBe('Backups of shop in s3://bucket');
    const [shop] = month.databases;
    if (!shop) throw new Error('the month has no database');
    const databases = ['a', 'b', 'c', 'd', 'e'].map((label) => ({...shop, label}));
    expect(title({...month, databases, machine: 'ops'})).toBe('Backups of a, b, c, and 2 more on ops');
    expect(title(reportData({...nothing, machine: 'ops'}))).toBe('Database backups on ops');
  });
});

/** The verdict's state, headline, meaning and findings. */
function verdictOf(data: ReportData) {
  const html = /<section class="verdict.*?<\/section>/s.exec(pageOf(data))?.[0] ?? '';
  return {
    state: /class="verdict (\w+)"/.exec(html)?.[1],
    headline: /<h2>(.*?)<\/h2>/.exec(html)?.[1],
    meaning: /<p>(.*?)<\/p>/.exec(html)?.[1],
    findings: matches(html, /<li[^>]*>(.*?)<\/li>/g),
  };
}

describe('the verdict', () => {
  const findings: readonly Finding[] = [
    {severity: 'warning', code: 'DAMAGED', database: 'shop', message: 'shop: 1 backup is damaged.'},
    {severity: 'critical', code: 'TOO_OLD', database: 'shop', message: 'shop: too old.'},
  ];

  it('comes before everything else, and the findings with it', () => {
    const page = pageOf({...month, findings});
    const order = [
      '<h1>',
      'class="verdict',
      'shop: too old.',
      'class="figures"',
      'Alarms and failures',
      '<svg',
    ];
    const positions = order.map((text) => page.indexOf(text, page.indexOf('<body>')));
    expect(positions).toEqual(positions.toSorted((a, b) => a - b));
    expect(positions).not.toContain(-1);
  });

  it('says that nothing needs attention only if status finds nothing', () => {
    expect(verdictOf({...month, findings: [], nextBackupAt: '2026-11-23T02:00:00.000Z'})).toEqual({
      state: 'ok',
      headline: 'Nothing needs attention.',
      meaning:
        'A usable backup of the database exists, from 22 Nov 2026, 03:00. A test has shown that the backups can be restored. The next backup is planned for 23 Nov 2026, 02:00.',
      findings: [],
    });
    expect(verdictOf(month)).toMatchObject({
      state: 'warning',
      headline: '1 problem needs attention.',
      findings: [
        'Warning: A backup of shop is damaged. Another one is intact. shop: 1 backup is damaged; see destino-db list.',
      ],
    });
  });

  it('has the critical findings first, in words for the owner of the data and in those of status', () => {
    expect(verdictOf({...month, findings})).toEqual({
      state: 'critical',
      headline: '2 problems need attention, 1 of them critical.',
      meaning: 'Data could be lost. The problems below should be solved today.',
      findings: [
        'Critical: The newest backup of shop is too old. If data were lost today, everything entered since that backup would be gone. shop: too old.',
        'Warning: A backup of shop is damaged. Another one is intact. shop: 1 backup is damaged.',
      ],
    });
    expect(verdictOf({...month, findings: findings.slice(1)}).headline).toBe(
      '1 critical problem needs attention.',
    );
  });

  it('says that no restore test has passed', () => {
    const untested = dataOf([generateHistory({firstDay: '2026-11-20', days: 3, size: () => 1e6})]);
    expect(verdictOf(untested).meaning).toContain('No test has shown yet that the backups can be restored.');
    expect(verdictOf(reportData(nothing)).meaning).toBe('There is no backup yet.');
  });
});

describe('the first figures', () => {
  it('highlight only figures that need attention', () => {
    expect(figuresOf(month)).toEqual([
      'ok Newest usable backup: 22 Nov 2026 (03:00 UTC, 9 h before this report)',
      'BAD Backup runs that worked: ! 30 of 33 (2 more runs did not start)',
      'ok Last restore test: passed (22 Nov 2026, 04:00)',
      'ok Time to restore: 1 min 45 s (usual time in 4 tests)',
      expect.stringMatching(/^BAD Stored backups: ! 14 \([\d.]+ GB, 1 damaged\)$/),
    ]);
    const late: Finding = {severity: 'critical', code: 'TOO_OLD', database: 'shop', message: 'x'};
    expect(figuresOf({...month, findings: [late]})[0]).toMatch(/^BAD Newest usable backup: ! 22 Nov 2026/);
  });

  it('highlight that there is no backup', () => {
    const findings: readonly Finding[] = [
      {severity: 'critical', code: 'NO_BACKUP', database: 'shop', message: 'shop: there is no backup.'},
    ];
    const named = [{name: 'shop', systemIdentifier: null, host: null, port: null}];
    expect(figuresOf(reportData({...nothing, named, findings}))).toEqual([
      'BAD Newest usable backup: ! none (nothing could be restored)',
      'ok Backup runs that worked: no runs ()',
      'BAD Last restore test: ! never (no backup was restored as a test)',
      'ok Time to restore: not measured ()',
      'ok Stored backups: 0 (0 B)',
    ]);
  });
});

describe('alarms and failures', () => {
  /** The sentence, and every entry in its order. */
  const incidentsOf = (data: ReportData) => {
    const html = /<h2>Alarms and failures<\/h2>.*?<section class="group"/s.exec(pageOf(data))?.[0] ?? '';
    return {sentence: /<p>(.*?)<\/p>/.exec(html)?.[1], entries: matches(html, /<li>(.*?)<\/li>/g)};
  };

  it('include failed runs, failed checks, alarms, missed runs and long gaps', () => {
    const {sentence, entries} = incidentsOf(month);
    expect(sentence).toBe(
      'Since 24 Oct 2026, 3 backup runs failed, 1 check failed, 1 backup had far fewer rows than the one before, 2 planned runs did not start and 4 pauses without a new backup were unusually long.',
    );
    expect(entries).toEqual([
      `${story.shrunk} 02:00 Alarm. The backup shop-2026-11-17T02-00-00 has far fewer rows than the one before: public.orders has 1440 rows, 14300 before.`,
      `${story.restoreTestFailed} 04:00 Check failed. The restore test of shop-2026-11-15T02-00-00 failed: public.orders holds other rows than the backup.`,
      `${story.interrupted} 02:00 Backup failed. Interrupted. Unfinished work was cleaned up, except where a warning says otherwise. (INTERRUPTED)`,
      '2026-11-11 02:00 Long gap. For 2 d there was no new backup of shop.',
      `${story.missed[1]} 02:00 Run missed. &quot;daily custom at 02:00&quot; did not run.`,
      `${story.missed[0]} 02:00 Run missed. &quot;daily custom at 02:00&quot; did not run.`,
      '2026-11-08 03:00 Long gap. For 2 d 23 h there was no new backup of shop.',
      `${story.diskFull} 02:00 Backup failed. The disk is full: nothing was kept. (DISK_FULL)`,
      '2026-11-04 02:00 Long gap. For 2 d there was no new backup of shop.',
      `${story.connectionRefused} 02:00 Backup failed. Nothing answers at db.example:5432. (CONNECTION_REFUSED)`,
      '2026-10-29 02:00 Long gap. For 2 d there was no new backup of shop.',
    ]);
    expect(pageOf(month)).toContain('<summary>3 older</summary>');
  });

  it('include checks of every level, also of a backup that was removed later', () => {
    const proof = {at: '2026-11-21T05:00:00.000Z', ok: false, duration: 1, findings: ['cut']};
    const damaged = sampleRecord('2026-11-21T02:00:00.000Z', {
      verification: {...proof, level: 'checksum'},
      proofs: [{...proof, level: 'archive'}],
    });
    const removed = sampleRun({
      command: 'verify',
      startedAt: '2026-11-20T05:00:00.000Z',
      verifications: [
        {
          backupId: 'gone',
          level: 'archive',
          ok: false,
          outcome: 'failed',
          duration: 1,
          restoreDuration: null,
        },
        {
          backupId: 'busy',
          level: 'restore',
          ok: false,
          outcome: 'not-possible',
          duration: 1,
          restoreDuration: null,
        },
      ],
    });
    const data = reportData({...nothing, backups: catalogueOf([damaged]).backups, runs: [removed]});
    expect(incidentsOf(data).entries).toEqual([
      `2026-11-21 05:00 Check failed. The checksum check of ${damaged.id} failed: cut`,
      `2026-11-21 05:00 Check failed. The archive check of ${damaged.id} failed: cut`,
      '2026-11-20 05:00 Check failed. The archive check of gone failed.',
      '2026-11-20 05:00 Check not possible. The restore test of busy could not be carried out, which says nothing about the backup.',
    ]);
  });

  it('report the absence of incidents, and a gap that lasts', () => {
    const history = generateHistory({firstDay: '2026-11-13', days: 10, size: () => 1e6});
    expect(incidentsOf(dataOf([history]))).toEqual({
      sentence: 'No run failed, no check failed, and no alarm was raised.',
      entries: [],
    });
    const stopped = generateHistory({firstDay: '2026-11-10', days: 6, size: () => 1e6});
    expect(incidentsOf(dataOf([stopped])).entries).toEqual([
      '2026-11-15 02:00 Long gap. For 7 d 10 h there has been no new backup of shop.',
    ]);
  });
});

describe('the sections of a database', () => {
  it('show each day with its state', () => {
    const {sentence, html} = sectionOf(month, 'Days with a backup');
    expect(sentence).toBe(
      'A complete backup was made on 25 of 30 days; 2 of these backups raised an alarm or are damaged; on 3 days it failed; on 2 days it did not start.',
    );
    const states = new Map(
      [...html.matchAll(/class="day (\w+)"><title>(\d+ \w+):/g)].map(([, state, day]) => [day, state]),
    );
    expect(states.size).toBe(30);
    expect(
      ['17 November', '15 November', '30 October', '9 November', '1 November'].map((day) => states.get(day)),
    ).toEqual(['alarm', 'alarm', 'failed', 'missed', 'ok']);
  });

  it('report growth, and highlight backups with an alarm', () => {
    const {sentence, html} = sectionOf(month, 'Size of backups');
    expect(sentence).toBe(
      'The size of a backup (custom) grew steadily by about 6.3 % a week, from 100 MB to 129 MB; dropped to 24.8 MB for one backup, on 17 November. The size of a backup (sql) grew steadily by about 6.3 % a week, from 131 MB to 168 MB.',
    );
    expect(html.match(/class="ring" cx="\d/g)).toHaveLength(3);
    expect(html).toContain('<desc>The size of a backup (custom) grew steadily');
    expect(sectionOf(month, 'Size of the database').html).not.toContain('class="ring"');
  });

  it('list the damage, the alarms and the removal of backups in the folded table', () => {
    const rows = tableOf(month, 'All backups \\(30\\)');
    expect(rows).toHaveLength(30);
    const remark = (at: string) => rows.find(([time]) => time === at)?.at(-1);
    expect(remark(`${story.restoreTestFailed} 02:00`)).toBe('DAMAGED');
    expect(remark(`${story.shrunk} 02:00`)).toBe('alarm: public.orders has 1440 rows, 14300 before.');
    expect(remark('2026-10-24 02:00')).toBe('removed since');
    expect(groupOf(month, 'Database shop')).not.toMatch(/<details open|<table[^>]*>(?!<caption>)/);
  });

  it('report failed restore tests in the sentence and in the table', () => {
    expect(sectionOf(month, 'Restore tests').sentence).toBe(
      '4 of 5 restore tests passed, 1 failed. The time to restore grew by 31 % from 1 min 31 s to 1 min 59 s.',
    );
    const rows = tableOf(month, 'Restore tests');
    expect(rows.map(([at, , result]) => [at?.slice(0, 10), result])).toContainEqual([
      story.restoreTestFailed,
      'failed',
    ]);
    expect(rows.filter(([, , result]) => result === 'passed')).toHaveLength(4);
  });

  it('report uncounted rows as not counted, not as zero', () => {
    const [table] = month.tables;
    if (!table) throw new Error('the month has no tables');
    const data = {...month, tables: [{...table, rows: null, sizeBytes: null}]};
    expect(tableOf(data, 'Tables')).toEqual([['public.orders', 'not counted', 'not measured']]);
  });

  it('collect data without a picture in one section', () => {
    const one = dataOf([generateHistory({firstDay: '2026-11-22', days: 1, size: () => 1e6})]);
    expect(matches(groupOf(one, 'Database shop'), /<h3>(.*?)<\/h3>/g)).toEqual([
      'Largest tables',
      'Also known',
    ]);
    expect(sectionOf(one, 'Also known').sentence).toMatch(
      /^A complete backup was made on 1 of 1 day\. The size of a backup was 980 kB\. .* No backup was restored as a test/,
    );
  });
});

describe('partial backups', () => {
  const history = generateHistory({firstDay: '2026-10-24', days: 30, size: () => 100e6, hasPartial: true});
  /** How many points each curve of a section has. */
  const curvesOf = (html: string): number[] =>
    [...html.matchAll(/class="line s\d" d="(.*?)"/g)].map(([, path = '']) => path.split(/[ML]/).length - 1);

  it('have their own curve for each kind, separate from those of complete backups', () => {
    const data = dataOf([history]);
    const size = sectionOf(data, 'Size of backups');
    expect(curvesOf(size.html)).toEqual([30]);
    expect(size.sentence).toMatch(/^The size of a backup stayed at about \d+ MB\.$/);
    expect(curvesOf(sectionOf(data, 'Duration of backups').html)).toEqual([30]);
    const {sentence, html} = sectionOf(data, 'Partial backups');
    expect(curvesOf(html)).toEqual([30, 10]);
    expect(sentence).toMatch(
      /^40 backups contain only a part of the database and do not replace a complete backup\. The size \(custom, definitions only\) stayed at about (1\.0 MB|9\d\d kB)\. The size \(custom, orders, order_items\) stayed at about [\d.]+ MB\.$/,
    );
  });

  it('are distinguished even by the audit log alone, after they were removed', () => {
    const data = dataOf([{...history, backups: []}]);
    expect(curvesOf(sectionOf(data, 'Size of backups').html)).toEqual([30]);
    expect(sectionOf(data, 'Partial backups').sentence).toContain('The size (custom, chosen tables)');
  });

  it('do not count for the days, the gaps and the newest usable backup', () => {
    const stopped = generateHistory({firstDay: '2026-10-24', days: 20, size: () => 1e6});
    const schema = (day: string) => {
      const record = sampleRecord(`${day}T03:00:00.000Z`);
      return {...record, config: {...record.config, schemaOnly: true}};
    };
    const parts = ['2026-11-20', '2026-11-21', '2026-11-22'].map(schema);
    const data = dataOf([stopped, {runs: [], backups: parts}]);
    expect(sectionOf(data, 'Days with a backup').sentence).toBe(
      'A complete backup was made on 20 of 30 days.',
    );
    expect(figuresOf(data)[0]).toContain('12 Nov 2026');
    expect(data.gaps).toHaveLength(1);
  });

  it('do not include safety backups among the complete ones', () => {
    const safety = sampleRecord('2026-11-22T09:00:00.000Z', {label: 'safety', size: 90e6});
    const data = dataOf([
      generateHistory({firstDay: '2026-11-13', days: 10, size: () => 1e6}),
      {runs: [], backups: [safety]},
    ]);
    expect(sectionOf(data, 'Size of backups').sentence).toMatch(/^The size of a backup stayed/);
    expect(sectionOf(data, 'Also known').sentence).toContain(
      '1 backup was made by a restore, of the data that it replaced.',
    );
  });
});

describe('several databases in one folder', () => {
  const findings: readonly Finding[] = [
    {severity: 'warning', code: 'RUN_FAILED', database: 'blog', message: 'blog: 1 backup run failed.'},
  ];
  const data = () =>
    dataOf(
      [
        generateHistory({firstDay: '2026-10-24', days: 30, size: () => 100e6, restoreTests: {every: 7}}),
        generateHistory({
          database: 'blog',
          firstDay: '2026-11-03',
          days: 20,
          size: () => 5e6,
          failedDays: [19],
        }),
      ],
      {findings},
    );

  it('each have a section with figures and curves', () => {
    expect(matches(pageOf(data()), /<h2>(.*?)<\/h2>/g).slice(2)).toEqual([
      'Database blog',
      'Database shop',
      'Storage',
    ]);
    expect(sectionOf(data(), 'Size of backups', 'Database blog').sentence).toMatch(/about (5\.\d|4\.9) MB/);
    expect(sectionOf(data(), 'Size of backups', 'Database shop').sentence).toMatch(/about (9\d\.\d|10\d) MB/);
    expect(textOf(groupOf(data(), 'Database blog'))).toContain('Backup runs that worked ! 19 of 20');
    expect(textOf(groupOf(data(), 'Database shop'))).toContain('Backup runs that worked 30 of 30');
    expect(tableOf(data(), 'All backups', 'Database blog')).toHaveLength(19);
  });

  it('are listed at the top with their states, and each alarm names its database', () => {
    const list = /<ul class="overview">.*?<\/ul>/s.exec(pageOf(data()))?.[0] ?? '';
    expect(matches(list, /<li class="warning">(.*?)<\/li>/g)).toEqual([
      '! blog Newest backup: 21 Nov 2026, 02:00 Restore test: never',
    ]);
    expect(matches(list, /<li class="ok">(.*?)<\/li>/g)).toEqual([
      '✓ shop Newest backup: 22 Nov 2026, 02:00 Restore test: passed, 21 Nov 2026',
    ]);
    expect(pageOf(data())).toContain('<b>blog: Backup failed.</b>');
    expect(verdictOf(data()).meaning).toContain(
      'No test has shown yet that the backups of blog can be restored.',
    );
  });

  it('are distinguished if they have the same name on two servers', () => {
    const at = (host: string, days: readonly string[]) =>
      days.map((day) => {
        const record = sampleRecord(`${day}T02:00:00.000Z`);
        return {
          ...record,
          id: `${host}-${day}`,
          source: {...record.source, host, systemIdentifier: host.length === 1 ? '1' : '2'},
        };
      });
    const both = [...at('a', ['2026-11-20', '2026-11-21']), ...at('bb', ['2026-11-22'])];
    const report = reportData({...nothing, backups: catalogueOf(both).backups});
    expect(report.databases.map(({label, backupsOnDisk, server}) => [label, backupsOnDisk, server])).toEqual([
      ['shop@a:5432', 2, 'a:5432'],
      ['shop@bb:5432', 1, 'bb:5432'],
    ]);
    expect(report.tables.map(({databaseLabel}) => databaseLabel)).toEqual(
      expect.arrayContaining(['shop@a:5432', 'shop@bb:5432']),
    );
  });
});

describe('the storage', () => {
  it('counts the orders that were cleaned, not those that were restored', () => {
    expect(pageOf(month)).toContain(
      '<summary>Order cleanings: 2 runs changed orders and removed 12 testing orders</summary>',
    );
    expect(tableOf(month, 'Order cleanings', 'Storage').map((row) => row.slice(1))).toEqual([
      ['orders:restore', 'ok', '12', '61'],
      ['orders:clean', 'ok', '12', '61'],
    ]);
  });

  it('names the location that could not be read, and the reason', () => {
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
    const data = reportData({...nothing, places: [{...here, error: null}, away]});
    const {sentence, html} = sectionOf(data, 'Locations', 'Storage');
    expect(sentence).toBe('1 location of 2 could not be read.');
    expect(matches(html, /<tr>(.*?)<\/tr>/g).slice(1)).toEqual([
      '/backups 14 1.0 MB 2026-11-22 02:00',
      's3://bucket/&lt;x&gt; no such bucket',
    ]);
  });
});

it('the page forbids scripts and external resources', () => {
  const policy = /<meta http-equiv="Content-Security-Policy" content="([^"]*)">/.exec(pageOf(month))?.[1];
  expect(policy).toBe("default-src 'none'; style-src 'unsafe-inline'; img-src data:");
});

it('the page of a quarter of daily backups stays small', () => {
  const quarter = generateHistory({
    firstDay: '2026-08-24',
    days: 91,
    size: () => 1e8,
    restoreTests: {every: 7},
  });
  expect(pageOf(dataOf([quarter])).length).toBeLessThan(100_000);
});
