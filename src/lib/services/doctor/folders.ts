/** Checks that the backups folder and files with secrets exist, are writable, and are closed to other users. */
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
      ? passed('leftovers', 'no interrupted run left anything unfinished')
      : failed('leftovers', note, 'destino-db recover', false),
  ];
}

async function checkWritable(folder: string): Promise<Check> {
  const found = await nearestExisting(folder);
  const place = found === folder ? folder : `${folder} (does not exist yet; ${found} does)`;
  try {
    if (!(await stat(found)).isDirectory())
      return failed(
        'backups-folder',
        `${found} is not a folder`,
        'Choose another folder with --backups-dir.',
      );
    await access(found, constants.W_OK | constants.X_OK);
    return passed('backups-folder', `${place} can be written`);
  } catch (error) {
    const hint = `Change the permissions of ${found}, or choose another folder with --backups-dir.`;
    return failed(
      'backups-folder',
      `${place} cannot be written (${systemErrorCode(error) ?? 'no answer'})`,
      hint,
    );
  }
}

/** Backups contain all data, so neither their folders nor the files in them may be open to other users. */
async function checkPrivate(backupsDir: string): Promise<Check> {
  const open: string[] = [];
  for (const folder of [backupsDir, backupFolder({backupsDir}), join(backupsDir, orderBackupFolder)]) {
    const mode = await modeOf(folder);
    if (mode === undefined) continue;
    if (isOpenToOthers(mode)) open.push(folder);
    const names = folder === backupsDir ? [] : await readdir(folder).catch(() => []); // the check above reports this
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
    `${path} contains secrets and can be read by other users`,
    `chmod 600 '${path.replaceAll("'", `'\\''`)}'`,
    false,
  );
}

/** Windows has no such permission bits: every file would seem open to all. */
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
