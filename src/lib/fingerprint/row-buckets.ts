/** Compares two sets of keyed rows of any size: both are distributed over files by key, then compared file by file. */
import {hash} from 'node:crypto';
import {createReadStream} from 'node:fs';
import {appendFile, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {systemErrorCode} from '../base/errors.js';

export type Side = 'live' | 'backup';

export interface RowDifferences {
  /** Number of rows only on the live side, only in the backup, and with the same key but different content. */
  readonly onlyLive: number;
  readonly onlyBackup: number;
  readonly changed: number;
}

/** Receives the key of each difference. */
export type OnDifference = (kind: keyof RowDifferences, key: Buffer) => void;

/** Rows of the backup per file. A file is compared in memory, at about 100 bytes per row. */
const rowsPerBucket = 50_000;
const mostBuckets = 1024;
const flushBytes = 1 << 16;
/** Length of the prefix of each record: the length of its key. */
const headBytes = 4;
const hashBytes = 16;

export interface RowBuckets {
  /** Adds a row; it stays in memory until `flush`. */
  add(side: Side, key: Buffer, row: Buffer): void;
  /** Writes out the files with much data in memory. */
  flush(): Promise<void>;
  /** Writes out all data in memory; useful before rows of another kind. */
  flushAll(): Promise<void>;
  /** Compares all added rows and removes the files. */
  compare(onDifference?: OnDifference): Promise<RowDifferences>;
}

/**
 * @param folder an empty folder of the caller
 * @param expectedRows of the backup; determines the number of files
 */
export function createRowBuckets(folder: string, expectedRows: number): RowBuckets {
  const count = Math.min(mostBuckets, Math.max(1, Math.ceil(expectedRows / rowsPerBucket)));
  const waiting = new Map<string, {parts: Buffer[]; bytes: number}>();
  const bufferBytes = Math.max(1024, Math.floor((flushBytes * 64) / count));
  const pathOf = (name: string): string => join(folder, name);

  const full = new Set<string>();

  const write = async (names: Iterable<string>): Promise<void> => {
    for (const name of [...names]) {
      const data = Buffer.concat(waiting.get(name)?.parts ?? []);
      waiting.delete(name);
      full.delete(name);
      await appendFile(pathOf(name), data, {mode: 0o600});
    }
  };
  const flushAll = (): Promise<void> => write(waiting.keys());

  return {
    add(side, key, row) {
      const name = `${side}-${bucketOf(key, count)}`;
      const head = Buffer.alloc(headBytes);
      head.writeUInt32LE(key.length);
      const record = [head, Buffer.from(key), hash('sha256', row, 'buffer').subarray(0, hashBytes)];
      const entry = waiting.get(name) ?? {parts: [], bytes: 0};
      entry.parts.push(...record);
      entry.bytes += headBytes + key.length + hashBytes;
      waiting.set(name, entry);
      if (entry.bytes >= bufferBytes) full.add(name);
    },
    flush: () => write(full),
    flushAll,
    async compare(onDifference) {
      await flushAll();
      const total = {onlyLive: 0, onlyBackup: 0, changed: 0};
      for (let bucket = 0; bucket < count; bucket++) {
        const [live, backup] = [pathOf(`live-${bucket}`), pathOf(`backup-${bucket}`)];
        await compareBucket(live, backup, (kind, key) => {
          total[kind]++;
          onDifference?.(kind, key);
        });
        for (const file of [live, backup]) await rm(file, {force: true});
      }
      return total;
    },
  };
}

/** FNV-1a; used for distribution only, so collisions are harmless. */
function bucketOf(key: Buffer, count: number): number {
  let value = 0x811c9dc5;
  for (const byte of key) value = Math.imul(value ^ byte, 0x01000193);
  return (value >>> 0) % count;
}

/** Keys may repeat if the complete row is the key: each occurrence then matches one on the other side. */
async function compareBucket(live: string, backup: string, onDifference: OnDifference): Promise<void> {
  const rows = new Map<string, string[]>();
  for await (const records of recordsOf(backup)) {
    for (const {key, digest} of records) {
      const same = rows.get(key);
      if (same) same.push(digest);
      else rows.set(key, [digest]);
    }
  }
  for await (const records of recordsOf(live)) {
    for (const {key, digest} of records) {
      const same = rows.get(key);
      const found = same?.pop();
      if (same?.length === 0) rows.delete(key);
      if (found === undefined) onDifference('onlyLive', Buffer.from(key, 'latin1'));
      else if (found !== digest) onDifference('changed', Buffer.from(key, 'latin1'));
    }
  }
  for (const [key, digests] of rows) {
    for (let left = digests.length; left > 0; left--) onDifference('onlyBackup', Buffer.from(key, 'latin1'));
  }
}

/** The records of a file, one piece of it at a time; none if no row was assigned to it. */
async function* recordsOf(path: string): AsyncGenerator<{key: string; digest: string}[]> {
  let pending: Buffer[] = [];
  let bytes = 0;
  let needed = headBytes;
  try {
    for await (const chunk of createReadStream(path, {highWaterMark: 1 << 20}) as AsyncIterable<Buffer>) {
      pending.push(chunk);
      bytes += chunk.length;
      if (bytes < needed) continue; // joins a long record only once
      const data = Buffer.concat(pending);
      const records = [];
      let position = 0;
      for (;;) {
        const start = position + headBytes;
        const end = data.length < start ? start : start + data.readUInt32LE(position) + hashBytes;
        needed = end - position;
        if (data.length < end) break;
        const digestAt = end - hashBytes;
        records.push({
          key: data.toString('latin1', start, digestAt),
          digest: data.toString('latin1', digestAt, end),
        });
        position = end;
      }
      pending = [data.subarray(position)];
      bytes = data.length - position;
      yield records;
    }
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  }
}
