/** Copies order backups to other locations: a new one for `orders:clean`, chosen ones for `copy --orders`. */
import {basename, dirname} from 'node:path';
import {elapsedMs} from '../../base/clock.js';
import {AppError} from '../../base/errors.js';
import type {RunContext} from '../../run/run-context.js';
import {decryptStream} from '../../encryption/age-stream.js';
import {writeChecked} from '../../storage/write-checked.js';
import {localPlace} from '../../storage/local-place.js';
import {openFrom, openPlace} from '../../storage/open-place.js';
import type {Place} from '../../storage/place.js';
import {
  choosePlacedOrders,
  listPlacedOrders,
  orderKey,
  type PlacedOrders,
} from '../../storage/placed-orders.js';
import {ageSuffix} from '../../storage/stored-record.js';
import {openJournal} from '../../run/journal.js';
import type {CopiedBackup, CopyRequest, CopyResult} from './copy-backups.js';
import {type Encryption, encryptionOf, requireEncryption} from '../../encryption/settings.js';
import {openFirstChunk} from '../../storage/try-keys.js';
import {toEachPlace} from './each-location.js';

/**
 * Copies a new order backup to every location of the config file.
 * @param path of the local order backup
 * @param state a sentence that says what happened to its orders
 * @throws the first failure, after every location was tried; the message says that the orders are deleted and where their backup is
 */
export async function copyNewOrders(
  context: RunContext,
  path: string,
  encryption: Encryption,
  state: string,
): Promise<CopiedBackup[]> {
  const places = context.settings.config.storage?.places ?? [];
  const from = localPlace(dirname(dirname(path)));
  const orders = (await listPlacedOrders(from)).find(({key}) => basename(key) === basename(path));
  if (!orders) throw new AppError('UNEXPECTED', `${path} does not have the name of an order backup.`);
  try {
    return await toEachPlace(places, `${state} Their order backup is complete: ${path}.`, async (name) => [
      await copyOne(context, {from, orders, to: await openPlace(context.settings, name)}, encryption, false),
    ]);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const again = `Once the location is reachable again: destino-db copy --orders --backup-file ${basename(path)} --to PLACE`;
    const {code, message, details, hint} = error;
    const fullHint = hint === undefined ? again : `${hint} ${again}`;
    throw new AppError(code, message, {details, cause: error, hint: fullHint});
  }
}

/** @throws BACKUP_NOT_FOUND, KEY_NEEDED, CHECKSUM_MISMATCH and the codes of the stores; earlier copies remain */
export async function copyOrders(context: RunContext, request: CopyRequest): Promise<CopyResult> {
  const {settings, signal} = context;
  const from =
    request.from === undefined
      ? await openPlace(settings, settings.backupsDir)
      : await openFrom(settings, request.from);
  const encryption = request.encryption ?? (await encryptionOf(context, request));
  const backups = await listPlacedOrders(from, signal);
  const chosen =
    request.isAll === true
      ? backups
      : (request.backupFiles ?? ['latest']).map((name) => choosePlacedOrders(from, backups, name));
  const isOpening = request.isOpening ?? false;
  if (isOpening || (!encryption.to && chosen.some(({isEncrypted}) => !isEncrypted)))
    requireEncryption({to: undefined, isRequired: encryption.isRequired});
  const copies: CopiedBackup[] = [];
  for (const name of request.to) {
    const to = await openPlace(settings, name);
    for (const orders of chosen)
      copies.push(await copyOne(context, {from, orders, to}, encryption, isOpening));
  }
  return {from: from.url, copies};
}

async function copyOne(
  context: RunContext,
  {from, orders, to}: {readonly from: Place; readonly orders: PlacedOrders; readonly to: Place},
  {to: encryptTo, keys}: Encryption,
  isOpening: boolean,
): Promise<CopiedBackup> {
  const {signal} = context;
  const startedMs = context.clock.now().getTime();
  const read = async () => (await from.read(orders.key, signal)) as AsyncIterable<Buffer>;
  const key = await orderKey(orders, read);
  const newEncryption = orders.isEncrypted || isOpening ? undefined : encryptTo;
  const isStoredEncrypted = (orders.isEncrypted && !isOpening) || newEncryption !== undefined;
  const stored = isStoredEncrypted ? key + ageSuffix : key;
  const isPresent = (await to.status(stored)) !== undefined;
  if (!isPresent) {
    await context.progress.step(`Copy ${orders.id} to ${to.url}`, async (step) => {
      const isOpened = orders.isEncrypted && isOpening;
      const content = await read();
      await withJournal(context, to, stored, () =>
        writeChecked(context, {
          to,
          key: newEncryption ? key : stored,
          source: isOpened ? decryptStream(content, keys) : content,
          encryptTo: newEncryption,
          expectedBytes: orders.sizeBytes,
          onBytes: (bytes) => step.advance(bytes, orders.sizeBytes, 'bytes'),
        }),
      );
      if (newEncryption && ('recipients' in newEncryption ? keys.identities : keys.passphrases).length > 0)
        await openFirstChunk(to, stored, keys);
    });
  }
  return {
    id: orders.id,
    to: to.url,
    metadataPath: `${to.url}/${stored}`,
    size: (await to.status(stored))?.sizeBytes ?? 0,
    encrypted: isStoredEncrypted,
    outcome: isPresent ? 'present' : 'copied',
    duration: elapsedMs(context.clock, startedMs),
  };
}

/** Removes the copy if writing or reading it back fails; until then the journal lists the upload. */
async function withJournal(
  context: RunContext,
  to: Place,
  key: string,
  write: () => Promise<unknown>,
): Promise<void> {
  const journal = openJournal(context, 'copy');
  try {
    const done = await journal.begin(to.journalEntry(key));
    try {
      await write();
      await done();
    } catch (error) {
      // The file belongs to another run.
      if (error instanceof AppError && error.code === 'STORAGE_CONFLICT') await done();
      // If the store is unreachable, the entry stays in the journal for recover.
      else await to.remove(key).then(done, () => undefined);
      throw error;
    }
  } finally {
    await journal.close();
  }
}
