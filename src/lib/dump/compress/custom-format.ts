/** The layout of a custom archive's head: where its table of contents keeps the places of the rows. */
import {ArchiveCursor} from './archive-cursor.js';
import {archiveMagic, compressionPosition} from './archive-header.js';
import {type CopyStatement, readCopyStatement} from '../sql/sql-names.js';
import {textOf} from '../../postgres/client-encoding.js';

export interface TocEntry {
  readonly dumpId: number;
  /** Where the entry's offset field is: one byte of state, then the offset, little-endian. */
  readonly offsetPosition: number;
  /** Where its data begins in the archive; undefined when pg_dump could not tell, as into a pipe. */
  readonly offset: number | undefined;
  /** The COPY statement that its rows belong to; undefined for large objects. */
  readonly copy: CopyStatement | undefined;
}

export interface CustomHead {
  /** Bytes of a number without its sign byte. */
  readonly intSize: number;
  readonly minorVersion: number;
  /** Entries that have data, in the archive's order. */
  readonly entries: readonly TocEntry[];
  /** Where the first block of data begins. */
  readonly length: number;
}

/** State bytes of an offset (K_OFFSET_* in pg_backup_archiver.h). */
export const offsetState = {notSet: 1, set: 2, noData: 3} as const;
/** What a block of data holds (BLK_* in pg_backup_archiver.h). */
export const blockKind = {rows: 1, largeObjects: 3} as const;
/** pg_dump writes offsets of the size of off_t: eight bytes wherever it handles files over 2 GiB. */
export const offsetBytes = 8;

/** Archive versions whose layout is known here: those of PostgreSQL 12 to 18 (K_VERS_1_14 to K_VERS_1_16). */
const knownMinorVersions = [14, 15, 16];
/** Majors of pg_dump that write these versions. */
export const knownDumpMajors: readonly number[] = [12, 13, 14, 15, 16, 17, 18];

const customFormat = 1;

/** That an archive is laid out in a way that is not known here. */
export class UnknownLayout extends Error {}

/**
 * Reads header and table of contents (WriteHead and WriteToc in pg_backup_archiver.c, _WriteExtraToc in
 * pg_backup_custom.c).
 * @returns undefined when `data` ends before the table of contents does
 * @throws UnknownLayout
 */
export function readCustomHead(data: Buffer): CustomHead | undefined {
  if (data.length < compressionPosition + 9) return undefined;
  const [major = 0, minorVersion = 0, , intSize = 0, offsetSize = 0, format = 0] = data.subarray(5);
  if (
    data.subarray(0, 5).toString('latin1') !== archiveMagic ||
    major !== 1 ||
    !knownMinorVersions.includes(minorVersion) ||
    intSize !== 4 ||
    offsetSize !== offsetBytes ||
    format !== customFormat
  ) {
    throw new UnknownLayout(`pg_dump wrote an archive of an unknown kind (version ${major}.${minorVersion})`);
  }
  const cursor = new ArchiveCursor(
    data,
    compressionPosition + (minorVersion >= 15 ? 1 : intSize + 1),
    intSize,
  );
  for (let field = 0; field < 7; field++) cursor.readInt(); // creation time
  for (let field = 0; field < 3; field++) cursor.skipText(); // database, server version, pg_dump version
  const count = cursor.readInt();
  const entries: TocEntry[] = [];
  let encoding = 'UTF8';
  for (let index = 0; index < count && !cursor.isPastEnd(); index++) {
    const dumpId = cursor.readInt();
    cursor.readInt(); // whether a data dumper was set
    for (let field = 0; field < 3; field++) cursor.skipText(); // catalog's and object's oid, tag
    const description = cursor.readLatin1();
    cursor.readInt(); // section
    // The first entry says in which encoding the texts of all are: "SET client_encoding = 'UTF8';"
    if (description === 'ENCODING') encoding = /'(.*)'/.exec(cursor.readLatin1())?.[1] ?? encoding;
    else cursor.skipText(); // definition
    cursor.skipText(); // drop
    const copy = readCopyStatement(textOf(cursor.readLatin1().trimEnd(), encoding));
    for (let field = 0; field < 3; field++) cursor.skipText(); // schema, tablespace, access method
    if (minorVersion >= 16) cursor.readInt(); // kind of relation
    for (let field = 0; field < 2; field++) cursor.skipText(); // owner, and "false" for a table with oids
    while (cursor.skipText() !== undefined && !cursor.isPastEnd()); // dependencies, closed by none
    const offsetPosition = cursor.position;
    cursor.position += 1 + offsetBytes;
    if (cursor.isPastEnd()) return undefined;
    const state = data[offsetPosition];
    if (state === offsetState.noData) continue;
    const offset = state === offsetState.set ? Number(data.readBigUInt64LE(offsetPosition + 1)) : undefined;
    entries.push({dumpId, offsetPosition, offset, copy});
  }
  if (cursor.isPastEnd()) return undefined;
  return {intSize, minorVersion, entries, length: cursor.position};
}
