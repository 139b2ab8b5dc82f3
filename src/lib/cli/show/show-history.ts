/** The audit log as a table, newest last. */
import {countOf, formatBytes, formatDuration, formatTableTime} from '../../base/format.js';
import type {HistoryResult} from '../../services/status/list-runs.js';
import {describeChecks} from '../../run/data-checks.js';
import type {RunRecord} from '../../run/run-record.js';
import {printable, type Style} from './style.js';
import {table} from './table.js';

export function showHistory(result: HistoryResult, style: Style): string[] {
  const {runs, total, unreadableLines} = result;
  if (total === 0) return ['No run fits.', ...unreadable(unreadableLines)];
  const colour = {ok: style.green, failed: style.red, interrupted: style.bold, alarm: style.bold};
  const rows = runs.map((run) => [
    formatTableTime(run.startedAt),
    run.command,
    printable(run.database?.source ?? run.database?.name ?? '-'),
    colour[run.outcome](run.outcome),
    formatDuration(run.duration),
    printable(describe(run)),
  ]);
  const head = ['STARTED (UTC)', 'COMMAND', 'DATABASE', 'OUTCOME', 'TOOK', 'WHAT'];
  return [
    ...table(rows, style, {head, right: [4]}),
    ...(total > runs.length
      ? [`${countOf(total - runs.length, 'older run')} not shown; --limit shows more.`]
      : []),
    ...unreadable(unreadableLines),
  ];
}

/** The result of the run in a few words; of a failure the first line of its message. */
function describe(run: RunRecord): string {
  const failure =
    run.errorCode === null
      ? []
      : [`${run.errorCode}: ${(run.errorMessage ?? '').split('\n')[0]?.replace(/\.$/, '') ?? ''}`];
  const proofs = run.verifications.map(({backupId, level, ok, outcome, checks = []}) => {
    const words = ok ? 'passed' : outcome === 'not-possible' ? 'not possible here' : 'FAILED';
    if (run.command !== 'verify') return `${level} ${ok ? 'passed' : 'FAILED'}`;
    return `${backupId} ${level} ${[checks.length > 0 ? 'passed' : words, ...describeChecks(checks)].join(', ')}`;
  });
  return [
    ...(run.mode === 'preview' ? ['preview'] : []),
    ...failure,
    ...run.alarms,
    ...(run.size === null ? [] : [formatBytes(run.size)]),
    ...(run.rows === null ? [] : [countOf(run.rows, 'row')]),
    ...proofs,
    ...(run.masked === null
      ? []
      : [
          `${countOf(run.masked.columns, 'column')} masked`,
          `${countOf(run.masked.checks, 'check')}${run.masked.failed === 0 ? ' passed' : `, ${run.masked.failed} FAILED`}`,
        ]),
    ...(run.orders === null ? [] : [countOf(run.orders, 'order')]),
    ...(run.deletedRows === null
      ? []
      : [`${countOf(run.deletedRows, 'row')} ${run.mode === 'preview' ? 'to delete' : 'deleted'}`]),
    ...(run.restoredRows === null
      ? []
      : [`${countOf(run.restoredRows, 'row')} ${run.mode === 'preview' ? 'to restore' : 'restored'}`]),
    ...run.forgotten.map(({name}) => `${name} not watched any more`),
    ...(run.gone ?? []).map(({name}) => `${name} does not exist any more`),
    ...(run.labelled === null ? [] : [`${run.backupId ?? ''} has ${run.labelled}`]),
    ...removed(run),
  ].join(', ');
}

function removed({command, mode, backupId, pruned}: RunRecord): string[] {
  if (command === 'delete' && backupId !== null)
    return [
      `${backupId} ${mode === 'preview' ? 'to delete' : pruned.length > 0 ? 'deleted' : 'not deleted'}`,
    ];
  return pruned.length === 0 ? [] : [`${countOf(pruned.length, 'backup')} pruned`];
}

function unreadable(lines: number): string[] {
  return lines === 0
    ? []
    : [`${countOf(lines, 'line')} could not be read: torn by a kill or a full disk, or edited.`];
}
