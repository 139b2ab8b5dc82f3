/** Scripts, made from the manifest, with which shells complete commands, flags, arguments and their values. */
import type {Command} from '@oclif/core';
import {type ListedKind, listedKinds, listingScript} from './completion-listing.js';
import {commandSummary} from './help-pages.js';

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

/** A flag as it is typed: both forms of one that can be negated are listed. */
interface Typed {
  readonly name: string;
  readonly char: string | undefined;
  readonly summary: string;
  readonly isRepeatable: boolean;
  /** The values that can follow; nothing for a switch. */
  readonly value: Value | undefined;
}

/** Words to choose from, a path, what is listed from the backups folder (files too, for a backup), or something else. */
type Value = readonly string[] | 'path' | ListedKind | 'other';

interface Completed {
  /** "orders:clean" */
  readonly id: string;
  readonly summary: string;
  readonly flags: readonly Typed[];
  /** The values of each argument, in their order. */
  readonly args: readonly Value[];
}

/** @param commands those that are shown */
export function completionScript(shell: Shell, bin: string, commands: readonly Command.Loadable[]): string {
  const completed = commands.map((command) => ({
    id: command.id,
    summary: commandSummary(command, bin),
    flags: Object.entries(command.flags).flatMap(([name, flag]) => typedFlags(command.id, name, flag)),
    args: Object.entries(command.args).map(([name, {options}]) => options ?? argumentValue(command.id, name)),
  }));
  const scripts = {bash: bashScript, zsh: zshScript, fish: fishScript};
  return scripts[shell](bin, completed);
}

/** Flags whose values are names that backups have. */
const listedFlags: Readonly<Record<string, ListedKind>> = {
  label: 'labels',
  'keep-label': 'labels',
  'target-db': 'databases',
  database: 'databases',
  forget: 'databases',
  'backup-file': 'ids',
};

function argumentValue(id: string, name: string): Value {
  if (name === 'text') return 'labels';
  if (!['backup', 'other'].includes(name)) return 'other';
  return id === 'orders:restore' ? 'orders' : 'ids';
}

function isListed(value: Value): value is ListedKind {
  return listedKinds.some((kind) => kind === value);
}

function typedFlags(id: string, name: string, flag: Command.Loadable['flags'][string]): Typed[] {
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
  const listed = listedFlags[name];
  const kind = listed === 'ids' && id === 'orders:restore' ? 'orders' : listed;
  return [{...shared, name, value: flag.options ?? kind ?? (isPath ? 'path' : 'other')}];
}

/** First words: commands without a topic, and the topics. */
function firstWords(commands: readonly Completed[]): string[] {
  return [...new Set(commands.map(({id}) => id.split(':')[0] ?? id))];
}

/** First words that are not commands themselves, and the words that can follow each. */
function topics(commands: readonly Completed[]): [string, string[]][] {
  const found = new Map<string, string[]>();
  for (const {id} of commands) {
    const [topic = '', rest] = id.split(':');
    if (rest !== undefined && !commands.some((command) => command.id === topic))
      found.set(topic, [...(found.get(topic) ?? []), rest]);
  }
  return [...found];
}

/** Commands of a topic that is a command as well. */
function besideCommands(commands: readonly Completed[]): string[] {
  const ids = commands.map(({id}) => id);
  return ids.filter((id) => id.includes(':') && ids.includes(id.split(':')[0] ?? ''));
}

