/** The result of a refresh, or its preview, as lines. */
import {countOf, formatAge, formatBytes, formatCount, formatDuration, formatTime} from '../../base/format.js';
import {shellCommand} from '../../base/shell-quote.js';
import {describeDefinition, describePersonal} from '../../services/refresh/masking.js';
import type {RefreshResult} from '../../services/refresh/refresh.js';
import {printable, type Style} from './style.js';
import {table} from './table.js';

export interface RefreshView {
  readonly now: Date;
  /** The command that does what was previewed, from the backup's id. */
  readonly repeat: (backup: string) => string;
  readonly bin: string;
  /** The environment variable with the target's URL. */
  readonly variable: string;
}

export function showRefresh(view: RefreshView): (result: RefreshResult, style: Style) => string[] {
  return (result, style) =>
    result.mode === 'dry-run' ? previewLines(result, style, view) : doneLines(result, style, view);
}

function previewLines(result: RefreshResult, style: Style, {now, repeat}: RefreshView): string[] {
  const {personal, personalDefinitions} = result;
  const facts = [
    ['backup', printable(result.backup)],
    ['file', printable(result.backupPath)],
    ['made', `${formatTime(result.backupCreatedAt)} (${formatAge(new Date(result.backupCreatedAt), now)})`],
    ['content', `${countOf(result.tables.length, 'table')}, ${countOf(totalRows(result), 'row')}`],
    ['target', `${printable(result.target)} on ${printable(result.host)}`],
    ['there now', result.present ?? 'no such database; the refresh creates it'],
    ...(result.isInPlace
      ? [
          [
            'how',
            'in place, in one transaction after a safety backup, because the database cannot be swapped',
          ],
        ]
      : []),
    ...(result.maskProgram === null ? [] : [['program', printable(result.maskProgram)]]),
    ['space', `about ${formatBytes(result.estimatedSize)} on the server's disk`],
  ];
  return [
    style.bold('This would be restored and masked; nothing was changed.'),
    '',
    ...table(facts, style, {indent: 2}),
    '',
    ...maskLines(result, style),
    ...(personal.length === 0
      ? []
      : [
          style.red(`${countOf(personal.length, 'column')} without a mask would stop the run:`),
          ...personal.map((one) => `  ${printable(describePersonal(one))}`),
          '',
        ]),
    ...(personalDefinitions.length === 0
      ? []
      : [
          style.red(
            `${countOf(personalDefinitions.length, 'definition')} that ${personalDefinitions.length === 1 ? 'looks' : 'look'} personal would stop the run:`,
          ),
          ...personalDefinitions.map((one) => `  ${printable(describeDefinition(one))}`),
          '',
        ]),
    `${style.bold('Next:')} ${nextStep(result, repeat)}`,
  ];
}

function nextStep(
  {personal, personalDefinitions, backup}: RefreshResult,
  repeat: RefreshView['repeat'],
): string {
  if (personal.length > 0)
    return 'give each one a rule under "masks" in the config file; "keep" with a reason is one too.';
  return personalDefinitions.length > 0
    ? 'remove these values in production, or name the definitions under "keepDefinitions" in the config file.'
    : printable(repeat(backup));
}

function maskLines({masks, kept, emptied, subset, notLooked, notes}: RefreshResult, style: Style): string[] {
  const rows = [
    ...masks.map(({column, mask}) => [printable(column), mask]),
    ...emptied.map((name) => [printable(name), 'no rows']),
    ...Object.entries(subset).map(([name, rule]) => [printable(name), `rows: ${printable(rule)}`]),
    ...kept.map(({column, reason}) => [printable(column), `keep: ${printable(reason)}`]),
  ];
  return [
    ...(rows.length === 0
      ? ['No column has a mask.']
      : table(rows, style, {head: ['COLUMN', 'MASK'], indent: 2})),
    '',
    ...notLooked.map(({of, reason}) => `  not looked at: ${printable(of)} (${printable(reason)})`),
    ...notes.map((note) => `${style.bold('Note:')} ${printable(note)}`),
  ];
}

function doneLines(result: RefreshResult, style: Style, {bin, variable}: RefreshView): string[] {
  const target = printable(result.target);
  const {masked, setAside, safetyBackup, dropped} = result;
  const rows = masked?.tables.reduce((sum, one) => sum + one.rows, 0) ?? 0;
  const checks = masked?.proof.checks ?? [];
  return [
    style.bold(
      `${target} on ${printable(result.host)} is a masked copy of ${printable(result.backup)}: ${countOf(result.tables.length, 'table')}, ${countOf(totalRows(result), 'row')}, ${formatDuration(result.duration)}.`,
    ),
    ...((masked?.reduced.length ?? 0) === 0 ? [] : [subsetLine(masked?.reduced ?? [])]),
    `Masked: ${countOf(result.masks.length, 'column')} in ${countOf(rows, 'row')}${result.emptied.length === 0 ? '' : `; ${countOf(result.emptied.length, 'table')} without rows`}.`,
    `Proven: ${formatCount(checks.length)} checks found no old value in a masked column, and no e-mail address of these values in a column of text.`,
    ...(masked?.notLooked ?? []).map(
      ({of, reason}) => `  not looked at: ${printable(of)} (${printable(reason)})`,
    ),
    ...(masked?.proof.notCompared ?? []).map(
      ({of, reason}) => `  not compared: ${printable(of)} (${printable(reason)})`,
    ),
    ...result.notCompared.map((what) => `  not compared with the backup: ${printable(what)}`),
    ...result.notes.map((note) => `${style.bold('Note:')} ${printable(note)}`),
    ...(setAside === null
      ? []
      : [
          `The database as it was before is kept as ${printable(setAside)}.`,
          `Take it back:   ${printable(`DIRECT_URL="$${variable}" ${shellCommand([bin, 'undo', '--target-db', result.target])}`)}`,
        ]),
    ...(safetyBackup === null
      ? []
      : [
          `The database as it was before is in the safety backup ${printable(safetyBackup)}.`,
          `Take it back:   ${printable(`DIRECT_URL="$${variable}" ${shellCommand([bin, 'restore', safetyBackup, '--target-db', result.target, '--clean'])}`)}`,
        ]),
    ...(dropped.length === 0 ? [] : [`Dropped: ${dropped.map(printable).join(', ')}.`]),
  ];
}

function subsetLine(reduced: NonNullable<RefreshResult['masked']>['reduced']): string {
  const sum = (of: 'rows' | 'before'): string =>
    formatCount(reduced.reduce((total, table) => total + table[of], 0));
  return `Chosen: ${sum('rows')} of ${sum('before')} rows in ${countOf(reduced.length, 'table')}.`;
}

function totalRows({tables}: RefreshResult): number {
  return tables.reduce((sum, one) => sum + one.rows, 0);
}
