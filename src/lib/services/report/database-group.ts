/** One database on the page: its figures, its days, its curves and its tables. */
import {countOf, formatBytes, formatCount, formatDuration} from '../../base/format.js';
import {axisBytes, axisDuration, byteSteps, dateInWords, durationSteps, timeInWords} from './axis-ticks.js';
import {describeCurve} from './describe-curve.js';
import type {Figure, FoldedTable, LegendEntry, PageGroup, PageSection} from './html-page.js';
import {isWholeBackup, type ReportData, type ReportedBackup, type ReportedDatabase} from './report-data.js';
import {
  barChart,
  calendarChart,
  type CalendarDay,
  type DayState,
  timeChart,
  type TimeSeries,
  type ValueScale,
} from './svg-chart.js';

/** "2026-11-22 02:00", for tables. */
export const dateTime = (at: string): string => at.slice(0, 16).replace('T', ' ');

/** Of the data, what belongs to one database. */
interface OwnData {
  readonly database: ReportedDatabase;
  readonly whole: readonly ReportedBackup[];
  readonly partial: readonly ReportedBackup[];
  readonly tests: ReportData['restoreTests'];
  readonly tables: ReportData['tables'];
  readonly period: {readonly from: Date; readonly until: Date};
  readonly data: ReportData;
}

/** The group of one database. */
export function databaseGroup(data: ReportData, database: ReportedDatabase): PageGroup {
  const isOwn = ({databaseLabel}: {databaseLabel: string | null}): boolean =>
    databaseLabel === database.label;
  const backups = data.backups.filter(isOwn);
  const own: OwnData = {
    database,
    whole: backups.filter(isWholeBackup),
    partial: backups.filter((backup) => !isWholeBackup(backup)),
    tests: data.restoreTests.filter(isOwn),
    tables: data.tables.filter(isOwn),
    period: {from: new Date(data.from), until: new Date(data.generatedAt)},
    data,
  };
  return {
    title: `Database ${database.label}`,
    subtitle: database.server === null ? '' : `Server ${database.server}`,
    // Those of the only database are at the top of the page.
    figures: data.databases.length > 1 ? figuresOf(data, database) : [],
    sections: textsTogether([
      daySection(own),
      sizeSection(own),
      durationSection(own),
      databaseSection(own),
      restoreSection(own),
      tableSection(own),
      partialSection(own),
    ]),
    tables: [backupTable(own), testTable(own), rowTable(own)].filter(({rows}) => rows.length > 0),
  };
}

/** Sections without a picture become one. */
function textsTogether(sections: readonly (PageSection | undefined)[]): PageSection[] {
  const present = sections.flatMap((section) => section ?? []);
  const texts = present.filter(({picture}) => picture === undefined);
  return [
    ...present.filter(({picture}) => picture !== undefined),
    ...(texts.length === 0
      ? []
      : [{picture: undefined, title: 'Also known', sentence: texts.map(({sentence}) => sentence).join(' ')}]),
  ];
}

/** The most important figures of one database. */
export function figuresOf(data: ReportData, database: ReportedDatabase): Figure[] {
  const tests = data.restoreTests.filter(({databaseLabel}) => databaseLabel === database.label);
  const {
    newestGoodBackup: newest,
    backupRuns,
    missedRuns,
    lastRestoreTest: test,
    usualRestoreTime,
  } = database;
  const total = backupRuns.ok + backupRuns.failed;
  const measured = tests.filter(({ok, restoreDuration}) => ok && restoreDuration !== null).length;
  const isLate = data.findings.some(
    (finding) => finding.database === database.label && finding.code === 'TOO_OLD',
  );
  return [
    {
      name: 'Newest usable backup',
      value: newest ? dateInWords(new Date(newest.at)) : 'none',
      note: newest
        ? `${newest.at.slice(11, 16)} UTC, ${formatDuration(Date.parse(data.generatedAt) - Date.parse(newest.at))} before this report`
        : 'nothing could be restored',
      isBad: newest === null || isLate,
    },
    {
      name: 'Backup runs that worked',
      value: total === 0 ? 'no runs' : `${formatCount(backupRuns.ok)} of ${formatCount(total)}`,
      note: missedRuns === 0 ? '' : `${countOf(missedRuns, 'more run')} did not start`,
      isBad: backupRuns.failed + missedRuns > 0,
    },
    {
      name: 'Last restore test',
      value: test ? (test.ok ? 'passed' : 'failed') : 'never',
      note: test ? timeInWords(new Date(test.at)) : 'no backup was restored as a test',
      isBad: test?.ok !== true,
    },
    {
      name: 'Time to restore',
      value: usualRestoreTime === null ? 'not measured' : formatDuration(usualRestoreTime),
      note: usualRestoreTime === null ? '' : `usual time in ${countOf(measured, 'test')}`,
      isBad: false,
    },
    {
      name: 'Stored backups',
      value: formatCount(database.backupsOnDisk),
      note:
        formatBytes(database.storageBytes) +
        (database.damagedBackups === 0 ? '' : `, ${database.damagedBackups} damaged`),
      isBad: database.damagedBackups > 0,
    },
  ];
}

