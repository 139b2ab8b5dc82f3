/** The command that puts deleted orders back, as it can be typed. */
import type {Settings} from '../../settings/settings.js';
import {shellCommand} from '../../base/shell-quote.js';
import {ageSuffix} from '../../storage/stored-record.js';
import {type Encryption, keyWordsFor} from '../../encryption/settings.js';

/**
 * @param backupPath of the order backup, absolute
 * @param command program, id and the flags that name the same settings
 */
export function restoreOrdersCommand(
  settings: Settings,
  {to}: Encryption,
  backupPath: string,
  command: (id: string) => readonly string[],
): string {
  const key = to && backupPath.endsWith(ageSuffix) ? keyWordsFor(settings, 'recipients' in to) : [];
  return shellCommand([...command('orders:restore'), '--backup-file', backupPath, ...key, '--execute']);
}
