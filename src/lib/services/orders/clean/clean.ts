/** `orders:clean` with its order backup encrypted and copied, as the config file and the flags say. */
import {countOf} from '../../../base/format.js';
import type {RunContext} from '../../../run/run-context.js';
import {cleanOrders, type CleanRequest, type CleanResult, ordersIn} from './execute.js';
import type {CopiedBackup} from '../../copy/copy-backups.js';
import {copyNewOrders} from '../../copy/copy-orders.js';
import {type EncryptionFlags, encryptionOf, requireEncryption} from '../../../encryption/settings.js';
import {requirePlaces} from '../../../storage/open-place.js';
import {putBackCommand} from '../../../rows/file/restore-command.js';

export interface CleanToPlacesResult extends CleanResult {
  readonly copies: readonly CopiedBackup[];
  /** The command that puts the orders back; null where nothing was deleted or there is no order backup. */
  readonly undo: string | null;
}

/**
 * The orders are deleted once their backup here is whole; the copies follow, so that no lock waits for a network.
 * @param command program, id and the flags that name the same settings
 * @throws what `cleanOrders` throws; KEY_NEEDED before anything is done; when a copy fails, its error, saying that the orders are deleted
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
  const state = `The ${countOf(ordersIn(result), 'order')} had been deleted by then.`;
  const copies = await copyNewOrders(context, backupPath, encryption, state);
  return {...result, copies, undo: putBackCommand(context.settings, encryption, backupPath, command)};
}
