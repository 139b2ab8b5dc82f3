/** The result of `prune` as lines: one for every backup with the reason, then the sum. */
import {countOf, formatBytes, formatTime} from '../../base/format.js';
import {isAddress} from '../../base/place-name.js';
import type {PruneCommandResult} from '../../services/prune/prune.js';
import type {PruneDecision, PruneResult} from '../../services/prune/prune-backups.js';
import type {SetAsideDecision, SetAsideResult} from '../../services/prune/prune-databases.js';
import {printable, type Style} from './style.js';
import {table} from './table.js';

/** @param repeat the command that does what a dry run shows */
export function showPrune(repeat: string): (result: PruneCommandResult, style: Style) => string[] {
  return (result, style) => {
    const {kept, removed, setAside, dryRun} = result;
    const isAlone = setAside !== null && kept.length + removed.length === 0;
    const goes = removed.length + (setAside?.removed.length ?? 0) > 0;
    return [
      ...(isAlone ? [] : backupLines(result, style)),
      ...(setAside === null || isAlone ? [] : ['']),
      ...(setAside === null ? [] : setAsideLines(setAside, dryRun, style)),
      ...(dryRun && goes ? ['', `${style.bold('Next:')} ${repeat}`] : []),
    ];
  };
}

function backupLines(result: PruneCommandResult, style: Style): string[] {
  const {kept, removed, dryRun} = result;
  const row = (word: string, one: PruneDecision): string[] => [
    word,
    printable(one.id),
    formatBytes(one.size),
    printable(one.reason),
  ];
  const removal = style.bold(dryRun ? 'would remove' : 'removed');
  const rows = [
    ...kept.map((one) => ({at: one.createdAt, cells: row(style.green('kept'), one)})),
    ...removed.map((one) => ({at: one.createdAt, cells: row(removal, one)})),
  ].sort((a, b) => (a.at < b.at ? 1 : -1));
  const freed = removed.reduce((sum, one) => sum + one.size, 0);
  return [
    ...(rows.length === 0
      ? [`There are no backups in ${printable(result.folder)}. Make one: destino-db backup`]
      : [
          ...table(
            rows.map(({cells}) => cells),
            style,
            {right: [2]},
          ),
          '',
          `${countOf(kept.length, 'backup')} kept, ${removed.length} ${dryRun ? 'would be removed' : 'removed'} (${formatBytes(freed)}).`,
        ]),
    ...result.problems.map(
      (problem) => `${style.bold('Left alone')} ${printable(problem.path)}: ${printable(problem.reason)}`,
    ),
    ...unfinishedLines(result, style),
  ];
}

/** In a bucket they are removed, whichever machine they are of; here they may belong to a run that is still running. */
function unfinishedLines({folder, partials, dryRun}: PruneResult, style: Style): string[] {
  if (partials.length === 0) return [];
  const names = partials.map(printable).join(', ');
  if (!isAddress(folder))
    return [
      `${countOf(partials.length, 'unfinished file')} of other runs: ${names}.`,
      `${style.bold('Next:')} destino-db recover --dry-run`,
    ];
  const copies = countOf(partials.length, 'unfinished copy', 'unfinished copies');
  return [`${copies} of other runs ${dryRun ? 'would be removed' : 'removed'}: ${names}.`];
}

function setAsideLines({kept, removed}: SetAsideResult, dryRun: boolean, style: Style): string[] {
  if (kept.length + removed.length === 0) return ['No database is set aside for this one.'];
  const row = (word: string, one: SetAsideDecision): string[] => [
    word,
    printable(one.id),
    one.size === null ? '-' : formatBytes(one.size),
    formatTime(one.setAsideAt),
    printable(one.owner),
    printable(one.reason),
  ];
  const word = style.bold(dryRun ? 'would drop' : 'dropped');
  return table(
    [...kept.map((one) => row(style.green('kept'), one)), ...removed.map((one) => row(word, one))],
    style,
    {right: [2]},
  );
}
