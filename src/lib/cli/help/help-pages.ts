/** The text of every help page but those of topics: a pure function of the commands as the manifest keeps them. */
import type {Command, Interfaces} from '@oclif/core';
import type {Given} from '../../base/defined.js';
import {globalFlags, groups} from '../flags.js';
import {helpTopics} from './help-topics.js';
import {entries, entry, indent, indented, paragraphs, type Section, sections, titledRows} from './lay-out.js';

/** A flag as the manifest keeps it. */
type CachedFlag = Command.Loadable['flags'][string];

const commandColumn = 21;
const flagColumn = 28;

/** The commands as the program's own pages show them; what is in no group comes last. */
const commandGroups: readonly (readonly [title: string, ids: readonly string[]])[] = [
  ['BACK UP', ['backup', 'list', 'show', 'label', 'verify', 'copy', 'delete', 'prune']],
  ['RESTORE', ['restore', 'restore:rows', 'diff', 'undo', 'refresh', 'recover']],
  ['TESTING ORDERS', ['orders:clean', 'orders:restore', 'workflow:safe-cleanup']],
  ['MONITOR', ['status', 'history', 'report', 'schedule', 'notifications']],
  ['GET STARTED', ['init', 'doctor', 'completion', 'help']],
];

/** All about a command: every flag with its explanation, in groups. @param width columns of the terminal */
export function commandPage(command: Command.Loadable, bin: string, width: number): string {
  const [text, exitCodes] = splitExitCodes(command);
  const shownArgs = Object.entries(command.args).filter(([, {hidden}]) => hidden !== true);
  return sections([
    ['', paragraphs(commandSummary(command, bin), width)],
    ['EXAMPLES', indented(examplesOf(command, bin, width - indent))],
    ['USAGE', indented([usageOf(command, bin)])],
    ['', paragraphs(text, width)],
    [
      'ARGUMENTS',
      shownArgs.flatMap(([name, {description = ''}]) =>
        entry(`    ${name.toUpperCase()}`, description, width, flagColumn),
      ),
    ],
    ...flagGroups(command).map(([title, flags]): Section => [title, flagEntries(flags, width)]),
    ['EXIT CODES', indented(paragraphs(exitCodes, width - indent))],
    ['', paragraphs(`All commands and topics: ${bin} --help`, width)],
  ]);
}

/** The usual cases, the names of all flags and the exit codes: on one screen of 24 lines. */
export function shortCommandPage(command: Command.Loadable, bin: string, width: number): string {
  // The last line of a screen of 24 is the prompt.
  const pages = [4, 3, 2].map((examples) => shortPage(command, bin, width, examples));
  return pages.find((page) => page.trimEnd().split('\n').length < 24) ?? pages.at(-1) ?? '';
}

function shortPage(command: Command.Loadable, bin: string, width: number, mostExamples: number): string {
  const [, exitCodes] = splitExitCodes(command);
  const rows = flagGroups(command)
    .filter(([title]) => title !== groups.global)
    .map(([title, flags]): [string, string] => [
      title,
      flags
        .map(([name, flag]) =>
          flagName(name, flag)
            .trim()
            .replace(/^-(\w), /, '-$1/')
            .replaceAll(' ', '\u00a0'),
        )
        .join('\u00a0 '),
    ]);
  return sections([
    ['', paragraphs(commandSummary(command, bin), width)],
    ['', indented(examplesOf(command, bin, width - indent, mostExamples))],
    [
      '',
      titledRows(
        [...rows, ['EXIT CODES', exitCodes] as const].filter(([, text]) => text !== ''),
        width,
      ),
    ],
    ['', paragraphs(`Every flag explained: ${bin} ${command.id} --help`, width)],
  ])
    .replace(/\u00a0* *$/gm, '')
    .replaceAll('\u00a0', ' ');
}

/** The commands in groups, the topics, the flags that all commands take, and where to go on. */
export function rootPage(
  commands: readonly Command.Loadable[],
  {bin, pjson}: Pick<Interfaces.Config, 'bin' | 'pjson'>,
  width: number,
): string {
  const ofEvery = Object.entries(globalFlags) as [string, CachedFlag][];
  return sections([
    ['', paragraphs(descriptionOf(bin, pjson), width)],
    ['USAGE', indented([`${bin} COMMAND [FLAGS]`])],
    ...inGroups(commands).map(([title, members]): Section => [
      title,
      members.flatMap((command) => entry(command.id, commandSummary(command, bin), width, commandColumn)),
    ]),
    ['TOPICS', Object.entries(helpTopics).flatMap(([name, text]) => entry(name, text, width, commandColumn))],
    [groups.global, flagEntries(ofEvery, width)],
    [
      'MORE',
      entries(
        furtherPages(bin).filter(([line]) => line !== `${bin} --help`),
        width,
      ),
    ],
  ]);
}

/** The first steps and the names of all commands and topics: on one screen of 24 lines. */
export function shortRootPage(
  commands: readonly Command.Loadable[],
  {bin, pjson}: Pick<Interfaces.Config, 'bin' | 'pjson'>,
  width: number,
): string {
  const names = inGroups(commands).map(([title, members]): [string, string] => [
    title,
    members.map(({id}) => id).join('\u00a0 '),
  ]);
  return sections([
    ['', paragraphs(descriptionOf(bin, pjson), width)],
    ['', entries(firstSteps(bin), width)],
    ['', titledRows([...names, ['TOPICS', Object.keys(helpTopics).join('\u00a0 ')]], width)],
    ['', entries(furtherPages(bin), width)],
  ])
    .replace(/\u00a0* *$/gm, '')
    .replaceAll('\u00a0', ' ');
}

