/** Order backups in a location: one file each, complete or absent. */
import {createHash} from 'node:crypto';
import {compareOrderBackups, orderBackupFolder, parseOrderBackupName} from '../catalog/order-backup-name.js';
import {chooseByBeginning, unknownBackup} from '../catalog/choose-by-id.js';
import {AppError} from '../base/errors.js';
import type {Place} from './place.js';

export interface PlacedOrders {
  readonly id: string;
  readonly key: string;
  /** For people. */
  readonly path: string;
  readonly createdAt: Date;
  readonly sizeBytes: number;
  readonly tag: string | undefined;
  readonly isEncrypted: boolean;
}

const prefix = `${orderBackupFolder}/`;

export function isOrderKey(key: string): boolean {
  return key.startsWith(prefix);
}

/** The order backups of a location, newest first. @throws the codes of the store */
export async function listPlacedOrders(place: Place, signal?: AbortSignal): Promise<PlacedOrders[]> {
  const found: PlacedOrders[] = [];
  for await (const {key, sizeBytes, modifiedAt} of place.list(prefix, false, signal)) {
    const name = parseOrderBackupName(key.slice(prefix.length));
    if (!name) continue;
    const {at, ...rest} = name;
    found.push({...rest, key, path: `${place.url}/${key}`, createdAt: at ?? modifiedAt, sizeBytes});
  }
  return found.sort(compareOrderBackups);
}

/** @param name an id or the beginning of one, a file name, or "latest" @throws BACKUP_NOT_FOUND, USAGE where it may be several */
export function choosePlacedOrders(
  place: Place,
  backups: readonly PlacedOrders[],
  name: string,
): PlacedOrders {
  const last = name.slice(name.lastIndexOf('/') + 1);
  const bare = last.replace(/\.json(?:\.age)?$/, '');
  const found =
    name === 'latest'
      ? backups.slice(0, 1)
      : backups.filter(({id, key}) => id === bare || key.endsWith(`/${last}`));
  const [first, ...others] = found;
  if (first && others.length === 0) return first;
  if (first) {
    throw new AppError('USAGE', `${place.url} has ${found.length} order backups "${name}".`, {
      hint: 'Give the name of one of the files.',
      details: found.map(({path}) => path),
    });
  }
  const hint = `List the backups: destino-db list --from ${place.url}`;
  if (name === 'latest')
    throw new AppError('BACKUP_NOT_FOUND', `There is no order backup in ${place.url}.`, {hint});
  const begun = chooseByBeginning(backups, bare, place.url, ({path}) => path);
  if (begun) return begun;
  const ids = backups.map(({id}) => id);
  throw unknownBackup(`There is no order backup "${name}" in ${place.url}.`, bare, ids, hint);
}

/** The key of the order backup with this content. Names of different machines that share the location do not collide. */
export async function orderKey(
  {id, tag}: {readonly id: string; readonly tag: string | undefined},
  open: () => Promise<AsyncIterable<Buffer>>,
): Promise<string> {
  return `${prefix}${id}.${tag ?? (await contentTag(await open()))}.json`;
}

async function contentTag(content: AsyncIterable<Buffer>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of content) hash.update(chunk);
  return hash.digest('hex').slice(0, 12);
}
