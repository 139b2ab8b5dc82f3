/** Words for a POSIX shell, so that commands can be pasted and put into scripts. */

/** `word` as the shell reads it back: as it is when it is harmless, else in single quotes. */
export function quoteForShell(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** A command line that can be pasted. */
export function shellCommand(words: readonly string[]): string {
  return words.map(quoteForShell).join(' ');
}
