/** Runs pg_dump; where it was so planned, compresses its archive on the way, on several cores. */
import {type FileHandle, open} from 'node:fs/promises';
import {UnknownLayout} from '../archive/custom-format.js';
import type {DumpedTable} from '../archive/dump-contents.js';
import {recompress, type Recompressed, type RecompressOptions} from '../archive/recompress.js';
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
  try {
    let written: Recompressed | undefined;
    await runPgDump({
      ...run,
      options: {...run.options, compress: '0'},
      readStdout: async (stdout) => {
        const workers = Math.min(settings.cores, mostWorkers);
        const options = {level: recompressLevel, workers, fingerprints};
        written = await recompressInto(file, stdout, options, output);
      },
      signal,
    });
    if (written?.isWhole !== true)
      throw new AppError('PG_DUMP_FAILED', 'pg_dump ended in the middle of its archive without a word.');
    return written.tables;
  } finally {
    await file.close();
  }
}

/** Threads of Node's pool, where zlib works. */
const mostWorkers = 4;

async function recompressInto(
  file: FileHandle,
  archive: AsyncIterable<Buffer>,
  options: RecompressOptions,
  path: string,
): Promise<Recompressed> {
  try {
    return await recompress(archive, file, options);
  } catch (error) {
    if (error instanceof UnknownLayout) {
      throw new AppError('PG_DUMP_FAILED', `${error.message}; nothing was kept.`, {
        hint: 'Let pg_dump compress by itself: --compress-level 6',
        cause: error,
      });
    }
    throw systemErrorCode(error) === undefined ? error : explainFileError(error, path);
  }
}
