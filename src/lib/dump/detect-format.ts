/** Detects the kind of a dump from its content; names and extensions are ignored. */
import {readdir, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {promisify} from 'node:util';
import {constants, gunzip} from 'node:zlib';
import {openRegularFile} from '../base/own-file.js';
import {AppError, messageOf, systemErrorCode} from '../base/errors.js';
import type {BackupFormat} from '../base/formats.js';
import {archiveMagic, readArchiveHeader} from './compress/archive-header.js';
import type {RemoteDump} from '../postgres/tools/archive-input.js';

export interface DetectedDump {
  readonly path: string;
  readonly format: BackupFormat;
  /** Whether a plain dump is gzipped. Archives are compressed inside, which matters to their reader only. */
  readonly compressed: boolean;
  /** "1.14" for archives, null for plain dumps. */
  readonly archiveVersion: string | null;
  /** Name of the dumped database, if the dump contains it. */
  readonly databaseName: string | null;
  /** "15.18 (Debian 15.18-0+deb12u1)": version of the dumped server; null if the dump does not contain it. */
  readonly serverVersion: string | null;
  /** Version of the pg_dump that wrote it. */
  readonly dumpVersion: string | null;
  /** Major version of that pg_dump: older pg_restore and psql must not be used. Null if the dump does not contain it. */
  readonly dumpMajor: number | null;
  /** Source of the bytes if `path` is not a local file. */
  readonly remote?: RemoteDump;
}

/** Enough for all headers. */
export const startBytes = 16_384;

/**
 * @throws BACKUP_NOT_FOUND if it does not exist, READ_FAILED, NOT_A_BACKUP with the actual kind
 */
export async function detectDump(path: string): Promise<DetectedDump> {
  if (await isFolder(path)) return detectFolder(path);
  return detectStart(path, await readStart(path));
}

/** The same for a dump of which only the first bytes are available: `startBytes` of them, or all. @throws NOT_A_BACKUP */
export async function detectStart(path: string, start: Buffer): Promise<DetectedDump> {
  if (start.length === 0) throw notABackup(path, 'is empty');
  if (start.subarray(0, 5).toString('latin1') === archiveMagic) return describeArchive(path, 'custom', start);
  if (start[0] === 0x1f && start[1] === 0x8b)
    return describePlain(path, await inflateStart(path, start), true);
  if (start.subarray(257, 262).toString('latin1') === 'ustar') {
    throw notABackup(
      path,
      'is a tar archive',
      'Unpack it into an empty folder (tar -xf FILE -C FOLDER) and give that folder: an unpacked tar dump is a directory dump.',
    );
  }
  return describePlain(path, start, false);
}

async function isFolder(path: string): Promise<boolean> {
  try {
    const found = await stat(path);
    // Opening a pipe could block for ever, and its data can be read only once.
    if (found.isDirectory() || found.isFile()) return found.isDirectory();
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') {
      throw new AppError('BACKUP_NOT_FOUND', `There is no backup at ${path}.`, {
        hint: 'List the backups: destino-db list',
      });
    }
    throw cannotBeRead(path, error);
  }
  throw notABackup(path, 'is neither a file nor a folder', 'Write the dump to a file first.');
}

async function detectFolder(path: string): Promise<DetectedDump> {
  const names = await readdir(path).catch((error: unknown) => {
    throw cannotBeRead(path, error);
  });
  if (!names.includes('toc.dat')) {
    if (names.includes('toc.dat.age'))
      throw notABackup(
        path,
        'is an encrypted dump in directory format without its metadata',
        'Put its .metadata.json beside it, or decrypt each of its files with age and give the folder.',
      );
    throw notABackup(
      path,
      'is a folder without a toc.dat',
      'Give the dump itself, not the folder that contains it.',
    );
  }
  return describeArchive(path, 'directory', await readStart(join(path, 'toc.dat')));
}

function describeArchive(path: string, format: BackupFormat, start: Buffer): DetectedDump {
  const header = readArchiveHeader(start);
  if (!header) throw notABackup(path, 'begins like a PostgreSQL archive, but its header is damaged');
  return {path, format, compressed: false, ...header, dumpMajor: majorOf(header.dumpVersion)};
}

function describePlain(path: string, start: Buffer, compressed: boolean): DetectedDump {
  const text = start.toString('latin1');
  if (/^-- PostgreSQL database cluster dump\r?$/m.test(text)) {
    throw notABackup(
      path,
      'is a dump of a whole cluster (pg_dumpall)',
      'Restore it with psql, as described in the PostgreSQL manual.',
    );
  }
  if (!/^--\r?\n-- PostgreSQL database dump\r?$/m.test(text))
    throw notABackup(path, 'is not a PostgreSQL dump');
  const serverVersion = /^-- Dumped from database version (.*?)\r?$/m.exec(text)?.[1] ?? null;
  const dumpVersion = /^-- Dumped by pg_dump version (.*?)\r?$/m.exec(text)?.[1] ?? null;
  const plain = {archiveVersion: null, databaseName: null, serverVersion, dumpVersion};
  return {path, format: 'sql', compressed, ...plain, dumpMajor: majorOf(dumpVersion)};
}

async function readStart(path: string): Promise<Buffer> {
  let file;
  try {
    file = await openRegularFile(path);
    const buffer = Buffer.alloc(startBytes);
    const {bytesRead} = await file.read(buffer, 0, startBytes, 0);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    throw cannotBeRead(path, error);
  } finally {
    await file?.close();
  }
}

async function inflateStart(path: string, start: Buffer): Promise<Buffer> {
  try {
    // The file continues after `start`, so an unfinished stream is expected.
    return await promisify(gunzip)(start, {finishFlush: constants.Z_SYNC_FLUSH});
  } catch (error) {
    throw notABackup(path, `is a damaged gzip file (${messageOf(error)})`);
  }
}

/** "15.18 (Debian ...)" -> 15; "17beta1" -> 17. */
function majorOf(version: string | null): number | null {
  const match = /^\d+/.exec(version ?? '');
  return match ? Number(match[0]) : null;
}

function cannotBeRead(path: string, error: unknown): AppError {
  return new AppError('READ_FAILED', `Cannot read ${path}: ${messageOf(error)}.`, {cause: error});
}

function notABackup(path: string, why: string, hint?: string): AppError {
  return new AppError('NOT_A_BACKUP', `${path} ${why}.`, {
    hint: hint ?? 'Give a dump of pg_dump: custom, directory, or plain SQL (also gzipped).',
  });
}
