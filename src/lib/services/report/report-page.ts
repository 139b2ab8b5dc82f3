/** The report as a page: the verdict, what went wrong, and a group of sections for each database and for the storage. */
import {countOf, formatBytes, formatCount} from '../../base/format.js';
import {someOf} from '../../base/some-of.js';
import {dateInWords, timeInWords} from './axis-ticks.js';
import {databaseGroup, dateTime, figuresOf} from './database-group.js';
import {
  type FoldedTable,
  htmlPage,
  type Page,
  type PageGroup,
  type PageSection,
  type Verdict,
} from './html-page.js';
import {countIncidents, incidentsOf} from './incidents.js';
import {plainFinding} from './plain-findings.js';
import {type ReportData, type ReportedDatabase, reportDays} from './report-data.js';
import {barChart} from './svg-chart.js';

/** The page of the report. */
export function reportPage(data: ReportData, toolVersion: string): string {
  const {databases} = data;
  const [only] = databases;
  return htmlPage({
    title: titleOf(data),
    subtitle: `Written on ${timeInWords(new Date(data.generatedAt))}. Looks back to ${dateInWords(new Date(data.from))} (at most ${reportDays} days). All times are UTC.`,
    verdict: verdictBox(data),
    figures: only && databases.length === 1 ? figuresOf(data, only) : [],
    overview: databases.length > 1 ? databases.map((database) => overviewOf(data, database)) : [],
    incidents: incidentSection(data),
    groups: [...databases.map((database) => databaseGroup(data, database)), ...storageGroup(data)],
    footer: `Made by destino-db ${toolVersion} from the audit log and the metadata of the backups. The page contains names of databases and tables, and none of their rows.`,
  });
}

/** "Backups of shop on ops.example". */
function titleOf({databases, machine, place}: ReportData): string {
  const names = databases.map(({label}) => label);
  const what = names.length === 0 ? 'Database backups' : `Backups of ${someOf(names, 3).join(', ')}`;
  if (machine !== null) return `${what} on ${machine}`;
  return place === null ? what : `${what} in ${place}`;
}

/** "3 problems need attention, 1 of them critical.", as `status` finds them. */
export function verdictOf({findings}: Pick<ReportData, 'findings'>): string {
  const critical = findings.filter(({severity}) => severity === 'critical').length;
  if (findings.length === 0) return 'Nothing needs attention.';
  const [count, need] = [countOf(findings.length, 'problem'), findings.length === 1 ? 'needs' : 'need'];
  if (critical === 0) return `${count} ${need} attention.`;
  if (critical === findings.length) return `${countOf(critical, 'critical problem')} ${need} attention.`;
  return `${count} ${need} attention, ${critical} of them critical.`;
}

function stateOf(findings: ReportData['findings']): Verdict['state'] {
  if (findings.some(({severity}) => severity === 'critical')) return 'critical';
  return findings.length > 0 ? 'warning' : 'ok';
}

function verdictBox(data: ReportData): Verdict {
  const state = stateOf(data.findings);
  const problems = data.findings.length === 1 ? 'The problem below' : 'The problems below';
  const meanings = {
    ok: safetyOf(data),
    warning: `${safetyOf(data)} ${problems} should be solved soon.`,
    critical: `Data could be lost. ${problems} should be solved today.`,
  };
  return {
    state,
    text: verdictOf(data),
    meaning: meanings[state],
    findings: data.findings
      .toSorted((a, b) => Number(b.severity === 'critical') - Number(a.severity === 'critical'))
      .map((finding) => ({severity: finding.severity, text: plainFinding(finding), detail: finding.message})),
  };
}

/** The data that could be restored today, for a reader without technical knowledge. */
function safetyOf({databases, nextBackupAt}: ReportData): string {
  const newest = databases
    .flatMap(({newestGoodBackup}) => (newestGoodBackup ? [newestGoodBackup.at] : []))
    .sort()[0];
  if (newest === undefined) return 'There is no backup yet.';
  const untested = databases.filter(({lastRestoreTest}) => lastRestoreTest?.ok !== true);
  const whose = databases.length > 1 ? 'every database' : 'the database';
  const tested =
    untested.length === 0
      ? 'A test has shown that the backups can be restored.'
      : `No test has shown yet that ${
          databases.length > 1
            ? `the backups of ${someOf(
                untested.map(({label}) => label),
                3,
              ).join(', ')}`
            : 'the backups'
        } can be restored.`;
  const next =
    nextBackupAt === null ? '' : ` The next backup is planned for ${timeInWords(new Date(nextBackupAt))}.`;
  return `A usable backup of ${whose} exists, from ${timeInWords(new Date(newest))}${databases.length > 1 ? ' or later' : ''}. ${tested}${next}`;
}

