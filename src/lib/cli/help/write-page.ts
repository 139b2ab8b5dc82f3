/** Writes a help page. bin/run.js uses it without oclif, so nothing is imported here. */

/** The columns for which the build prepares pages. */
export const pageWidth = 80;

/** Columns to lay pages out for: those of the terminal, as far as that helps reading. */
export function widthOf({isTTY, columns}: Pick<NodeJS.WriteStream, 'isTTY' | 'columns'>): number {
  // A terminal without a size says 0.
  return isTTY && columns > 0 ? Math.min(pageWidth, Math.max(columns, 30)) : pageWidth;
}

/** Headings are bold on a terminal that takes it (no-color.org). */
export function writePage(page: string, isPlain = false): void {
  const {NO_COLOR, FORCE_COLOR, TERM} = process.env;
  const isForced = (FORCE_COLOR ?? '') !== '' && FORCE_COLOR !== '0';
  const isForbidden = isPlain || (NO_COLOR ?? '') !== '' || FORCE_COLOR === '0' || TERM === 'dumb';
  const isBold = !isForbidden && (process.stdout.isTTY || isForced);
  process.stdout.write(isBold ? page.replace(/^[A-Z][A-Z -]+?(?=\n| {2})/gm, '\u001b[1m$&\u001b[22m') : page);
}
