/** Quotes words for a POSIX shell, so that commands can be pasted and put into scripts. */

/** `word` for the shell: unchanged if it is harmless, else in single quotes. */
export function quoteForShell(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : quoted(word);
}

/** `word` in single quotes. */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** A command line that can be pasted. */
export function shellCommand(words: readonly string[]): string {
  return words.map(quoteForShell).join(' ');
}

/** Variables before a command. Their names stay unquoted: the shell would read a quoted one as the command. */
export function shellVariables(variables: Readonly<Record<string, string | number>>): string {
  return Object.entries(variables)
    .map(([name, value]) => `${name}=${quoteForShell(String(value))}`)
    .join(' ');
}
