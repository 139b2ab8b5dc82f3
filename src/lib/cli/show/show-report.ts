/** The report in short, as lines with sparklines. */
import {countOf, formatAge, formatBytes, formatDuration} from '../../base/format.js';
import {kindOf} from '../../services/report/database-group.js';
import {verdictOf} from '../../services/report/report-page.js';
import type {ReportResult} from '../../services/report/write-report.js';
import {isUtf8Locale, sparkline} from './sparkline.js';
import {printable, type Style} from './style.js';
import {table} from './table.js';

export function showReport(result: ReportResult, style: Style, isUtf8 = isUtf8Locale(process.env)): string[] {
  const {summary, generatedAt, weeks, gaps, restoreTests} = result;
  const now = new Date(generatedAt);
  const spark = (values: readonly (number | null)[]): string =>
    sparkline(
      values.filter((value) => value !== null),
      isUtf8,
    );
  const newest = summary.newestGoodBackup;
  const {ok, failed} = summary.backupRuns;
  const test = summary.lastRestoreTest;
  const gap = gaps.toSorted((a, b) => b.duration - a.duration)[0];
  const series = seriesOf(result);
  const rows = [
    ['Newest usable', newest ? formatAge(new Date(newest.at), now) : style.red('none'), ''],
    ...series.flatMap(({name, backups}) => [
      [
        `Size ${printable(name)}`,
        formatBytes(backups.at(-1)?.sizeBytes ?? 0),
        spark(backups.map((b) => b.sizeBytes)),
      ],
      [
        `Time ${printable(name)}`,
        formatDuration(backups.at(-1)?.duration ?? 0),
        spark(backups.map((b) => b.duration)),
      ],
    ]),
    [
      'Runs',
      `${ok} worked, ${failed === 0 ? '0' : style.red(String(failed))} failed`,
      `${spark(weeks.map((week) => week.ok))} by week`,
    ],
    [
      'Longest gap',
      gap && gap.duration > 0 ? `${formatDuration(gap.duration)} from ${gap.from.slice(0, 10)}` : 'none',
      '',
    ],
    ['Storage', `${formatBytes(summary.storageBytes)} in ${countOf(summary.backupsOnDisk, 'backup')}`, ''],
    [
      'Restore test',
      test
        ? `${test.ok ? 'passed' : style.red('failed')} ${formatAge(new Date(test.at), now)}`
        : style.bold('never'),
      spark(restoreTests.map(({restoreDuration}) => restoreDuration)),
    ],
  ];
  const isBad = result.findings.length > 0;
  return [
    isBad ? style.red(verdictOf(result)) : style.bold(verdictOf(result)),
    ...result.findings.map(({severity, message}) => `  ${severity}: ${printable(message)}`),
    '',
    ...table(rows, style),
    '',
    `Written: ${printable(result.path)}`,
  ];
}

/** Backups by database and kind, each oldest first. */
function seriesOf({backups}: ReportResult) {
  const name = (backup: (typeof backups)[number]): string =>
    `${backup.databaseLabel} ${kindOf(
      backup,
      backups.filter(({databaseLabel}) => databaseLabel === backup.databaseLabel),
    )}`;
  return [...new Set(backups.map(name))].map((wanted) => ({
    name: wanted,
    backups: backups.filter((backup) => name(backup) === wanted),
  }));
}
