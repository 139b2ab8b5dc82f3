/** Reads every byte of a dump and tells what it holds: the proof that it can be read. */
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
  /** Whether a plain dump is wrapped in gzip. */
  readonly compressed: boolean;
}

export interface ReadDumpOptions {
  readonly settings: Settings;
  /** Whether rows are hashed, or only counted. */
  readonly fingerprints: boolean;
  readonly signal?: AbortSignal;
  /** Called with the bytes of plain SQL read so far; an archive does not tell beforehand how many there will be. */
  readonly onBytes?: (bytes: number) => void;
  /** Reads the SQL as well, to its end. */
  readonly alsoRead?: (sql: AsyncIterable<Buffer>) => Promise<void>;
}

const chunkBytes = 1 << 18;
/** One thread hashes what all readers inflate; more of them would wait for it. */
const mostReaders = 4;

/**
 * Reads a dump to its end: plain SQL directly, archives through the fitting pg_restore, which inflates every block.
 * @throws VERIFY_FAILED, NOT_A_BACKUP, UNSAFE_DUMP when it is damaged, incomplete or holds what pg_dump does not write;
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
    // That the bytes are not those that were written tells more than what their reader made of them.
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
  const detected = 'remote' in dump && dump.remote ? dump : await detectDump(dump.path);
  const {isArchive} = formats[dump.format];
  if (detected.format !== dump.format || (!isArchive && detected.compressed !== dump.compressed)) {
    throw new AppError('VERIFY_FAILED', `${dump.path} is no longer the kind of dump that was written.`);
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
  // Not pipeline(): what the reader throws would come out of it as its own "aborted".
  if (gunzip) file.on('error', (error) => gunzip.destroy(error)).pipe(gunzip);
  const stream = gunzip ?? file;
  if (signal) addAbortSignal(signal, stream);
  try {
    await readAll(stream, reader.write, options.alsoRead);
    // zlib stops without a word at what follows the last whole member.
    await input?.readOn();
    const unread = gunzip ? (input?.bytes() ?? (await stat(dump.path)).size) - gunzip.bytesWritten : 0;
    if (unread > 0) throw new AppError('VERIFY_FAILED', `${unread} bytes behind its end are no gzip data.`);
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

/** Names the file; a reader's own failure (zlib, pg_restore) means that the file is damaged. */
function damaged(path: string, error: unknown): unknown {
  if (error instanceof AppError) {
    if (error.code !== 'VERIFY_FAILED' && error.code !== 'UNSAFE_DUMP') return error;
    const hint = error.hint ?? 'Make a new backup; this one cannot be trusted.';
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
    `${path} ${code.startsWith('Z_') ? 'is damaged' : 'cannot be read'}: ${messageOf(error)}.`,
    {hint: 'Make a new backup; this one cannot be trusted.', cause: error},
  );
}