function overviewOf({findings}: ReportData, database: ReportedDatabase): Page['overview'][number] {
  const own = findings.filter((finding) => finding.database === database.label);
  const {newestGoodBackup: newest, lastRestoreTest: test} = database;
  const lines = [
    newest ? `Newest backup: ${timeInWords(new Date(newest.at))}` : 'No usable backup',
    test
      ? `Restore test: ${test.ok ? 'passed' : 'failed'}, ${dateInWords(new Date(test.at))}`
      : 'Restore test: never',
  ];
  return {name: database.label, state: stateOf(own), lines};
}

function incidentSection(data: ReportData): Page['incidents'] {
  const incidents = incidentsOf(data);
  return {
    title: 'Alarms and failures',
    sentence: countIncidents(incidents, new Date(data.from)),
    entries: incidents.map(({at, kind, text, databaseLabel}) => ({
      at: dateTime(at),
      kind: data.databases.length > 1 && databaseLabel !== null ? `${databaseLabel}: ${kind}.` : `${kind}.`,
      text,
    })),
  };
}

function storageGroup(data: ReportData): PageGroup[] {
  const orders = orderTable(data);
  if (data.summary.backupsOnDisk + data.places.length + orders.rows.length === 0) return [];
  const group = {
    title: 'Storage',
    subtitle: data.place === null ? '' : `Backups in ${data.place}`,
    figures: [],
    sections: [storageSection(data), ...(data.places.length > 1 ? [placeSection(data)] : [])],
    tables: orders.rows.length === 0 ? [] : [orders],
  };
  return [group];
}

function storageSection({summary, storage}: ReportData): PageSection {
  const used = storage.filter(({count}) => count > 0);
  const title = 'Backups by age';
  const sentence =
    summary.backupsOnDisk === 0
      ? 'No backup is stored.'
      : `${countOf(summary.backupsOnDisk, 'backup')} ${summary.backupsOnDisk === 1 ? 'takes' : 'take'} ${formatBytes(summary.storageBytes)}.`;
  return {
    title,
    sentence,
    picture:
      used.length === 0
        ? undefined
        : barChart(
            {title, description: sentence},
            used.map(({age, count, sizeBytes}) => ({
              name: `${age}: ${countOf(count, 'backup')}`,
              value: sizeBytes,
              text: formatBytes(sizeBytes),
            })),
          ),
  };
}

/** The backups here and their copies elsewhere. */
function placeSection({places}: ReportData): PageSection {
  const unread = places.filter(({error}) => error !== null);
  return {
    title: 'Locations',
    sentence:
      unread.length === 0
        ? `The backups are in ${countOf(places.length, 'location')}.`
        : `${countOf(unread.length, 'location')} of ${places.length} could not be read.`,
    picture: undefined,
    table: {
      caption: 'Locations of backups',
      head: ['Location', 'Backups', 'Size', 'Newest usable (UTC)'],
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
    },
  };
}

function orderTable({orderRuns}: ReportData): FoldedTable {
  const cleaned = orderRuns.reduce(
    (sum, run) => sum + (run.command === 'orders:restore' ? 0 : (run.orders ?? 0)),
    0,
  );
  return {
    summary: `Order cleanings: ${countOf(orderRuns.length, 'run')} changed orders and removed ${countOf(cleaned, 'testing order')}`,
    caption: 'Order cleanings',
    head: ['Run (UTC)', 'Command', 'Result', 'Orders', 'Rows'],
    rows: orderRuns
      .toReversed()
      .map(({at, command, outcome, orders, rows}) => [
        dateTime(at),
        command,
        outcome,
        orders === null ? '' : formatCount(orders),
        rows === null ? '' : formatCount(rows),
      ]),
    right: [3, 4],
  };
}
