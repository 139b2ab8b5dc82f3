/** Checks that the names under `production` in the config file exist: a misspelt name protects nothing. */
import {backupFolder} from '../../catalog/backup-name.js';
import {AppError} from '../../base/errors.js';
import {didYouMean} from '../../base/nearest.js';
import {readCatalogue} from '../../catalog/catalogue.js';
import {withSession} from '../../postgres/client.js';
import type {Connection} from '../../postgres/connect/connection.js';
import type {RunContext} from '../../run/run-context.js';
import {isMissingHost} from '../../settings/production.js';
import {databaseOf, namedDatabases} from '../schedule/named-databases.js';
import {type Check, failed, passed} from './check.js';

const hint = 'Correct "production" in the config file: commands require --confirm-db only for exact names.';

/** @param server if it answers; without it the databases are not checked */
export async function checkProduction(
  ctx: RunContext,
  server: Connection | undefined,
  isMissing: (host: string) => Promise<boolean> = isMissingHost,
): Promise<Check[]> {
  const {hosts = [], databases = []} = ctx.settings.config.production ?? {};
  if (hosts.length + databases.length === 0) return [];
  const known = await knownNames(ctx);
  const problems: string[] = [];
  if (server !== undefined) {
    const names = [...(await databasesOn(ctx, server)), ...known.databases];
    for (const name of databases)
      if (!names.includes(name))
        problems.push(
          `production.databases names "${name}", which neither the server nor a backup has.${didYouMean(name, names)}`,
        );
  }
  // Behind an SSH server, names are those of its network.
  for (const host of ctx.settings.sshTunnel ? [] : hosts)
    if (await isMissing(host))
      problems.push(
        `production.hosts names "${host}", which does not exist.${didYouMean(host, known.hosts)}`,
      );
  return problems.length === 0
    ? [passed('production', [...hosts, ...databases].join(', '))]
    : problems.map((message) => failed('production', message, hint, false));
}

/** The names in the URL, the plan and the backups. */
async function knownNames({settings}: RunContext): Promise<{databases: string[]; hosts: string[]}> {
  const named = [databaseOf(settings), ...(await namedDatabases(settings))].filter((one) => one !== null);
  const {backups} = await readCatalogue(backupFolder(settings)).catch((error: unknown) => {
    if (!(error instanceof AppError)) throw error;
    return {backups: []}; // the check of the folder reports why
  });
  return {
    databases: [...named.map(({name}) => name), ...backups.map(({database}) => database)],
    hosts: [...named.map(({host}) => host), ...backups.map(({record}) => record?.source.host)].filter(
      (host): host is string => typeof host === 'string' && host !== '',
    ),
  };
}

async function databasesOn({signal}: RunContext, server: Connection): Promise<string[]> {
  return withSession(
    server,
    async (session) => {
      const rows = await session.query('SELECT datname FROM pg_catalog.pg_database');
      return rows.map(({datname}) => datname ?? '');
    },
    {signal},
  );
}
