/** Reads a dump completely and returns its content: verifies that it can be read. */
import {createReadStream} from 'node:fs';
import {stat} from 'node:fs/promises';
import {addAbortSignal, type Readable} from 'node:stream';
import {createGunzip} from 'node:zlib';
import {AppError, messageOf, systemErrorCode} from '../base/errors.js';
import {findTool} from '../postgres/tools/find-tools.js';
import {type BackupFormat, formats} from '../base/formats.js';
import type {Settings} from '../settings/settings.js';
import {CopyStream} from './sql/copy-stream.js';
import {detectDump, type DetectedDump} from './detect-format.js';
import type {DumpContents} from '../fingerprint/table-contents.js';
import {readArchive} from './read-archive.js';
import {forProgram, type ProgramInput} from '../postgres/tools/archive-input.js';

export interface DumpFile {
  readonly path: string;
  readonly format: BackupFormat;
  /** Whether a plain dump is gzipped. */
  readonly compressed: boolean;
}

export interface ReadDumpOptions {
  readonly settings: Settings;
  /** Whether to hash rows, or only count them. */
  readonly fingerprints: boolean;
  readonly signal?: AbortSignal;
  /** Called with the bytes of plain SQL read so far; the total size of an archive is unknown. */
  readonly onBytes?: (bytes: number) => void;
  /** Also receives the SQL, to its end. */
  readonly alsoRead?: (sql: AsyncIterable<Buffer>) => Promise<void>;
}

const chunkBytes = 1 << 18;
/** One thread hashes the output of all readers, so more readers would wait for it. */
const mostReaders = 4;

/**
 * Reads a dump to its end: plain SQL directly, archives through a matching pg_restore, which decompresses every block.
 * @throws VERIFY_FAILED, NOT_A_BACKUP, UNSAFE_DUMP if it is damaged, incomplete or contains statements that pg_dump does not write;
 *   PG_RESTORE_NOT_FOUND, TOOL_TOO_OLD when no pg_restore can read it; READ_FAILED; INTERRUPTED
 */
export async function readDump(
  dump: DumpFile | DetectedDump,
  options: ReadDumpOptions,
): Promise<DumpContents> {
  const remote = 'remote' in dump ? dump.remote : undefined;
  if (!remote) return readFrom(dump, options, undefined);
  const input = forProgram(remote.open());
  try {
    const contents = await readFrom(dump, options, input);
    await input.readOn();
    return contents;
  } catch (error) {
    // Changed bytes are a better explanation than the error that they cause in the reader.
    if (error instanceof AppError && error.code !== 'INTERRUPTED' && remote.isUnchecked !== true)
      await input.readOn();
    throw error;
  } finally {
    await input.close();
  }
}

async function readFrom(
  dump: DumpFile | DetectedDump,
  options: ReadDumpOptions,
  input: ProgramInput | undefined,
): Promise<DumpContents> {
  const detected = 'remote' in dump ? dump : await detectDump(dump.path);
  const {isArchive, compressesInside} = formats[dump.format];
  if (detected.format !== dump.format || (!compressesInside && detected.compressed !== dump.compressed)) {
    throw new AppError('VERIFY_FAILED', `${dump.path} is no longer in the format that was written.`);
  }
  if (!isArchive) return readPlain(detected, options, input);
  const tool = await findTool('pg_restore', options.settings, detected.dumpMajor ?? undefined);
  const {settings, ...reading} = options;
  try {
    return await readArchive(dump, tool, {
      ...reading,
      ...(input ? {input} : {}),
      readers: Math.min(settings.cores, mostReaders),
    });
  } catch (error) {
    throw damaged(dump.path, error);
  }
}

async function readPlain(
  dump: DetectedDump,
  options: ReadDumpOptions,
  input: ProgramInput | undefined,
): Promise<DumpContents> {
  const reader = createReader(options);
  const {signal} = options;
  const file: Readable = input?.stream ?? createReadStream(dump.path, {highWaterMark: chunkBytes});
  const gunzip = dump.compressed ? createGunzip({chunkSize: chunkBytes}) : undefined;
  // Unlike pipeline(), which would replace the reader's error by its own "aborted".
  if (gunzip) file.on('error', (error) => gunzip.destroy(error)).pipe(gunzip);
  const stream = gunzip ?? file;
  if (signal) addAbortSignal(signal, stream);
  try {
    await readAll(stream, reader.write, options.alsoRead);
    // zlib silently ignores data after the last complete member.
    await input?.readOn();
    const unread = gunzip ? (input?.bytes() ?? (await stat(dump.path)).size) - gunzip.bytesWritten : 0;
    if (unread > 0) throw new AppError('VERIFY_FAILED', `${unread} bytes after its end are not gzip data.`);
    return reader.end();
  } catch (error) {
    signal?.throwIfAborted();
    throw damaged(dump.path, error);
  } finally {
    file.destroy();
  }
}

function createReader(options: ReadDumpOptions): {write: (chunk: Buffer) => void; end: () => DumpContents} {
  const copyStream = new CopyStream(options.fingerprints);
  let bytes = 0;
  return {
    write: (chunk) => {
      copyStream.write(chunk);
      bytes += chunk.length;
      options.onBytes?.(bytes);
    },
    end: () => copyStream.end(),
  };
}

async function readAll(
  stream: Readable,
  write: (chunk: Buffer) => void,
  alsoRead: ReadDumpOptions['alsoRead'],
): Promise<void> {
  async function* pass(): AsyncGenerator<Buffer> {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      write(chunk);
      yield chunk;
    }
  }
  if (alsoRead) return alsoRead(pass());
  for await (const chunk of stream as AsyncIterable<Buffer>) write(chunk);
}

/** Names the file; an error of a reader (zlib, pg_restore) means that the file is damaged. */
function damaged(path: string, error: unknown): unknown {
  if (error instanceof AppError) {
    if (error.code !== 'VERIFY_FAILED' && error.code !== 'UNSAFE_DUMP') return error;
    const hint = error.hint ?? 'Make a new backup; this one is not reliable.';
    return new AppError(error.code, `${path} is damaged: ${error.message}`, {
      hint,
      details: error.details,
      cause: error,
    });
  }
  const code = systemErrorCode(error);
  if (code === undefined) return error;
  return new AppError(
    code.startsWith('Z_') ? 'VERIFY_FAILED' : 'READ_FAILED',
    `${code.startsWith('Z_') ? `${path} is damaged` : `Cannot read ${path}`}: ${messageOf(error)}.`,
    {hint: 'Make a new backup; this one is not reliable.', cause: error},
  );
}
