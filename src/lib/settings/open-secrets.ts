/** Finds files with secrets that other users of the machine can read. */
import {readFile, stat} from 'node:fs/promises';
import {join, resolve} from 'node:path';
import {homeFolder} from '../base/home-folder.js';
import {defaultConfigName} from './read-config.js';
import type {Settings} from './settings.js';

/** Files named by flags, in addition to those of the settings. */
export interface NamedSecrets {
  readonly identity?: string;
  readonly 'passphrase-file'?: string;
  readonly config?: string;
}

/** A password in a URL, or a value with the name of a secret. "key" alone names columns in a profile of orders, and an object is the rule of a column. */
const secret =
  /:\/\/[^\s:/@]*:[^\s@]+@|(?:password|passwd|secret|token|(?<!")key)(?!"\s*:\s*[{[])"?\s*[=:]\s*"?[^\s"]/i;

/**
 * A warning for each file with a secret that other users can read. Missing and unreadable files are skipped here; the code
 * that needs the file reports them.
 */
export async function warnOfOpenSecrets(settings: Settings, named: NamedSecrets): Promise<string[]> {
  if (process.platform === 'win32') return [];
  const {environment, config, cwd} = settings;
  const home = homeFolder();
  const always = [
    named.identity,
    named['passphrase-file'],
    config.encryption?.identityFile,
    config.encryption?.passphraseFile,
    environment.get('PGPASSFILE') ?? (home === undefined ? undefined : join(home, '.pgpass')),
  ];
  const perhaps = [
    ...environment.sources.slice(1).map((source) => source.origin),
    named.config ?? environment.get('DESTINO_DB_CONFIG') ?? defaultConfigName,
  ];
  const warnings: string[] = [];
  for (const [files, isSecret] of [
    [always, () => true],
    [perhaps, (text: string) => secret.test(withoutTableRules(text))],
  ] as const) {
    for (const file of new Set(files)) {
      if (file === undefined) continue;
      const path = resolve(cwd, file);
      if (!(await isOpenFile(path))) continue;
      const text = await readFile(path, 'utf8').catch(() => '');
      if (isSecret(text))
        warnings.push(`${path} contains secrets and other users can read it: chmod 600 it.`);
    }
  }
  return warnings;
}

/** Without the parts of the config file whose keys are names of tables and definitions, such as "public.token". */
function withoutTableRules(text: string): string {
  try {
    const {masks: _masks, subset: _subset, keepDefinitions: _kept, ...rest} = JSON.parse(text) as Record<string, unknown>; // prettier-ignore
    return JSON.stringify(rest);
  } catch {
    return text; // no JSON, such as .env
  }
}

async function isOpenFile(path: string): Promise<boolean> {
  const status = await stat(path).catch(() => undefined);
  return status?.isFile() === true && (status.mode & 0o077) !== 0;
}
