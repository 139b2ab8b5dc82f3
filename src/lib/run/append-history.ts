/** Appends runs to the audit log, `history.jsonl`: one line per run, safe with any number of concurrent runs. */
import {randomBytes} from 'node:crypto';
import {constants, type FileHandle, rename, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {timestampForName} from '../base/file-names.js';
import {openOwnFile, requireTrustedFolder} from '../base/own-file.js';
import {explainFileError, makePrivateFolder, syncFolder} from '../base/safe-file.js';
import {AppError, systemErrorCode} from '../base/errors.js';
import {redactValues} from '../base/redact.js';
import type {RunRecord} from './run-record.js';

const historyName = 'history.jsonl';

/** Maximum length of a line in bytes, newline included; longer lists are cut and the rest is counted. */
export const longestHistoryLine = 64 * 1024;

/** Size in bytes at which a file is rotated: about ten thousand runs. */
const rotationBytes = 8 * 1024 * 1024;

/**
 * Appends `record` to the log in `folder` and syncs it. Passwords in its texts are masked.
 *
 * The line is one write to a file opened with O_APPEND. The operating system appends it in one piece after the lines of
 * other runs (POSIX write(), "File operations"), so no lock is needed and a stale lock can never stop the log.
 * If a killed run left half a line, that line is ended first. A file larger than `rotateAt` bytes is renamed afterwards
 * to `history-<time>-<random>.jsonl`. A run that has it open writes into the renamed file, which readers read as well.
 * @throws DISK_FULL, FOLDER_NOT_WRITABLE, WRITE_FAILED, FOREIGN_FILE
 */
export async function appendRun(folder: string, record: RunRecord, rotateAt = rotationBytes): Promise<void> {
  await requireTrustedFolder(folder);
  await makePrivateFolder(folder);
  const path = join(folder, historyName);
  let file: FileHandle | undefined;
  try {
    file = await openOwnFile(path, constants.O_CREAT | constants.O_APPEND | constants.O_RDWR);
    const sizeBefore = (await file.stat()).size;
    const line = Buffer.from(`${(await endsTorn(file, sizeBefore)) ? '\n' : ''}${formatLine(record)}`);
    const {bytesWritten} = await file.write(line);
    if (bytesWritten < line.length) {
      throw new AppError('DISK_FULL', `The disk is full: the audit log ${path} could not be written.`);
    }
    await file.sync();
    if (sizeBefore === 0) await syncFolder(folder);
    await rotate(folder, file, new Date(record.startedAt), rotateAt);
  } catch (error) {
    throw explainFileError(error, path);
  } finally {
    await file?.close();
  }
}

/** Whether the last byte is not a newline. A concurrent write may look so; the cost is one empty line. */
async function endsTorn(file: FileHandle, size: number): Promise<boolean> {
  if (size === 0) return false;
  const {buffer, bytesRead} = await file.read(Buffer.alloc(1), 0, 1, size - 1);
  return bytesRead === 1 && buffer[0] !== 0x0a;
}

/** The random part keeps two runs that rotate in the same second from overwriting each other's file. */
async function rotate(folder: string, file: FileHandle, at: Date, rotateAt: number): Promise<void> {
  const path = join(folder, historyName);
  const status = await file.stat();
  if (status.size < rotateAt) return;
  try {
    if ((await stat(path)).ino !== status.ino) return; // another run has rotated it already
    const aside = `history-${timestampForName(at)}-${randomBytes(4).toString('hex')}.jsonl`;
    await rename(path, join(folder, aside));
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error; // gone: another run was faster
    return;
  }
  await syncFolder(folder);
}

const longestText = 2000;

/** The record as one line within the limit; entries that do not fit are left out and counted in `omitted`. */
function formatLine(record: RunRecord): string {
  const clean = redactValues(record);
  const shortened = {
    ...clean,
    errorMessage: clean.errorMessage === null ? null : clean.errorMessage.slice(0, longestText),
    warnings: clean.warnings.map((text) => text.slice(0, longestText)),
    alarms: clean.alarms.map((text) => text.slice(0, longestText)),
  };
  const omitted: Record<string, number> = {};
  for (;;) {
    const line = `${JSON.stringify({...shortened, ...(Object.keys(omitted).length > 0 ? {omitted} : {})})}\n`;
    if (Buffer.byteLength(line) <= longestHistoryLine) return line;
    const lists = ['warnings', 'alarms', 'verifications', 'pruned'] as const;
    const longest = lists.reduce((a, b) => (shortened[b].length > shortened[a].length ? b : a));
    const cut = Math.ceil(shortened[longest].length / 2);
    if (cut === 0) {
      throw new AppError('WRITE_FAILED', `The record of ${record.command} is too long for the audit log.`);
    }
    omitted[longest] = (omitted[longest] ?? 0) + cut;
    shortened[longest].splice(shortened[longest].length - cut);
  }
}
