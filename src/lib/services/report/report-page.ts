/** The report as a page: which sections there are and what their sentences say. */
import {countOf, formatAge, formatBytes, formatCount, formatDuration} from '../../base/format.js';
import {someOf} from '../../base/some-of.js';
import {axisBytes, axisDuration, byteSteps, durationSteps} from './axis-marks.js';
import {htmlPage, type LegendEntry, type PageSection} from './html-page.js';
import {type ReportData, type ReportedBackup, reportDays} from './report-data.js';
import {barChart, columnChart, shortDate, timeChart, type TimeSeries} from './svg-chart.js';

/** The page of the report. */
export function reportPage(data: ReportData, toolVersion: string): string {
  const {summary} = data;
  const now = new Date(data.generatedAt);
  const newest = summary.newestGoodBackup;
  const test = summary.lastRestoreTest;
  const {ok, failed} = summary.backupRuns;
  return htmlPage({
    title: 'Database backups',
    subtitle: `${dateTime(data.generatedAt)}, looking back to ${data.from.slice(0, 10)} (at most ${reportDays} days). All times are UTC.`,
    verdict: {
      text: verdictOf(data),
      lines: data.findings.map(({severity, message}) => `${severity.toUpperCase()}: ${message}`),
    },
    figures: [
      {
        name: 'Newest good backup',
        value: newest ? formatAge(new Date(newest.at), now) : 'none',
        isBad: newest === null || data.findings.some(({code}) => code === 'TOO_OLD'),
      },
      {
        name: 'Backup runs that worked',
        value: ok + failed === 0 ? 'no runs' : `${percent(ok, ok + failed)} of ${formatCount(ok + failed)}`,
        isBad: failed > 0,
      },
      {
        name: 'Storage used',
        value: `${formatBytes(summary.storageBytes)}, ${countOf(summary.backupsOnDisk, 'backup')}${summary.damagedBackups === 0 ? '' : `, ${summary.damagedBackups} DAMAGED`}`,
        isBad: summary.damagedBackups > 0,
      },
      {
        name: 'Last restore test',
        value: test ? `${test.ok ? 'passed' : 'failed'} ${formatAge(new Date(test.at), now)}` : 'never',
        isBad: test?.ok !== true,
      },
      {
        name: 'Usual time to restore',
        value: summary.usualRestoreTime === null ? 'not measured' : formatDuration(summary.usualRestoreTime),
        isBad: false,
      },
    ],
    sections: [
      sizeSection(data),
      durationSection(data),
      databaseSection(data),
      ...tableSections(data),
      weekSection(data),
      gapSection(data),
      storageSection(data),
      ...(data.places.length > 1 ? [placeSection(data)] : []),
      restoreSection(data),
      orderSection(data),
    ],
    footer: `Made by destino-db ${toolVersion} from the audit log and the metadata of the backups. It holds no data of the database, but names of its tables.`,
  });
}

/** "3 problems need attention, 1 of them critical.", as `status` finds them. */
export function verdictOf({findings}: Pick<ReportData, 'findings'>): string {
  const critical = findings.filter(({severity}) => severity === 'critical').length;
  if (findings.length === 0) return 'Nothing needs attention.';
  const [count, need] = [countOf(findings.length, 'problem'), findings.length === 1 ? 'needs' : 'need'];
  if (critical === 0) return `${count} ${need} attention.`;
  return `${count} ${need} attention, ${critical === findings.length ? 'critical' : `${critical} of them critical`}.`;
}

const dateTime = (at: string): string => at.slice(0, 16).replace('T', ' ');
const percent = (part: number, whole: number): string => `${Math.floor((100 * part) / whole)} %`;

interface BackupSection {
  title: string;
  valueName: string;
  valueOf: (backup: ReportedBackup) => number | null;
  format: (value: number) => string;
  axis: (value: number) => string;
  steps: readonly number[];
  /** What the curve is about, before "went from ..."; `count` is that of all backups. */
  subject: (count: number) => string;
  /** A sentence behind it. */
  remark?: string;
  empty: string;
  /** What parts the backups into series. */
  nameOf: (backup: ReportedBackup) => string;
}

