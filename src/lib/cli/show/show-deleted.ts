/** The result of `delete` as lines: the backup that is gone, or would be, and how many stay. */
import {countOf, formatBytes} from '../../base/format.js';
import type {DeleteResult} from '../../services/by-id/delete-backup.js';
import {printable, type Style} from './style.js';

/** @param repeat the command that does what a dry run shows */
export function showDeleted(repeat: string): (result: DeleteResult, style: Style) => string[] {
  return (result, style) => {
    const {dryRun, id, folder, size, notes} = result;
    return [
      `${dryRun ? 'Would delete' : 'Deleted'} ${style.bold(printable(id))} (${formatBytes(size)}) from ${printable(folder)}.`,
      ...notes.map(printable),
      leftLine(result),
      ...(dryRun ? ['', `${style.bold('Next:')} ${repeat}`] : []),
    ];
  };
}

function leftLine({dryRun, database, goodBackupsLeft: left}: DeleteResult): string {
  const count = left === 0 ? 'No usable backup' : countOf(left, 'usable backup');
  return `${count} of ${printable(database)} ${dryRun ? 'would stay' : left > 1 ? 'stay' : 'stays'} there.`;
}
