/**
 * Rewrites JSON values as the text that COPY ... FROM STDIN reads (manual, COPY, "Text Format"), byte by byte: the server's input
 * functions get the very text that is in the file. Whether this was done right is proven later, when the server
 * writes the stored rows as JSON again and they are compared with the file.
 */
import {
  backslash,
  jsonElements,
  jsonEscapes,
  JsonTextError,
  openBrace,
  openBracket,
  quote,
  skipJsonValue,
} from '../file/json-scanner.js';

/** The form in which a column takes a JSON value: its text; the JSON itself (json, jsonb); an array from a JSON list. */
export type ColumnForm = 'text' | 'json' | 'array';

const blockBytes = 1 << 18;
/**
 * A byte of JSON becomes four at most: a backslash of an object in a list, escaped for the array and for COPY. Each row begins
 * with its line number, and what is missing becomes a tab and \N.
 */
const room = (jsonBytes: number, fields: number): number => 32 + 4 * jsonBytes + 3 * fields;

const tab = 0x09;
const newline = 0x0a;

/** Bytes that COPY wants as a backslash and a letter. */
const letters = new Map([[0x08, 0x62], [0x09, 0x74], [0x0a, 0x6e], [0x0b, 0x76], [0x0c, 0x66], [0x0d, 0x72]]); // prettier-ignore

/** An escape takes twelve bytes at most: two halves of a character. */
const longestEscape = 12;

/** Rows of one COPY: `begin`, then each column's value in order, then `endRow`. */
export class CopyText {
  private full: Buffer[] = [];
  private block: Buffer = Buffer.allocUnsafeSlow(blockBytes);
  private length = 0;
  /** The line of the row that has begun and not ended. */
  line: number | undefined;
  /** The kind of the value whose end `rest` has not seen: `raw` is a string that stays JSON. */
  private opened: 'string' | 'raw' | 'word' | undefined;

  /**
   * Makes room for a row, or for a part of one.
   * @param jsonBytes length of all its values together; @param fields how many it has at most
   */
  reserve(jsonBytes: number, fields: number): void {
    const needed = room(jsonBytes, fields);
    if (this.length + needed <= this.block.length) return;
    if (this.length > 0) this.full.push(this.block.subarray(0, this.length));
    this.block = Buffer.allocUnsafeSlow(Math.max(blockBytes, needed));
    this.length = 0;
  }

  begin(line: number): void {
    this.reserve(0, 0);
    this.line = line;
    this.opened = undefined;
    this.length += this.block.write(String(line), this.length, 'latin1');
  }

  /** Whether the value that was begun last has not ended. */
  get isOpen(): boolean {
    return this.opened !== undefined;
  }

  /**
   * The value that starts at `start`, all of it there; returns the position after it.
   * @throws JsonTextError if it is not a JSON value
   */
  value(json: Buffer, start: number, form: ColumnForm): number {
    const byte = json[start];
    if (byte !== openBrace && byte !== openBracket) {
      const end = this.rest(json, this.open(json, start, form), json.length, true);
      if (this.opened === 'string' || this.opened === 'raw')
        throw new JsonTextError(end, 'a string does not end');
      return end;
    }
    this.tab();
    const end = skipJsonValue(json, start);
    if (form === 'array' && byte === openBracket) {
      const literal = Buffer.from(arrayLiteral(json, start));
      this.text(literal, 0, literal.length);
    } else {
      this.text(json, start, end);
    }
    return end;
  }

  /**
   * Begins the string, number or word at `start`, of which four bytes must be there; `rest` takes what follows.
   * @throws JsonTextError where it is something else
   */
  open(json: Buffer, start: number, form: ColumnForm): number {
    this.tab();
    const byte = json[start] ?? 0;
    if (byte === 0x6e) {
      this.putNull();
      return start + 4;
    }
    if (byte === quote) {
      this.opened = form === 'json' ? 'raw' : 'string';
      if (form === 'json') this.byte(quote);
      return start + 1;
    }
    if (!isWordByte(byte)) throw new JsonTextError(start, 'a value was expected');
    this.opened = 'word';
    return start;
  }

  /**
   * A part of an opened value. Returns the position up to which it was taken. An escape must be complete.
   * @param isLast whether nothing follows after `end`
   * @throws JsonTextError where the value does not go on as JSON does
   */
  rest(json: Buffer, start: number, end: number, isLast: boolean): number {
    if (this.opened === undefined) return start;
    return this.opened === 'word' ? this.word(json, start, end) : this.string(json, start, end, isLast);
  }

