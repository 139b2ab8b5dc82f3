/** The effective settings and the origin of each; secrets are masked. */
import {resolve} from 'node:path';
import {ruleNames} from '../../catalog/retention.js';
import {AppError} from '../../base/errors.js';
import {describeConnection} from '../../postgres/connect/connection.js';
import {resolveConnection} from '../../postgres/connect/resolve-connection.js';
import type {Settings} from '../../settings/settings.js';

export interface ShownSetting {
  readonly name: string;
  readonly value: string;
  /** "flag", "config file", "default", or a variable and its origin. */
  readonly origin: string;
}

export function describeSettings(settings: Settings): ShownSetting[] {
  const {config, pgBin} = settings;
  const retention = ruleNames(config.retention ?? {}).join(', ');
  const format = config.backup?.format;
  return [
    ...databaseSetting(settings),
    pathSetting(settings, 'backups folder', settings.backupsDir, 'DESTINO_DB_BACKUPS_DIR', config.backupsDir),
    ...(pgBin === undefined
      ? []
      : [pathSetting(settings, 'client tools', pgBin, 'DESTINO_DB_PG_BIN', config.pgBin)]),
    {
      name: 'retention',
      value: retention === '' ? 'none: nothing is pruned' : retention,
      origin: retention === '' ? 'default' : 'config file',
    },
    {name: 'backup format', value: format ?? 'custom', origin: format ? 'config file' : 'default'},
  ];
}

/** Never the URL itself: in a malformed one, any part may be the password. */
function databaseSetting(settings: Settings): ShownSetting[] {
  try {
    const connection = resolveConnection(settings);
    return [{name: 'database', value: describeConnection(connection), origin: connection.origin}];
  } catch (error) {
    if (error instanceof AppError) return []; // the check of the URL reports this
    throw error;
  }
}

/** Settings do not record the origin of a path; it is the first source with this path. */
function pathSetting(
  {cwd, environment}: Settings,
  name: string,
  value: string,
  variable: string,
  configured: string | undefined,
): ShownSetting {
  const gives = (path: string | undefined): boolean => path !== undefined && resolve(cwd, path) === value;
  if (gives(environment.get(variable)))
    return {name, value, origin: `${variable} (${environment.originOf(variable) ?? 'environment'})`};
  if (gives(configured)) return {name, value, origin: 'config file'};
  return {name, value, origin: gives('backups') ? 'default' : 'flag'};
}
