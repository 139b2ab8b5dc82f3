/** Pages of the documentation: their blocks of code, and whether what a page shows is what a program printed. */

export interface DocBlock {
  /** What stands behind the opening fence: "sh", "text", "json". */
  readonly lang: string;
  /** The name of the file that the block is, where one stands behind the language. */
  readonly file: string | undefined;
  readonly text: string;
  /** Where the text begins and ends in the page. */
  readonly start: number;
  readonly end: number;
}

/** The fenced blocks of a Markdown page, in order. */
export function blocksOf(markdown: string): DocBlock[] {
  return [...markdown.matchAll(/^(```([a-z]*)(?: (\S+))?\n)([^]*?)^```$/gm)].map((match) => {
    const [, fence = '', lang = '', file, text = ''] = match;
    const start = match.index + fence.length;
    return {lang, file, text, start, end: start + text.length};
  });
}

/** What differs from run to run, and the width of columns that depends on it, each by one mark. */
const changing: readonly [RegExp, string][] = [
  [/\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:-\d+)?/g, 'TIME'],
  [/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z?/g, 'TIME'],
  [/\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)?(?:\.\d+)?/g, 'TIME'],
  [/\b20[2-9]\d-\d\d-\d\d\b/g, 'DAY'],
  [/_\d{8}_\d{6}/g, '_TIME'],
  [/\bjust now\b/g, 'DURATION'],
  [/(?<=\b127\.0\.0\.1):\d+\b/g, ':PORT'],
  [/\b\d+(?:\.\d+)? (?:ms|s|min|h)(?: \d+ (?:s|min))?(?: ago)?(?![\w])/g, 'DURATION'],
  [/\b\d[\d.,]* (?:B|kB|MB|GB)(?!\w)/g, 'SIZE'],
  [/=\d+(s|B)\b/g, '=COUNT$1'],
  [/(--plan[ =])[0-9a-f]{16}\b/g, '$1PLAN'],
  [/ {2,}/g, '  '],
  [/ +$/gm, ''],
];

/** Text with times, ages, durations, sizes, plans and padding made equal. */
export function maskChanging(text: string): string {
  return changing.reduce((masked, [pattern, mark]) => masked.replace(pattern, mark), text);
}

/** A line of three dots stands for any lines. */
const leftOut = '...';

/**
 * What was printed with those lines left out that the page leaves out, as far as the two agree; the rest is whole. Both are the
 * same text, then, when the page shows what was printed.
 */
export function leaveOutAs(shown: string, printed: string): string {
  const lines = printed.trimEnd().split('\n');
  const result: string[] = [];
  const pattern = shown.trimEnd().split('\n');
  for (const [index, line] of pattern.entries()) {
    if (line.trim() !== leftOut) {
      if (lines[0] === undefined || maskChanging(lines[0]) !== maskChanging(line)) break;
      result.push(lines.shift() ?? '');
      continue;
    }
    const next = pattern[index + 1];
    const found =
      next === undefined
        ? lines.length
        : lines.findIndex((candidate) => maskChanging(candidate) === maskChanging(next));
    if (found === -1) break;
    result.push(line);
    lines.splice(0, found);
  }
  return `${[...result, ...lines].join('\n')}\n`;
}
