/** Runs a hook of the config file. A hook that fails or takes too long stops the run. */
import {readFile} from 'node:fs/promises';
import {resolve} from 'node:path';
import {AppError, messageOf} from '../base/errors.js';
import {redact} from '../base/redact.js';
import {withSession} from '../postgres/client.js';
import {type Connection, libpqEnvironment} from '../postgres/connect/connection.js';
import {runTool} from '../postgres/tools/run-tool.js';
import type {Step} from '../progress/progress.js';
import type {HookConfig, HookName} from '../settings/hooks-config.js';
import type {RunContext} from './run-context.js';

const defaultTimeoutSeconds = 60;
const mostLines = 100;

/**
 * Does nothing if the config file has no such hook.
 * @param connection the database that the hook is about
 * @param target the database that the run is about, if it has another name
 * @throws HOOK_FAILED, HOOK_TIMEOUT, INTERRUPTED
 */
export async function runHook(
  context: RunContext,
  name: HookName,
  connection: Connection,
  target = connection.database,
): Promise<void> {
  const hook = context.settings.config.hooks?.[name];
  if (!hook) return;
  const seconds = hook.timeoutSeconds ?? defaultTimeoutSeconds;
  const limit = AbortSignal.timeout(seconds * 1000);
  const signal = AbortSignal.any([context.signal, limit]);
  await context.progress.step(`Run the hook ${name}`, async (step) => {
    const output = outputOf(step, libpqEnvironment(connection)['PGPASSWORD']);
    try {
      if ('argv' in hook) await runProgram(hook.argv, {name, connection, target, signal}, output);
      else await runFile(resolve(context.settings.cwd, hook.sqlFile), connection, signal, output);
    } catch (error) {
      context.signal.throwIfAborted();
      throw hookError(name, hook, limit.aborted ? seconds : undefined, error, output.lines);
    }
  });
}

interface Output {
  readonly add: (line: string) => void;
  readonly lines: readonly string[];
}

/** Prints the lines without secrets, and keeps the last ones for an error. */
function outputOf(step: Step, password: string | undefined): Output {
  const lines: string[] = [];
  const add = (raw: string): void => {
    const line = redact(password === undefined || password === '' ? raw : raw.replaceAll(password, '***'));
    step.output(line);
    lines.push(line);
    if (lines.length > mostLines) lines.shift();
  };
  return {add, lines};
}

async function runProgram(
  [path = '', ...args]: readonly string[],
  {
    name,
    connection,
    target,
    signal,
  }: {
    readonly name: HookName;
    readonly connection: Connection;
    readonly target: string;
    readonly signal: AbortSignal;
  },
  {add}: Output,
): Promise<void> {
  await runTool({
    tool: path,
    path,
    args,
    environment: {
      ...libpqEnvironment(connection),
      DESTINO_DB_HOOK: name,
      DESTINO_DB_HOOK_TARGET: target,
    },
    signal,
    endsWithUs: true,
    isGroupEnded: true,
    onLine: add,
    readStdout: async (stdout) => {
      stdout.setEncoding('utf8');
      let rest = '';
      for await (const chunk of stdout as AsyncIterable<string>) {
        const parts = (rest + chunk).split('\n');
        rest = (parts.pop() ?? '').slice(0, 16_384);
        parts.forEach(add);
      }
      if (rest !== '') add(rest);
    },
    failureCode: 'HOOK_FAILED',
  });
}

/** A text of several statements is one transaction (manual, 53.2.2.1), so that a file that fails has changed nothing. */
async function runFile(
  path: string,
  connection: Connection,
  signal: AbortSignal,
  {add}: Output,
): Promise<void> {
  const sql = await readFile(path, 'utf8');
  await withSession(
    connection,
    async ({client}) => {
      await client.query('SET client_min_messages = notice');
      client.on('notice', ({severity, message}) => add(`${severity ?? 'NOTICE'}: ${message ?? ''}`));
      await client.query(sql);
    },
    {signal},
  );
}

/** @param seconds the time limit if it was exceeded */
function hookError(
  name: HookName,
  hook: HookConfig,
  seconds: number | undefined,
  error: unknown,
  lines: readonly string[],
): AppError {
  const what = 'argv' in hook ? (hook.argv[0] ?? '') : hook.sqlFile;
  const of = `The hook ${name} (${what})`;
  const extras = {details: [...lines.slice(-10)], cause: error};
  if (seconds !== undefined)
    return new AppError('HOOK_TIMEOUT', `${of} took longer than ${seconds} s and was ended.`, {
      ...extras,
      hint: `Find out what it waits for, or raise hooks.${name}.timeoutSeconds in the config file.`,
    });
  return new AppError('HOOK_FAILED', `${of} failed: ${redact(messageOf(error)).replace(/\.$/, '')}.`, {
    ...extras,
    hint: 'The hook stopped the run on purpose, or has an error of its own; its output says more.',
  });
}
