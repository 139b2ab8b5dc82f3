/** Reads the head of an archive on this machine: its table of contents, without the rows. */
import {open} from 'node:fs/promises';
import {join} from 'node:path';
import {type BackupFormat, formats} from '../base/formats.js';
import {type CustomHead, readCustomHead} from './compress/custom-format.js';

/** Longer tables of contents are not read. */
const longestHead = 64 << 20;

/** @returns undefined if the archive has a layout or damage that only pg_restore can judge */
export async function readArchiveHead(archive: {
  readonly path: string;
  readonly format: BackupFormat;
}): Promise<(CustomHead & {readonly sizeBytes: number}) | undefined> {
  const {isFolder} = formats[archive.format];
  try {
    const file = await open(isFolder ? join(archive.path, 'toc.dat') : archive.path, 'r');
    try {
      const {size} = await file.stat();
      for (let length = 1 << 20; length <= longestHead; length *= 4) {
        const start = Buffer.alloc(Math.min(length, size));
        const {bytesRead} = await file.read(start, 0, start.length, 0);
        const head = readCustomHead(start.subarray(0, bytesRead), isFolder ? 'directory' : 'custom');
        if (head || bytesRead >= size) return head && {...head, sizeBytes: size};
      }
      return undefined;
    } finally {
      await file.close();
    }
  } catch {
    return undefined; // pg_restore reports the problem
  }
}
