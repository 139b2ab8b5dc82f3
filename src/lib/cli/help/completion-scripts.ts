/** What shells need to complete commands, flags and their values: scripts made from the manifest, which ask this program nothing. */
import type {Command} from '@oclif/core';
import {commandSummary} from './help-pages.js';

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

/** A flag as it is typed: both forms of one that can be negated are listed. */
interface Typed {
  readonly name: string;
  readonly char: string | undefined;
  readonly summary: string;
  readonly isRepeatable: boolean;
  /** What can follow: words to choose from, a path, something else; nothing for a switch. */
  readonly value: readonly string[] | 'path' | 'other' | undefined;
}

interface Completed {
  /** "orders:clean" */
  readonly id: string;
  readonly summary: string;
  readonly flags: readonly Typed[];
}

/** @param commands those that are shown */
export function completionScript(shell: Shell, bin: string, commands: readonly Command.Loadable[]): string {
  const completed = commands.map((command) => ({
    id: command.id,
    summary: commandSummary(command, bin),
    flags: Object.entries(command.flags).flatMap(([name, flag]) => typedFlags(name, flag)),
  }));
  const scripts = {bash: bashScript, zsh: zshScript, fish: fishScript};
  return scripts[shell](bin, completed);
}

function typedFlags(name: string, flag: Command.Loadable['flags'][string]): Typed[] {
  if (flag.hidden === true) return [];
  const shared = {
    char: flag.char,
    summary: flag.summary ?? '',
    isRepeatable: flag.type === 'option' && flag.multiple === true,
  };
  if (flag.type === 'boolean') {
    const positive = {...shared, name, value: undefined};
    return flag.allowNo ? [positive, {...positive, name: `no-${name}`, char: undefined}] : [positive];
  }
  const isPath = ['FILE', 'DIR', 'PATH', 'PLACE'].includes(String(flag.helpValue));
  return [{...shared, name, value: flag.options ?? (isPath ? 'path' : 'other')}];
}

/** First words: commands without a topic, and the topics. */
function firstWords(commands: readonly Completed[]): string[] {
  return [...new Set(commands.map(({id}) => id.split(':')[0] ?? id))];
}

/** First words that are no commands themselves, and what can follow each. */
function topics(commands: readonly Completed[]): [string, string[]][] {
  const found = new Map<string, string[]>();
  for (const {id} of commands) {
    const [topic = '', rest] = id.split(':');
    if (rest !== undefined && !commands.some((command) => command.id === topic))
      found.set(topic, [...(found.get(topic) ?? []), rest]);
  }
  return [...found];
}

/** Runs on bash 3.2, which macOS has. Words are read from the line, as bash parts them at ":" and "=". */
function bashScript(bin: string, commands: readonly Completed[]): string {
  const name = `_${bin.replaceAll('-', '_')}`;
  const cases = (rows: readonly (readonly [string, readonly string[]])[]): string =>
    rows.map(([key, words]) => `    "${key}") echo "${words.join(' ')}" ;;`).join('\n');
  const values = commands.flatMap(({id, flags}) =>
    flags.flatMap(({name: flag, value}): [string, readonly string[]][] =>
      value === undefined
        ? []
        : [[`${id} --${flag}`, value === 'path' ? ['<path>'] : value === 'other' ? ['<other>'] : value]],
    ),
  );
  return `# bash completion for ${bin}
${name}_words() {
  case "$1" in
    "") echo "${firstWords(commands).join(' ')}" ;;
${cases(topics(commands))}
  esac
}
${name}_flags() {
  case "$1" in
${cases(commands.map(({id, flags}) => [id, flags.map(({name: flag}) => `--${flag}`)]))}
  esac
}
${name}_values() {
  case "$1" in
${cases(values)}
  esac
}
${name}() {
  local line="\${COMP_LINE:0:COMP_POINT}" words=() current="" before="" id="" choices="" next=2
  read -ra words <<<"$line"
  case "$line" in *[[:space:]]) words+=("") ;; esac
  local last=$((\${#words[@]} - 1))
  current="\${words[last]}"
  before="\${words[last - 1]}"
  id="\${words[1]}"
  if [ -n "$(${name}_words "$id")" ] && [ -n "$id" ]; then
    if [ "$last" -eq 2 ]; then id=":$id"; else id="$id:\${words[2]}"; fi
    next=3
  fi
  COMPREPLY=()
  if [ "$last" -eq 1 ]; then
    choices="$(${name}_words "") ${commands
      .map(({id}) => id)
      .filter((id) => id.includes(':'))
      .join(' ')}"
  elif [ "\${id:0:1}" = ":" ]; then
    choices="$(${name}_words "\${id:1}")"
  elif [ "$last" -ge "$next" ]; then
    case "$current" in
      --*=*)
        before="\${current%%=*}"
        current="\${current#*=}"
        choices="$(${name}_values "$id $before")"
        ;;
      *)
        choices="$(${name}_values "$id $before")"
        [ -n "$choices" ] || choices="$(${name}_flags "$id")"
        ;;
    esac
  fi
  case "$choices" in
    "<path>") COMPREPLY=($(compgen -f -- "$current")) ;;
    "<other>") ;;
    *) COMPREPLY=($(compgen -W "$choices" -- "$current")) ;;
  esac
  # bash replaces what stands behind the last colon.
  case "$current" in
    *:*)
      local index
      for index in "\${!COMPREPLY[@]}"; do COMPREPLY[index]="\${COMPREPLY[index]#"\${current%:*}:"}"; done
      ;;
  esac
}
complete -o filenames -F ${name} ${bin}
`;
}

