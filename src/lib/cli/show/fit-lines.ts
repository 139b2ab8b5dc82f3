/** Lines broken for a terminal where it would break them in the middle of words. */
import {displayWidth} from './style.js';
import {wrapWords} from './wrap-words.js';

/** How far the rest of a broken line is set in, beyond the line itself. */
const hanging = 4;
/** Narrower than this nothing helps. */
const narrowest = 30;
/** A command line of PostgreSQL's own tools, which is to be pasted too. */
const toolCommand = /PGHOST=|pg_dump --/;
/** A row of a table whose last word is wider than its column: the table is as narrow as it can be. */
const labelled = /\S {2,}\S+$/;

/**
 * Prose is broken between words. Commands stay whole, on a line of their own, so that they can be pasted.
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
    // A command may be followed by its purpose; spaces within quotes are part of the command.
    const reason = / {2,}(?=\S)[^'"]*$/.exec(text);
    if (!reason) return [line];
    const below = indent + ' '.repeat(hanging) + reason[0].trim();
    return [indent + text.slice(0, reason.index), ...fitLines([below], width, bin)];
  }
  if (at > 0)
    return fitLines([indent + text.slice(0, at).trimEnd(), `${indent}  ${text.slice(at)}`], width, bin);
  if (labelled.test(text)) return [line];
  const room = width - indent.length;
  return wrapWords(text, room, room - hanging).map(
    (part, index) => indent + (index === 0 ? '' : ' '.repeat(hanging)) + part,
  );
}
