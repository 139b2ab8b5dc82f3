/** `orders:restore` of an order backup in any place, or of an encrypted one: fetched and opened whole, then read as one made here. */
import {basename, dirname, join} from 'node:path';
import {AppError} from '../../../base/errors.js';
import {findOrderBackup} from '../../../rows/file/open-order-file.js';
import type {RunContext} from '../../../run/run-context.js';
import type {OpeningKeys} from '../../../encryption/age-keys.js';
import {decryptStream} from '../../../encryption/age-stream.js';
import {localPlace} from '../../../storage/local-place.js';
import {openFrom} from '../../../storage/open-place.js';
import {choosePlacedOrders, listPlacedOrders} from '../../../storage/placed-orders.js';
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
  const restore = (backupFile: string): Promise<RestoreOrdersResult> =>
    restoreOrders(context, {...options, backupFile});
  if (source.from === undefined) {
    const path = await findOrderBackup(context.settings, options.backupFile);
    return {...(await withPlainOrders(context, path, keys, restore)), backupPath: path};
  }
  const place = await openFrom(context.settings, source.from);
  const backups = await listPlacedOrders(place, context.signal);
  if (options.backupFile === undefined) {
    throw new AppError('USAGE', 'Which order backup? --backup-file is missing.', {
      hint: `--backup-file latest takes the newest; destino-db list --from ${place.url} shows all.`,
    });
  }
  const chosen = choosePlacedOrders(place, backups, options.backupFile);
  const content = (await place.read(chosen.key, context.signal)) as AsyncIterable<Buffer>;
  const result = await withContent(context, {name: basename(chosen.key), content}, keys, restore);
  return {...result, backupPath: chosen.path};
}

/**
 * An order backup here with plain content: itself, or decrypted to its last chunk for as long as `work` takes.
 * @throws KEY_NEEDED, DECRYPT_FAILED before `work` begins
 */
export async function withPlainOrders<T>(
  context: RunContext,
  path: string,
  keys: OpeningKeys,
  work: (path: string) => Promise<T>,
): Promise<T> {
  if (!path.endsWith(ageSuffix)) return work(path);
  const place = localPlace(dirname(path));
  const content = (await place.read(basename(path), context.signal)) as AsyncIterable<Buffer>;
  return withContent(context, {name: basename(path), content}, keys, work);
}

/** Writes what was sent, decrypted where its name says that it is encrypted, into a folder that is removed afterwards. */
async function withContent<T>(
  context: RunContext,
  {name, content}: {readonly name: string; readonly content: AsyncIterable<Buffer>},
  keys: OpeningKeys,
  work: (path: string) => Promise<T>,
): Promise<T> {
  return withFetchedFolder(context, async (folder) => {
    const isEncrypted = name.endsWith(ageSuffix);
    const plainName = isEncrypted ? name.slice(0, -ageSuffix.length) : name;
    const plain = isEncrypted ? decryptStream(content, keys) : content;
    await localPlace(folder).write(plainName, plain, {signal: context.signal});
    return work(join(folder, plainName));
  });
}
