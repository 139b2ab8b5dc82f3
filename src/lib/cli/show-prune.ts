/** What prune tells: a line for every backup with the reason, then the sum. */
import {countOf, formatBytes} from '../format.js';
import {isRemote} from '../place-name.js';
import type {PruneCommandResult, PruneDecision, PruneResult} from '../services/prune-backups.js';
import type {SetAsideDecision, SetAsideResult} from '../services/prune-set-aside.js';
import {columns, printable, type Style} from './style.js';

export function showPrune(result: PruneCommandResult, style: Style): string[] {
  const {kept, removed, dryRun} = result;
  const row = (word: string, one: PruneDecision): string[] => [
    word,
    printable(one.id),
    formatBytes(one.size),
    printable(one.reason),
  ];
  const removal = style.yellow(dryRun ? 'would remove' : 'removed');
  const rows = [
    ...kept.map((one) => ({at: one.createdAt, cells: row(style.green('kept'), one)})),
    ...removed.map((one) => ({at: one.createdAt, cells: row(removal, one)})),
  ].sort((a, b) => (a.at < b.at ? 1 : -1));
  const freed = removed.reduce((sum, one) => sum + one.size, 0);
  const nothing = kept.length === 0 && removed.length === 0;
  if (nothing && result.setAside) return setAsideLines(result.setAside, dryRun, style);
  return [
    ...columns(
      rows.map(({cells}) => cells),
      [2],
    ),
    ...(nothing ? [`There are no backups in ${result.folder}. Make one: destino-db backup`] : ['']),
    ...(nothing
      ? []
      : [
          `${countOf(kept.length, 'backup')} kept, ${removed.length} ${dryRun ? 'would be removed' : 'removed'} (${formatBytes(freed)}).`,
        ]),
    ...result.problems.map(
      (problem) => `${style.yellow('Left alone')} ${printable(problem.path)}: ${printable(problem.reason)}`,
    ),
    ...unfinishedLines(result, style),
    ...(dryRun && removed.length > 0
      ? [`${style.bold('Next:')} the same without --dry-run removes them.`]
      : []),
  ];
}

/** In a bucket they are removed, whichever machine they are of; here they may belong to a run that is at work. */
function unfinishedLines({folder, partials, dryRun}: PruneResult, style: Style): string[] {
  if (partials.length === 0) return [];
  const names = partials.map(printable).join(', ');
  if (!isRemote(folder))
    return [
      `${countOf(partials.length, 'unfinished file')} of other runs: ${names}.`,
      `${style.bold('Next:')} destino-db recover --dry-run`,
    ];
  const copies = countOf(partials.length, 'unfinished copy', 'unfinished copies');
  return [`${copies} of other runs ${dryRun ? 'would be removed' : 'removed'}: ${names}.`];
}

function setAsideLines({kept, removed}: SetAsideResult, dryRun: boolean, style: Style): string[] {
  if (kept.length + removed.length === 0) return ['No database is set aside on this server.'];
  const row = (word: string, one: SetAsideDecision): string[] => [
    word,
    printable(one.id),
    one.size === null ? '-' : formatBytes(one.size),
    printable(one.reason),
  ];
  const word = style.yellow(dryRun ? 'would drop' : 'dropped');
  return columns(
    [...kept.map((one) => row(style.green('kept'), one)), ...removed.map((one) => row(word, one))],
    [2],
  );
}
