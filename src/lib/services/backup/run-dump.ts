/** Runs pg_dump: straight to the disk, or through this program, which compresses and reads on the way what will be stored. */
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
import type {Proof} from './result.js';
import {requireStreamedRows} from './verify-dump.js';

export interface DumpToPass extends Pick<
  DumpRun,
  'tool' | 'connection' | 'options' | 'onTable' | 'environment'
> {
  /** Gzip level of this program's own compression; undefined leaves it to pg_dump. */
  readonly recompressLevel: number | undefined;
  /** What follows the dump, in the same form. */
  readonly tail: Buffer | undefined;
  /** Whether rows that pass through here are hashed, or only counted. */
  readonly fingerprints: boolean;
  /** Reads the dump to its end while it passes through here. */
  readonly prove: ((bytes: Readable) => Promise<Proof>) | undefined;
}

export interface PassedDump {
  /** undefined where it was not asked for. */
  readonly proof: Proof | undefined;
}

/** What a dump that passed through here has become on the disk. */
export interface WrittenDump extends PassedDump {
  /** SHA-256 of the bytes that passed, lower-case hexadecimal. */
  readonly sha256: string;
  /** What the bytes that passed began with; the file begins with as many others. */
  readonly beginning: Buffer;
}

/**
 * @param output a file or folder that exists, empty
 * @returns undefined where pg_dump wrote to the disk by itself
 * @throws as `passDump` does; DISK_FULL and other codes of writing
 */
export async function writeDump(
  context: RunContext,
  {output, ...dump}: DumpToPass & {readonly output: string},
): Promise<WrittenDump | undefined> {
  if (dump.recompressLevel !== undefined) {
    const {written, proof} = await passDump(context, dump, (bytes, compressed) =>
      writeCompressed(output, bytes, compressed),
    );
    return {...written, proof};
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
): Promise<Omit<WrittenDump, 'proof'>> {
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
 * Blocks that may wait for their turn in the stream, beyond those that are being deflated. Blocks end out of order; with fewer
 * waiting, the cores idle until the oldest one is done: measured, a tenth of the time of a dump on 2 cores.
 */
const waitingBlocks = 4;

/**
 * Runs pg_dump, whose output passes through here: compressed, read to its end by what will restore it, and taken by `take`.
 * @param take stores what it is given, to its end
 * @returns what `take` returns
 * @throws as `runPgDump` does; what `take` and `prove` throw; VERIFY_FAILED when the dump does not hold what pg_dump wrote
 */
export async function passDump<T>(
  {settings, signal}: RunContext,
  {recompressLevel, fingerprints, tail, prove, ...run}: DumpToPass,
  take: (bytes: AsyncIterable<Buffer>, compressed: CompressedDump | undefined) => Promise<T>,
): Promise<PassedDump & {readonly written: T}> {
  let compressed: CompressedDump | undefined;
  let written: {readonly value: T} | undefined;
  let proving: Promise<Proof> | undefined;
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
    if (!prove) {
      written = {value: await take(dump, compressed)};
      return;
    }
    const {main, branch} = branchStream(dump);
    proving = prove(branch);
    proving.catch(() => undefined); // told once pg_dump is known to have succeeded
    try {
      written = {value: await take(untilFailed(main, proving), compressed)};
    } catch (error) {
      branch.destroy(); // the dump may not have been read to its end
      throw error;
    } finally {
      await Promise.allSettled([proving]);
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
  const proof = await proving;
  if (streamed && proof) requireStreamedRows(streamed, proof.contents);
  return {written: written.value, proof};
}

/** What cannot be read is not taken to its end. @throws what `proving` rejects with */
async function* untilFailed(dump: AsyncIterable<Buffer>, proving: Promise<unknown>): AsyncGenerator<Buffer> {
  const state: {failure?: Error} = {};
  proving.catch(
    (error: unknown) => (state.failure = error instanceof Error ? error : new Error(String(error))),
  );
  for await (const chunk of dump) {
    if (state.failure) throw state.failure;
    yield chunk;
  }
}
