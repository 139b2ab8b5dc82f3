/** Changes a plain dump on its way to psql: leaves out sections and the few lines that would stop a restore. */

import {RowsFinder} from './sql/rows-finder.js';
import {textOf} from '../postgres/client-encoding.js';

/** What pg_dump's heading above each object says. */
export interface DumpSection {
  /** "TABLE DATA", "SCHEMA", "FK CONSTRAINT", ... */
  readonly type: string;
  /** "-" where the object is in no schema. */
  readonly schema: string;
  readonly name: string;
  /** "" where nobody owns it. */
  readonly owner: string;
  /** Where it is not the default one. */
  readonly tablespace?: string;
}

export interface PlainDumpRules {
  /** Whether a section is restored; what precedes the first one (SET commands) always is. */
  readonly keeps: (section: DumpSection) => boolean;
  /** Whether a line outside of row data that begins a statement, or none, is left out. */
  readonly leavesOut: (line: string, section: DumpSection | null) => boolean;
  /**
   * Sees every line outside of row data, without its newline.
   * @param isBetween whether it begins a statement, or none
   */
  readonly reads?: (line: Buffer, section: DumpSection | null, isBetween: boolean) => void;
}

const newline = 0x0a;
const dash = 0x2d;
/** Ends the rows of a COPY block: a line of its own. */
const endOfRows = Buffer.from('\n\\.\n');

/**
 * Passes the dump on, row data untouched and uninspected.
 * Memory: a buffer and the longest line outside of row data.
 */
export async function* filterPlainDump(
  source: AsyncIterable<Buffer>,
  rules: PlainDumpRules,
): AsyncGenerator<Buffer> {
  let section: DumpSection | null = null;
  let isKept = true;
  let isInRows = false;
  const finder = new RowsFinder();
  let rest: Buffer[] = [];
  for await (const piece of source) {
    let chunk = rest.length === 0 ? piece : undefined;
    if (!chunk) {
      // A long line is joined once, when its end has come.
      if (!isInRows && !piece.includes(newline)) {
        rest.push(piece);
        continue;
      }
      chunk = Buffer.concat([...rest, piece]);
      rest = [];
    }
    let position = 0;
    const kept: Buffer[] = [];
    while (position < chunk.length) {
      if (isInRows) {
        const end = chunk.indexOf(endOfRows, position);
        const next =
          end === -1 ? Math.max(position, chunk.length - endOfRows.length + 1) : end + endOfRows.length;
        if (isKept) kept.push(chunk.subarray(position, next));
        position = next;
        if (end === -1) break;
        isInRows = false;
        continue;
      }
      const end = chunk.indexOf(newline, position);
      if (end === -1) break;
      const line = chunk.subarray(position, end);
      const isKnown = finder.isBetweenStatements && (line.length < longestKnownLine || line[0] === dash);
      const text = isKnown ? textOf(line.toString('latin1'), finder.encoding) : '';
      const heading = sectionIn(text);
      if (heading) {
        section = heading;
        isKept = rules.keeps(heading);
      }
      const isLeftOut = isKnown && rules.leavesOut(text, section);
      rules.reads?.(line, section, finder.isBetweenStatements);
      isInRows = finder.take(line) !== undefined;
      // The newline before the rows stays in front of them: "\." may be the very first line.
      const next = isInRows ? end : end + 1;
      if (isKept && !isLeftOut) kept.push(chunk.subarray(position, next));
      position = next;
    }
    if (position < chunk.length) rest.push(chunk.subarray(position));
    yield* kept;
  }
  if (isKept) yield* rest;
}

/** Lines that rules look at are short, but for headings, which name the types of a function's arguments; rows as INSERT commands are not. */
const longestKnownLine = 1024;

/** The object that a heading is of; null for any other line. */
export function sectionIn(line: string): DumpSection | null {
  // Of an object without an owner of its own, as a comment on an extension, the line may end behind "Owner:".
  const match = /^-- (?:Data for )?Name: (.*); Type: (.*?); Schema: (.*?); Owner:(?: (.*))?$/.exec(line);
  if (!match) return null;
  const [, name = '', type = '', schema = '', rest = ''] = match;
  const [, owner = '', tablespace] = /^(.*?)(?:; Tablespace: (.*))?$/.exec(rest) ?? [];
  return {
    name,
    type,
    schema,
    owner: owner === '-' ? '' : owner,
    ...(tablespace === undefined ? {} : {tablespace}),
  };
}
