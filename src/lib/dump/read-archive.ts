/** Reads an archive to its end with the stock pg_restore; large archives with several processes. */
import {stat} from 'node:fs/promises';
import {type BackupFormat, formats} from '../base/formats.js';
import {AppError} from '../base/errors.js';
import type {Tool} from '../postgres/tools/find-tools.js';
import {listArchive, withListFile} from '../postgres/tools/pg-restore.js';
import {runTool} from '../postgres/tools/run-tool.js';
import {checkFolderFiles} from './check-folder-files.js';
import {CopyStream} from './sql/copy-stream.js';
import {type DumpContents, joinContents} from '../fingerprint/table-contents.js';
import type {ProgramInput} from '../postgres/tools/archive-input.js';
import {
  entrySizesOfFile,
  entrySizesOfFolder,
  type ListedEntry,
  listedEntries,
  shareEntries,
} from './share-entries.js';

export interface ReadArchiveOptions {
  /** Whether to hash rows, or only count them. */
  readonly fingerprints: boolean;
  /** Number of concurrent readers; each is a process. */
  readonly readers: number;
  readonly signal?: AbortSignal;
  /** Called with the bytes of SQL read so far. */
  readonly onBytes?: (bytes: number) => void;
  /** The archive's bytes if its path is not a local file: they can be read once, by one reader. */
  readonly input?: ProgramInput;
}

interface Archive {
  readonly path: string;
  readonly format: BackupFormat;
}

/** With fewer bytes per reader, starting another one costs more than it saves. */
const leastShareBytes = 4 << 20;

/**
 * Each entry is read by exactly one pg_restore, which decompresses all its blocks.
 * @throws VERIFY_FAILED, UNSAFE_DUMP, TOOL_TOO_OLD, INTERRUPTED
 */
export async function readArchive(
  archive: Archive,
  tool: Tool,
  options: ReadArchiveOptions,
): Promise<DumpContents> {
  const shares = options.input ? [undefined] : await divide(archive, tool, options);
  const failure = new AbortController();
  const signal = AbortSignal.any([failure.signal, ...(options.signal ? [options.signal] : [])]);
  let bytes = 0;
  const count = (more: number): void => options.onBytes?.((bytes += more));
  const parts = await Promise.allSettled(
    shares.map(async (share) => {
      try {
        return await readShare(archive.path, tool, share, {
          fingerprints: options.fingerprints,
          signal,
          count,
          input: options.input,
        });
      } catch (error) {
        failure.abort(error); // stops the other readers with this error
        throw error;
      }
    }),
  );
  options.signal?.throwIfAborted();
  if (failure.signal.aborted) throw failure.signal.reason;
  return joinContents(parts.flatMap((part) => (part.status === 'fulfilled' ? [part.value] : [])));
}

/** The entries of each reader; undefined for all. */
type Share = readonly ListedEntry[] | undefined;

async function divide({path, format}: Archive, tool: Tool, options: ReadArchiveOptions): Promise<Share[]> {
  const list = async (): Promise<ListedEntry[]> =>
    listedEntries(await listArchive(tool, {path}, 'UTF8', options.signal, 'VERIFY_FAILED'));
  let entries: ListedEntry[];
  let sizes: ReadonlyMap<number, number> | undefined;
  if (formats[format].isFolder) {
    entries = await list();
    await checkFolderFiles(path, entries);
    sizes = await entrySizesOfFolder(path, entries);
  } else {
    if ((await stat(path)).size < 2 * leastShareBytes) return [undefined];
    entries = await list();
    sizes = await entrySizesOfFile(path);
  }
  const total = [...(sizes?.values() ?? [])].reduce((sum, size) => sum + size, 0);
  const readers = Math.min(options.readers, Math.floor(total / leastShareBytes));
  // Without the positions of the rows, every reader would search the complete archive.
  return sizes === undefined || readers < 2 ? [undefined] : shareEntries(entries, sizes, readers);
}

async function readShare(
  path: string,
  tool: Tool,
  share: Share,
  options: {
    readonly fingerprints: boolean;
    readonly signal: AbortSignal;
    readonly count: (bytes: number) => void;
    readonly input: ProgramInput | undefined;
  },
): Promise<DumpContents> {
  const copyStream = new CopyStream(options.fingerprints);
  const read = async (...listArguments: string[]): Promise<void> => {
    const {stderrTail} = await runTool({
      tool: 'pg_restore',
      path: tool.path,
      args: ['--file=-', ...listArguments, ...(options.input ? [] : [path])],
      ...(options.input ? {stdin: {stream: options.input.stream}} : {}),
      environment: {},
      failureCode: 'VERIFY_FAILED',
      readStdout: async (stdout) => {
        for await (const chunk of stdout as AsyncIterable<Buffer>) {
          copyStream.write(chunk);
          options.count(chunk.length);
        }
      },
      signal: options.signal,
    });
    // Without --verbose it prints nothing about an intact archive.
    if (stderrTail.length > 0)
      throw new AppError('VERIFY_FAILED', stderrTail.join('\n'), {details: stderrTail});
  };
  if (share)
    await withListFile(share.map(({id}) => id), (listFile) => read(`--use-list=${listFile}`)); // prettier-ignore
  else await read();
  return copyStream.end();
}
