/** The header of pg_dump's custom and directory archives: its origin, content and date. */
import {ArchiveCursor} from './archive-cursor.js';

export interface ArchiveHeader {
  /** "1.14": determines which pg_restore can read it. */
  readonly archiveVersion: string;
  readonly databaseName: string | null;
  /** Version of the server that was dumped: "15.18 (Debian 15.18-0+deb12u1)". */
  readonly serverVersion: string | null;
  /** Version of the pg_dump that wrote it. */
  readonly dumpVersion: string | null;
}

export const archiveMagic = 'PGDMP';

/** Position of the compression field: after magic, version, sizes of numbers and offsets, and format. */
export const compressionPosition = 11;

/**
 * Reads the header at the start of a custom archive or of a directory's toc.dat
 * (WriteHead in src/bin/pg_dump/pg_backup_archiver.c; archive versions 1.12 to 1.16 belong to PostgreSQL 9.0 to 18).
 * @returns undefined if `start` contains no such header, or only a part of it
 */
export function readArchiveHeader(start: Buffer): ArchiveHeader | undefined {
  if (start.subarray(0, 5).toString('latin1') !== archiveMagic) return undefined;
  const [major = 0, minor = 0] = [start[5], start[6]];
  const intSize = start[8] ?? 0;
  if (start.length < 12 || major !== 1 || minor < 10 || intSize < 1 || intSize > 8) return undefined;
  // Offset size, format; then one byte for the compression algorithm since 1.15, a number for the level before.
  const cursor = new ArchiveCursor(start, compressionPosition + (minor >= 15 ? 1 : intSize + 1), intSize);
  for (let field = 0; field < 7; field++) cursor.readInt(); // creation time, in the local time of that machine
  const [databaseName, serverVersion, dumpVersion] = [
    cursor.readText(),
    cursor.readText(),
    cursor.readText(),
  ];
  if (cursor.isPastEnd()) return undefined;
  return {archiveVersion: `${major}.${minor}`, databaseName, serverVersion, dumpVersion};
}
