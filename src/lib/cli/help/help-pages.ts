/** The text of every help page: a pure function of the commands as the manifest keeps them. */
import type {Command, Interfaces} from '@oclif/core';
import type {Given} from '../../base/defined.js';
import {globalFlags} from '../flags.js';

/** A flag as the manifest keeps it. */
type CachedFlag = Command.Loadable['flags'][string];

const indent = 2;

/** All about a command: every flag with its explanation, in groups. @param width columns of the terminal */
export function commandPage(command: Command.Loadable, bin: string, width: number): string {
  const [text, exitCodes] = splitExitCodes(command);
  return sections([
    ['', [commandSummary(command, bin)]],
    ['EXAMPLES', indented(examplesOf(command, bin, width - indent))],
    ['', paragraphs(text, width)],
    ...flagGroups(command).map(([title, flags]): [string, string[]] => [
      title,
      flags.flatMap(([name, flag]) => entry(flagName(name, flag), summaryOf(flag), width)),
    ]),
    ['EXIT CODES', indented(paragraphs(exitCodes, width - indent))],
    ['', paragraphs(`Flags that every command takes: ${bin} help`, width)],
  ]);
}

/** The usual cases, the names of all flags and the exit codes: on one screen of 24 lines. */
export function shortCommandPage(command: Command.Loadable, bin: string, width: number): string {
  const [, exitCodes] = splitExitCodes(command);
  const groups = flagGroups(command).map(([title, flags]): [string, string] => [
    title,
    flags
      .map(([name, flag]) =>
        flagName(name, flag)
          .trim()
          .replace(/^-(\w), /, '-$1/')
          .replaceAll(' ', '\u00a0'),
      )
      .join('  '),
  ]);
  const table = [...groups, ['EXIT CODES', exitCodes] as const].filter(([, text]) => text !== '');
  const column = Math.max(...table.map(([title]) => title.length)) + 2;
  const rows = table.flatMap(([title, text]) =>
    wrap(text, width - column).map((line, index) => (index === 0 ? title : '').padEnd(column) + line),
  );
  return sections([
    ['', [commandSummary(command, bin)]],
    ['', indented(examplesOf(command, bin, width - indent))],
    ['', rows],
    ['', paragraphs(`What each flag does: ${bin} help ${command.id}`, width)],
  ]).replaceAll('\u00a0', ' ');
}

/** The commands and, unless `isShort`, the flags that all of them take. */
export function rootPage(
  commands: readonly Command.Loadable[],
  {bin, pjson}: Pick<Interfaces.Config, 'bin' | 'pjson'>,
  width: number,
  isShort = false,
): string {
  const flags = Object.entries(globalFlags).map(([name, flag]): [string, string] => [
    flagName(name, flag as CachedFlag),
    flag.summary ?? '',
  ]);
  const about: unknown = pjson['description'];
  const shown = commands.filter(({hidden}) => !hidden);
  const title = paragraphs(typeof about === 'string' ? about : bin, width);
  const entries = shown.flatMap((command) =>
    entry(command.id, commandSummary(command, bin), width, commandColumn),
  );
  const ending = paragraphs(
    `${isShort ? `Flags of all commands: ${bin} help. ` : ''}About one: ${bin} COMMAND --help`,
    width,
  );
  // The screen of 24 lines has no room for headings and empty lines.
  if (isShort) return sections([['', [...title, ...entries, ...ending]]]);
  const everyFlag = [...flags, ['    --json', 'Print one JSON document instead of text.'] as const];
  return sections([
    ['', title],
    ['COMMANDS', entries],
    ['FLAGS OF EVERY COMMAND', everyFlag.flatMap(([name, text]) => entry(name, text, width))],
    ['', ending],
  ]);
}

/** The commands of a topic. */
export function topicPage(
  topic: Given<{readonly name: string; readonly description?: string}>,
  commands: readonly Command.Loadable[],
  bin: string,
  width: number,
): string {
  return sections([
    ['', [topic.description ?? topic.name]],
    [
      'COMMANDS',
      commands.flatMap((command) => entry(command.id, commandSummary(command, bin), width, commandColumn)),
    ],
    ['', paragraphs(`About one: ${bin} ${commands[0]?.id ?? 'COMMAND'} --help`, width)],
  ]);
}

