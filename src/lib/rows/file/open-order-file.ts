/** Finds an order backup and reads it by its kind. */
import {readdir} from 'node:fs/promises';
import {existsSync} from 'node:fs';
import {basename, join, resolve} from 'node:path';
import {foreignFile, openRegularFile, requireTrustedFolder, whyForeign} from '../../base/own-file.js';
import {chooseByBeginning, unknownBackup} from '../../catalog/choose-by-id.js';
import {AppError, systemErrorCode} from '../../base/errors.js';
import type {Settings} from '../../settings/settings.js';
import {
  compareOrderBackups,
  orderBackupFolder,
  parseOrderBackupName,
} from '../../catalog/order-backup-name.js';
import type {OrderFile} from './order-file.js';
import {explainReadError} from './order-file-error.js';
import {snapshotMarks} from './format.js';

/**
 * The absolute path of the order backup that is meant: by its path, its id or the beginning of one, or "latest".
 * @throws USAGE without a name and for the beginning of several ids, BACKUP_NOT_FOUND
 */
export async function findOrderBackup(settings: Settings, name: string | undefined): Promise<string> {
  const folder = join(settings.backupsDir, orderBackupFolder);
  const newest = name === undefined || name === 'latest' ? await newestOrderBackup(folder) : undefined;
  if (name === undefined) {
    throw new AppError('USAGE', 'Which order backup? Its id is missing.', {
      hint:
        newest === undefined
          ? `Name its file; there is no order backup in ${folder}.`
          : `"latest" is the newest one: ${newest}`,
    });
  }
  if (name === 'latest') {
    if (newest !== undefined) return newest;
    throw new AppError('BACKUP_NOT_FOUND', `There is no order backup in ${folder}.`, {
      hint: 'destino-db orders:clean --execute writes one; name another folder with --backups-dir.',
    });
  }
  const path = resolve(settings.cwd, name);
  if (basename(name) !== name || existsSync(path)) return path;
  const inFolder = ['', '.json', '.json.age'].map((extension) => join(folder, name + extension));
  const exact = inFolder.find((candidate) => existsSync(candidate));
  if (exact !== undefined) return exact;
  const all = await orderBackups(folder);
  const found = chooseByBeginning(all, name, folder, (backup) => join(folder, backup.name));
  if (!found) {
    throw unknownBackup(
      `There is no order backup "${name}" in ${folder}, nor a file ${path}.`,
      name,
      all.map(({id}) => id),
      'List the backups: destino-db list',
    );
  }
  const chosen = join(folder, found.name);
  if (await isOwn(chosen)) return chosen;
  throw foreignFile(chosen, 'is not a file of this account');
}

/** In the folder, newest first; of one that does not exist none. */
async function orderBackups(folder: string): Promise<{name: string; id: string}[]> {
  let names: string[];
  try {
    await requireTrustedFolder(folder);
    names = await readdir(folder);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw explainReadError(error, folder);
  }
  return names
    .flatMap((name) => {
      const parsed = parseOrderBackupName(name);
      return parsed ? [{name, id: parsed.id}] : [];
    })
    .sort(compareOrderBackups);
}

async function newestOrderBackup(folder: string): Promise<string | undefined> {
  for (const {name} of await orderBackups(folder)) {
    const path = join(folder, name);
    if (await isOwn(path)) return path;
  }
  return undefined;
}

/** Otherwise a file of another user could decide which rows are restored. */
async function isOwn(path: string): Promise<boolean> {
  return (await whyForeign(path, 'file').catch(() => 'is gone')) === undefined;
}

/**
 * Reads and checks an order backup of either kind.
 * @param schema the schema that the tables of an old script's file are looked for in
 * @throws ORDER_BACKUP_INVALID, BACKUP_NOT_FOUND, READ_FAILED
 */
export async function openOrderFile(path: string, schema: string, signal?: AbortSignal): Promise<OrderFile> {
  if (await beginsWith(path, snapshotMarks.beforeMetadata)) {
    const {readOrderSnapshot} = await import('./read-order-snapshot.js');
    return readOrderSnapshot(path, signal);
  }
  const {readOldScriptOrders} = await import('./read-old-script-orders.js');
  return readOldScriptOrders(path, schema, signal);
}

async function beginsWith(path: string, start: string): Promise<boolean> {
  try {
    const file = await openRegularFile(path);
    try {
      const head = Buffer.alloc(start.length);
      const {bytesRead} = await file.read(head, 0, head.length, 0);
      return head.toString('latin1', 0, bytesRead) === start;
    } finally {
      await file.close();
    }
  } catch (error) {
    throw explainReadError(error, path);
  }
}
