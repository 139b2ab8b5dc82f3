/** Environment variables from the process and from .env files, with their origin. */
import {readFile} from 'node:fs/promises';
import {resolve} from 'node:path';
import {parseEnv} from 'node:util';
import {AppError, messageOf, systemErrorCode} from '../base/errors.js';

export interface Environment {
  /** The effective value: from the process, then from the env files in order. An empty string counts as unset. */
  get(name: string): string | undefined;
  /** "environment" or the name of the file with the value. */
  originOf(name: string): string | undefined;
  /** Values by source, highest precedence first, for rules that look at several variables. */
  readonly sources: readonly EnvironmentSource[];
}

export interface EnvironmentSource {
  readonly origin: string;
  readonly values: Readonly<Record<string, string | undefined>>;
}

/**
 * Joins the process environment with `envFile`, or with `.env.local` and `.env` of `cwd` if they exist.
 * The files are parsed (Node's dotenv rules), never executed, and not put into `process.env`.
 * @throws CONFIG_INVALID when `envFile` is given and cannot be read.
 */
export async function readEnvironment(
  processEnv: Readonly<Record<string, string | undefined>>,
  cwd: string,
  envFile?: string,
): Promise<Environment> {
  const names = envFile === undefined ? ['.env.local', '.env'] : [envFile];
  const sources: EnvironmentSource[] = [{origin: 'environment', values: processEnv}];
  for (const name of names) {
    const path = resolve(cwd, name);
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (error) {
      const isAbsent = systemErrorCode(error) === 'ENOENT';
      if (isAbsent && envFile === undefined) continue;
      const why = isAbsent ? 'does not exist' : `cannot be read: ${messageOf(error)}`;
      throw new AppError('CONFIG_INVALID', `The environment file ${path} ${why}.`, {
        hint: 'Check the path given with --env-file, and the rights of the file.',
        cause: error,
      });
    }
    sources.push({origin: name, values: parseEnv(withoutByteOrderMark(text))});
  }
  return environmentOf(sources);
}

/** Removes the byte order mark of editors on Windows, which would become part of the first name. */
export function withoutByteOrderMark(text: string): string {
  return text.replace(/^\ufeff/, '');
}

/** An environment of the given sources, highest precedence first. */
export function environmentOf(sources: readonly EnvironmentSource[]): Environment {
  const find = (name: string): EnvironmentSource | undefined =>
    sources.find((source) => (source.values[name] ?? '') !== '');
  return {
    get: (name) => find(name)?.values[name],
    originOf: (name) => find(name)?.origin,
    sources,
  };
}
