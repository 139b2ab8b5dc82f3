/** Compresses pg_dump's uncompressed output on several cores and records the rows in it. */
import {AppError} from '../../base/errors.js';
import {CopyStream} from '../sql/copy-stream.js';
import {UnknownLayout} from './custom-format.js';
import type {DumpedTable} from '../../fingerprint/table-contents.js';
import {gzipBlocks} from './gzip-blocks.js';
import {recompress, type RecompressOptions} from './recompress.js';

export interface CompressedDump {
  /** Must be read to its end. @throws PG_DUMP_FAILED if pg_dump wrote an unknown layout */
  readonly stream: AsyncGenerator<Buffer>;
  /** The dumped tables, once pg_dump has succeeded. @throws PG_DUMP_FAILED, VERIFY_FAILED if the dump is incomplete */
  readonly tables: () => readonly DumpedTable[];
  /**
   * The beginning of the stream, once it was read to its end, and a replacement of the same length for a file, in which readers find
   * the positions of the rows.
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
      throw new AppError('PG_DUMP_FAILED', 'pg_dump ended in the middle of its archive without an error.');
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
      hint: 'Let pg_dump compress the archive: --compress-level 6',
      cause: error,
    });
  }
}
