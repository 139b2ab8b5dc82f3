/** Hook: an unknown command is a usage error with a suggestion, never a question. */
import type {Hook, Interfaces} from '@oclif/core';
import {AppError} from '../../base/errors.js';
import {nearest} from '../../base/nearest.js';
import {helpTopics, isHelpTopic} from './help-topics.js';
import {errorDocument} from '../show/show-error.js';

const hook: Hook.CommandNotFound = ({id, argv, config}) => unknownCommand(id, argv ?? [], config);

export default hook;

/** Ends the program. */
export function unknownCommand(
  id: string,
  argv: readonly string[],
  config: Interfaces.Config,
  isHelp = false,
): never {
  const error = unknownCommandError(id, config, isHelp);
  if (argv.includes('--json')) {
    process.stdout.write(`${JSON.stringify(errorDocument(error), null, 2)}\n`);
  } else {
    process.stderr.write(`Error ${error.code}: ${error.message}\nNext: ${error.hint ?? ''}\n`);
  }
  process.exit(error.exitCode);
}

/** The message about a command that does not exist. @param isHelp whether it may be a topic of help */
export function unknownCommandError(id: string, config: Interfaces.Config, isHelp = false): AppError {
  const {bin} = config;
  if (id.startsWith('-'))
    return new AppError('USAGE', `There is no command before ${id}.`, {
      hint: `Begin with the command: ${bin} COMMAND FLAGS. ${bin} --help lists the commands.`,
    });
  const known = config.commands.filter(({hidden}) => !hidden).map((command) => command.id);
  const topics = isHelp ? Object.keys(helpTopics) : [];
  const guess =
    known.find((command) => otherNames[command]?.includes(id)) ??
    nearest(id, [...known, ...topics]) ??
    known.find((command) => isOtherSpelling(id, command));
  const lists = `${bin} --help lists the commands${isHelp ? ' and topics' : ''}.`;
  return new AppError(
    'USAGE',
    `There is no command ${isHelp ? 'or topic ' : ''}"${id}".${guess === undefined ? '' : ` Did you mean "${guess}"?`}`,
    {hint: isHelpTopic(id) ? `${bin} help ${id} explains this topic. ${lists}` : lists},
  );
}

/** Names that other programs for backups give to a command. */
const otherNames: Readonly<Record<string, readonly string[]>> = {
  backup: ['capture', 'dump', 'pg:backups:capture'],
  list: ['ls', 'snapshots', 'backups', 'pg:backups'],
  show: ['info', 'pg:backups:info'],
  verify: ['check', 'test'],
  delete: ['rm', 'remove', 'pg:backups:delete'],
  label: ['tag', 'rename'],
  prune: ['forget'],
  undo: ['rollback', 'revert'],
  restore: ['pg:backups:restore'],
  schedule: ['cron', 'pg:backups:schedule'],
};

/** "clean-orders" and "clean" for "orders:clean": the old scripts' names, and the command without its topic. */
function isOtherSpelling(id: string, command: string): boolean {
  const words = (text: string): string =>
    text
      .split(/[^a-z]+/)
      .sort()
      .join(' ');
  return command.endsWith(`:${id}`) || words(command) === words(id);
}
