/** Writes a row file straight from the server: rows, links, checksums, and the metadata on its first line. */
import {constants} from 'node:fs';
import {createRowHashSum} from '../../fingerprint/row-hash.js';
import {openOwnFile} from '../../base/own-file.js';
import {explainFileError} from '../../base/safe-file.js';
import {AppError} from '../../base/errors.js';
import {BinaryRows} from '../../postgres/binary-rows.js';
import type {Session} from '../../postgres/client.js';
import {copyOut} from '../../postgres/copy-out.js';
import {type SnapshotMetadata, snapshotMarks} from './format.js';
import {LineFile} from './line-writer.js';

/** Rows of one table, as lines of a list. */
export interface RowSource {
  /** Beginning of its lines. */
  readonly prefix: string;
  /** SQL query of the JSON text, and of `numbers` int8 columns after it. */
  readonly query: string;
  readonly numbers: number;
  /** How many rows there must be; undefined where that is not known. */
  readonly rows: number | undefined;
  /** The error for another number of rows. */
  readonly otherwise: (found: number) => AppError;
}

export interface CopiedRows {
  readonly rows: number;
  readonly checksum: string;
  /** The sums of the numbers. */
  readonly numbers: readonly bigint[];
}

/** Reserves the space of a checksum until it is known; all checksums are as long. */
export const noChecksum = '0'.repeat(32);
/** More than a table can have: its digits are as many as there can be. */
export const mostRows = Number.MAX_SAFE_INTEGER;

export interface RowFileContent<M extends SnapshotMetadata> {
  readonly rows: readonly RowSource[];
  readonly links: readonly RowSource[];
  /**
   * The metadata, by what was copied of each source; called once before, with texts of the greatest length.
   * @param copied undefined for what is not known yet
   */
  readonly metadata: (copied: (source: RowSource) => CopiedRows | undefined) => M;
}

/**
 * Writes the file at `path`, which exists and is empty, and syncs it.
 * The metadata stand on the first line although checksums and some counts are known last: spaces, which JSON ignores, reserve
 * as much room as they can need.
 * @param onRows receives the number of rows written so far
 * @throws what `otherwise` gives when the server sends another number of rows; DISK_FULL, FOLDER_NOT_WRITABLE
 */
export async function writeRowFile<M extends SnapshotMetadata>(
  reader: Session,
  path: string,
  content: RowFileContent<M>,
  onRows: (rows: number) => void,
): Promise<M> {
  const file = await openOwnFile(path, constants.O_WRONLY).catch((error: unknown) => {
    throw explainFileError(error, path);
  });
  try {
    const lines = new LineFile(file, path);
    const headLength = firstLine(content.metadata(() => undefined)).length;
    lines.text(' '.repeat(headLength));
    lines.text(snapshotMarks.beforeRows);
    const copied = new Map<RowSource, CopiedRows>();
    let written = 0;
    const copy = async (sources: readonly RowSource[]): Promise<void> => {
      for (const source of sources) {
        const found = await copyRows(reader, lines, source, (rows) => onRows(written + rows));
        written += found.rows;
        copied.set(source, found);
      }
      lines.endList();
    };
    await copy(content.rows);
    lines.text(snapshotMarks.beforeRelinked);
    await copy(content.links);
    lines.text(snapshotMarks.end);
    await lines.end();
    const metadata = content.metadata((source) => copied.get(source));
    await lines.overwriteStart(firstLine(metadata, headLength));
    await file.sync();
    return metadata;
  } catch (error) {
    throw error instanceof AppError ? error : explainFileError(error, path);
  } finally {
    await file.close();
  }
}

async function copyRows(
  reader: Session,
  lines: LineFile,
  {prefix, query, numbers, rows, otherwise}: RowSource,
  onRows: (rows: number) => void,
): Promise<CopiedRows> {
  const sum = createRowHashSum();
  const begin = Buffer.from(prefix);
  let isBegun = false;
  const binary = new BinaryRows(
    {
      part: (chunk, start, end) => {
        if (!isBegun) lines.beginItem(begin);
        isBegun = true;
        lines.bytes(chunk, start, end);
        sum.append(chunk, start, end);
      },
      endRow: () => {
        lines.bytes(closingBrace, 0, 1);
        isBegun = false;
        sum.endRow();
      },
    },
    numbers,
  );
  await copyOut(reader, `COPY (${query}) TO STDOUT (FORMAT binary)`, (chunk) => {
    binary.take(chunk);
    if (!lines.isFull) return;
    onRows(sum.rows);
    return lines.flush();
  });
  if (!binary.isComplete || sum.rows !== (rows ?? sum.rows)) throw otherwise(sum.rows);
  return {rows: sum.rows, checksum: sum.digest(), numbers: binary.sums};
}

const closingBrace = Buffer.from('}');

/** The line with the metadata, filled up with spaces to `length` bytes. */
function firstLine(metadata: SnapshotMetadata, length = 0): Buffer {
  const {beforeMetadata, afterMetadata} = snapshotMarks;
  const text = Buffer.from(`${beforeMetadata}${JSON.stringify(metadata)}`);
  const filling = Math.max(0, length - text.length - afterMetadata.length);
  return Buffer.concat([text, Buffer.from(' '.repeat(filling) + afterMetadata)]);
}
