/** A row file in the making: written under another name, read back, and named once it is complete. */
import {rm} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {partialSuffix, timestampForName} from '../../base/file-names.js';
import {takeFreeName} from '../../base/free-name.js';
import {createPrivateFile, exists, makePrivateFolder, renameSafely} from '../../base/safe-file.js';
import {AppError} from '../../base/errors.js';
import {type Journal, openJournal} from '../../run/journal.js';
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
  /** Writes and syncs the file at the path, which exists and is empty. */
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
  const journal = openJournal(context, request.command);
  const folder = join(context.settings.backupsDir, request.folder);
  const first = join(folder, `${request.prefix}-${timestampForName(at)}`);
  const {path, partial, named} = await reserveName(journal, first).catch(async (error: unknown) => {
    await journal.close();
    throw error;
  });
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

interface ReservedName {
  readonly path: string;
  /** The file in the making: it exists and is empty. */
  readonly partial: string;
  /** Call once the file has its name, or is removed. */
  readonly named: () => Promise<void>;
}

/**
 * Creates the partial file of the first free name of this second.
 * @throws FOLDER_NOT_WRITABLE, DISK_FULL, WRITE_FAILED
 */
async function reserveName(journal: Journal, first: string): Promise<ReservedName> {
  await makePrivateFolder(dirname(first));
  return takeFreeName(first, isTaken, async (name) => {
    const path = `${name}.json`;
    const partial = `${path}${partialSuffix}`;
    // The journal comes first: without it `recover` would take the file for one whose run has ended.
    const named = await journal.begin({kind: 'partial', path: partial});
    try {
      await (await createPrivateFile(partial)).close();
      return {path, partial, named};
    } catch (error) {
      await named();
      throw error;
    }
  });
}

/** The encrypted file has its name before the plain one is removed, so it is looked for last. */
async function isTaken(name: string): Promise<boolean> {
  for (const extension of [partialSuffix, '', '.age'])
    if (await exists(`${name}.json${extension}`)) return true;
  return false;
}
