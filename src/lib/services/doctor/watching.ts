/** Checks the plan and the notifications; returns nothing if neither is configured. */
import {access, constants} from 'node:fs/promises';
import {connect} from 'node:net';
import {delimiter, join, resolve} from 'node:path';
import {systemErrorCode} from '../../base/errors.js';
import {countOf} from '../../base/format.js';
import type {RunContext} from '../../run/run-context.js';
import type {NoticeTarget} from '../../settings/notifications-config.js';
import {targetAddress} from '../status/notify.js';
import {mailServer} from '../status/send-mail.js';
import {type Check, failed, failedBy, passed} from './check.js';
import {type CheckCommandLine, collisionWarnings, readPlan, requireCommands} from '../schedule/schedule.js';

/** Checks the plan and each notification target, without notifying anybody. */
export async function checkWatching(ctx: RunContext, checkCommandLine: CheckCommandLine): Promise<Check[]> {
  const {schedule, notifications} = ctx.settings.config;
  const plan = schedule?.plan === undefined ? [] : [await checkPlan(ctx, checkCommandLine)];
  const targets = (notifications?.targets ?? []).map((target) => checkTarget(ctx, target));
  return [...plan, ...(await Promise.all(targets))];
}

async function checkPlan({settings}: RunContext, checkCommandLine: CheckCommandLine): Promise<Check> {
  const hint = 'Correct schedule.plan in the config file, then: destino-db schedule';
  try {
    const {jobs, zone} = readPlan(settings.config, false);
    await requireCommands(jobs, checkCommandLine);
    const [warning] = collisionWarnings(jobs);
    if (warning !== undefined) return failed('plan', warning, hint, false);
    return passed('plan', `${countOf(jobs.length, 'job')}, times in ${zone}`);
  } catch (error) {
    return failedBy('plan', error, hint);
  }
}

async function checkTarget({settings, signal}: RunContext, target: NoticeTarget): Promise<Check> {
  const name = `"${target.name ?? target.type}"`;
  const fail = (why: string, hint: string): Check => failed('notification', `${name}: ${why}`, hint, false);
  if (target.type === 'command') {
    const [program = ''] = target.argv;
    const path = await findProgram(program, settings.cwd, settings.environment.get('PATH') ?? '');
    return path === undefined
      ? fail(
          `${program} cannot be run`,
          'Check notifications.targets in the config file: give the full path of the program.',
        )
      : passed('notification', `${name} runs ${path}`);
  }
  if (target.type === 'mail') {
    const server = mailServer(target);
    const trouble = await connectTo(new URL(`http://${server}`), signal);
    return trouble === undefined
      ? passed('notification', `${name}: ${server} can be reached; nothing was sent`)
      : fail(
          `${server} cannot be reached (${trouble})`,
          'Send a test message with: destino-db notifications --test',
        );
  }
  let url: URL;
  try {
    url = targetAddress(target, settings.environment);
  } catch (error) {
    const {message, hint} = failedBy(
      '',
      error,
      'Set it in .env.local, which runs under cron and systemd read too.',
    );
    return fail(message, hint ?? '');
  }
  // The path contains a token.
  const trouble = await connectTo(url, signal);
  return trouble === undefined
    ? passed('notification', `${name}: ${url.origin} can be reached; nothing was sent`)
    : fail(
        `${url.origin} cannot be reached (${trouble})`,
        'Check the address, and the network from this machine.',
      );
}

async function findProgram(name: string, cwd: string, path: string): Promise<string | undefined> {
  const folders = path.split(delimiter).filter((folder) => folder !== '');
  const paths = name.includes('/') ? [resolve(cwd, name)] : folders.map((folder) => join(folder, name));
  for (const candidate of paths) {
    const isProgram = await access(candidate, constants.X_OK).then(
      () => true,
      () => false, // missing or not executable: the next folder may have it
    );
    if (isProgram) return candidate;
  }
  return undefined;
}

const longestConnectMs = 5000;

/** @returns the reason of the failure; undefined if the host accepts connections */
async function connectTo(url: URL, signal: AbortSignal): Promise<string | undefined> {
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port);
  const socket = connect({host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port, timeout: longestConnectMs});
  const stop = (): void => void socket.destroy();
  signal.addEventListener('abort', stop, {once: true});
  try {
    return await new Promise((done) => {
      socket.once('connect', () => done(undefined));
      socket.once('timeout', () => done('no answer'));
      socket.once('error', (error) => done(systemErrorCode(error) ?? error.message));
      socket.once('close', () => done('interrupted'));
    });
  } finally {
    signal.removeEventListener('abort', stop);
    socket.destroy();
  }
}
