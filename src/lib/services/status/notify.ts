/** Notifies the configured targets by pings, webhooks, mails and commands, in parallel and within a time limit. */
import {AppError} from '../../base/errors.js';
import {runTool} from '../../postgres/tools/run-tool.js';
import type {Environment} from '../../settings/environment.js';
import type {NoticeEvent, NotificationsConfig, NoticeTarget} from '../../settings/notifications-config.js';
import type {Notice} from './notice.js';
import {post} from './post.js';
import {mailServer, sendMail} from './send-mail.js';

export interface NotifyOptions {
  readonly config: NotificationsConfig | undefined;
  /** The source of `urlEnv` variables. */
  readonly environment: Environment;
  /** Shortens the config's time limit, ms. */
  readonly maxTimeoutMs?: number;
}

const defaultTimeoutSeconds = 10;

const defaultEvents: Readonly<Record<NoticeTarget['type'], readonly NoticeEvent[]>> = {
  ping: ['start', 'success', 'failure', 'alarm'],
  webhook: ['failure', 'alarm', 'stale'],
  command: ['success', 'failure', 'alarm', 'stale'],
  mail: ['failure', 'alarm', 'stale'],
};

/**
 * Notifies every target that wants the event. Never throws and never exceeds the time limit.
 * @returns a warning for each target that was not reached
 */
export async function notify(notice: Notice, options: NotifyOptions): Promise<string[]> {
  const targets = (options.config?.targets ?? []).filter((target) => wants(target, notice));
  if (targets.length === 0) return [];
  const results = await Promise.all(
    targets.map(async (target) => {
      const error = await sendTo(target, notice, options);
      if (!error) return undefined;
      const to = describeTarget(target, options.environment);
      const code = error.code.startsWith('MAIL_') ? ` (${error.code})` : '';
      return `The notification "${target.name ?? target.type}"${to === '' ? '' : ` (${to})`} of ${notice.event} was not delivered: ${error.message}${code}.`;
    }),
  );
  return results.filter((warning) => warning !== undefined);
}

/** The events that the target reports. */
export function eventsOf({on, type}: NoticeTarget): readonly NoticeEvent[] {
  return on ?? defaultEvents[type];
}

/** The address for people, without a part that may contain a token; empty if it is not known. */
export function describeTarget(target: NoticeTarget, environment: Environment): string {
  if (target.type === 'command') return target.argv[0] ?? '';
  if (target.type === 'mail') return mailServer(target);
  try {
    return `${targetAddress(target, environment).origin}/***`;
  } catch {
    return '';
  }
}

function wants(target: NoticeTarget, {event, facts}: Notice): boolean {
  if (!eventsOf(target).some((wanted) => wanted === event)) return false;
  if (event === 'stale') return true;
  // A ping is for one job: a successful restore must not hide a missing backup.
  const commands = target.commands ?? (target.type === 'ping' ? ['backup'] : undefined);
  return commands === undefined || commands.includes(facts['command'] ?? '');
}

/** Sends the notice within the time limit, whatever events the target wants. @returns the error if it did not arrive */
export async function sendTo(
  target: NoticeTarget,
  notice: Notice,
  {config, environment, maxTimeoutMs = Infinity}: NotifyOptions,
): Promise<AppError | undefined> {
  const configuredMs = (config?.timeoutSeconds ?? defaultTimeoutSeconds) * 1000;
  const timeoutMs = Math.min(configuredMs, maxTimeoutMs);
  try {
    await deliver(target, notice, environment, timeoutMs);
    return undefined;
  } catch (error) {
    if (!(error instanceof AppError))
      return new AppError('TOOL_FAILED', `no answer within ${timeoutMs / 1000} s`, {cause: error});
    return new AppError(error.code, error.message.replace(/\.$/, ''), {cause: error});
  }
}

