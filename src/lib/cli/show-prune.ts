/** What prune tells: a line for every backup with the reason, then the sum. */
import {countOf, formatBytes} from '../format.js';
import type {PruneDecision, PruneResult} from '../services/prune-backups.js';
import {columns, printable, type Style} from './style.js';

export function showPrune(result: PruneResult, style: Style): string[] {
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
    ...(result.partials.length === 0
      ? []
      : [
          `${countOf(result.partials.length, 'unfinished file')} of other runs: ${result.partials.map(printable).join(', ')}.`,
          `${style.bold('Next:')} destino-db recover --dry-run`,
        ]),
    ...(dryRun && removed.length > 0
      ? [`${style.bold('Next:')} the same without --dry-run removes them.`]
      : []),
  ];
}
