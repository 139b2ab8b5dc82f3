/** The header of pg_dump's custom and directory archives: who wrote it, of what, when. */

export interface ArchiveHeader {
  /** "1.14": decides which pg_restore can read it. */
  readonly archiveVersion: string;
  readonly databaseName: string | null;
  /** Version of the server that was dumped: "15.18 (Debian 15.18-0+deb12u1)". */
  readonly serverVersion: string | null;
  /** Version of the pg_dump that wrote it. */
  readonly dumpVersion: string | null;
}

export const archiveMagic = 'PGDMP';

/**
 * Reads the header at the start of a custom archive or of a directory's toc.dat
 * (WriteHead in src/bin/pg_dump/pg_backup_archiver.c; archive versions 1.12 to 1.16 are those of PostgreSQL 9.0 to 18).
 * @returns undefined when `start` holds no such header, or not all of it
 */
export function readArchiveHeader(start: Buffer): ArchiveHeader | undefined {
  if (start.subarray(0, 5).toString('latin1') !== archiveMagic) return undefined;
  const [major = 0, minor = 0] = [start[5], start[6]];
  const intSize = start[8] ?? 0;
  if (start.length < 12 || major !== 1 || minor < 10 || intSize < 1 || intSize > 8) return undefined;
  // Offset size, format; then one byte for the compression algorithm since 1.15, a number for the level before.
  let position = 11 + (minor >= 15 ? 1 : intSize + 1);
  const readInt = (): number => {
    const sign = start[position] ?? 0;
    let value = 0;
    for (let index = intSize; index >= 1; index--) value = value * 256 + (start[position + index] ?? 0);
    position += 1 + intSize;
    return sign === 0 ? value : -value;
  };
  const readText = (): string | null => {
    const length = readInt();
    if (length < 0) return null;
    position += length;
    return start.toString('utf8', position - length, position);
  };
  for (let field = 0; field < 7; field++) readInt(); // creation time, in the local time of that machine
  const [databaseName, serverVersion, dumpVersion] = [readText(), readText(), readText()];
  if (position > start.length) return undefined;
  return {archiveVersion: `${major}.${minor}`, databaseName, serverVersion, dumpVersion};
}