const commandColumn = 21;
const flagColumn = 28;

function sections(parts: readonly (readonly [string, readonly string[]])[]): string {
  const blocks = parts
    .filter(([, lines]) => lines.some((line) => line.trim() !== ''))
    .map(([title, lines]) => [...(title === '' ? [] : [title]), ...lines].join('\n'));
  return `${blocks.join('\n\n')}\n`;
}

/** What a command does, in a line. That of the plugin's `help` has a description only, as a sentence. */
export function commandSummary({summary, description = ''}: Command.Loadable, bin: string): string {
  if (summary !== undefined) return summary;
  const text = description.replace('<%= config.bin %>', bin).replace(/\.$/, '');
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/** What is to be said beyond the summary, and the exit codes. */
function splitExitCodes({summary, description = ''}: Command.Loadable): [string, string] {
  if (summary === undefined) return ['', '']; // the description stands in its place
  const [text = '', codes = ''] = description.split(/\n?Exit codes: /);
  return [text.trim(), codes.trim().replaceAll('\n', ' ')];
}

/** Each with what it is for behind it, or above it where that is too wide. */
function examplesOf(command: Command.Loadable, bin: string, width: number): string[] {
  const examples = (command.examples ?? []).map((example) => {
    const {command: line, description = ''} = typeof example === 'string' ? {command: example} : example;
    const shown = line.replaceAll('<%= config.bin %>', bin).replaceAll('<%= command.id %>', command.id);
    return {shown, comment: description === '' ? '' : `# ${description}`};
  });
  const column = Math.max(...examples.map(({shown}) => shown.length)) + 2;
  const fits = examples.every(({comment}) => comment === '' || column + comment.length <= width);
  return examples.flatMap(({shown, comment}) => {
    if (comment === '') return [shown];
    return fits ? [shown.padEnd(column) + comment] : [comment, shown];
  });
}

/** Flags of the command's own, by the headings they are given; those without one come first. */
function flagGroups(command: Command.Loadable): [string, [string, CachedFlag][]][] {
  const groups = new Map<string, [string, CachedFlag][]>();
  for (const [name, flag] of Object.entries(command.flags)) {
    if (flag.hidden === true || flag.helpGroup === 'GLOBAL') continue;
    const title = flag.helpGroup ?? 'FLAGS';
    groups.set(title, [...(groups.get(title) ?? []), [name, flag]]);
  }
  return [...groups];
}

function summaryOf(flag: CachedFlag): string {
  return flag.summary ?? flag.description ?? '';
}

function flagName(name: string, flag: CachedFlag): string {
  const short = flag.char === undefined ? '    ' : `-${flag.char}, `;
  if (flag.type === 'boolean') return `${short}--${flag.allowNo ? '[no-]' : ''}${name}`;
  const value = flag.options !== undefined ? flag.options.join('|') : (flag.helpValue ?? 'VALUE');
  return `${short}--${name} ${String(value)}`;
}

/** A name and its explanation side by side, or below each other where the name is too long. */
function entry(name: string, text: string, width: number, column = flagColumn): string[] {
  const margin = ' '.repeat(column + 2 * indent);
  if (width < 2 * margin.length)
    return [`  ${name.trim()}`, ...wrap(text, width - 2 * indent).map((line) => `    ${line}`)];
  const lines = wrap(text, width - margin.length);
  const first = name.length > column ? [`  ${name}`] : [`  ${name.padEnd(column)}  ${lines.shift() ?? ''}`];
  return [...first, ...lines.map((line) => margin + line)];
}

function indented(lines: readonly string[]): string[] {
  return lines.map((line) => ' '.repeat(indent) + line);
}

/** Line breaks of the source mean nothing, but for an empty line. */
function paragraphs(text: string, width: number): string[] {
  return text
    .split('\n\n')
    .flatMap((paragraph, index) => [
      ...(index === 0 ? [] : ['']),
      ...wrap(paragraph.replaceAll('\n', ' '), width),
    ]);
}

function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/ +/)) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