const dayMs = 86_400_000;
const dayWords: Readonly<Record<DayState, string>> = {
  ok: 'backup made',
  alarm: 'backup with an alarm or damage',
  failed: 'backup failed',
  missed: 'backup did not start',
  none: 'no backup',
};

/** Each day by the complete backups that were made on it. */
function daySection({whole, database, data, period}: OwnData): PageSection | undefined {
  const dayOf = (at: string): string => at.slice(0, 10);
  const isOwn = ({databaseLabel}: {databaseLabel: string | null}): boolean =>
    databaseLabel === database.label;
  const made = new Set(whole.map(({at}) => dayOf(at)));
  const suspect = new Set(
    whole.filter(({isDamaged, alarms}) => isDamaged || alarms.length > 0).map(({at}) => dayOf(at)),
  );
  const failed = new Set(data.failures.filter(isOwn).map(({at}) => dayOf(at)));
  const missed = new Set(
    data.gaps.filter((gap) => isOwn(gap) && gap.duration === 0).map(({from}) => dayOf(from)),
  );
  if (made.size + failed.size + missed.size === 0) return undefined;
  const stateOf = (day: string): DayState => {
    if (made.has(day)) return suspect.has(day) ? 'alarm' : 'ok';
    if (failed.has(day)) return 'failed';
    return missed.has(day) ? 'missed' : 'none';
  };
  const days: CalendarDay[] = [];
  const [first = dayOf(data.from)] = [...made, ...failed, ...missed].sort();
  for (let at = Date.parse(first); at <= period.until.getTime(); at += dayMs) {
    const day = new Date(at);
    const state = stateOf(dayOf(day.toISOString()));
    days.push({day, state, label: dayWords[state]});
  }
  const count = (...states: readonly DayState[]): number =>
    days.filter(({state}) => states.includes(state)).length;
  const rest = [
    ...(count('alarm') === 0
      ? []
      : [
          `${formatCount(count('alarm'))} of these backups raised an alarm or ${count('alarm') === 1 ? 'is' : 'are'} damaged`,
        ]),
    ...(count('failed') === 0 ? [] : [`on ${countOf(count('failed'), 'day')} it failed`]),
    ...(count('missed') === 0 ? [] : [`on ${countOf(count('missed'), 'day')} it did not start`]),
  ];
  const sentence = `A complete backup was made on ${count('ok', 'alarm')} of ${countOf(days.length, 'day')}${rest.map((text) => `; ${text}`).join('')}.`;
  const title = 'Days with a backup';
  const shown = (['ok', 'alarm', 'failed', 'missed', 'none'] as const).filter((state) => count(state) > 0);
  return {
    title,
    sentence,
    picture: days.length > 1 ? calendarChart({title, description: sentence}, days) : undefined,
    legend: shown.map((state) => ({name: dayWords[state], mark: state})),
  };
}

interface Curves {
  readonly title: string;
  /** "The size", before "of a backup". */
  readonly subject: string;
  readonly backups: readonly ReportedBackup[];
  readonly valueOf: (backup: ReportedBackup) => number | null;
  /** Backups of one name share a curve. */
  readonly nameOf: (backup: ReportedBackup) => string;
  readonly format: (value: number) => string;
  readonly scale: ValueScale;
  /** Whether the value says nothing of the backup itself. */
  readonly isOfServer?: boolean;
  /** Sentences before those about the curves. */
  readonly remark?: string;
}

const byteScale: ValueScale = {format: axisBytes, steps: byteSteps};
const durationScale: ValueScale = {format: axisDuration, steps: durationSteps};

