/** Estimates the size of a restored backup. */
import {type BackupRecord, isSelection} from './backup-record.js';

export interface RestoredSize {
  /** Rows, indexes and catalogs on the server's disk, bytes. */
  readonly bytes: number;
  /** The largest table, bytes; null if no table was measured. */
  readonly largestTableBytes: number | null;
}

export interface RestoredPart {
  /** Definitions without rows. */
  readonly schemaOnly: boolean;
  /** Only these tables; all if empty. */
  readonly onlyTables: readonly {readonly schema: string; readonly name: string}[];
}

/** An empty database has about 8 MB; twice that leaves room for many definitions. */
const emptyDatabaseBytes = 16 * 2 ** 20;
/** Restored size of a table relative to its recorded bytes, which are those of its rows (see inspectTables). */
const withIndexes = 1.5;
/** Dumps of rows only are smaller than the restored rows; compressed ones by about this factor (see guessedShare in disk-space.ts). */
const guessedGrowth = {compressed: 8, plain: 1.5};

/**
 * The source's size at the time of the dump; for a partial restore the size of its tables, if measured.
 * @param dump size of the file or folder in bytes, if there is no metadata
 */
export function estimateRestoredSize(
  record: BackupRecord | null,
  dump: {readonly sizeBytes: number; readonly isCompressed: boolean},
  {schemaOnly, onlyTables}: RestoredPart,
): RestoredSize {
  if (schemaOnly || record?.config.schemaOnly === true)
    return {bytes: emptyDatabaseBytes, largestTableBytes: 0};
  if (!record) {
    const growth = dump.isCompressed ? guessedGrowth.compressed : guessedGrowth.plain;
    return {bytes: Math.round(emptyDatabaseBytes + dump.sizeBytes * growth), largestTableBytes: null};
  }
  const isChosen = (table: {readonly schema: string; readonly name: string}): boolean =>
    onlyTables.length === 0 ||
    onlyTables.some(({schema, name}) => schema === table.schema && name === table.name);
  const sizes = record.tables.filter(isChosen).map(({sizeBytes}) => sizeBytes ?? 0);
  const largest = sizes.reduce((most, size) => Math.max(most, size), 0);
  const tableBytes = sizes.reduce((sum, size) => sum + size, 0);
  const isPart = onlyTables.length > 0 || isSelection(record);
  const bytes =
    isPart && tableBytes > 0
      ? Math.min(record.source.sizeBytes, emptyDatabaseBytes + Math.round(tableBytes * withIndexes))
      : record.source.sizeBytes;
  return {bytes, largestTableBytes: largest > 0 ? largest : null};
}
