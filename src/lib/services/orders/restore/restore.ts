/** `orders:restore` of an order backup in any place, or of an encrypted one: fetched and opened whole, then read as one made here. */
import {basename, dirname, join} from 'node:path';
import {AppError} from '../../../base/errors.js';
import {findOrderBackup} from '../../../rows/file/open-order-file.js';
import type {RunContext} from '../../../run/run-context.js';
import type {OpeningKeys} from '../../../encryption/age-keys.js';
import {decryptStream} from '../../../encryption/age-stream.js';
import {localPlace} from '../../../storage/local-place.js';
import {openFrom} from '../../../storage/open-place.js';
import type {Place} from '../../../storage/place.js';
import {choosePlacedOrders, listPlacedOrders, type PlacedOrders} from '../../../storage/placed-orders.js';
import {ageSuffix} from '../../../storage/stored-record.js';
import {type BackupSource, withFetchedFolder} from '../../../storage/fetch-backup.js';
import {keysOf} from '../../../encryption/settings.js';
import {restoreOrders, type RestoreOrdersOptions, type RestoreOrdersResult} from './execute.js';

/** @throws what `restoreOrders` throws, KEY_NEEDED, DECRYPT_FAILED and the codes of the stores; no row was touched then */
export async function restoreOrdersFrom(
  context: RunContext,
  source: BackupSource,
  options: RestoreOrdersOptions,
): Promise<RestoreOrdersResult> {
  const keys = await keysOf(context, source);
  const chosen = await findOrders(context, source.from, options.backupFile);
  const result = await withPlainOrders(context, chosen, keys, (backupFile) =>
    restoreOrders(context, {...options, backupFile}),
  );
  return {...result, backupPath: chosen.path};
}

/** An order backup in a place; `path` is for people. */
type FoundOrders = Pick<PlacedOrders, 'key' | 'path'> & {readonly place: Place};

async function findOrders(
  {settings, signal}: RunContext,
  from: string | undefined,
  name: string | undefined,
): Promise<FoundOrders> {
  if (from === undefined) return ordersAt(await findOrderBackup(settings, name));
  const place = await openFrom(settings, from);
  const backups = await listPlacedOrders(place, signal);
  if (name === undefined) {
    throw new AppError('USAGE', 'Which order backup? Its id is missing.', {
      hint: `"latest" is the newest one; destino-db list --from ${place.url} shows all.`,
    });
  }
  return {place, ...choosePlacedOrders(place, backups, name)};
}

/** The order backup that is this file. */
export function ordersAt(path: string): FoundOrders {
  return {place: localPlace(dirname(path)), key: basename(path), path};
}

/**
 * An order backup as a plain file here: itself, or a copy that was fetched, or decrypted to its last chunk, for as long as `work`
 * takes.
 * @throws KEY_NEEDED, DECRYPT_FAILED before `work` begins
 */
export async function withPlainOrders<T>(
  context: RunContext,
  {place, key, path}: FoundOrders,
  keys: OpeningKeys,
  work: (path: string) => Promise<T>,
): Promise<T> {
  const isEncrypted = key.endsWith(ageSuffix);
  if (place.isOnThisMachine && !isEncrypted) return work(path);
  const content = (await place.read(key, context.signal)) as AsyncIterable<Buffer>;
  return withFetchedFolder(context, async (folder) => {
    const plainName = isEncrypted ? basename(key, ageSuffix) : basename(key);
    const plain = isEncrypted ? decryptStream(content, keys) : content;
    await localPlace(folder).write(plainName, plain, {signal: context.signal});
    return work(join(folder, plainName));
  });
}