/** A value of each backup over time: a curve and a sentence for each kind of backup, as kinds compare with themselves alone. */
function curveSection({period}: OwnData, curves: Curves): PageSection | undefined {
  const {title, subject, format, nameOf} = curves;
  const measured = curves.backups.flatMap((backup) => {
    const value = curves.valueOf(backup);
    return value === null ? [] : [{backup, value, name: nameOf(backup)}];
  });
  if (measured.length === 0) return undefined;
  const names = [...new Set(measured.map(({name}) => name))];
  const series: TimeSeries[] = names.map((name) => ({
    name,
    points: measured
      .filter((one) => one.name === name)
      .map(({backup, value}) => ({
        at: new Date(backup.at),
        value,
        label: `${names.length === 1 ? '' : `${name}, `}${dateTime(backup.at)}: ${format(value)}`,
        isBad: !curves.isOfServer && isSuspect(backup),
      })),
  }));
  const told = series
    .toSorted((a, b) => b.points.length - a.points.length)
    .map(
      ({name, points}) =>
        `${subject}${names.length === 1 ? '' : ` (${name})`} ${describeCurve(points, format)}.`,
    );
  const more = told.length - mostCurves;
  const sentence = [
    ...(curves.remark === undefined ? [] : [curves.remark]),
    ...told.slice(0, mostCurves),
    ...(more > 0 ? [`${countOf(more, 'more curve')} ${more === 1 ? 'is' : 'are'} in the picture.`] : []),
  ].join(' ');
  const hasCurve = series.some(({points}) => points.length > 1);
  const ring: LegendEntry[] = series.some(({points}) => points.some(({isBad}) => isBad))
    ? [{name: 'alarm or damaged', mark: 'ring'}]
    : [];
  return {
    title,
    sentence,
    picture: hasCurve ? timeChart({title, description: sentence}, series, period, curves.scale) : undefined,
    legend: hasCurve
      ? [...(names.length === 1 ? [] : names.map((name, mark) => ({name, mark}))), ...ring]
      : [],
  };
}

const mostCurves = 3;
const isSuspect = ({isDamaged, alarms}: ReportedBackup): boolean => isDamaged || alarms.length > 0;

function sizeSection(own: OwnData): PageSection | undefined {
  return curveSection(own, {
    title: 'Size of backups',
    subject: 'The size of a backup',
    backups: own.whole,
    valueOf: ({sizeBytes}) => sizeBytes,
    nameOf: kindOf,
    format: formatBytes,
    scale: byteScale,
  });
}

function durationSection(own: OwnData): PageSection | undefined {
  return curveSection(own, {
    title: 'Duration of backups',
    subject: 'The time for a backup',
    backups: own.whole,
    valueOf: ({duration}) => duration,
    nameOf: kindOf,
    format: formatDuration,
    scale: durationScale,
  });
}

function databaseSection(own: OwnData): PageSection | undefined {
  return curveSection(own, {
    title: 'Size of the database',
    subject: 'The size of the database on its server',
    // It does not depend on what a backup contains.
    backups: [...own.whole, ...own.partial].sort((a, b) => (a.at < b.at ? -1 : 1)),
    valueOf: ({databaseBytes}) => databaseBytes,
    nameOf: () => '',
    isOfServer: true,
    format: formatBytes,
    scale: byteScale,
  });
}

function partialSection(own: OwnData): PageSection | undefined {
  const safety = own.partial.filter(({isSafety}) => isSafety).length;
  const parts = own.partial.length - safety;
  const remarks = [
    ...(parts === 0
      ? []
      : [
          `${countOf(parts, 'backup contains', 'backups contain')} only a part of the database and ${parts === 1 ? 'does' : 'do'} not replace a complete backup.`,
        ]),
    ...(safety === 0
      ? []
      : [
          `${countOf(safety, 'backup was', 'backups were')} made by a restore, of the data that it replaced.`,
        ]),
  ];
  return curveSection(own, {
    title: 'Partial backups',
    subject: 'The size',
    backups: own.partial,
    valueOf: ({sizeBytes}) => sizeBytes,
    nameOf: (backup) => kindOf(backup, own.partial),
    format: formatBytes,
    scale: byteScale,
    remark: remarks.join(' '),
  });
}

function restoreSection({tests, period, database}: OwnData): PageSection {
  const title = 'Restore tests';
  if (tests.length === 0)
    return {
      title,
      picture: undefined,
      sentence:
        'No backup was restored as a test, so nothing shows yet that the backups can be restored. destino-db verify --latest --level=restore makes such a test.',
    };
  const points = (outcome: 'passed' | 'failed') =>
    tests.flatMap((test) =>
      test.restoreDuration === null || test.outcome !== outcome
        ? []
        : [
            {
              at: new Date(test.at),
              value: test.restoreDuration,
              label: `${dateTime(test.at)}: ${formatDuration(test.restoreDuration)}, ${outcome}`,
            },
          ],
    );
  const count = (outcome: string): number => tests.filter((test) => test.outcome === outcome).length;
  const series = [
    {name: 'passed', points: points('passed')},
    {name: 'failed', points: points('failed')},
  ];
  const counts = [
    `${formatCount(count('passed'))} of ${countOf(tests.length, 'restore test')} passed`,
    ...(count('failed') === 0 ? [] : [`${formatCount(count('failed'))} failed`]),
    ...(count('not-possible') === 0
      ? []
      : [`${formatCount(count('not-possible'))} could not be carried out`]),
  ].join(', ');
  const usual = database.usualRestoreTime;
  const curve =
    (series[0]?.points.length ?? 0) > 1 && usual !== null
      ? ` The time to restore ${describeCurve(series[0]?.points ?? [], formatDuration)}.`
      : '';
  const sentence = `${counts}.${curve}`;
  const hasCurve = series.some((one) => one.points.length > 1);
  return {
    title,
    sentence,
    picture: hasCurve ? timeChart({title, description: sentence}, series, period, durationScale) : undefined,
    legend: hasCurve && count('failed') > 0 ? series.map(({name}, mark) => ({name, mark})) : [],
  };
}

