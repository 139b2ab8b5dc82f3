/** Doctor's look at the backups folder and at files that hold secrets: there, writable, and closed to others. */
import {access, constants, readdir, stat} from 'node:fs/promises';
import {dirname, join, resolve} from 'node:path';
import {backupFolder} from '../../catalog/backup-name.js';
import {orderBackupFolder} from '../../catalog/order-backup-name.js';
import {systemErrorCode} from '../../base/errors.js';
import {countOf} from '../../base/format.js';
import type {RunContext} from '../../run/run-context.js';
import {leftoversNote} from '../../run/journal.js';
import {type Check, failed, passed} from './check.js';
import {someOf} from '../../base/some-of.js';

export async function checkFolders(ctx: RunContext): Promise<Check[]> {
  const {backupsDir, cwd, environment} = ctx.settings;
  const files = environment.sources
    .filter((source) => source.origin !== 'environment')
    .map((source) => resolve(cwd, source.origin));
  const note = await leftoversNote(ctx);
  return [
    await checkWritable(backupsDir),
    await checkPrivate(backupsDir),
    ...(await Promise.all(files.map(checkEnvironmentFile))),
    note === undefined
      ? passed('leftovers', 'no interrupted run left anything half done')
      : failed('leftovers', note, 'destino-db recover', false),
  ];
}

async function checkWritable(folder: string): Promise<Check> {
  const found = await nearestExisting(folder);
  const place = found === folder ? folder : `${folder} (not there yet; ${found} is)`;
  try {
    if (!(await stat(found)).isDirectory())
      return failed('backups-folder', `${found} is no folder`, 'Name another place with --backups-dir.');
    await access(found, constants.W_OK | constants.X_OK);
    return passed('backups-folder', `${place} can be written`);
  } catch (error) {
    const hint = `Change the rights of ${found}, or name another place with --backups-dir.`;
    return failed(
      'backups-folder',
      `${place} cannot be written (${systemErrorCode(error) ?? 'no answer'})`,
      hint,
    );
  }
}

/** Backups hold all of the data: neither the folders nor the files in them are for others. */
async function checkPrivate(backupsDir: string): Promise<Check> {
  const open: string[] = [];
  for (const folder of [backupsDir, backupFolder({backupsDir}), join(backupsDir, orderBackupFolder)]) {
    const mode = await modeOf(folder);
    if (mode === undefined) continue;
    if (isOpenToOthers(mode)) open.push(folder);
    const names = folder === backupsDir ? [] : await readdir(folder).catch(() => []); // told as not writable
    const modes = await Promise.all(
      names.map(async (name) => [join(folder, name), await modeOf(join(folder, name))] as const),
    );
    open.push(...modes.flatMap(([path, own]) => (own !== undefined && isOpenToOthers(own) ? [path] : [])));
  }
  if (open.length === 0) return passed('backups-private', 'only this user can read the backups');
  return failed(
    'backups-private',
    `${countOf(open.length, 'file or folder', 'files and folders')} of the backups can be read by other users: ${someOf(open, 3).join(', ')}`,
    `chmod -R go-rwx '${backupsDir.replaceAll("'", `'\\''`)}'`,
    false,
  );
}

async function checkEnvironmentFile(path: string): Promise<Check> {
  const mode = await modeOf(path);
  if (mode === undefined || !isOpenToOthers(mode)) return passed('env-file', `${path} is private`);
  return failed(
    'env-file',
    `${path} holds secrets and can be read by other users`,
    `chmod 600 '${path.replaceAll("'", `'\\''`)}'`,
    false,
  );
}

/** Windows tells no such bits: everything reads as open to all there. */
function isOpenToOthers(mode: number): boolean {
  return process.platform !== 'win32' && (mode & 0o077) !== 0;
}

async function modeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    (status) => status.mode,
    () => undefined,
  );
}

async function nearestExisting(path: string): Promise<string> {
  if (dirname(path) === path || (await modeOf(path)) !== undefined) return path;
  return nearestExisting(dirname(path));
}
