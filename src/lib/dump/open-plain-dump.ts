/** Opens a plain dump as a stream of SQL and decompresses gzip. */
import {createReadStream} from 'node:fs';
import {Readable} from 'node:stream';
import {createGunzip} from 'node:zlib';
import type {DetectedDump} from './detect-format.js';

const bufferBytes = 1 << 18;

/** @param onBytes called with the bytes of the file read so far */
export function openPlainDump(
  dump: Pick<DetectedDump, 'path' | 'compressed' | 'remote'>,
  onBytes?: (bytes: number) => void,
): Readable {
  const file: Readable = dump.remote
    ? Readable.from(dump.remote.open(), {objectMode: false})
    : createReadStream(dump.path, {highWaterMark: bufferBytes});
  if (onBytes) {
    let bytes = 0;
    file.on('data', (chunk: Buffer) => onBytes((bytes += chunk.length)));
    file.pause();
  }
  if (!dump.compressed) return file;
  const gunzip = createGunzip({chunkSize: bufferBytes});
  file.on('error', (error) => gunzip.destroy(error));
  gunzip.on('close', () => file.destroy());
  return file.pipe(gunzip);
}
