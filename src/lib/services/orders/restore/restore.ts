/** `orders:restore` from any location or of an encrypted order backup: fetches and decrypts it completely, then reads it like a local one. */
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

/** @throws the errors of `restoreOrders`, KEY_NEEDED, DECRYPT_FAILED and the codes of the stores, before any row was changed */
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

/** An order backup in a location; `path` is for messages. */
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
    throw new AppError('USAGE', 'The id of the order backup is missing.', {
      hint: `"latest" is the newest one; destino-db list --from ${place.url} shows all.`,
    });
  }
  return {place, ...choosePlacedOrders(place, backups, name)};
}

/** The order backup in this file. */
export function ordersAt(path: string): FoundOrders {
  return {place: localPlace(dirname(path)), key: basename(path), path};
}

/**
 * An order backup as an unencrypted local file: the file itself, or a copy that is fetched and completely decrypted for the duration of
 * `work`.
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