async function deliver(
  target: NoticeTarget,
  notice: Notice,
  environment: Environment,
  timeoutMs: number,
): Promise<void> {
  if (target.type === 'mail') {
    const password =
      target.passwordEnv === undefined ? undefined : requireValue(target.passwordEnv, environment);
    return sendMail(target, password, notice, timeoutMs);
  }
  const signal = AbortSignal.timeout(timeoutMs);
  // Processes that the command started may keep its output open; they are not waited for.
  if (target.type === 'command')
    return Promise.race([runHook(target.argv, notice, signal), rejectOn(signal)]);
  const url = targetAddress(target, environment);
  if (target.type === 'ping')
    return post(pingUrl(url, notice), pingBody(notice), 'text/plain; charset=utf-8', signal);
  return post(url.href, webhookBody(target.template, notice), 'application/json', signal);
}

/** The address of a ping or a webhook. @throws CONFIG_INVALID for a variable that is not set or does not contain an address */
export function targetAddress(
  target: Extract<NoticeTarget, {type: 'ping' | 'webhook'}>,
  environment: Environment,
): URL {
  return new URL(target.url ?? requireVariable(target.urlEnv ?? '', environment));
}

function requireVariable(name: string, environment: Environment): string {
  const value = environment.get(name);
  if (value !== undefined && URL.canParse(value) && /^https?:/i.test(value)) return value;
  throw new AppError(
    'CONFIG_INVALID',
    value === undefined ? `${name} is not set` : `${name} does not contain an http or https address`,
  );
}

/** @throws CONFIG_INVALID for a variable that is not set */
function requireValue(name: string, environment: Environment): string {
  const value = environment.get(name);
  if (value !== undefined) return value;
  throw new AppError('CONFIG_INVALID', `${name} is not set`);
}

const pingSuffixes: Readonly<Record<Notice['event'], string>> = {
  start: '/start',
  success: '',
  test: '/log', // changes no state
  failure: '/fail',
  alarm: '/fail',
  stale: '/fail',
};

/** The addresses of healthchecks.io, and the run's id, which connects start and end. */
function pingUrl(base: URL, {event, facts}: Notice): string {
  const url = new URL(base);
  url.pathname = url.pathname.replace(/\/$/, '') + pingSuffixes[event];
  if (facts['runId'] !== undefined) url.searchParams.set('rid', facts['runId']);
  return url.href;
}

const longestBody = 10_000;

function pingBody({summary, log}: Notice): string {
  return [...log, summary].join('\n').slice(-longestBody);
}

/** Slack treats "&", "<" and ">" as markup, so they are escaped as in its documentation. */
function webhookBody(template: Readonly<Record<string, unknown>> | undefined, notice: Notice): string {
  if (template) return JSON.stringify(fill(template, {...notice.facts, log: notice.log.join('\n')}));
  const tail = notice.event === 'failure' ? notice.log.slice(-10) : [];
  const text = [notice.summary, ...(tail.length === 0 ? [] : ['```', ...tail, '```'])].join('\n');
  const escaped = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  return JSON.stringify({text: escaped});
}

/** Replaces {{fact}} in every text of the template; an unknown fact becomes empty. */
function fill(value: unknown, facts: Readonly<Record<string, string>>): unknown {
  if (typeof value === 'string')
    return value.replace(/\{\{(\w+)\}\}/g, (_, name: string) => facts[name] ?? '');
  if (Array.isArray(value)) return value.map((entry) => fill(entry, facts));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, fill(entry, facts)]));
  }
  return value;
}

/** UTF-16 units of at most three bytes: Linux does not start a program with a variable of 128 KiB (execve(2), "Limits"). */
const longestVariable = 40_000;

async function runHook(argv: readonly string[], notice: Notice, signal: AbortSignal): Promise<void> {
  const [path = '', ...args] = argv;
  const log = notice.log.join('\n').slice(-longestVariable);
  const facts = Object.entries({...notice.facts, log});
  await runTool({
    tool: path,
    path,
    args,
    // errorCode -> DESTINO_DB_RUN_ERROR_CODE; the environment cannot contain NUL.
    environment: Object.fromEntries(
      facts.map(([name, value]) => [
        `DESTINO_DB_RUN_${name.replace(/[A-Z]/g, '_$&').toUpperCase()}`,
        value.slice(0, longestVariable).replaceAll('\0', ''),
      ]),
    ),
    signal,
    killSignal: 'SIGKILL', // this process may exit before a command that ignores SIGTERM
    failureCode: 'TOOL_FAILED',
  });
}

function rejectOn(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), {once: true});
  });
}
