/** Text broken between its words, the only way in which anything on a terminal is broken. */
import {displayWidth} from './style.js';

const escapes = /\u001b\[(\d+)m/g;

/**
 * @param first columns of the first line
 * @param rest columns of the others
 * @returns the lines; a word that is wider than a line stays whole
 */
export function wrapWords(text: string, first: number, rest = first): string[] {
  const lines: string[] = [];
  let line: string | undefined;
  for (const word of text.split(' ')) {
    const joined: string = line === undefined ? word : `${line} ${word}`;
    if (line === undefined || displayWidth(joined) <= (lines.length === 0 ? first : rest)) line = joined;
    else {
      lines.push(line.trimEnd());
      line = word;
    }
  }
  return coloursByLine([...lines, line ?? '']);
}

/** Ends colours at the end of each line and begins them again on the next: other columns may stand between. */
function coloursByLine(lines: readonly string[]): string[] {
  const ends: Readonly<Record<string, string>> = {1: '22', 2: '22', 31: '39', 32: '39'};
  let open: string[] = [];
  return lines.map((line) => {
    const begin = open;
    for (const [, code = ''] of line.matchAll(escapes)) {
      if (ends[code] !== undefined) open = [...open, code];
      else open = open.filter((one) => ends[one] !== code);
    }
    const sequence = (codes: readonly string[]): string => codes.map((code) => `\u001b[${code}m`).join('');
    return `${sequence(begin)}${line}${sequence(open.map((code) => ends[code] ?? '0'))}`;
  });
}
