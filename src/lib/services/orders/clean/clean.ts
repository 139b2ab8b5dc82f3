/** `orders:clean` with an encrypted and copied order backup, as the config file and the flags require. */
import {countOf} from '../../../base/format.js';
import type {RunContext} from '../../../run/run-context.js';
import {cleanOrders, type CleanRequest, type CleanResult, ordersIn} from './execute.js';
import type {CopiedBackup} from '../../copy/copy-backups.js';
import {copyNewOrders} from '../../copy/copy-orders.js';
import {type EncryptionFlags, encryptionOf, requireEncryption} from '../../../encryption/settings.js';
import {requirePlaces} from '../../../storage/open-place.js';
import {restoreOrdersCommand} from '../../../rows/file/restore-command.js';

export interface CleanToPlacesResult extends CleanResult {
  readonly copies: readonly CopiedBackup[];
  /** The command that restores the orders; null if nothing was deleted or there is no order backup. */
  readonly undo: string | null;
}

/**
 * Deletes the orders once their local backup is complete; the copies follow, so that no lock waits for a network.
 * @param command program, id and the flags for the same settings
 * @throws the errors of `cleanOrders`; KEY_NEEDED before anything is done; if a copy fails, its error, which says that the orders are deleted
 */
export async function cleanToPlaces(
  context: RunContext,
  request: CleanRequest,
  flags: EncryptionFlags,
  command: (id: string) => readonly string[],
): Promise<CleanToPlacesResult> {
  const encryption = await encryptionOf(context, flags);
  if (request.execute) {
    requireEncryption(encryption);
    await requirePlaces(context, context.settings.config.storage?.places ?? []);
  }
  const result = await cleanOrders(context, {...request, encryption});
  const {backupPath} = result;
  if (result.mode === 'preview' || backupPath === null) return {...result, copies: [], undo: null};
  const state = `The ${countOf(ordersIn(result), 'order')} were deleted before that.`;
  const copies = await copyNewOrders(context, backupPath, encryption, state);
  return {...result, copies, undo: restoreOrdersCommand(context.settings, encryption, backupPath, command)};
}
