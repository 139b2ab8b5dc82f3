/** Implements `doctor`: checks everything that the commands need and says how to fix problems. */
import {resolveConnection} from '../../postgres/connect/resolve-connection.js';
import {serverBinFolders} from '../../postgres/tools/local-cluster.js';
import type {RunContext} from '../../run/run-context.js';
import {checkFolders} from './folders.js';
import {checkPlaces} from './locations.js';
import {checkProduction} from './production.js';
import {checkRestore} from './restore.js';
import {checkServer} from './server.js';
import {checkMasking, checkSsh, checkTools} from './tools.js';
import {checkUrl} from './url.js';
import {checkWatching} from './watching.js';
import type {CheckCommandLine} from '../schedule/schedule.js';
import {type Check, passed} from './check.js';
import {describeSettings, type ShownSetting} from './settings.js';

export interface CommandOutlook {
  readonly command: string;
  readonly works: boolean;
  /** Names of the failed checks. */
  readonly because: readonly string[];
}

export interface DoctorResult {
  /** Whether every needed check passed. */
  readonly ok: boolean;
  readonly checks: readonly Check[];
  readonly settings: readonly ShownSetting[];
  readonly commands: readonly CommandOutlook[];
}

/** Problems do not throw: each one is a failed check with a hint. */
export async function checkMachine(
  ctx: RunContext,
  checkCommandLine: CheckCommandLine = () => Promise.resolve(undefined),
): Promise<DoctorResult> {
  const checks: Check[] = [checkConfig(ctx)];
  checks.push(...(await ctx.progress.step('Folders and files', () => checkFolders(ctx))));
  const url = await checkUrl(ctx.settings);
  checks.push(...url);
  const ssh = await checkSsh(ctx.settings);
  checks.push(...ssh);
  const server = [...url, ...ssh].some(({name, ok}) => !ok && ['url', 'ssh'].includes(name))
    ? {checks: [], major: undefined}
    : await ctx.progress.step('Server', () => checkServer(ctx, resolveConnection(ctx.settings)));
  checks.push(...server.checks);
  checks.push(...(await ctx.progress.step('Client tools', () => checkTools(ctx.settings, server.major))));
  checks.push(...(await checkMasking(ctx.settings)));
  // A problem that prevents every restore is reported once.
  const stopped = checks.some(({name, ok}) => !ok && ['pg_restore', 'standby', 'writable'].includes(name));
  if (server.major !== undefined && !stopped)
    checks.push(
      ...(await ctx.progress.step('Restore', () => checkRestore(ctx, resolveConnection(ctx.settings)))),
    );
  const answering = server.major === undefined ? undefined : resolveConnection(ctx.settings);
  checks.push(...(await checkProduction(ctx, answering)));
  checks.push(...(await checkPlaces(ctx)));
  checks.push(...(await checkWatching(ctx, checkCommandLine)));
  const canStartServer = (await serverBinFolders()).length > 0;
  return {
    ok: checks.every((check) => check.ok || !check.needed),
    checks,
    settings: describeSettings(ctx.settings),
    commands: outlook(checks, canStartServer),
  };
}

function checkConfig({settings}: RunContext): Check {
  // An invalid config file stops every command, including this one, with its own message.
  const keys = Object.keys(settings.config).filter((key) => key !== '$schema');
  return passed(
    'config',
    keys.length === 0 ? 'no config file, or an empty one: defaults apply' : `valid; sets ${keys.join(', ')}`,
  );
}

/** The checks that each command needs; a skipped check has not failed. */
const needs: Readonly<Record<string, readonly string[]>> = {
  backup: ['url', 'pooler', 'ssh', 'connection', 'server-version', 'pg_dump', 'pg_restore', 'table-rights', 'row-security', 'backups-folder', 'disk-space'],
  restore: ['url', 'pooler', 'ssh', 'connection', 'server-version', 'pg_restore', 'standby', 'writable', 'restore-plan'],
  'restore --drop-existing': ['url', 'pooler', 'ssh', 'connection', 'server-version', 'pg_restore', 'standby', 'writable', 'role', 'create-databases', 'swap', 'restore-plan'],
  verify: ['pg_restore', 'backups-folder'],
  'verify --level=restore': ['url', 'pooler', 'ssh', 'connection', 'pg_restore', 'standby', 'writable', 'create-databases'],
  'orders:clean': ['url', 'pooler', 'ssh', 'connection', 'standby', 'writable', 'table-rights', 'row-security', 'backups-folder'],
  'list, prune, status': ['backups-folder'],
}; // prettier-ignore

function outlook(checks: readonly Check[], canStartServer: boolean): CommandOutlook[] {
  const bad = new Set(checks.filter((check) => !check.ok).map((check) => check.name));
  const list = Object.entries(needs).map(([command, names]) => {
    const because = names.filter((name) => bad.has(name));
    return {command, works: because.length === 0, because};
  });
  const local = canStartServer ? (bad.has('pg_restore') ? ['pg_restore'] : []) : ['no server programs here'];
  return [
    ...list,
    {command: 'verify --level=restore --scratch=local', works: local.length === 0, because: local},
  ];
}
