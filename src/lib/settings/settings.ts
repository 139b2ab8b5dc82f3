/** Joins flags, environment and config file into the settings of a run. */
import {availableParallelism} from 'node:os';
import {resolve} from 'node:path';
import type {SshTunnel} from './ssh-config.js';
import type {CommandPassword} from './command-password.js';
import type {Config} from './config-schema.js';
import {type Environment, readEnvironment} from './environment.js';
import {readConfig} from './read-config.js';
import type {TypedPasswords} from './typed-passwords.js';

/** The global flags of the command line. */
export interface GlobalFlags {
  config?: string;
  'env-file'?: string;
  'database-url'?: string;
  'use-database-url'?: boolean;
  'backups-dir'?: string;
  'pg-bin'?: string;
  'metrics-file'?: string;
}

export interface Settings {
  readonly cwd: string;
  readonly config: Config;
  readonly environment: Environment;
  /** The URL of --database-url. */
  readonly databaseUrl: string | undefined;
  /** The variables to read, in this order. */
  readonly urlPreference: readonly string[];
  /** Name of the database in "databases" of the config file, if the run is for one of them. */
  readonly source?: string;
  /** The database on the server of the URL, instead of that in the URL: the run is for a whole server, whose roles are stored too. */
  readonly databaseName?: string;
  /** Absolute path of the backups folder. */
  readonly backupsDir: string;
  /** Absolute path of the folder with the client tools, if given. */
  readonly pgBin: string | undefined;
  /** Absolute path of the Prometheus textfile, if given. */
  readonly metricsFile: string | undefined;
  readonly cores: number;
  /** The tunnel of the config file; absent without ssh. */
  readonly sshTunnel?: SshTunnel;
  /** Those of databases with an SSH server of their own, by name. */
  readonly sourceTunnels?: ReadonlyMap<string, SshTunnel>;
  /** The password that passwordCommand of the config file prints; absent without that key. */
  readonly commandPassword?: CommandPassword;
  /** Passwords typed by the user; absent without a terminal. */
  readonly typedPasswords?: TypedPasswords;
}

/**
 * Flag > environment > config file > default.
 * @throws CONFIG_INVALID as `readConfig` and `readEnvironment` do.
 */
export async function loadSettings(
  flags: GlobalFlags,
  cwd: string,
  processEnv: Readonly<Record<string, string | undefined>>,
): Promise<Settings> {
  const environment = await readEnvironment(processEnv, cwd, flags['env-file']);
  const config = await readConfig(cwd, flags.config ?? environment.get('DESTINO_DB_CONFIG'));
  const pgBin = flags['pg-bin'] ?? environment.get('DESTINO_DB_PG_BIN') ?? config.pgBin;
  const metricsFile =
    flags['metrics-file'] ?? environment.get('DESTINO_DB_METRICS_FILE') ?? config.metricsFile;
  return {
    cwd,
    config,
    environment,
    databaseUrl: flags['database-url'],
    urlPreference: flags['use-database-url'] === true ? ['DATABASE_URL'] : ['DIRECT_URL', 'DATABASE_URL'],
    backupsDir: resolve(
      cwd,
      flags['backups-dir'] ?? environment.get('DESTINO_DB_BACKUPS_DIR') ?? config.backupsDir ?? 'backups',
    ),
    pgBin: pgBin === undefined ? undefined : resolve(cwd, pgBin),
    metricsFile: metricsFile === undefined ? undefined : resolve(cwd, metricsFile),
    cores: availableParallelism(),
  };
}
