/** Divides the entries of an archive among several readers, with about the same number of bytes each. */
import {readdir, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {readArchiveHead} from './read-archive-head.js';

/** An entry of the table of contents, as printed by `pg_restore --list`. */
export interface ListedEntry {
  readonly id: number;
  /** "TABLE DATA", "BLOBS", or another type, of which only the first word is reliable. */
  readonly type: string;
}

/** @param lines of `pg_restore --list`: `3345; 0 16390 TABLE DATA public orders postgres` */
export function listedEntries(lines: readonly string[]): ListedEntry[] {
  return lines.flatMap((line) => {
    const [, id, type] = /^(\d+); \d+ \d+ (TABLE DATA|\S+) /.exec(line) ?? [];
    return id === undefined || type === undefined ? [] : [{id: Number(id), type}];
  });
}

/** Whether the entry has rows or large objects, the bulk of an archive. */
export function hasData({type}: ListedEntry): boolean {
  return type === 'TABLE DATA' || type === 'BLOBS';
}

/**
 * Every entry is in exactly one share, in the order of the list; entries without data are in the first share.
 * @param sizes bytes by entry id; other entries count as empty
 * @param count maximum number of shares; none is empty
 */
export function shareEntries(
  entries: readonly ListedEntry[],
  sizes: ReadonlyMap<number, number>,
  count: number,
): ListedEntry[][] {
  const shares = Array.from({length: count}, () => ({bytes: 0, ids: new Set<number>()}));
  const sizeOf = ({id}: ListedEntry): number => sizes.get(id) ?? 0;
  for (const entry of entries.filter(hasData).sort((a, b) => sizeOf(b) - sizeOf(a))) {
    const lightest = shares.reduce((least, share) => (share.bytes < least.bytes ? share : least));
    lightest.bytes += sizeOf(entry);
    lightest.ids.add(entry.id);
  }
  return shares
    .map(({ids}, index) => entries.filter((entry) => (hasData(entry) ? ids.has(entry.id) : index === 0)))
    .filter((share) => share.length > 0);
}

/**
 * Size of each entry's data in a custom archive, by entry id.
 * @returns undefined if the archive has no positions, or has a layout or damage that only pg_restore can judge
 */
export async function entrySizesOfFile(path: string): Promise<Map<number, number> | undefined> {
  const head = await readArchiveHead({path, format: 'custom'});
  return head && sizesBetween(head.entries, head.sizeBytes);
}

/** The data of the entries is stored consecutively. */
function sizesBetween(
  entries: readonly {dumpId: number; offset: number | undefined}[],
  end: number,
): Map<number, number> | undefined {
  const places: {dumpId: number; offset: number}[] = [];
  for (const {dumpId, offset} of entries) {
    if (offset === undefined) return undefined;
    places.push({dumpId, offset});
  }
  places.sort((a, b) => a.offset - b.offset);
  return new Map(
    places.map(({dumpId, offset}, index) => [dumpId, (places[index + 1]?.offset ?? end) - offset]),
  );
}

/** Size of the files of each entry in a directory archive, by entry id; all large objects count for their first list. */
export async function entrySizesOfFolder(
  folder: string,
  entries: readonly ListedEntry[],
): Promise<Map<number, number>> {
  const sizes = new Map<number, number>();
  const firstBlobs = entries.find(({type}) => type === 'BLOBS')?.id;
  for (const name of await readdir(folder)) {
    const [, number] = /^(?:(\d+)|blob_\d+)\.dat/.exec(name) ?? [];
    const id = number === undefined ? (name.startsWith('blob_') ? firstBlobs : undefined) : Number(number);
    if (id === undefined) continue;
    sizes.set(id, (sizes.get(id) ?? 0) + (await stat(join(folder, name))).size);
  }
  return sizes;
}
