/** Lines broken for a terminal where it would break them in the middle of words. */
import {displayWidth} from './style.js';

/** How far the rest of a broken line is set in, beyond the line itself. */
const hanging = 4;
/** Narrower than this nothing helps. */
const narrowest = 30;
/** Text in the last column of a table is broken within its column, while that is as wide. */
const narrowestColumn = 20;
/** A command line of PostgreSQL's own tools, which is to be pasted too. */
const toolCommand = /PGHOST=|pg_dump --/;

/**
 * Prose is broken between words, rows of a table between columns. Commands stay whole, on a line of their own, so that they can be pasted.
 * @param width columns of the terminal; undefined where there is none
 */
export function fitLines(lines: readonly string[], width: number | undefined, bin: string): string[] {
  if (width === undefined || width < narrowest) return [...lines];
  return lines.flatMap((line) => (displayWidth(line) <= width ? [line] : fitLine(line, width, bin)));
}

function fitLine(line: string, width: number, bin: string): string[] {
  const indent = /^ */.exec(line)?.[0] ?? '';
  const text = line.slice(indent.length);
  if (toolCommand.test(text)) return [line];
  const at = text.search(new RegExp(`(?<=^|:(?:\\u001b\\[\\d+m)* +)${bin} `));
  if (at === 0) {
    // What the command is for may stand behind it; spaces within quotes are part of the command.
    const reason = / {2,}(?=\S)[^'"]*$/.exec(text);
    if (!reason) return [line];
    const below = indent + ' '.repeat(hanging) + reason[0].trim();
    return [indent + text.slice(0, reason.index), ...fitLines([below], width, bin)];
  }
  if (at > 0)
    return fitLines([indent + text.slice(0, at).trimEnd(), `${indent}  ${text.slice(at)}`], width, bin);
  const tightened = tighten(text, displayWidth(line) - width);
  if (tightened !== undefined) return [indent + tightened];
  const [, before = '', prose = ''] = /^(.* {2,})(\S+ .*)$/.exec(text) ?? [];
  const start = displayWidth(indent + before);
  if (before !== '' && width - start >= narrowestColumn)
    return fill(prose.split(' '), ' ', indent + before, width, ' '.repeat(start));
  return fill(text.split(/(?<=\S) {2,}(?=\S)/), '  ', indent, width);
}

/** The text with its columns moved together, from the right, by as many places as it is too wide; undefined when that is not enough. */
function tighten(text: string, excess: number): string | undefined {
  let left = excess;
  const parts = text.split(/((?<=\S) {3,}(?=\S))/);
  for (let index = parts.length - 2; index > 0 && left > 0; index -= 2) {
    const gap = parts[index] ?? '';
    const taken = Math.min(left, gap.length - 2);
    parts[index] = gap.slice(taken);
    left -= taken;
  }
  return left === 0 ? parts.join('') : undefined;
}

/** Puts as many parts on a line as it takes; a part that is too long for any line is broken between its words. */
function fill(
  parts: readonly string[],
  gap: string,
  indent: string,
  width: number,
  rest = indent + ' '.repeat(hanging),
): string[] {
  const lines: string[] = [];
  let line = '';
  for (const part of parts) {
    const joined = line === '' ? (lines.length === 0 ? indent : rest) + part : line + gap + part;
    if (displayWidth(joined) <= width) {
      line = joined;
      continue;
    }
    if (line !== '') lines.push(line);
    line = (lines.length === 0 ? indent : rest) + part;
    if (gap === ' ' || displayWidth(line) <= width || !part.includes(' ')) continue;
    const broken = fill(part.split(' '), ' ', lines.length === 0 ? indent : rest, width, rest);
    line = broken.pop() ?? '';
    lines.push(...broken);
  }
  return line === '' ? lines : [...lines, line];
}