const shownTables = 8;

function tableSection({tables}: OwnData): PageSection | undefined {
  const [largest] = tables;
  if (!largest) return undefined;
  const bySize = tables.some((table) => table.sizeBytes !== null);
  const valueOf = ({sizeBytes, rows}: (typeof tables)[number]): number => (bySize ? sizeBytes : rows) ?? 0;
  const format = (value: number): string => (bySize ? formatBytes(value) : countOf(value, 'row'));
  const total = tables.reduce((sum, table) => sum + valueOf(table), 0);
  const share = total === 0 ? 0 : Math.floor((100 * valueOf(largest)) / total);
  const title = 'Largest tables';
  const sentence = `The newest complete backup contains ${countOf(tables.length, 'table')} with ${format(total)}${total === 0 ? '' : `; ${share} % of that is ${largest.table}`}.`;
  return {
    title,
    sentence,
    picture: barChart(
      {title, description: sentence},
      tables
        .toSorted((a, b) => valueOf(b) - valueOf(a))
        .slice(0, shownTables)
        .map((table) => ({name: table.table, value: valueOf(table), text: format(valueOf(table))})),
    ),
  };
}

/**
 * The kind of a backup, whose curve compares with none of another kind: "custom", "sql, definitions only".
 * @param others where a removed backup of chosen tables finds what its series is called, if there is one
 */
export function kindOf(backup: ReportedBackup, others: readonly ReportedBackup[] = []): string {
  const {content, format, isSafety, chosen} = backup;
  if (isSafety) return `${format}, before a restore`;
  if (content === 'whole') return format;
  if (content !== 'tables') return `${format}, ${content === 'schema' ? 'definitions only' : 'rows only'}`;
  const known =
    chosen.length > 0 ? [chosen] : others.flatMap((other) => (other.chosen.length > 0 ? [other.chosen] : []));
  const names = [...new Set(known.map((list) => list.join(', ')))];
  const [only] = names;
  return only === undefined || names.length > 1 ? `${format}, chosen tables` : `${format}, ${shorten(only)}`;
}

const shorten = (text: string): string => (text.length > 40 ? `${text.slice(0, 39)}…` : text);

function backupTable({whole, partial}: OwnData): FoldedTable {
  const backups = [...whole, ...partial].sort((a, b) => (a.at < b.at ? 1 : -1));
  return {
    summary: `All backups (${formatCount(backups.length)})`,
    caption: 'All backups of the time of this report, newest first',
    head: ['Backup (UTC)', 'Kind', 'Size', 'Duration', 'Database', 'Rows', 'Remarks'],
    rows: backups.map((backup) => [
      dateTime(backup.at),
      kindOf(backup, partial),
      backup.sizeBytes === null ? '' : formatBytes(backup.sizeBytes),
      backup.duration === null ? '' : formatDuration(backup.duration),
      backup.databaseBytes === null ? '' : formatBytes(backup.databaseBytes),
      backup.rows === null ? '' : formatCount(backup.rows),
      [
        ...(backup.isDamaged ? ['DAMAGED'] : []),
        ...(backup.isMasked ? ['of a masked copy'] : []),
        ...backup.alarms.map((alarm) => `alarm: ${alarm}`),
        ...(backup.isOnDisk ? [] : ['removed since']),
      ].join('; '),
    ]),
    right: [2, 3, 4, 5],
  };
}

function testTable({tests}: OwnData): FoldedTable {
  return {
    summary: `Restore tests (${formatCount(tests.length)})`,
    caption: 'Restore tests, newest first',
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
  };
}

function rowTable({tables}: OwnData): FoldedTable {
  return {
    summary: `Tables (${formatCount(tables.length)})`,
    caption: 'Tables in the newest complete backup, largest first',
    head: ['Table', 'Rows', 'Size on the server'],
    rows: tables.map(({table, rows, sizeBytes}) => [
      table,
      rows === null ? 'not counted' : formatCount(rows),
      sizeBytes === null ? 'not measured' : formatBytes(sizeBytes),
    ]),
    right: [1, 2],
  };
}