/** A value of each backup over time, the table newest first. */
function backupSection(data: ReportData, part: BackupSection): PageSection {
  const measured = data.backups.flatMap((backup) => {
    const value = part.valueOf(backup);
    return value === null ? [] : [{backup, value}];
  });
  const names = [...new Set(measured.map(({backup}) => part.nameOf(backup)))];
  const series: TimeSeries[] = names.map((name) => ({
    name,
    points: measured
      .filter(({backup}) => part.nameOf(backup) === name)
      .map(({backup, value}) => ({
        at: new Date(backup.at),
        value,
        label: `${name}, ${dateTime(backup.at)}: ${part.format(value)}`,
      })),
  }));
  const period = {from: new Date(data.from), until: new Date(data.generatedAt)};
  // One curve each: formats in one comparison would tell of neither.
  const curves = [...series]
    .sort((a, b) => b.points.length - a.points.length)
    .map(({name, points}) =>
      series.length === 1 ? curveOf(points, part.format) : `"${name}" ${curveOf(points, part.format)}`,
    );
  const told = someOf(curves, 3).join('; ');
  const sentence = `${part.subject(measured.length)}${series.length === 1 ? ' ' : ': '}${told}.`;
  return {
    title: part.title,
    sentence: measured.length === 0 ? part.empty : [sentence, part.remark ?? ''].join(' ').trim(),
    picture:
      measured.length === 0
        ? undefined
        : (width) => timeChart(part.title, series, period, {width, height: 230}, part.axis, part.steps),
    legend: names.map((name, index): LegendEntry => ({name, mark: index})),
    table: {
      head: ['Backup (UTC)', 'Series', part.valueName],
      rows: measured
        .toReversed()
        .map(({backup, value}) => [
          dateTime(backup.at),
          part.nameOf(backup) +
            (backup.isDamaged ? ' DAMAGED' : '') +
            (backup.alarms.length > 0 ? ` (alarm: ${backup.alarms.join(', ')})` : ''),
          part.format(value),
        ]),
      right: [2],
      empty: part.empty,
    },
  };
}

/** How a curve runs, with its ends and what lies beyond them: "went from 163 kB to 170 kB, with 235 kB at most (2026-11-20)". */
function curveOf(points: TimeSeries['points'], format: (value: number) => string): string {
  const byValue = points.toSorted((a, b) => a.value - b.value);
  const [first, last, lowest, highest] = [points[0], points.at(-1), byValue[0], byValue.at(-1)];
  if (!first || !last || !lowest || !highest) return '';
  if (points.length === 1) return `was ${format(first.value)}`;
  if (isNear(lowest.value, highest.value)) return `stayed at about ${format(last.value)}`;
  const beyond = ({value}: {value: number}): boolean =>
    !isNear(value, first.value) && !isNear(value, last.value);
  const extremes = [
    ...(beyond(highest) ? [`${format(highest.value)} at most (${dayOf(highest.at)})`] : []),
    ...(beyond(lowest) ? [`${format(lowest.value)} at least (${dayOf(lowest.at)})`] : []),
  ];
  const between = extremes.length === 0 ? '' : `, with ${extremes.join(' and ')}`;
  return `went from ${format(first.value)} to ${format(last.value)}${change(first.value, last.value)}${between}`;
}

/** Within 5 %, which a picture hardly shows. */
function isNear(a: number, b: number): boolean {
  return Math.abs(a - b) <= 0.05 * Math.max(a, b);
}

const dayOf = (at: Date): string => at.toISOString().slice(0, 10);

function change(first: number, last: number): string {
  if (first === 0) return '';
  const grown = Math.round(((last - first) / first) * 100);
  return grown === 0 ? '' : `, ${Math.abs(grown)} % ${grown > 0 ? 'more' : 'less'}`;
}

const nameWithFormat = (backup: ReportedBackup): string => `${backup.database}, ${backup.format}`;

function sizeSection(data: ReportData): PageSection {
  const alarms = data.backups.filter((backup) => backup.alarms.length > 0).length;
  return backupSection(data, {
    title: 'Size of backups',
    valueName: 'Size',
    valueOf: (backup) => backup.sizeBytes,
    format: formatBytes,
    axis: axisBytes,
    steps: byteSteps,
    nameOf: nameWithFormat,
    subject: (count) => `${countOf(count, 'backup')}; ${count === 1 ? 'its size' : 'their size'}`,
    ...(alarms === 0
      ? {}
      : {remark: `${countOf(alarms, 'backup')} held far fewer rows than the one before.`}),
    empty: 'No backup was made in this time.',
  });
}

function durationSection(data: ReportData): PageSection {
  return backupSection(data, {
    title: 'Duration of backups',
    valueName: 'Duration',
    valueOf: (backup) => backup.duration,
    format: formatDuration,
    axis: axisDuration,
    steps: durationSteps,
    nameOf: nameWithFormat,
    subject: () => 'The time for a backup',
    empty: 'No backup was timed.',
  });
}

function databaseSection(data: ReportData): PageSection {
  return backupSection(data, {
    title: 'Size of the database',
    valueName: 'Size',
    valueOf: (backup) => backup.databaseBytes,
    format: formatBytes,
    axis: axisBytes,
    steps: byteSteps,
    nameOf: (backup) => backup.database,
    subject: () => 'Its size on the server',
    empty: 'No backup tells the size of its database.',
  });
}

