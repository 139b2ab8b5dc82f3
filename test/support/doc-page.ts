/** Pages of the documentation: their code blocks, and the comparison of a page with a program's output. */

export interface DocBlock {
  /** The text after the opening fence: "sh", "text", "json". */
  readonly lang: string;
  /** The file name after the language, if the block is a file. */
  readonly file: string | undefined;
  readonly text: string;
  /** Start and end of the text in the page. */
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

/** Patterns of values that differ between runs, and of column widths that depend on them, each with a placeholder. */
const changing: readonly [RegExp, string][] = [
  [/\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:-\d+)?/g, 'TIME'],
  [/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z?/g, 'TIME'],
  [/\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)?(?:\.\d+)?/g, 'TIME'],
  [/\b20[2-9]\d-\d\d-\d\d\b/g, 'DAY'],
  [/_\d{8}_\d{6}(?:_\d+)?/g, '_TIME'],
  [/\bjust now\b/g, 'DURATION'],
  [/(?<=\b127\.0\.0\.1):\d+\b/g, ':PORT'],
  [/\b\d+(?:\.\d+)? (?:ms|s|min|h)(?: \d+ (?:s|min))?(?: ago)?(?![\w])/g, 'DURATION'],
  [/\b\d[\d.,]* (?:B|kB|MB|GB)(?!\w)/g, 'SIZE'],
  [/=\d+(s|B)\b/g, '=COUNT$1'],
  [/(--plan[ =])[0-9a-f]{16}\b/g, '$1PLAN'],
  [/ {2,}/g, '  '],
  [/ +$/gm, ''],
];

/** The text with placeholders for times, ages, durations, sizes, plans and padding. */
export function maskChanging(text: string): string {
  return changing.reduce((masked, [pattern, mark]) => masked.replace(pattern, mark), text);
}

/** A line of three dots represents any number of lines. */
const leftOut = '...';

/**
 * The output without the lines that the page omits, as far as the two agree, followed by the rest. Both are the
 * same text if the page shows the output.
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
