/** The rows in a stream of SQL, one by one, with the table that each belongs to. */
import {RowsFinder} from './rows-finder.js';
import {type CopyStatement, readCopyStatement} from './sql-names.js';
import {textOf} from './text-of.js';

/**
 * Calls `onRow` with each row of a COPY block as its text line, without the newline; the buffer is valid during the call only.
 * Memory: one buffer and the longest row.
 */
export async function readCopyRows(
  sql: AsyncIterable<Buffer>,
  onRow: (table: CopyStatement, row: Buffer) => Promise<void> | undefined,
): Promise<void> {
  let table: CopyStatement | undefined;
  const finder = new RowsFinder();
  for await (const line of linesOf(sql)) {
    if (!table) {
      const copy = finder.take(line);
      if (copy !== undefined) table = readCopyStatement(textOf(copy, finder.encoding));
    } else if (line.length === 2 && line[0] === 0x5c && line[1] === 0x2e) {
      table = undefined;
    } else {
      const pending = onRow(table, line);
      if (pending) await pending;
    }
  }
}

async function* linesOf(stream: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const splitter = createLineSplitter();
  for await (const chunk of stream) yield* splitter.lines(chunk);
  yield* splitter.rest();
}

export interface LineSplitter {
  /** The lines that end in this chunk, without their newline. */
  lines(chunk: Buffer): Generator<Buffer>;
  /** What follows the last newline. */
  rest(): Generator<Buffer>;
}

/** Cuts a stream that comes in any pieces into lines; a long line is joined once. */
export function createLineSplitter(): LineSplitter {
  let held: Buffer[] = [];
  return {
    *lines(chunk) {
      let position = 0;
      for (;;) {
        const end = chunk.indexOf(0x0a, position);
        if (end === -1) break;
        const part = chunk.subarray(position, end);
        yield held.length === 0 ? part : Buffer.concat([...held, part]);
        held = [];
        position = end + 1;
      }
      if (position < chunk.length) held.push(Buffer.from(chunk.subarray(position)));
    },
    *rest() {
      if (held.length > 0) yield Buffer.concat(held);
    },
  };
}

/** The fields of a row at the given positions, joined as COPY does; the row itself when that is all of it. */
export function pickFields(row: Buffer, positions: readonly number[] | 'all'): Buffer {
  if (positions === 'all') return row;
  const ends: number[] = [];
  for (let end = row.indexOf(0x09); end !== -1; end = row.indexOf(0x09, end + 1)) ends.push(end);
  ends.push(row.length);
  const fields = positions.map((position) =>
    row.subarray(position === 0 ? 0 : (ends[position - 1] ?? row.length) + 1, ends[position] ?? row.length),
  );
  return fields.length === 1 && fields[0]
    ? fields[0]
    : Buffer.concat(fields.flatMap((field, index) => (index === 0 ? [field] : [tab, field])));
}

const tab = Buffer.from('\t');

/** The values of a row's text form in the encoding; null where COPY writes \N (manual, COPY, "Text Format"). */
export function decodeFields(row: Buffer, encoding: string): (string | null)[] {
  const escapes: Readonly<Record<string, string>> = {b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v'};
  return textOf(row.toString('latin1'), encoding)
    .split('\t')
    .map((field) =>
      field === '\\N' ? null : field.replace(/\\(.)/gs, (_all, letter: string) => escapes[letter] ?? letter),
    );
}