function tableSections(data: ReportData): PageSection[] {
  const shown = 10;
  const databases = [...new Set(data.tables.map((table) => table.database))];
  return databases.map((database) => {
    const tables = data.tables.filter((table) => table.database === database);
    const bySize = tables.some((table) => table.sizeBytes !== null);
    const valueOf = (table: (typeof tables)[number]): number =>
      bySize ? (table.sizeBytes ?? 0) : (table.rows ?? 0);
    const format = (value: number): string => (bySize ? formatBytes(value) : countOf(value, 'row'));
    const total = tables.reduce((sum, table) => sum + valueOf(table), 0);
    const largest = tables[0];
    const share =
      largest && total > 0
        ? `; the largest, ${largest.table}, is ${percent(valueOf(largest), total)} of them`
        : '';
    return {
      title: `Tables of ${database}`,
      sentence: `${countOf(tables.length, 'table')} with ${format(total)} in the newest backup${share}.`,
      picture: (width) =>
        barChart(
          `Largest tables of ${database}`,
          tables
            .slice(0, shown)
            .map((table) => ({name: table.table, value: valueOf(table), text: format(valueOf(table))})),
          width,
        ),
      table: {
        head: ['Table', 'Rows', 'Size on the server'],
        rows: tables.map(({table, rows, sizeBytes}) => [
          table,
          rows === null ? 'not counted' : formatCount(rows),
          sizeBytes === null ? 'not measured' : formatBytes(sizeBytes),
        ]),
        right: [1, 2],
        empty: '',
      },
    };
  });
}

function weekSection(data: ReportData): PageSection {
  const {ok, failed} = data.summary.backupRuns;
  const missed = data.weeks.reduce((sum, week) => sum + week.missed, 0);
  const label = (week: string): string => shortDate(new Date(week));
  return {
    title: 'Success by week',
    sentence: `${formatCount(ok)} backup runs worked, ${formatCount(failed)} failed, ${formatCount(missed)} of the plan never began.`,
    picture: (width) =>
      columnChart(
        'Backup runs by week',
        data.weeks.map((week) => ({
          label: label(week.week),
          parts: (['ok', 'failed', 'missed'] as const).map((kind) => ({kind, value: week[kind]})),
        })),
        {width, height: 190},
      ),
    legend: [
      {name: 'worked', mark: 'ok'},
      {name: 'failed', mark: 'failed'},
      {name: 'never began', mark: 'missed'},
    ],
    table: {
      head: ['Week from', 'Worked', 'Failed', 'Never began', 'Success'],
      rows: data.weeks.toReversed().map((week) => {
        const due = week.ok + week.failed + week.missed;
        return [
          week.week,
          String(week.ok),
          String(week.failed),
          String(week.missed),
          due === 0 ? '' : percent(week.ok, due),
        ];
      }),
      right: [1, 2, 3, 4],
      empty: 'No runs.',
    },
  };
}

function gapSection(data: ReportData): PageSection {
  const longest = Math.max(0, ...data.gaps.map((gap) => gap.duration));
  const failures = data.failures.map(({at, outcome, errorCode}) => ({
    from: at,
    text: [dateTime(at), '', `backup ${outcome}${errorCode === null ? '' : `: ${errorCode}`}`],
  }));
  const gaps = data.gaps.map(({from, duration, what}) => ({
    from,
    text: [dateTime(from), duration === 0 ? '' : formatDuration(duration), what],
  }));
  const rows = [...gaps, ...failures].sort((a, b) => (a.from < b.from ? 1 : -1));
  return {
    title: 'Gaps in the schedule',
    sentence:
      longest === 0
        ? 'There was no unusually long time without a new backup.'
        : `The longest time without a new backup was ${formatDuration(longest)}.`,
    picture:
      longest === 0
        ? undefined
        : (width) =>
            barChart(
              'Longest times without a new backup',
              data.gaps
                .filter((gap) => gap.duration > 0)
                .toSorted((a, b) => b.duration - a.duration)
                .slice(0, 6)
                .map((gap) => ({
                  name: `from ${dateTime(gap.from)}`,
                  value: gap.duration,
                  text: formatDuration(gap.duration),
                })),
              width,
            ),
    table: {
      head: ['From (UTC)', 'For', 'What'],
      rows: rows.map(({text}) => text),
      right: [1],
      empty: 'No gaps and no failures.',
    },
  };
}

