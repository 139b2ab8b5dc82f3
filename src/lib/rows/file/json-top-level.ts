/** Cuts one big JSON object into its members, and their arrays into elements, while it streams in. */
import {backslash, isJsonSpace, JsonTextError, quote} from './json-scanner.js';

/** Takes the parts; each buffer is one complete value's text, not yet checked to be JSON. */
export interface TopLevelTaker {
  /** A member's value that is no array, or undefined where an array begins. */
  member(key: string, value: Buffer | undefined, at: number): void;
  /** An element of the array of the member `key`; `at` is its position in the file, in bytes. */
  element(key: string, value: Buffer, at: number): void;
}

type State =
  | 'start'
  | 'key or end'
  | 'key'
  | 'colon'
  | 'value'
  | 'element or end'
  | 'element'
  | 'after element'
  | 'after value'
  | 'end';

/** A single value of more than this is not held in memory; PostgreSQL's limit for one is 1 GB. */
const valueLimitBytes = 512 * 1024 * 1024;

/**
 * `feed` takes the text in pieces of any size; `finish` tells that it is complete.
 * Memory is bounded by the longest value. @throws JsonTextError with the position in the whole text
 */
export class TopLevelSplitter {
  private state: State = 'start';
  private key = '';
  /** Position in the file of the current piece's first byte. */
  private offset = 0;
  private pieces: Buffer[] = [];
  private pieceBytes = 0;
  private valueAt = 0;
  private depth = 0;
  private isInString = false;
  private isEscaped = false;
  private isCollecting = false;

  constructor(private readonly taker: TopLevelTaker) {}

  feed(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.isCollecting) {
        const end = this.endOfValue(chunk, at);
        this.pieces.push(chunk.subarray(at, end ?? chunk.length));
        this.pieceBytes += (end ?? chunk.length) - at;
        if (this.pieceBytes > valueLimitBytes) throw new JsonTextError(this.valueAt, 'a value is too long');
        if (end === undefined) break;
        at = end;
        this.complete();
      } else {
        const byte = chunk[at];
        if (isJsonSpace(byte)) at += 1;
        else at = this.structure(byte ?? 0, at);
      }
    }
    this.offset += chunk.length;
  }

  finish(): void {
    if (this.state !== 'end') throw new JsonTextError(this.offset, 'the file ends too early');
  }

  /** One byte between values; returns the position to go on from. */
  private structure(byte: number, at: number): number {
    const character = String.fromCharCode(byte);
    switch (this.state) {
      case 'start':
        if (character !== '{') break;
        this.state = 'key or end';
        return at + 1;
      case 'key or end':
      case 'key':
        if (character === '}' && this.state === 'key or end') {
          this.state = 'end';
          return at + 1;
        }
        if (byte !== quote) break;
        return this.begin(at);
      case 'colon':
        if (character !== ':') break;
        this.state = 'value';
        return at + 1;
      case 'value':
        if (character !== '[') return this.begin(at);
        this.taker.member(this.key, undefined, this.offset + at);
        this.state = 'element or end';
        return at + 1;
      case 'element or end':
      case 'element':
        if (character === ']' && this.state === 'element or end') {
          this.state = 'after value';
          return at + 1;
        }
        return this.begin(at);
      case 'after element':
        if (character !== ',' && character !== ']') break;
        this.state = character === ',' ? 'element' : 'after value';
        return at + 1;
      case 'after value':
        if (character !== ',' && character !== '}') break;
        this.state = character === ',' ? 'key' : 'end';
        return at + 1;
      case 'end':
        throw new JsonTextError(this.offset + at, 'something follows after the end');
    }
    throw new JsonTextError(this.offset + at, `"${character}" stands where it may not (${this.state})`);
  }

  private begin(at: number): number {
    this.isCollecting = true;
    this.valueAt = this.offset + at;
    this.pieces = [];
    this.pieceBytes = 0;
    this.depth = 0;
    return at;
  }

  /** The position after the value being collected, or undefined when it goes on in the next piece. */
  private endOfValue(chunk: Buffer, from: number): number | undefined {
    let {depth, isInString, isEscaped} = this;
    let at = from;
    let end: number | undefined;
    for (; at < chunk.length && end === undefined; at += 1) {
      const byte = chunk[at];
      if (isInString) {
        if (isEscaped) isEscaped = false;
        else if (byte === backslash) isEscaped = true;
        else if (byte === quote) {
          isInString = false;
          if (depth === 0) end = at + 1;
        }
      } else if (byte === quote) {
        isInString = true;
      } else if (byte === 0x7b || byte === 0x5b) {
        depth += 1;
      } else if (byte === 0x7d || byte === 0x5d) {
        // A closing bracket at depth 0 ends a number or a word that stands before it.
        if (depth === 0) end = at;
        else if (depth === 1) end = at + 1;
        depth -= 1;
      } else if (depth === 0 && (byte === 0x2c || isJsonSpace(byte))) {
        end = at;
      }
    }
    this.depth = depth;
    this.isInString = isInString;
    this.isEscaped = isEscaped;
    return end;
  }

  private complete(): void {
    const value = this.pieces.length === 1 && this.pieces[0] ? this.pieces[0] : Buffer.concat(this.pieces);
    this.pieces = [];
    this.isCollecting = false;
    switch (this.state) {
      case 'key or end':
      case 'key':
        this.key = parseKey(value, this.valueAt);
        this.state = 'colon';
        return;
      case 'value':
        this.taker.member(this.key, value, this.valueAt);
        this.state = 'after value';
        return;
      default:
        if (value.length === 0) throw new JsonTextError(this.valueAt, 'a value was expected');
        this.taker.element(this.key, value, this.valueAt);
        this.state = 'after element';
    }
  }
}

function parseKey(text: Buffer, at: number): string {
  try {
    return String(JSON.parse(text.toString('utf8')));
  } catch {
    throw new JsonTextError(at, 'a key is no JSON string');
  }
}
