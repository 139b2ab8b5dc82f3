/** Writes a project's systemd units into a folder and removes old ones. */
import {readdir, readFile, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {systemErrorCode} from '../../base/errors.js';
import {explainFileError} from '../../base/safe-file.js';
import {replaceOwnFile} from './own-file.js';
import {unitHeader, type UnitFile} from './systemd-units.js';

export interface InstalledUnits {
  readonly isChanged: boolean;
  /** Names of removed units, which the plan no longer contains. */
  readonly removed: readonly string[];
}

/**
 * Writes the units and removes the other units of this project; all other files stay.
 * @throws GUARD if a unit of that name is not ours; FOLDER_NOT_WRITABLE, DISK_FULL
 */
export async function installUnits(
  folder: string,
  project: string,
  units: readonly UnitFile[],
): Promise<InstalledUnits> {
  const removed: string[] = [];
  for (const name of await unitNames(folder)) {
    if (units.some((unit) => unit.name === name)) continue;
    const path = join(folder, name);
    try {
      const text = await readFile(path, 'utf8');
      if (!text.startsWith(`${unitHeader(project)}\n`)) continue;
      await rm(path);
      // The link that `systemctl enable` creates for the timer.
      await rm(join(folder, 'timers.target.wants', name), {force: true});
    } catch (error) {
      throw explainFileError(error, path);
    }
    removed.push(name);
  }
  let isChanged = removed.length > 0;
  for (const unit of units) {
    const isNew = await replaceOwnFile(join(folder, unit.name), unitHeader(project), unit.text);
    isChanged ||= isNew;
  }
  return {isChanged, removed};
}

async function unitNames(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((name) => /^destino-db-.*\.(?:service|timer)$/.test(name));
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw explainFileError(error, folder);
  }
}
