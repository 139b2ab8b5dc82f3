/** Finds the masking program of the config file: greenmask. */
import {access, constants} from 'node:fs/promises';
import {delimiter, join, resolve} from 'node:path';
import {text} from 'node:stream/consumers';
import {AppError} from '../../base/errors.js';
import type {Settings} from '../../settings/settings.js';
import {runTool} from './run-tool.js';

/** @returns its path @throws MASK_PROGRAM_NOT_FOUND */
export async function findMaskProgram({config, cwd, environment}: Settings): Promise<string> {
  const name = config.maskProgram?.path ?? 'greenmask';
  const isPath = /[/\\]/.test(name);
  const folders = (environment.get('PATH') ?? '').split(delimiter).filter((folder) => folder !== '');
  for (const path of isPath ? [resolve(cwd, name)] : folders.map((folder) => join(folder, name))) {
    try {
      await access(path, constants.X_OK);
      return path;
    } catch {
      continue; // not there
    }
  }
  throw new AppError(
    'MASK_PROGRAM_NOT_FOUND',
    `The masking program ${name} ${isPath ? 'does not exist, or is not executable' : 'was not found in PATH'}.`,
    {hint: 'Install greenmask, or correct maskProgram.path in the config file.'},
  );
}

/** The first line of `--version`. @throws TOOL_FAILED */
export async function maskProgramVersion(path: string): Promise<string> {
  let output = '';
  await runTool({
    tool: path,
    path,
    args: ['--version'],
    environment: {},
    failureCode: 'TOOL_FAILED',
    signal: AbortSignal.timeout(10_000),
    readStdout: async (stdout) => {
      output = await text(stdout);
    },
  });
  return output.trim().split('\n')[0] ?? '';
}
