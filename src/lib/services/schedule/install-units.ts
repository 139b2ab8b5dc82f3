/** Puts a project's systemd units into a folder and takes old ones out. */
import {readdir, readFile, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {systemErrorCode} from '../../base/errors.js';
import {explainFileError} from '../../base/safe-file.js';
import {replaceMarkedFile} from './marked-file.js';
import {unitMark, type UnitFile} from './systemd-units.js';

export interface InstalledUnits {
  readonly isChanged: boolean;
  /** Names of units that were removed: the plan has them no longer. */
  readonly removed: readonly string[];
}

/**
 * Writes the units and removes those of this project that are not among them; no other unit is touched.
 * @throws GUARD when a unit of that name was made by somebody else; FOLDER_NOT_WRITABLE, DISK_FULL
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
      if (!text.startsWith(`${unitMark(project)}\n`)) continue;
      await rm(path);
      // The link that `systemctl enable` made for the timer.
      await rm(join(folder, 'timers.target.wants', name), {force: true});
    } catch (error) {
      throw explainFileError(error, path);
    }
    removed.push(name);
  }
  let isChanged = removed.length > 0;
  for (const unit of units) {
    const isNew = await replaceMarkedFile(join(folder, unit.name), unitMark(project), unit.text);
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
