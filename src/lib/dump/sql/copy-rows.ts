/** Rows in COPY's text format: with bounded memory for any value, and split into fields. */
import {createHash, type Hash} from 'node:crypto';
import type {RowTaker} from '../../postgres/take-rows.js';
import {textOf} from '../../postgres/client-encoding.js';

/** Longer values are replaced, in bytes. */
const longestValue = 1 << 14;
const tabByte = 0x09;
const tab = Buffer.of(tabByte);

/**
 * Joins rows that arrive in pieces. A value of more than 16 KiB is replaced by its length and SHA-256, so that equal rows stay equal
 * and large values take no memory. COPY never writes a backslash before a bracket, so no real value looks like that: see `shortenedIn`.
 */
export class RowShortener implements RowTaker {
  private row: Buffer[] = [];
  private value: Buffer[] = [];
  private valueBytes = 0;
  private hash: Hash | undefined;

  /**
   * @param onRow receives the row as its text line; the buffer is valid only during the call
   * @param longest another limit for values, in bytes
   */
  constructor(
    private readonly onRow: (row: Buffer) => void,
    private readonly longest = longestValue,
  ) {}

  add(buffer: Buffer, start: number, end: number): void {
    const isWhole = this.row.length === 0 && this.valueBytes === 0;
    if (isWhole && end - start <= this.longest) return this.onRow(buffer.subarray(start, end));
    this.append(buffer, start, end);
    this.endValue();
    const row = Buffer.concat(this.row);
    this.row = [];
    this.onRow(row);
  }

  append(buffer: Buffer, start: number, end: number): void {
    const piece = buffer.subarray(start, end);
    let position = 0;
    for (let at = piece.indexOf(tabByte); at !== -1; at = piece.indexOf(tabByte, position)) {
      this.takeValue(piece.subarray(position, at));
      this.endValue();
      this.row.push(tab);
      position = at + 1;
    }
    this.takeValue(piece.subarray(position));
  }

  private takeValue(piece: Buffer): void {
    this.valueBytes += piece.length;
    if (!this.hash && this.valueBytes > this.longest) {
      this.hash = createHash('sha256');
      for (const part of this.value) this.hash.update(part);
      this.value = [];
    }
    if (this.hash) this.hash.update(piece);
    else if (piece.length > 0) this.value.push(Buffer.from(piece));
  }

  private endValue(): void {
    this.row.push(...(this.hash ? [shortened(this.valueBytes, this.hash)] : this.value));
    this.value = [];
    this.valueBytes = 0;
    this.hash = undefined;
  }
}

/** The positions of the values of the row that were replaced. */
export function shortenedIn(row: Buffer): number[] {
  if (!row.includes('\\(')) return [];
  const fields = row.toString('latin1').split('\t');
  return fields.flatMap((field, position) => (field.startsWith('\\(') ? [position] : []));
}

/** Longer keys are shortened. */
const longestKey = 1 << 10;

/** The key, or for a long key its beginning, length and hash: unique and short. */
export function shortKey(key: Buffer): Buffer {
  if (key.length <= longestKey) return key;
  const hash = createHash('sha256').update(key);
  return Buffer.concat([key.subarray(0, longestKey / 4), shortened(key.length, hash)]);
}

function shortened(bytes: number, hash: Hash): Buffer {
  return Buffer.from(`\\(${bytes} bytes, SHA-256 ${hash.digest('hex')})`);
}

/** The fields of a row at the given positions, joined as in COPY; the row itself for 'all'. */
export function pickFields(row: Buffer, positions: readonly number[] | 'all'): Buffer {
  if (positions === 'all') return row;
  const ends: number[] = [];
  for (let end = row.indexOf(tabByte); end !== -1; end = row.indexOf(tabByte, end + 1)) ends.push(end);
  ends.push(row.length);
  const fields = positions.map((position) =>
    row.subarray(position === 0 ? 0 : (ends[position - 1] ?? row.length) + 1, ends[position] ?? row.length),
  );
  return fields.length === 1 && fields[0]
    ? fields[0]
    : Buffer.concat(fields.flatMap((field, index) => (index === 0 ? [field] : [tab, field])));
}

/** The values of a row in COPY's text format; null for \N (manual, COPY, "Text Format"). */
export function decodeFields(row: Buffer, encoding: string): (string | null)[] {
  const escapes: Readonly<Record<string, string>> = {b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v'};
  return textOf(row.toString('latin1'), encoding)
    .split('\t')
    .map((field) =>
      field === '\\N' ? null : field.replace(/\\(.)/gs, (_all, letter: string) => escapes[letter] ?? letter),
    );
}
