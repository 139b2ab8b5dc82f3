/** Hook: an unknown command is a usage error with a suggestion, never a question. */
import type {Hook, Interfaces} from '@oclif/core';
import {AppError} from '../../base/errors.js';
import {nearest} from '../../base/nearest.js';
import {errorDocument} from '../show/show-error.js';

const hook: Hook.CommandNotFound = ({id, argv, config}) => unknownCommand(id, argv ?? [], config);

export default hook;

/** Ends the program. */
export function unknownCommand(id: string, argv: readonly string[], config: Interfaces.Config): never {
  const error = unknownCommandError(id, config);
  if (argv.includes('--json')) {
    process.stdout.write(`${JSON.stringify(errorDocument(error), null, 2)}\n`);
  } else {
    process.stderr.write(`Error ${error.code}: ${error.message}\nNext: ${error.hint ?? ''}\n`);
  }
  process.exit(error.exitCode);
}

/** What is said of a command that does not exist. */
export function unknownCommandError(id: string, config: Interfaces.Config): AppError {
  const known = config.commands.filter(({hidden}) => !hidden).map((command) => command.id);
  const guess = nearest(id, known);
  return new AppError(
    'USAGE',
    `There is no command "${id}".${guess === undefined ? '' : ` Did you mean "${guess}"?`}`,
    {hint: `${config.bin} --help lists the commands.`},
  );
}
