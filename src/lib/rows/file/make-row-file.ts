/** A row file in the making: written under another name, read back, and named once it is complete. */
import {access, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {partialSuffix, timestampForName} from '../../base/file-names.js';
import {makePrivateFolder, renameSafely} from '../../base/safe-file.js';
import {AppError, systemErrorCode} from '../../base/errors.js';
import {openJournal} from '../../run/journal.js';
import type {RunContext} from '../../run/run-context.js';
import type {FaultPoint} from '../../run/fault-points.js';
import type {SnapshotMetadata} from './format.js';
import {readOrderSnapshot} from './read-order-snapshot.js';

export interface RowFileRequest<T> {
  /** The folder below the backups folder. */
  readonly folder: string;
  /** Beginning of the name: "orders-backup". */
  readonly prefix: string;
  /** The command that the crash journal names. */
  readonly command: string;
  /** Titles of the steps. */
  readonly titles: {readonly write: string; readonly check: string};
  /** Writes and syncs the file at the path, which does not exist. */
  readonly write: (
    path: string,
    at: Date,
    onRows: (rows: number) => void,
  ) => Promise<T & {readonly metadata: SnapshotMetadata}>;
  /** Passed once the file is written. */
  readonly written: FaultPoint;
}

export interface RowFileInTheMaking {
  /** Gives the file its name. @returns the absolute path */
  readonly publish: () => Promise<string>;
  /** Removes the file, named or not. */
  readonly discard: () => Promise<void>;
}

/**
 * @param signal looked at between two pieces of the file
 * @throws what `write` throws; ORDER_BACKUP_INVALID, DISK_FULL, FOLDER_NOT_WRITABLE; no file is left then
 */
export async function makeRowFile<T>(
  context: RunContext,
  request: RowFileRequest<T>,
  signal: AbortSignal,
): Promise<RowFileInTheMaking & {readonly result: T & {readonly metadata: SnapshotMetadata}}> {
  const at = context.clock.now();
  const path = await freePath(join(context.settings.backupsDir, request.folder), request.prefix, at);
  const partial = `${path}${partialSuffix}`;
  // Without it `recover` would take the file for one whose run has ended.
  const journal = openJournal(context, request.command);
  const named = await journal.begin({kind: 'partial', path: partial});
  const discard = async (): Promise<void> => {
    // A file that cannot be removed does no harm: `recover` finds a partial by its name, and restoring rows that exist changes nothing.
    for (const name of [partial, path]) await rm(name, {force: true}).catch(() => undefined);
    await named();
    await journal.close();
  };
  try {
    const result = await context.progress.step(request.titles.write, (step) =>
      request.write(partial, at, (rows) => {
        signal.throwIfAborted();
        step.advance(rows, undefined, 'rows');
      }),
    );
    await context.checkpoint(request.written);
    await context.progress.step(request.titles.check, () => readBack(partial, result.metadata, signal));
    return {
      result,
      publish: async () => {
        await renameSafely(partial, path);
        await named();
        await journal.close();
        return path;
      },
      discard,
    };
  } catch (error) {
    await discard();
    throw error;
  }
}

/** @throws ORDER_BACKUP_INVALID when the file does not contain the written rows */
async function readBack(path: string, written: SnapshotMetadata, signal: AbortSignal): Promise<void> {
  const read = await readOrderSnapshot(path, signal);
  const rowsOf = (tables: readonly {table: string; rows: number}[]): string =>
    JSON.stringify(tables.map(({table, rows}) => [table, rows]));
  if (rowsOf(read.tables) === rowsOf(written.tables) && rowsOf(read.relinked) === rowsOf(written.relinked))
    return;
  throw new AppError(
    'ORDER_BACKUP_INVALID',
    `${path} reads back otherwise than it was written; nothing was changed.`,
  );
}

/** A name in `folder` that neither a file nor a file in the making has. */
async function freePath(folder: string, prefix: string, at: Date): Promise<string> {
  await makePrivateFolder(folder);
  const isTaken = (path: string): Promise<boolean> =>
    access(path).then(
      () => true,
      (error: unknown) => systemErrorCode(error) !== 'ENOENT',
    );
  for (let attempt = 1; ; attempt += 1) {
    const path = join(folder, `${prefix}-${timestampForName(at)}${attempt === 1 ? '' : `-${attempt}`}.json`);
    const names = [path, `${path}${partialSuffix}`, `${path}.age`];
    if (!(await Promise.all(names.map(isTaken))).includes(true)) return path;
  }
}