function storageSection(data: ReportData): PageSection {
  return {
    title: 'Storage by age',
    sentence: `${countOf(data.summary.backupsOnDisk, 'backup')} take ${formatBytes(data.summary.storageBytes)}.`,
    picture:
      data.summary.backupsOnDisk === 0
        ? undefined
        : (width) =>
            barChart(
              'Storage by age of the backups',
              data.storage
                .filter(({count}) => count > 0)
                .map(({age, sizeBytes}) => ({
                  name: age,
                  value: sizeBytes,
                  text: formatBytes(sizeBytes),
                })),
              width,
            ),
    table: {
      head: ['Age', 'Backups', 'Size'],
      rows: data.storage.map(({age, count, sizeBytes}) => [age, formatCount(count), formatBytes(sizeBytes)]),
      right: [1, 2],
      empty: '',
    },
  };
}

/** The backups here and their copies elsewhere. */
function placeSection({places}: ReportData): PageSection {
  const unread = places.filter(({error}) => error !== null);
  return {
    title: 'Places',
    sentence:
      unread.length === 0
        ? `The backups are in ${countOf(places.length, 'place')}.`
        : `${countOf(unread.length, 'place')} could not be read.`,
    picture: undefined,
    table: {
      head: ['Place', 'Backups', 'Size', 'Newest good (UTC)'],
      rows: places.map(({place, backups, sizeBytes, newestAt, error}) =>
        error === null
          ? [
              place,
              formatCount(backups),
              formatBytes(sizeBytes),
              newestAt === null ? 'none' : dateTime(newestAt),
            ]
          : [place, '', '', error],
      ),
      right: [1, 2],
      empty: '',
    },
  };
}

function restoreSection(data: ReportData): PageSection {
  const tests = data.restoreTests;
  const measured = tests.flatMap((test) =>
    test.restoreDuration === null ? [] : [{...test, duration: test.restoreDuration}],
  );
  const points = (ok: boolean) =>
    measured
      .filter(({outcome}) => outcome === (ok ? 'passed' : 'failed'))
      .map((test) => ({
        at: new Date(test.at),
        value: test.duration,
        label: `${dateTime(test.at)}: ${formatDuration(test.duration)}, ${ok ? 'passed' : 'failed'}`,
      }));
  const failed = tests.filter(({outcome}) => outcome === 'failed').length;
  const untested = tests.filter(({outcome}) => outcome === 'not-possible').length;
  const usual = data.summary.usualRestoreTime;
  const period = {from: new Date(data.from), until: new Date(data.generatedAt)};
  return {
    title: 'Restore tests',
    sentence:
      tests.length === 0
        ? 'No backup was restored to prove it: destino-db verify --latest --level=restore does that.'
        : `${countOf(tests.length, 'restore test')}, ${failed === 0 ? 'none' : formatCount(failed)} of them failed${untested === 0 ? '' : `, ${formatCount(untested)} could not be made`}${usual === null ? '' : `; restoring usually takes ${formatDuration(usual)}`}.`,
    picture:
      measured.length === 0
        ? undefined
        : (width) =>
            timeChart(
              'Time to restore',
              [
                {name: 'passed', points: points(true)},
                {name: 'failed', points: points(false)},
              ],
              period,
              {width, height: 190},
              axisDuration,
              durationSteps,
            ),
    legend: [
      {name: 'passed', mark: 0},
      {name: 'failed', mark: 1},
    ],
    table: {
      head: ['Test (UTC)', 'Backup', 'Result', 'Time to restore'],
      rows: tests
        .toReversed()
        .map(({at, backupId, outcome, restoreDuration}) => [
          dateTime(at),
          backupId,
          outcome === 'not-possible' ? 'not possible' : outcome,
          restoreDuration === null ? '' : formatDuration(restoreDuration),
        ]),
      right: [3],
      empty: 'No restore tests.',
    },
  };
}

function orderSection(data: ReportData): PageSection {
  const orders = data.orderRuns.reduce(
    (sum, run) => sum + (run.command === 'orders:restore' ? 0 : (run.orders ?? 0)),
    0,
  );
  return {
    title: 'Order cleanings',
    sentence:
      data.orderRuns.length === 0
        ? 'No orders were cleaned or put back.'
        : `${countOf(data.orderRuns.length, 'run')} changed orders; ${countOf(orders, 'testing order')} were taken out.`,
    picture: undefined,
    table: {
      head: ['Run (UTC)', 'Command', 'Result', 'Orders', 'Rows'],
      rows: data.orderRuns
        .toReversed()
        .map(({at, command, outcome, orders: count, rows}) => [
          dateTime(at),
          command,
          outcome,
          count === null ? '' : formatCount(count),
          rows === null ? '' : formatCount(rows),
        ]),
      right: [3, 4],
      empty: 'None.',
    },
  };
}
