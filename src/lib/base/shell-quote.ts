/** Words for a POSIX shell, so that commands can be pasted and put into scripts. */

/** `word` as the shell reads it back: as it is when it is harmless, else in single quotes. */
export function quoteForShell(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : quoted(word);
}

/** `word` in single quotes, harmless or not. */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** A command line that can be pasted. */
export function shellCommand(words: readonly string[]): string {
  return words.map(quoteForShell).join(' ');
}

/** Variables before a command; a name in quotes would be taken for the command itself. */
export function shellVariables(variables: Readonly<Record<string, string | number>>): string {
  return Object.entries(variables)
    .map(([name, value]) => `${name}=${quoteForShell(String(value))}`)
    .join(' ');
}
