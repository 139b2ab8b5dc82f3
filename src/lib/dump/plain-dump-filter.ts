/** Filters a plain dump on its way to psql: removes sections and the few lines that would stop a restore. */

import {RowsFinder} from './sql/rows-finder.js';
import {textOf} from '../postgres/client-encoding.js';

/** The content of pg_dump's heading above each object. */
export interface DumpSection {
  /** "TABLE DATA", "SCHEMA", "FK CONSTRAINT", ... */
  readonly type: string;
  /** "-" for objects without a schema. */
  readonly schema: string;
  readonly name: string;
  /** "" for objects without an owner. */
  readonly owner: string;
  /** Set if it is not the default one. */
  readonly tablespace?: string;
}

export interface PlainDumpRules {
  /** Whether to restore a section. The part before the first one (SET commands) is always restored. */
  readonly keeps: (section: DumpSection) => boolean;
  /** Whether to remove a line outside row data that begins a statement or is outside of one. */
  readonly leavesOut: (line: string, section: DumpSection | null) => boolean;
  /**
   * Receives every line outside row data, without its newline.
   * @param isBetween whether the line begins a statement or is outside of one
   */
  readonly reads?: (line: Buffer, section: DumpSection | null, isBetween: boolean) => void;
}

const newline = 0x0a;
const dash = 0x2d;
/** Terminates the rows of a COPY block: a separate line. */
const endOfRows = Buffer.from('\n\\.\n');

/**
 * Passes the dump on; row data is neither changed nor inspected.
 * Memory: a buffer and the longest line outside row data.
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
      // Joins a long line only once, at its end.
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
      // Keeps the newline before the rows: "\." may be the very first line.
      const next = isInRows ? end : end + 1;
      if (isKept && !isLeftOut) kept.push(chunk.subarray(position, next));
      position = next;
    }
    if (position < chunk.length) rest.push(chunk.subarray(position));
    yield* kept;
  }
  if (isKept) yield* rest;
}

/** Lines with a meaning for the rules are short, except headings, which list the argument types of functions, and rows as INSERT commands. */
const longestKnownLine = 1024;

/** The object of a heading; null for any other line. */
export function sectionIn(line: string): DumpSection | null {
  // For an object without an owner, such as a comment on an extension, the line may end after "Owner:".
  const match =
    /^-- (?:(?:Data|Statistics) for )?Name: (.*); Type: (.*?); Schema: (.*?); Owner:(?: (.*))?$/.exec(line);
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
