/** Runs pg_dump; where it was so planned, compresses what it writes on the way, on several cores. */
import {appendFile, open, writeFile} from 'node:fs/promises';
import {formats} from '../../base/formats.js';
import {type CompressedDump, compressDump} from '../../dump/compress/compress-dump.js';
import type {DumpedTable} from '../../fingerprint/table-contents.js';
import {explainFileError} from '../../base/safe-file.js';
import {AppError, systemErrorCode} from '../../base/errors.js';
import {type DumpRun, runPgDump} from '../../postgres/tools/pg-dump.js';
import type {RunContext} from '../../run/run-context.js';

export interface DumpToWrite extends Pick<
  DumpRun,
  'tool' | 'connection' | 'options' | 'onTable' | 'environment'
> {
  /** A file or folder that exists, empty. */
  readonly output: string;
  /** Gzip level of this program's own compression; undefined leaves the archive to pg_dump. */
  readonly recompressLevel: number | undefined;
  /** What follows the dump in its file, in the same form. */
  readonly tail?: Buffer | undefined;
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
  const {tail, ...rest} = dump;
  const tables = await writeFileOf(context, rest);
  if (tail)
    await appendFile(dump.output, tail).catch((error: unknown) => {
      throw explainFileError(error, dump.output);
    });
  return tables;
}

async function writeFileOf(
  context: RunContext,
  dump: Omit<DumpToWrite, 'tail'>,
): Promise<readonly DumpedTable[] | undefined> {
  const {recompressLevel, output, fingerprints, ...run} = dump;
  if (recompressLevel === undefined) {
    await runPgDump({...run, output, signal: context.signal});
    return undefined;
  }
  return runCompressing(context, {...run, recompressLevel, fingerprints}, async ({stream, head}) => {
    const file = await open(output, 'r+');
    try {
      await writeFile(file, stream);
      const start = head();
      for (let done = 0; done < start.length;)
        done += (await file.write(start, done, start.length - done, done)).bytesWritten;
    } catch (error) {
      const isOther = error instanceof AppError || systemErrorCode(error) === undefined;
      throw isOther ? error : explainFileError(error, output);
    } finally {
      await file.close();
    }
  });
}

/** Threads of Node's pool, where zlib works. */
const mostWorkers = 4;

/**
 * Runs pg_dump uncompressed.
 * @param take reads what it writes, compressed, to its end
 * @returns the tables as they passed through here
 * @throws as `runPgDump` does, and what `take` throws
 */
export async function runCompressing(
  {settings, signal}: RunContext,
  {
    recompressLevel,
    fingerprints,
    ...run
  }: Omit<DumpToWrite, 'output' | 'tail'> & {readonly recompressLevel: number},
  take: (dump: CompressedDump) => Promise<void>,
): Promise<readonly DumpedTable[]> {
  const {isArchive} = formats[run.options.format];
  const workers = Math.min(settings.cores, mostWorkers);
  let dump: CompressedDump | undefined;
  await runPgDump({
    ...run,
    options: {...run.options, compressLevel: 0},
    readStdout: (stdout) =>
      take((dump = compressDump(stdout, isArchive, {level: recompressLevel, workers, fingerprints}))),
    signal,
  });
  if (!dump) throw new AppError('PG_DUMP_FAILED', 'pg_dump ended without writing anything.');
  return dump.tables();
}
