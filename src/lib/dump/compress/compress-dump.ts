/** Compresses what pg_dump writes uncompressed to a pipe, on several cores, and tells which rows went through. */
import {AppError} from '../../base/errors.js';
import {CopyStream} from '../sql/copy-stream.js';
import {UnknownLayout} from './custom-format.js';
import type {DumpedTable} from '../../fingerprint/table-contents.js';
import {gzipBlocks} from './gzip-blocks.js';
import {recompress, type RecompressOptions} from './recompress.js';

export interface CompressedDump {
  /** To be read to its end. @throws PG_DUMP_FAILED when pg_dump wrote what this program does not know */
  readonly stream: AsyncGenerator<Buffer>;
  /** The tables that pg_dump wrote, once it is known to have succeeded. @throws PG_DUMP_FAILED, VERIFY_FAILED when the dump broke off */
  readonly tables: () => readonly DumpedTable[];
  /**
   * What the stream began with, once it was read to its end, and what a file may begin with instead, so that its reader finds rows
   * by their places; of the same length.
   */
  readonly head: () => {readonly streamed: Buffer; readonly placed: Buffer};
}

/** @param isArchive a custom archive, else plain SQL, which becomes one gzip member */
export function compressDump(
  dump: AsyncIterable<Buffer>,
  isArchive: boolean,
  options: RecompressOptions,
): CompressedDump {
  return isArchive ? compressArchive(dump, options) : compressSql(dump, options);
}

function compressArchive(archive: AsyncIterable<Buffer>, options: RecompressOptions): CompressedDump {
  const {stream, result} = recompress(archive, options);
  return {
    stream: explained(stream),
    tables: () => {
      const {isWhole, tables} = result();
      if (isWhole) return tables;
      throw new AppError('PG_DUMP_FAILED', 'pg_dump ended in the middle of its archive without a word.');
    },
    head: () => result().head,
  };
}

function compressSql(sql: AsyncIterable<Buffer>, options: RecompressOptions): CompressedDump {
  const copyStream = new CopyStream(options.fingerprints);
  const counted = async function* (): AsyncGenerator<Buffer> {
    for await (const chunk of sql) {
      copyStream.write(chunk);
      yield chunk;
    }
  };
  return {
    stream: gzipBlocks(counted(), options),
    tables: () => copyStream.end().tables,
    head: () => ({streamed: Buffer.alloc(0), placed: Buffer.alloc(0)}),
  };
}

async function* explained(stream: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* stream;
  } catch (error) {
    if (!(error instanceof UnknownLayout)) throw error;
    throw new AppError('PG_DUMP_FAILED', `${error.message}; nothing was kept.`, {
      hint: 'Let pg_dump compress by itself: --compress-level 6',
      cause: error,
    });
  }
}
