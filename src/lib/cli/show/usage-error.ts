/** oclif's errors about a command line, in the words of this program. */
import {AppError} from '../../base/errors.js';
import {nearest} from '../../base/nearest.js';

/** The flags and arguments of the command whose line is wrong. */
export interface UsedCommand {
  readonly bin: string;
  readonly id: string;
  /** Names of its flags. */
  readonly flags: readonly string[];
}

/** Forms of oclif's sentences (its parser's errors.js, validate.js and parse.js) and what is said instead; $1 and so on are groups. */
const sentences: readonly (readonly [RegExp, string])[] = [
  [/^Expected --([\w-]+)=(.*) to be one of: (.*)$/, '--$1 is "$2"; it takes $3.'],
  [/^Expected (.*) to be one of: (.*)$/, '"$1" is none of $2.'],
  [/^Parsing --([\w-]+) *\n\s*Expected (.*) but received: (.*)$/, '--$1 is "$3"; it takes $2.'],
  [/^Parsing --([\w-]+) *\n\s*([^]*)$/, '--$1: $2'],
  [/^Flag --([\w-]+) expects (a value|one of these values: .*)$/, '--$1 needs $2.'],
  [/^Flag --([\w-]+) can only be specified once$/, '--$1 can be given once only.'],
  [/^--([\w-]+)(?:=.*)? cannot also be provided when using --([\w-]+)$/, '--$1 cannot be used with --$2.'],
  [/^All of the following must be provided when using --([\w-]+): (.*)$/, '--$1 needs $2.'],
  [/^One of the following must be provided when using --([\w-]+): (.*)$/, '--$1 needs one of $2.'],
  [
    /^(Exactly|At least) one of the following must be provided: (.*)$/,
    '$1 one of these flags is needed: $2.',
  ],
  [/^Missing required flag ([\w-]+)$/, '--$1 is missing.'],
  [/^Missing \d+ required args?:\n(\S+)[^]*$/, 'The argument $1 is missing.'],
];

/** USAGE for an error of oclif's parser. */
export function usageError(error: Error, command?: UsedCommand): AppError {
  const hint = command === undefined ? 'See the flags with --help.' : `See the flags: ${helpOf(command)}`;
  return new AppError('USAGE', unknownFlag(error, command) ?? textOf(error, command), {hint});
}

/** The page of a command; that of the program for the overview, which nobody types. */
function helpOf({bin, id}: UsedCommand): string {
  return id === 'overview' ? `${bin} --help` : `${bin} help ${id}`;
}

function textOf(error: Error, command: UsedCommand | undefined): string {
  const text = error.message
    .replace(/\nSee more help with --help$/, '')
    .replace(/^The following errors? occurred:\s*/, '');
  const unexpected = /^Unexpected arguments?: ([^]*)$/.exec(text)?.[1];
  if (unexpected !== undefined) {
    const words = unexpected.split(', ');
    const [first = ''] = words;
    const known = (command?.flags ?? []).map((flag) => `--${flag}`);
    // Text like a flag is behind "--", which ends the flags.
    const guess = first.startsWith('-') ? undefined : nearest(`--${first}`, known);
    return `${command?.id ?? 'The command'} does not take "${words.join('" and "')}".${guess === undefined ? '' : ` Did you mean ${guess}?`}`;
  }
  // Where several rules are broken, each has a line.
  const parts = text.startsWith('Parsing ') || text.startsWith('Missing ') ? [text] : text.split('\n');
  const said = parts.map((part) => ownWords(part.trim()));
  // Of two flags that exclude each other oclif says so twice.
  return said
    .filter((line, index) => !said.slice(0, index).some((other) => isMirrored(line, other)))
    .join('\n');
}

function isMirrored(line: string, other: string): boolean {
  const [, one, two] = /^--([\w-]+) cannot be used with --([\w-]+)\.$/.exec(line) ?? [];
  return one !== undefined && two !== undefined && other === `--${two} cannot be used with --${one}.`;
}

function ownWords(sentence: string): string {
  for (const [form, words] of sentences) if (form.test(sentence)) return sentence.replace(form, words);
  return sentence;
}

/** The message about the first flag that oclif does not know; undefined when something else is wrong. */
function unknownFlag(error: Error, command: UsedCommand | undefined): string | undefined {
  // oclif's NonExistentFlagsError, which it does not export: the words as they were typed.
  const [word] = 'flags' in error && Array.isArray(error.flags) ? (error.flags as unknown[]) : [];
  if (typeof word !== 'string' || !word.startsWith('-')) return undefined;
  const [name = ''] = word.split('=');
  const known = (command?.flags ?? []).map((flag) => `--${flag}`);
  const guess = nearest(name, known);
  const where = command === undefined ? 'There is' : `${command.id} has`;
  return `${where} no flag ${name}.${guess === undefined ? '' : ` Did you mean ${guess}?`}`;
}
