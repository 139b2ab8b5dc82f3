/** Reads the config file. */
import {readFile} from 'node:fs/promises';
import {resolve} from 'node:path';
import {AppError, messageOf, systemErrorCode} from '../base/errors.js';
import type {Config} from './config-schema.js';

export const defaultConfigName = 'destino-db.config.json';

/**
 * The config in `path`, or in `destino-db.config.json` under `cwd` (if missing, the config is empty).
 * @throws CONFIG_INVALID when a named file is missing, is not JSON, or has an unknown key or a wrong value.
 */
export async function readConfig(cwd: string, path?: string): Promise<Config> {
  const file = resolve(cwd, path ?? defaultConfigName);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const isAbsent = systemErrorCode(error) === 'ENOENT';
    if (isAbsent && path === undefined) return {};
    const why = isAbsent ? 'does not exist' : `cannot be read: ${messageOf(error)}`;
    throw new AppError('CONFIG_INVALID', `The config file ${file} ${why}.`, {
      hint: 'Check the path given with --config.',
      cause: error,
    });
  }
  // Without a config file no command needs its schema, which takes a tenth of the time of a start.
  const {parseConfig} = await import('./parse-config.js');
  return parseConfig(text, file);
}
