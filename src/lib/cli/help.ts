/** Help that fits a screen: what it is for, examples, flags in groups, exit codes; global flags once, at the root. */
import {type Command, Help} from '@oclif/core';
import {globalFlags} from './flags.js';

const width = 80;
const nameColumn = 30;

/** A flag as the manifest keeps it. */
type CachedFlag = Command.Loadable['flags'][string];

export default class DestinoHelp extends Help {
  override formatCommand(command: Command.Loadable): string {
    const [text, exitCodes] = splitExitCodes(command.description ?? '');
    const args = Object.values(command.args)
      .filter((arg) => !arg.hidden)
      .map((arg) => ` ${arg.required === true ? arg.name.toUpperCase() : `[${arg.name.toUpperCase()}]`}`);
    return [
      ['USAGE', [`  ${this.config.bin} ${command.id}${args.join('')} [FLAGS]`]],
      ['', wrap(text, width - 2).map((line) => `  ${line}`)],
      [
        'EXAMPLES',
        examplesOf(command).map((example) => `  ${example.replaceAll('<%= config.bin %>', this.config.bin)}`),
      ],
      ...flagSections(command),
      ['EXIT CODES', wrap(exitCodes, width - 2).map((line) => `  ${line}`)],
      [
        'GLOBAL FLAGS',
        wrap(`${globalNames(command).join(' ')} (${this.config.bin} --help explains them)`, width - 2).map(
          (line) => `  ${line}`,
        ),
      ],
    ]
      .filter(([, lines]) => lines !== undefined && lines.length > 0 && lines[0] !== '  ')
      .map(([title, lines]) => [...(title === '' ? [] : [title]), ...(lines ?? [])].flat().join('\n'))
      .join('\n\n');
  }

  protected override async showRootHelp(): Promise<void> {
    await super.showRootHelp();
    const flags = Object.entries(globalFlags).map(([name, flag]) =>
      entry(flagName(name, flag as CachedFlag), flag.summary ?? ''),
    );
    this.log(
      [
        'GLOBAL FLAGS',
        ...flags.flat(),
        ...entry('    --json', 'Print one JSON document instead of text.'),
      ].join('\n'),
    );
  }
}

function splitExitCodes(description: string): [string, string] {
  const [text = '', codes = ''] = description.split(/\n?Exit codes: /);
  return [text.trim(), codes.trim()];
}

function examplesOf(command: Command.Loadable): string[] {
  return (command.examples ?? []).flatMap((example) =>
    typeof example === 'string' ? [example] : [`# ${example.description}`, example.command],
  );
}

function flagSections(command: Command.Loadable): [string, string[]][] {
  const groups = new Map<string, string[]>();
  for (const [name, flag] of Object.entries(command.flags)) {
    if (flag.hidden === true || flag.helpGroup === 'GLOBAL') continue;
    const group = flag.helpGroup ?? 'FLAGS';
    groups.set(group, [
      ...(groups.get(group) ?? []),
      ...entry(flagName(name, flag), flag.summary ?? flag.description ?? ''),
    ]);
  }
  return [...groups].sort(([a], [b]) => (a === 'FLAGS' ? -1 : b === 'FLAGS' ? 1 : 0));
}

function globalNames(command: Command.Loadable): string[] {
  return Object.entries(command.flags)
    .filter(([, flag]) => flag.helpGroup === 'GLOBAL' && flag.hidden !== true)
    .map(([name]) => `--${name}`);
}

function flagName(name: string, flag: CachedFlag): string {
  const short = flag.char === undefined ? '    ' : `-${flag.char}, `;
  if (flag.type === 'boolean') return `${short}--${flag.allowNo ? '[no-]' : ''}${name}`;
  const value = flag.options !== undefined ? flag.options.join('|') : (flag.helpValue ?? 'VALUE');
  return `${short}--${name} ${String(value)}`;
}

/** A name and its explanation side by side, or below each other where the name is too long. */
function entry(name: string, text: string): string[] {
  const lines = wrap(text, width - nameColumn - 4);
  const first =
    name.length > nameColumn ? [`  ${name}`] : [`  ${name.padEnd(nameColumn)}  ${lines.shift() ?? ''}`];
  return [...first, ...lines.map((line) => `${' '.repeat(nameColumn + 4)}${line}`)];
}

function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  for (const paragraph of text.split('\n')) {
    let line = '';
    for (const word of paragraph.split(' ')) {
      if (line !== '' && line.length + 1 + word.length > columns) {
        lines.push(line);
        line = word;
      } else line = line === '' ? word : `${line} ${word}`;
    }
    lines.push(line);
  }
  return lines;
}
