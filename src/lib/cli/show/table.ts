/** Tables of any width: on a narrow terminal cells are broken between words, then rows take several lines. No column is lost. */
import {displayWidth} from './style.js';
import {wrapWords} from './wrap-words.js';

const gap = 2;
/** Cells are not broken narrower than this, or than their longest word. */
const narrowest = 16;
/** How far the further lines of a row are set in. */
const hanging = 4;

export interface TableOptions {
  readonly head?: readonly string[];
  /** Columns that are aligned to the right. */
  readonly right?: readonly number[];
  /** How far the table is set in. */
  readonly indent?: number;
}

type Row = readonly string[];

interface TableStyle {
  readonly bold: (text: string) => string;
  /** Columns of the terminal; undefined where lines may be of any length. */
  readonly width?: number;
}

/** The rows as lines of columns, two spaces apart, so that grep and awk work. */
export function table(
  rows: readonly Row[],
  style: TableStyle,
  {head, right = [], indent = 0}: TableOptions = {},
): string[] {
  const title = head?.map((text) => (text === '' ? '' : style.bold(text)));
  const all = title ? [title, ...rows] : rows;
  const width = (style.width ?? Infinity) - indent;
  const lines =
    inColumns(all, right, width, title === undefined) ??
    (title
      ? (inBands(all, right, width) ?? asRecords(title, rows, width))
      : rows.map((row) => stacked(row, width)));
  return lines.flat().map((line) => (line === '' ? '' : ' '.repeat(indent) + line));
}

/**
 * @param canOverflow whether a word in the last column may be wider than the terminal, as a path beside its label
 * @returns the lines of each row
 */
function inColumns(
  rows: readonly Row[],
  right: readonly number[],
  width: number,
  canOverflow: boolean,
): string[][] | undefined {
  const widths = widthsOf(rows);
  const last = widths.length - 1;
  const least = widths.map((natural, index) => {
    if (right.includes(index)) return natural;
    const cells = rows.map((row) => row[index] ?? '');
    if (cells.some(isCommand)) return natural;
    const word = Math.max(...cells.flatMap((cell) => cell.split(' ')).map(displayWidth));
    const wanted = canOverflow && index === last ? narrowest : Math.max(narrowest, word);
    return Math.min(natural, wanted);
  });
  let excess = sum(widths) + gap * last - width;
  // The last column, which has the texts, is the first that is broken.
  for (let index = last; index >= 0 && excess > 0; index -= 1) {
    const taken = Math.min(excess, (widths[index] ?? 0) - (least[index] ?? 0));
    widths[index] = (widths[index] ?? 0) - taken;
    excess -= taken;
  }
  return excess > 0 ? undefined : rows.map((row) => layOut(row, widths, right));
}

function layOut(row: Row, widths: readonly number[], right: readonly number[]): string[] {
  const cells = row.map((cell, index) =>
    isCommand(cell) ? [cell] : wrapWords(cell, Math.max(1, widths[index] ?? 1)),
  );
  const height = Math.max(1, ...cells.map((lines) => lines.length));
  return Array.from({length: height}, (_, line) =>
    cells
      .map((lines, index) => {
        const text = lines[line] ?? '';
        const padding = ' '.repeat(Math.max(0, (widths[index] ?? 0) - displayWidth(text)));
        return right.includes(index) ? padding + text : text + padding;
      })
      .join(' '.repeat(gap))
      .trimEnd(),
  );
}

/** Two lines for each row and for the head: as many columns as fit, and the others below them. */
function inBands(rows: readonly Row[], right: readonly number[], width: number): string[][] | undefined {
  const count = widthsOf(rows).length;
  for (let first = count - 1; first > 0; first -= 1) {
    const above = rows.map((row) => row.slice(0, first));
    if (widthOf(above) > width) continue;
    const below = inColumns(
      rows.map((row) => row.slice(first)),
      right.map((index) => index - first),
      width - hanging,
      false,
    );
    const widths = widthsOf(above);
    return below?.map((lines, index) => [
      ...layOut(above[index] ?? [], widths, right),
      ...lines.map((line) => ' '.repeat(hanging) + line),
    ]);
  }
  return undefined;
}

/** Every row as lines of a heading and its value; a value with a word too wide for that begins below its heading. */
function asRecords(head: Row, rows: readonly Row[], width: number): string[][] {
  const label = Math.max(...head.map(displayWidth));
  const room = width - label - gap;
  const record = (title: string, cell: string): string[] =>
    Math.max(...cell.split(' ').map(displayWidth)) <= room
      ? layOut([title, cell], [label, room], [])
      : [title, ...wrapWords(cell, width - gap).map((line) => ' '.repeat(gap) + line)];
  return rows.map((row, index) => [
    ...(index === 0 ? [] : ['']),
    ...row.flatMap((cell, column) => (cell === '' ? [] : record(head[column] ?? '', cell))),
  ]);
}

/** A row without headings: as many cells on a line as fit, the other lines set in. */
function stacked(row: Row, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  const inset = (): string => (lines.length === 0 ? '' : ' '.repeat(hanging));
  for (const cell of row.filter((text) => text !== '')) {
    const joined = line === '' ? inset() + cell : line + ' '.repeat(gap) + cell;
    if (displayWidth(joined) <= width) {
      line = joined;
      continue;
    }
    if (line !== '') lines.push(line);
    const begin = inset();
    const words = isCommand(cell) ? [cell] : wrapWords(cell, width - begin.length, width - hanging);
    line = begin + (words.shift() ?? '');
    for (const text of words) {
      lines.push(line);
      line = ' '.repeat(hanging) + text;
    }
  }
  return line === '' ? lines : [...lines, line];
}

/** Commands are to be pasted: they are never broken. */
function isCommand(cell: string): boolean {
  return /^(?:\u001b\[\d+m)*destino-db /.test(cell);
}

function widthsOf(rows: readonly Row[]): number[] {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, index) => (widths[index] = Math.max(widths[index] ?? 0, displayWidth(cell))));
  return widths;
}

function widthOf(rows: readonly Row[]): number {
  const widths = widthsOf(rows);
  return sum(widths) + gap * Math.max(0, widths.length - 1);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
