/** The password that a command of the config file prints, such as a token that expires. */
import type {Readable} from 'node:stream';
import {AppError, messageOf} from '../../base/errors.js';
import {redact} from '../../base/redact.js';
import type {CommandPassword, PasswordCommandConfig} from '../../settings/command-password.js';
import type {Environment} from '../../settings/environment.js';
import {runTool} from './run-tool.js';

const defaultTimeoutSeconds = 30;
/** Tokens of cloud providers are valid for at least some minutes. */
const freshMs = 60_000;
const longestOutput = 1 << 16;

/** @param signal of the run; it ends the command too */
export function createPasswordCommand(
  config: PasswordCommandConfig,
  environment: Environment,
  signal: AbortSignal,
): CommandPassword {
  let latest: {readonly password: string; readonly atMs: number} | undefined;
  let running: Promise<void> | undefined;
  return {
    latest: () => latest?.password,
    refresh: async () => {
      // After an interruption, sessions that clean up use the last one.
      if (latest && (signal.aborted || performance.now() - latest.atMs < freshMs)) return;
      // Sessions that open at the same time share one run.
      running ??= runCommand(config, environment, signal)
        .then((password) => {
          latest = {password, atMs: performance.now()};
        })
        .finally(() => {
          running = undefined;
        });
      await running;
    },
  };
}

/** @throws PASSWORD_COMMAND_FAILED, PASSWORD_COMMAND_TIMEOUT, INTERRUPTED; never with the output, which is the password */
async function runCommand(
  {argv: [path = '', ...args], env = [], timeoutSeconds}: PasswordCommandConfig,
  environment: Environment,
  interruption: AbortSignal,
): Promise<string> {
  const seconds = timeoutSeconds ?? defaultTimeoutSeconds;
  const limit = AbortSignal.timeout(seconds * 1000);
  const printed: string[] = [];
  let output = '';
  try {
    await runTool({
      tool: path,
      path,
      args,
      environment: Object.fromEntries(
        env.flatMap((name) => {
          const value = environment.get(name);
          return value === undefined ? [] : [[name, value]];
        }),
      ),
      signal: AbortSignal.any([interruption, limit]),
      endsWithUs: true,
      isGroupEnded: true,
      onLine: (line) => printed.push(redact(line)),
      readStdout: async (stdout: Readable) => {
        stdout.setEncoding('utf8');
        for await (const chunk of stdout as AsyncIterable<string>)
          if (output.length < longestOutput) output += chunk;
      },
      failureCode: 'PASSWORD_COMMAND_FAILED',
    });
  } catch (error) {
    interruption.throwIfAborted();
    if (limit.aborted)
      throw new AppError(
        'PASSWORD_COMMAND_TIMEOUT',
        `The password command (${path}) printed nothing within ${seconds} s and was ended. No connection was made.`,
        {
          hint: 'Run it in a terminal: does it ask a question? passwordCommand.timeoutSeconds in the config file is the limit.',
          details: printed.slice(-10),
        },
      );
    throw new AppError(
      'PASSWORD_COMMAND_FAILED',
      `The password command (${path}) failed: ${redact(messageOf(error)).replace(/\.$/, '')}. No connection was made.`,
      {
        hint: 'It gets PATH, HOME and the variables of passwordCommand.env alone; run it with: env -i PATH="$PATH" HOME="$HOME" ...',
        details: printed.slice(-10),
      },
    );
  }
  const [password = ''] = output.split(/\r?\n/, 1);
  if (password !== '') return password;
  throw new AppError(
    'PASSWORD_COMMAND_FAILED',
    `The password command (${path}) printed no password. No connection was made.`,
    {hint: 'The first line of its standard output is the password.', details: printed.slice(-10)},
  );
}
