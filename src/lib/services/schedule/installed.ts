/** Finds where the plan of this folder is installed on this machine. */
import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {isDeepStrictEqual} from 'node:util';
import {AppError} from '../../base/errors.js';
import {sentencesOfBlock} from './cron-block.js';
import {readCrontab} from './crontab.js';
import {workflowHeader} from './github-workflow.js';
import {unitHeader} from './systemd-units.js';

export interface Installed {
  readonly as: 'cron' | 'systemd' | 'github';
  /** Whether it has the sentences of the plan; otherwise an older plan is installed. */
  readonly isCurrent: boolean;
}

/** @param unitFolder of systemd @param workflow path of the file for GitHub */
export async function findInstalled(
  sentences: readonly string[],
  {folder, unitFolder, workflow}: {folder: string; unitFolder: string; workflow: string},
  signal: AbortSignal,
): Promise<Installed[]> {
  const found = [
    {as: 'cron', sentences: await inCrontab(folder, signal)},
    {as: 'systemd', sentences: await inUnits(folder, unitFolder)},
    {as: 'github', sentences: await inWorkflow(workflow)},
  ] as const;
  return found.flatMap(({as, sentences: installed}) =>
    installed.length === 0
      ? []
      : [{as, isCurrent: isDeepStrictEqual([...installed].sort(), [...sentences].sort())}],
  );
}

async function inCrontab(folder: string, signal: AbortSignal): Promise<string[]> {
  try {
    return sentencesOfBlock(await readCrontab(signal), folder);
  } catch (error) {
    // Without cron nothing is installed in it.
    if (error instanceof AppError && error.code !== 'INTERRUPTED') return [];
    throw error;
  }
}

async function inUnits(folder: string, unitFolder: string): Promise<string[]> {
  const names = await readdir(unitFolder).catch(() => []); // systemd is not used
  const units = names
    .filter((name) => /^destino-db-.*\.timer$/.test(name))
    .map((name) => join(unitFolder, name));
  const texts = await Promise.all(units.map(textOf));
  return texts
    .filter((text) => text.startsWith(`${unitHeader(folder)}\n`))
    .flatMap((text) => /^Description=destino-db: (.*)$/m.exec(text)?.[1]?.replaceAll('%%', '%') ?? []);
}

/** Names of steps in quotes are sentences. */
async function inWorkflow(path: string): Promise<string[]> {
  const text = await textOf(path);
  if (!text.startsWith(`${workflowHeader}\n`)) return [];
  return [...text.matchAll(/^ {6}- name: (".*")$/gm)].map(([, name = '""']) => String(JSON.parse(name)));
}

function textOf(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => ''); // missing, or not readable for this user
}