function zshScript(bin: string, commands: readonly Completed[]): string {
  const name = `_${bin.replaceAll('-', '_')}`;
  const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
  const spec = ({name: flag, char, summary, value, isRepeatable}: Typed): string[] => {
    const text = summary.replace(/[[\]\\:]/g, String.raw`\$&`);
    const values = Array.isArray(value) ? `(${value.join(' ')})` : value === 'path' ? '_files' : ' ';
    const tail = `[${text}]${value === undefined ? '' : `:value:${values}`}`;
    const repeat = isRepeatable ? '*' : '';
    return [
      quoted(`${repeat}--${flag}${value === undefined ? '' : '='}${tail}`),
      ...(char === undefined ? [] : [quoted(`${repeat}-${char}${tail}`)]),
    ];
  };
  const described = (rows: readonly (readonly [string, string])[]): string =>
    rows.map(([word, summary]) => quoted(`${word.replaceAll(':', '\\:')}:${summary}`)).join(' ');
  return `#compdef ${bin}
${name}() {
  local -a found
  local id=$words[2]
  if (( CURRENT == 2 )); then
    found=(${described([...commands.map(({id, summary}): [string, string] => [id, summary]), ...topics(commands).map(([topic]): [string, string] => [topic, 'topic'])])})
    _describe command found
    return
  fi
  case $id in
${topics(commands)
  .map(
    ([topic, rest]) => `    ${topic})
      if (( CURRENT == 3 )); then
        found=(${described(rest.map((word) => [word, commands.find(({id}) => id === `${topic}:${word}`)?.summary ?? '']))})
        _describe command found
        return
      fi
      id="$id:$words[3]"
      shift words
      (( CURRENT-- ))
      ;;`,
  )
  .join('\n')}
  esac
  shift words
  (( CURRENT-- ))
  case $id in
${commands.map(({id, flags}) => `    ${id}) _arguments -s ${flags.flatMap(spec).join(' ')} ;;`).join('\n')}
  esac
}
if [ "$funcstack[1]" = ${name} ]; then
  ${name} "$@"
elif (( $+functions[compdef] )); then
  compdef ${name} ${bin}
fi
`;
}

function fishScript(bin: string, commands: readonly Completed[]): string {
  const helper = `__${bin.replaceAll('-', '_')}_is`;
  const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const lines = commands.flatMap(({id, summary, flags}) => {
    const [topic = '', rest] = id.split(':');
    return [
      `complete -c ${bin} -n '${helper}' -a ${quoted(id)} -d ${quoted(summary)}`,
      ...(rest === undefined
        ? []
        : [`complete -c ${bin} -n '${helper} ${topic}' -a ${quoted(rest)} -d ${quoted(summary)}`]),
      ...flags.map(({name, char, summary: text, value}) => {
        const values = Array.isArray(value)
          ? ` -x -a ${quoted(value.join(' '))}`
          : value === 'path'
            ? ' -r -F'
            : value === 'other'
              ? ' -x'
              : '';
        return `complete -c ${bin} -n '${helper} ${id.replace(':', ' ')}' -l ${name}${char === undefined ? '' : ` -s ${char}`}${values} -d ${quoted(text)}`;
      }),
    ];
  });
  return `# fish completion for ${bin}
# Whether the words before the cursor, without flags, are these; a topic may be joined with a colon.
function ${helper}
    set -l words (string replace ':' ' ' -- (commandline -opc)[2..-1] | string split ' ' | string match -v -- '-*')
    test "$words[1..2]" = "$argv"; or begin
        test (count $argv) -eq 1; and test "$words[1]" = "$argv"; and not contains -- "$argv" ${topics(
          commands,
        )
          .map(([topic]) => topic)
          .join(' ')}
    end
end
complete -c ${bin} -f
${lines.join('\n')}
`;
}