/** The commands of a topic of oclif's, as "orders". */
export function commandsPage(
  topic: Given<{readonly name: string; readonly description?: string}>,
  commands: readonly Command.Loadable[],
  bin: string,
  width: number,
): string {
  const members = commands.filter(({id}) => id.startsWith(`${topic.name}:`));
  return sections([
    ['', [topic.description ?? topic.name]],
    [
      'COMMANDS',
      members.flatMap((command) => entry(command.id, commandSummary(command, bin), width, commandColumn)),
    ],
    ['', paragraphs(`Every flag explained: ${bin} ${members[0]?.id ?? 'COMMAND'} --help`, width)],
  ]);
}

function firstSteps(bin: string): [string, string][] {
  return [
    [`${bin} doctor`, 'check this machine and the connection'],
    [`${bin} backup`, 'back up the database of DIRECT_URL'],
    [`${bin} list`, 'see the backups'],
    [`${bin} verify --latest --level restore`, 'test the newest one by a restore'],
    [`${bin} restore --latest --dry-run`, 'preview a restore'],
  ];
}

function furtherPages(bin: string): [string, string][] {
  return [
    [bin, 'the state of the backups, and what to do next'],
    [`${bin} --help`, 'every command in a line, topics, global flags'],
    [`${bin} COMMAND --help`, 'every flag of a command; -h is the short page'],
    [`${bin} help TOPIC`, 'a topic, as exit-codes'],
  ];
}

function descriptionOf(bin: string, pjson: Interfaces.Config['pjson']): string {
  const about: unknown = pjson['description'];
  return typeof about === 'string' ? about : bin;
}

/** The shown commands by the headings of `commandGroups`; none is left out. */
function inGroups(commands: readonly Command.Loadable[]): [string, Command.Loadable[]][] {
  const shown = commands.filter(({hidden}) => !hidden);
  const known = commandGroups.flatMap(([, ids]) => ids);
  const others = shown.filter(({id}) => !known.includes(id)).map(({id}) => id);
  return [...commandGroups, ['OTHER', others] as const]
    .map(([title, ids]): [string, Command.Loadable[]] => [
      title,
      ids.flatMap((id) => shown.filter((command) => command.id === id)),
    ])
    .filter(([, members]) => members.length > 0);
}

/** The purpose of a command in a line. That of the plugin's `help` has a description only, as a sentence. */
export function commandSummary({summary, description = ''}: Command.Loadable, bin: string): string {
  if (summary !== undefined) return summary;
  const text = description.replace('<%= config.bin %>', bin).replace(/\.$/, '');
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/** "destino-db diff [BACKUP] [OTHER] [FLAGS]" */
function usageOf({id, args, flags}: Command.Loadable, bin: string): string {
  const words = Object.entries(args)
    .filter(([, {hidden}]) => hidden !== true)
    .map(([name, {required}]) => (required === true ? name.toUpperCase() : `[${name.toUpperCase()}]`));
  const needed = Object.entries(flags)
    .filter(([, {required}]) => required === true)
    .map(([name, flag]) => flagName(name, flag).trim());
  return [bin, id, ...words, ...needed, '[FLAGS]'].join(' ');
}

/** The text beyond the summary, and the exit codes. */
function splitExitCodes({summary, description = ''}: Command.Loadable): [string, string] {
  if (summary === undefined) return ['', '']; // the description replaces it
  const [text = '', codes = ''] = description.split(/\n?Exit codes: /);
  return [text.trim(), codes.trim().replaceAll('\n', ' ')];
}

/** Each with what it is for behind it, or above it where that is too wide. */
function examplesOf(command: Command.Loadable, bin: string, width: number, most?: number): string[] {
  const examples = (command.examples ?? []).slice(0, most).map((example) => {
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

/** The flags by their headings, in the order of `groups`; those without a heading come first. */
function flagGroups(command: Command.Loadable): [string, [string, CachedFlag][]][] {
  const found = new Map<string, [string, CachedFlag][]>();
  for (const title of ['FLAGS', ...Object.values(groups)]) found.set(title, []);
  for (const [name, flag] of Object.entries(command.flags)) {
    if (flag.hidden === true) continue;
    const title = flag.helpGroup ?? 'FLAGS';
    found.set(title, [...(found.get(title) ?? []), [name, flag]]);
  }
  return [...found].filter(([, flags]) => flags.length > 0);
}

function flagEntries(flags: readonly [string, CachedFlag][], width: number): string[] {
  return flags.flatMap(([name, flag]) =>
    entry(flagName(name, flag), flag.summary ?? flag.description ?? '', width, flagColumn),
  );
}

function flagName(name: string, flag: CachedFlag): string {
  const short = flag.char === undefined ? '    ' : `-${flag.char}, `;
  if (flag.type === 'boolean') return `${short}--${flag.allowNo ? '[no-]' : ''}${name}`;
  const value = flag.options !== undefined ? flag.options.join('|') : (flag.helpValue ?? 'VALUE');
  return `${short}--${name} ${String(value)}`;
}
