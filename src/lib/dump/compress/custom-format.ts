/** The layout of an archive's head: its table of contents, with the positions of the rows in a custom archive. */
import {ArchiveCursor} from './archive-cursor.js';
import {archiveMagic, compressionPosition} from './archive-header.js';
import {type CopyStatement, readCopyStatement} from '../sql/sql-names.js';
import {type DumpedState, StateList} from '../sql/state-statements.js';
import {textOf} from '../../postgres/client-encoding.js';

export interface TocEntry {
  readonly dumpId: number;
  /** Position of the entry's offset field: one state byte, then the offset, little-endian; in a directory, of the file's name. */
  readonly offsetPosition: number;
  /** Position of the entry's data in the archive; undefined in a directory, and if pg_dump did not know it, as when writing into a pipe. */
  readonly offset: number | undefined;
  /** The COPY statement of its rows; undefined for large objects. */
  readonly copy: CopyStatement | undefined;
}

export interface CustomHead extends DumpedState {
  /** Bytes of a number without its sign byte. */
  readonly intSize: number;
  readonly minorVersion: number;
  /** Encoding of its texts and rows, in PostgreSQL's spelling. */
  readonly encoding: string;
  /** Entries with data, in the archive's order. */
  readonly entries: readonly TocEntry[];
  /** Position of the first block of data. */
  readonly length: number;
}

/** State bytes of an offset (K_OFFSET_* in pg_backup_archiver.h). */
export const offsetState = {notSet: 1, set: 2, noData: 3} as const;
/** Kinds of data blocks (BLK_* in pg_backup_archiver.h). */
export const blockKind = {rows: 1, largeObjects: 3} as const;
/** pg_dump writes offsets of the size of off_t: eight bytes on all platforms with files over 2 GiB. */
export const offsetBytes = 8;

/** Supported archive versions: those of PostgreSQL 12 to 18 (K_VERS_1_14 to K_VERS_1_16). */
const knownMinorVersions = [14, 15, 16];
/** Majors of pg_dump that write these versions. */
export const knownDumpMajors: readonly number[] = [12, 13, 14, 15, 16, 17, 18];

/** Format bytes of the header; a directory's toc.dat has that of tar (_CloseArchive in pg_backup_directory.c). */
const formatCodes = {custom: 1, directory: 3} as const;

/** Thrown if the layout of an archive is unknown. */
export class UnknownLayout extends Error {}

/**
 * Reads header and table of contents (WriteHead and WriteToc in pg_backup_archiver.c, _WriteExtraToc in
 * pg_backup_custom.c and pg_backup_directory.c).
 * @param format of the archive: `data` is the beginning of a custom archive, or of a directory's toc.dat
 * @returns undefined if `data` ends before the table of contents does
 * @throws UnknownLayout
 */
export function readCustomHead(
  data: Buffer,
  format: keyof typeof formatCodes = 'custom',
): CustomHead | undefined {
  if (data.length < compressionPosition + 9) return undefined;
  const [major = 0, minorVersion = 0, , intSize = 0, offsetSize = 0, formatCode = 0] = data.subarray(5);
  if (
    data.subarray(0, 5).toString('latin1') !== archiveMagic ||
    major !== 1 ||
    !knownMinorVersions.includes(minorVersion) ||
    intSize !== 4 ||
    offsetSize !== offsetBytes ||
    formatCode !== formatCodes[format]
  ) {
    throw new UnknownLayout(
      `pg_dump wrote an archive of an unknown layout (version ${major}.${minorVersion})`,
    );
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
  const state = new StateList();
  let encoding = 'UTF8';
  for (let index = 0; index < count && !cursor.isPastEnd(); index++) {
    const dumpId = cursor.readInt();
    cursor.readInt(); // whether a data dumper was set
    for (let field = 0; field < 3; field++) cursor.skipText(); // catalog's and object's oid, tag
    const description = cursor.readLatin1();
    cursor.readInt(); // section
    // The first entry sets the encoding of all texts: "SET client_encoding = 'UTF8';"
    if (description === 'ENCODING') encoding = /'(.*)'/.exec(cursor.readLatin1())?.[1] ?? encoding;
    else if (description === 'SEQUENCE SET' || description === 'MATERIALIZED VIEW DATA')
      state.take(textOf(cursor.readLatin1().trimEnd(), encoding));
    else cursor.skipText(); // definition
    cursor.skipText(); // drop
    const copy = readCopyStatement(textOf(cursor.readLatin1().trimEnd(), encoding));
    for (let field = 0; field < 3; field++) cursor.skipText(); // schema, tablespace, access method
    if (minorVersion >= 16) cursor.readInt(); // kind of relation
    for (let field = 0; field < 2; field++) cursor.skipText(); // owner, and "false" for a table with oids
    while (cursor.skipText() !== undefined && !cursor.isPastEnd()); // dependencies, closed by none
    const offsetPosition = cursor.position;
    if (format === 'directory') {
      if (cursor.readLatin1() !== '') entries.push({dumpId, offsetPosition, offset: undefined, copy});
      continue;
    }
    cursor.position += 1 + offsetBytes;
    if (cursor.isPastEnd()) return undefined;
    const place = data[offsetPosition];
    if (place === offsetState.noData) continue;
    const offset = place === offsetState.set ? Number(data.readBigUInt64LE(offsetPosition + 1)) : undefined;
    entries.push({dumpId, offsetPosition, offset, copy});
  }
  if (cursor.isPastEnd()) return undefined;
  const {refreshedViews, sequences} = state;
  return {
    intSize,
    minorVersion,
    encoding,
    entries,
    refreshedViews,
    sequences,
    length: cursor.position,
  };
}
