/** How large a backup becomes once it is restored. */
import {type BackupRecord, isSelection} from './backup-record.js';

export interface RestoredSize {
  /** Rows, indexes and catalogs on the server's disk, bytes. */
  readonly bytes: number;
  /** The largest table, bytes; null where no table was measured. */
  readonly largestTableBytes: number | null;
}

export interface RestoredPart {
  /** Definitions without rows. */
  readonly schemaOnly: boolean;
  /** Only these tables; everything when empty. */
  readonly onlyTables: readonly {readonly schema: string; readonly name: string}[];
}

/** A database without rows has about 8 MB; twice that leaves room for many definitions. */
const emptyDatabaseBytes = 16 * 2 ** 20;
/** Of a table's recorded bytes, which are those of its rows alone (see inspectTables). */
const withIndexes = 1.5;
/** Dumps of rows alone are smaller than what they become; compressed ones by about this much (see guessedShare in disk-space.ts). */
const guessedGrowth = {compressed: 8, plain: 1.5};

/**
 * The source's size when it was dumped; for a part of it that of its tables, where they were measured.
 * @param dump size of the file or folder, bytes, where there is no metadata
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
