/** Runs pg_dump, which writes directly to the disk or through this program, which compresses and verifies the stream. */
import {createHash} from 'node:crypto';
import {appendFile, open, writeFile} from 'node:fs/promises';
import type {Readable} from 'node:stream';
import {formats} from '../../base/formats.js';
import {branchStream} from '../../dump/branch-stream.js';
import {type CompressedDump, compressDump} from '../../dump/compress/compress-dump.js';
import {explainFileError} from '../../base/safe-file.js';
import {AppError, systemErrorCode} from '../../base/errors.js';
import {type DumpRun, runPgDump} from '../../postgres/tools/pg-dump.js';
import type {RunContext} from '../../run/run-context.js';
import type {VerifiedDump} from './result.js';
import {requireStreamedRows} from './verify-dump.js';

export interface DumpToPass extends Pick<
  DumpRun,
  'tool' | 'connection' | 'options' | 'onTable' | 'environment'
> {
  /** Gzip level of this program's own compression; undefined leaves it to pg_dump. */
  readonly recompressLevel: number | undefined;
  /** Text after the dump, in the same format. */
  readonly tail: Buffer | undefined;
  /** Whether streamed rows are hashed, or only counted. */
  readonly fingerprints: boolean;
  /** Reads the dump to its end while it is written. */
  readonly verify: ((bytes: Readable) => Promise<VerifiedDump>) | undefined;
}

export interface PassedDump {
  /** Undefined if it was not requested. */
  readonly verified: VerifiedDump | undefined;
}

/** A dump that was streamed to the disk. */
export interface WrittenDump extends PassedDump {
  /** SHA-256 of the streamed bytes, lower-case hexadecimal. */
  readonly sha256: string;
  /** The first streamed bytes; in the file, the final ones replace them. */
  readonly beginning: Buffer;
}

/**
 * @param output an existing, empty file or folder
 * @returns undefined if pg_dump wrote directly to the disk
 * @throws the errors of `passDump`; DISK_FULL and other codes of writing
 */
export async function writeDump(
  context: RunContext,
  {output, ...dump}: DumpToPass & {readonly output: string},
): Promise<WrittenDump | undefined> {
  if (dump.recompressLevel !== undefined) {
    const {written, verified} = await passDump(context, dump, (bytes, compressed) =>
      writeCompressed(output, bytes, compressed),
    );
    return {...written, verified};
  }
  await runPgDump({...dump, output, signal: context.signal});
  if (dump.tail)
    await appendFile(output, dump.tail).catch((error: unknown) => {
      throw explainFileError(error, output);
    });
  return undefined;
}

async function writeCompressed(
  output: string,
  bytes: AsyncIterable<Buffer>,
  compressed: CompressedDump | undefined,
): Promise<Omit<WrittenDump, 'verified'>> {
  const hash = createHash('sha256');
  const file = await open(output, 'r+');
  try {
    await writeFile(file, hashed(bytes, hash));
    const {streamed, placed} = compressed?.head() ?? {streamed: Buffer.alloc(0), placed: Buffer.alloc(0)};
    for (let done = 0; done < placed.length;)
      done += (await file.write(placed, done, placed.length - done, done)).bytesWritten;
    return {sha256: hash.digest('hex'), beginning: streamed};
  } catch (error) {
    const isOther = error instanceof AppError || systemErrorCode(error) === undefined;
    throw isOther ? error : explainFileError(error, output);
  } finally {
    await file.close();
  }
}

async function* hashed(
  bytes: AsyncIterable<Buffer>,
  hash: ReturnType<typeof createHash>,
): AsyncGenerator<Buffer> {
  for await (const chunk of bytes) {
    hash.update(chunk);
    yield chunk;
  }
}

/** Threads of Node's pool, where zlib works. */
const poolThreads = 4;
/**
 * Blocks that may wait for their turn in the stream, beyond those that are being deflated. Blocks finish out of order; with fewer
 * waiting, the cores idle until the oldest one is done: measured, a tenth of the duration of a dump on 2 cores.
 */
const waitingBlocks = 4;

/**
 * Runs pg_dump and streams its output through this program: compressed, verified by the reader of restores, and stored by `take`.
 * @param take reads its input to the end and stores it
 * @returns the result of `take`
 * @throws the errors of `runPgDump`, `take` and `verify`; VERIFY_FAILED if the dump does not contain the output of pg_dump
 */
export async function passDump<T>(
  {settings, signal}: RunContext,
  {recompressLevel, fingerprints, tail, verify, ...run}: DumpToPass,
  take: (bytes: AsyncIterable<Buffer>, compressed: CompressedDump | undefined) => Promise<T>,
): Promise<PassedDump & {readonly written: T}> {
  let compressed: CompressedDump | undefined;
  let written: {readonly value: T} | undefined;
  let verifying: Promise<VerifiedDump> | undefined;
  const state = {isEmpty: true};
  async function* whole(output: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of output) {
      state.isEmpty = false;
      yield chunk;
    }
    if (tail && !state.isEmpty) yield tail;
  }
  const pass = async (output: AsyncIterable<Buffer>): Promise<void> => {
    const dump = whole(output);
    if (!verify) {
      written = {value: await take(dump, compressed)};
      return;
    }
    const {main, branch} = branchStream(dump);
    verifying = verify(branch);
    verifying.catch(() => undefined); // reported once pg_dump is known to have succeeded
    try {
      written = {value: await take(untilFailed(main, verifying), compressed)};
    } catch (error) {
      branch.destroy(); // the dump may not have been read to its end
      throw error;
    } finally {
      await Promise.allSettled([verifying]);
    }
  };
  const {isArchive} = formats[run.options.format];
  const blocksAhead = Math.min(settings.cores, poolThreads) + waitingBlocks;
  await runPgDump({
    ...run,
    options: recompressLevel === undefined ? run.options : {...run.options, compressLevel: 0},
    readStdout: (stdout) => {
      if (recompressLevel === undefined) return pass(stdout);
      compressed = compressDump(stdout, isArchive, {level: recompressLevel, blocksAhead, fingerprints});
      return pass(compressed.stream);
    },
    signal,
  });
  if (!written || state.isEmpty)
    throw new AppError('PG_DUMP_FAILED', 'pg_dump ended without writing anything.');
  const streamed = compressed?.tables();
  const verified = await verifying;
  if (streamed && verified) requireStreamedRows(streamed, verified.contents);
  return {written: written.value, verified};
}

/** Stops a dump that cannot be read. @throws the rejection of `verifying` */
async function* untilFailed(
  dump: AsyncIterable<Buffer>,
  verifying: Promise<unknown>,
): AsyncGenerator<Buffer> {
  const state: {failure?: Error} = {};
  verifying.catch(
    (error: unknown) => (state.failure = error instanceof Error ? error : new Error(String(error))),
  );
  for await (const chunk of dump) {
    if (state.failure) throw state.failure;
    yield chunk;
  }
}