/** Runs on bash 3.2, which macOS has. Words are read from the line, as bash parts them at ":" and "=". */
function bashScript(bin: string, commands: readonly Completed[]): string {
  const name = `_${bin.replaceAll('-', '_')}`;
  const cases = (rows: readonly (readonly [string, readonly string[]])[]): string =>
    rows.map(([key, words]) => `    "${key}") echo "${words.join(' ')}" ;;`).join('\n');
  const values = commands.flatMap(({id, flags}) =>
    flags.flatMap(({name: flag, value}): [string, readonly string[]][] =>
      value === undefined ? [] : [[`${id} --${flag}`, typeof value === 'string' ? [`<${value}>`] : value]],
    ),
  );
  const args = commands.map(({id, args: list}): [string, readonly string[]] => [
    id,
    list.map((value) => (typeof value === 'string' ? `<${value}>` : value.join('|'))),
  ]);
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
${name}_args() {
  case "$1" in
${cases(args.filter(([, list]) => list.length > 0))}
  esac
}
${name}_list() (
${listingScript}
) 2>/dev/null
${name}_reply() {
  local choice
  while IFS= read -r choice; do
    case "$choice" in "$current"?*) COMPREPLY+=("$choice") ;; esac
  done <<<"$(${name}_list "\${1//[<>]/}" "\${words[@]}")"
  # A backup can be named by its file too.
  case "$1$current" in
    "<ids>"?* | "<orders>"?*)
      [ "\${#COMPREPLY[@]}" -gt 0 ] || COMPREPLY=($(compgen -f -- "$current"))
      ;;
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
  elif [ "$last" -gt 2 ]; then
    case " ${besideCommands(commands).join(' ')} " in *" $id:\${words[2]} "*) id="$id:\${words[2]}" next=3 ;; esac
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
        if [ -z "$choices" ] && [ "\${current:0:1}" != "-" ]; then
          local word previous="" kinds=($(${name}_args "$id")) count=0
          for word in "\${words[@]:next:last-next}"; do
            case "$word" in
              -*) ;;
              *) [ -n "$(${name}_values "$id $previous")" ] || count=$((count + 1)) ;;
            esac
            previous="$word"
          done
          choices="\${kinds[count]//|/ }"
          case "$current$choices" in
            "<"*)
              ${name}_reply "$choices"
              [ "\${#COMPREPLY[@]}" -gt 0 ] && choices="<other>" || choices=""
              ;;
          esac
        fi
        [ -n "$choices" ] || choices="$(${name}_flags "$id")"
        ;;
    esac
  fi
  case "$choices" in
    "<path>") COMPREPLY=($(compgen -f -- "$current")) ;;
    "<other>") ;;
    "<"*) ${name}_reply "$choices" ;;
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
  const action = (value: Value): string => {
    if (typeof value !== 'string') return `(${value.join(' ')})`;
    if (value === 'path') return '_files';
    return isListed(value) ? ` ${name}_pick ${value}` : ' ';
  };
  const spec = ({name: flag, char, summary, value, isRepeatable}: Typed): string[] => {
    const text = summary.replace(/[[\]\\:]/g, String.raw`\$&`);
    const tail = `[${text}]${value === undefined ? '' : `:value:${action(value)}`}`;
    const repeat = isRepeatable ? '*' : '';
    return [
      quoted(`${repeat}--${flag}${value === undefined ? '' : '='}${tail}`),
      ...(char === undefined ? [] : [quoted(`${repeat}-${char}${tail}`)]),
    ];
  };
  const described = (rows: readonly (readonly [string, string])[]): string =>
    rows.map(([word, summary]) => quoted(`${word.replaceAll(':', '\\:')}:${summary}`)).join(' ');
  return `#compdef ${bin}
${name}_list() (
emulate -L sh
${listingScript}
) 2>/dev/null
${name}_pick() {
  local -a found
  found=(\${(f)"$(${name}_list $1 "\${words[@]}")"})
  if (( $#found )); then compadd -a found && return; fi
  case $1 in ids|orders) _files ;; esac
}
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
  if (( CURRENT > 3 )) && [[ " ${besideCommands(commands).join(' ')} " == *" $id:$words[3] "* ]]; then
    id="$id:$words[3]"
    shift words
    (( CURRENT-- ))
  fi
  shift words
  (( CURRENT-- ))
  case $id in
${commands.map(({id, flags, args}) => `    ${id}) _arguments -s ${[...flags.flatMap(spec), ...args.map((value, index) => quoted(`${index + 1}:argument:${action(value)}`))].join(' ')} ;;`).join('\n')}
  esac
}
if [ "$funcstack[1]" = ${name} ]; then
  ${name} "$@"
elif (( $+functions[compdef] )); then
  compdef ${name} ${bin}
fi
`;
}

function flagValues(value: Value | undefined, words: (value: Value) => string): string {
  if (value === undefined) return '';
  if (value === 'path') return ' -r -F';
  if (value === 'other') return ' -x';
  return `${value === 'ids' || value === 'orders' ? ' -r -F' : ' -x'} -a ${words(value)}`;
}

function fishScript(bin: string, commands: readonly Completed[]): string {
  const helper = `__${bin.replaceAll('-', '_')}_is`;
  const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const list = `__${bin.replaceAll('-', '_')}_list`;
  const words = (value: Value): string => quoted(isListed(value) ? `(${list} ${value})` : typeof value === 'string' ? '' : value.join(' ')); // prettier-ignore
  const lines = commands.flatMap(({id, summary, flags, args}) => {
    const [topic = '', rest] = id.split(':');
    return [
      `complete -c ${bin} -n '${helper}' -a ${quoted(id)} -d ${quoted(summary)}`,
      ...(rest === undefined
        ? []
        : [`complete -c ${bin} -n '${helper} ${topic}' -a ${quoted(rest)} -d ${quoted(summary)}`]),
      ...args
        .filter((value) => isListed(value) || typeof value !== 'string')
        .map((value) => `complete -c ${bin} -n '${helper} ${id.replace(':', ' ')}' -a ${words(value)}`),
      ...flags.map(({name, char, summary: text, value}) => {
        const values = flagValues(value, words);
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
function ${list}
    sh -c ${quoted(listingScript)} sh $argv (commandline -opc) 2>/dev/null
end
complete -c ${bin} -f
${lines.join('\n')}
`;
}
