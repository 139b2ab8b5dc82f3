/** Errors as people and scripts see them. */
import {AppError, limitError, messageOf} from '../../base/errors.js';
import {printable, type Style} from './style.js';
import {usageError, type UsedCommand} from './usage-error.js';
import {countOf} from '../../base/format.js';

/** Any thrown value as an AppError; oclif's own usage errors become USAGE, with what fits the command. */
export function asAppError(error: unknown, command?: UsedCommand): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof Error && 'oclif' in error) {
    const exit = (error.oclif as {exit?: unknown} | undefined)?.exit;
    if (exit === 2) return usageError(error, command);
  }
  const limit = limitError(error);
  if (limit) return limit;
  return new AppError('UNEXPECTED', `Unexpected: ${messageOf(error)}`, {
    hint: 'This is a defect; run again with --verbose and report the output.',
    cause: error,
  });
}

/** The document on stdout under --json. */
export function errorDocument(error: AppError) {
  return {
    schemaVersion: 1,
    error: {
      code: error.code,
      message: error.message,
      ...(error.hint === undefined ? {} : {hint: error.hint}),
      exitCode: error.exitCode,
      ...(error.details.length === 0 ? {} : {details: error.details}),
    },
  };
}

const shownDetails = 8;

/** The lines on stderr: what happened, material, what to do next; the stack only when `isVerbose`. */
export function errorLines(error: AppError, style: Style, isVerbose: boolean): string[] {
  const details = isVerbose ? error.details : error.details.slice(0, shownDetails);
  const more = error.details.length - details.length;
  return [
    `${style.red('Error')} ${error.code}: ${error.message.split('\n').map(printable).join('\n')}`,
    // Tools indent the rest of a message with tabs.
    ...details.map((line) => style.dim(`  ${printable(line.replaceAll('\t', '  '))}`)),
    ...(more > 0
      ? [style.dim(`  and ${countOf(more, 'more line', 'more lines')}; --verbose shows all`)]
      : []),
    ...(error.hint === undefined ? [] : [`${style.bold('Next:')} ${printable(error.hint)}`]),
    ...(isVerbose ? stackLines(error) : []),
  ];
}

function stackLines(error: AppError): string[] {
  const lines = (error.stack ?? '').split('\n').slice(1);
  const cause =
    error.cause instanceof Error
      ? ['caused by', ...(error.cause.stack ?? error.cause.message).split('\n')]
      : [];
  return [...lines, ...cause];
}
