/** Runs pg_dump; where it was so planned, compresses what it writes on the way, on several cores. */
import {type FileHandle, open, writeFile} from 'node:fs/promises';
import {createCopyStream} from '../archive/copy-stream.js';
import {UnknownLayout} from '../archive/custom-format.js';
import type {DumpedTable} from '../archive/dump-contents.js';
import {gzipBlocks} from '../archive/gzip-blocks.js';
import {recompress, type RecompressOptions} from '../archive/recompress.js';
import {explainFileError} from '../backups/safe-file.js';
import {AppError, systemErrorCode} from '../errors.js';
import {type DumpRun, runPgDump} from '../postgres/pg-dump.js';
import type {RunContext} from '../run-context.js';

export interface DumpToWrite extends Pick<
  DumpRun,
  'tool' | 'connection' | 'options' | 'onTable' | 'environment'
> {
  /** A file or folder that exists, empty. */
  readonly output: string;
  /** Gzip level of this program's own compression; undefined leaves the archive to pg_dump. */
  readonly recompressLevel: number | undefined;
  /** Whether rows that pass through here are hashed, or only counted. */
  readonly fingerprints: boolean;
}

/**
 * @returns the tables that pg_dump wrote, as they passed through here; undefined where it wrote to the disk by itself
 * @throws as `runPgDump` does; DISK_FULL and other codes of writing
 */
export async function writeDump(
  context: RunContext,
  dump: DumpToWrite,
): Promise<readonly DumpedTable[] | undefined> {
  const {recompressLevel, fingerprints, output, ...run} = dump;
  const {signal, settings} = context;
  if (recompressLevel === undefined) {
    await runPgDump({...run, output, signal});
    return undefined;
  }
  const file = await open(output, 'r+');
  const write = run.options.format === 'sql' ? gzipInto : recompressInto;
  const workers = Math.min(settings.cores, mostWorkers);
  let tables: (() => readonly DumpedTable[]) | undefined;
  try {
    await runPgDump({
      ...run,
      options: {...run.options, compress: '0'},
      readStdout: async (stdout) => {
        try {
          tables = await write(stdout, file, {level: recompressLevel, workers, fingerprints});
        } catch (error) {
          throw explainWriting(error, output);
        }
      },
      signal,
    });
    if (!tables) throw new AppError('PG_DUMP_FAILED', 'pg_dump ended without writing anything.');
    return tables();
  } finally {
    await file.close();
  }
}

/** Threads of Node's pool, where zlib works. */
const mostWorkers = 4;

/**
 * Writes a custom archive compressed.
 * @returns what gives its tables once pg_dump is known to have succeeded, and fails when the archive broke off
 */
async function recompressInto(
  archive: AsyncIterable<Buffer>,
  file: FileHandle,
  options: RecompressOptions,
): Promise<() => readonly DumpedTable[]> {
  const {isWhole, tables} = await recompress(archive, file, options);
  return () => {
    if (isWhole) return tables;
    throw new AppError('PG_DUMP_FAILED', 'pg_dump ended in the middle of its archive without a word.');
  };
}

/** Writes plain SQL as one gzip member; otherwise as `recompressInto`. */
async function gzipInto(
  sql: AsyncIterable<Buffer>,
  file: FileHandle,
  options: RecompressOptions,
): Promise<() => readonly DumpedTable[]> {
  const copyStream = createCopyStream(options.fingerprints);
  const counted = async function* (): AsyncGenerator<Buffer> {
    for await (const chunk of sql) {
      copyStream.write(chunk);
      yield chunk;
    }
  };
  await writeFile(file, gzipBlocks(counted(), options));
  return () => copyStream.end().tables;
}

function explainWriting(error: unknown, path: string): unknown {
  if (error instanceof UnknownLayout) {
    return new AppError('PG_DUMP_FAILED', `${error.message}; nothing was kept.`, {
      hint: 'Let pg_dump compress by itself: --compress-level 6',
      cause: error,
    });
  }
  const isOther = error instanceof AppError || systemErrorCode(error) === undefined;
  return isOther ? error : explainFileError(error, path);
}