  /** Goes on to the next column. */
  tab(): void {
    this.block[this.length++] = tab;
  }

  null(): void {
    this.tab();
    this.putNull();
  }

  endRow(): void {
    this.line = undefined;
    this.block[this.length++] = newline;
  }

  /** The bytes written since the last call. */
  take(): Buffer[] {
    const blocks = this.full;
    if (this.length > 0) blocks.push(this.block.subarray(0, this.length));
    this.full = [];
    this.block = this.block.subarray(this.length);
    this.length = 0;
    return blocks;
  }

  private putNull(): void {
    this.block[this.length++] = backslash;
    this.block[this.length++] = 0x4e;
  }

  /** A number, true or false. */
  private word(json: Buffer, start: number, end: number): number {
    const {block} = this;
    let {length} = this;
    let at = start;
    for (; at < end; at++) {
      const byte = json[at] ?? 0;
      if (!isWordByte(byte)) {
        this.opened = undefined;
        break;
      }
      block[length++] = byte;
    }
    this.length = length;
    return at;
  }

  /** From behind the opening quote to behind the closing one. */
  private string(json: Buffer, start: number, end: number, isLast: boolean): number {
    const {block} = this;
    const isRaw = this.opened === 'raw';
    let {length} = this;
    let at = start;
    for (; at < end;) {
      const byte = json[at] ?? 0;
      if (byte === quote) {
        this.opened = undefined;
        this.length = length;
        if (isRaw) this.byte(quote);
        return at + 1;
      }
      if (byte < 0x20) throw new JsonTextError(at, 'a string contains a control character or does not end');
      if (byte === backslash) {
        if (!isLast && end - at < longestEscape) break;
        this.length = length;
        if (isRaw) this.text(json, at, at + 2);
        at = isRaw ? at + 2 : this.escape(json, at + 1);
        length = this.length;
      } else {
        block[length++] = byte;
        at += 1;
      }
    }
    this.length = length;
    return at;
  }

  /** From behind a backslash to behind the escape. */
  private escape(json: Buffer, at: number): number {
    const letter = json[at] ?? 0;
    if (letter !== 0x75) {
      const byte = jsonEscapes.get(letter);
      if (byte === undefined) throw new JsonTextError(at, 'a string contains a wrong escape');
      this.byte(byte);
      return at + 1;
    }
    let code = codeUnit(json, at + 1);
    let end = at + 5;
    if (code >= 0xd800 && code < 0xdc00 && json[end] === backslash && json[end + 1] === 0x75) {
      const low = codeUnit(json, end + 2);
      if (low >= 0xdc00 && low < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        end += 6;
      }
    }
    if (code >= 0xd800 && code < 0xe000) throw new JsonTextError(at, 'a string contains half a character');
    if (code < 0x80) this.byte(code);
    else this.length += this.block.write(String.fromCodePoint(code), this.length, 'utf8');
    return end;
  }

  /** Bytes that are a column's text as they are. */
  text(bytes: Buffer, start: number, end: number): void {
    for (let at = start; at < end; at++) this.byte(bytes[at] ?? 0);
  }

  private byte(byte: number): void {
    const letter = byte === backslash ? backslash : letters.get(byte);
    if (letter !== undefined) this.block[this.length++] = backslash;
    this.block[this.length++] = letter ?? byte;
  }
}

/** Letters, digits and signs: nothing that means something to COPY. */
function isWordByte(byte: number): boolean {
  return (
    (byte >= 0x30 && byte <= 0x39) ||
    (byte >= 0x61 && byte <= 0x7a) ||
    byte === 0x2e || byte === 0x2d || byte === 0x2b || byte === 0x45
  ); // prettier-ignore
}

function codeUnit(json: Buffer, at: number): number {
  const digits = json.toString('latin1', at, at + 4);
  if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw new JsonTextError(at, 'a string contains a wrong escape');
  return Number.parseInt(digits, 16);
}

/** The text of a PostgreSQL array (manual, 8.15.2) with the elements of a JSON list. */
function arrayLiteral(json: Buffer, start: number): string {
  const elements = jsonElements(json, start).map((element) => {
    if (json[element.start] === openBracket) return arrayLiteral(json, element.start);
    const text = json.toString('utf8', element.start, element.end);
    if (text === 'null') return 'NULL';
    const value = text.startsWith('"') ? String(JSON.parse(text)) : text;
    return `"${value.replace(/["\\]/g, '\\$&')}"`;
  });
  return `{${elements.join(',')}}`;
}
