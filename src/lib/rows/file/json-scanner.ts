/** Walks over JSON text as bytes (RFC 8259), so that numbers and keys keep their spelling. */

/** Where text stops being JSON. */
export class JsonTextError extends Error {
  constructor(
    readonly at: number,
    what: string,
  ) {
    super(what);
  }
}

/** Parts of an object as positions in its buffer; the key is without its quotes, escapes not undone. */
export interface JsonMember {
  readonly keyStart: number;
  readonly keyEnd: number;
  readonly valueStart: number;
  readonly valueEnd: number;
}

export const quote = 0x22;
export const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
export const openBrace = 0x7b;
const closeBrace = 0x7d;
export const openBracket = 0x5b;
const closeBracket = 0x5d;
const minus = 0x2d;

/** The bytes that JSON's one-letter escapes stand for. */
export const jsonEscapes: ReadonlyMap<number, number> = new Map([[0x22, 0x22], [0x5c, 0x5c], [0x2f, 0x2f], [0x62, 0x08], [0x66, 0x0c], [0x6e, 0x0a], [0x72, 0x0d], [0x74, 0x09]]); // prettier-ignore

function isJsonSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

export function skipSpace(text: Buffer, from: number): number {
  let at = from;
  while (isJsonSpace(text[at])) at += 1;
  return at;
}

/**
 * The members of the object that starts at `from`, in order; their values are checked to be JSON.
 * @throws JsonTextError
 */
export function jsonMembers(text: Buffer, from: number): {members: JsonMember[]; end: number} {
  if (text[from] !== openBrace) throw new JsonTextError(from, 'an object was expected');
  const members: JsonMember[] = [];
  let at = skipSpace(text, from + 1);
  if (text[at] === closeBrace) return {members, end: at + 1};
  for (;;) {
    const keyEnd = skipString(text, at);
    const separator = skipSpace(text, keyEnd);
    if (text[separator] !== colon) throw new JsonTextError(separator, 'a colon was expected');
    const valueStart = skipSpace(text, separator + 1);
    const valueEnd = skipJsonValue(text, valueStart);
    members.push({keyStart: at + 1, keyEnd: keyEnd - 1, valueStart, valueEnd});
    at = skipSpace(text, valueEnd);
    if (text[at] === closeBrace) return {members, end: at + 1};
    if (text[at] !== comma) throw new JsonTextError(at, 'a comma or } was expected');
    at = skipSpace(text, at + 1);
  }
}

/** The member's key with its escapes undone. */
export function memberName(text: Buffer, member: JsonMember): string {
  const raw = text.toString('utf8', member.keyStart, member.keyEnd);
  return raw.includes('\\') ? String(JSON.parse(`"${raw}"`)) : raw;
}

/** Start and end of each element of the array that starts at `from`. @throws JsonTextError */
export function jsonElements(text: Buffer, from: number): {start: number; end: number}[] {
  if (text[from] !== openBracket) throw new JsonTextError(from, 'an array was expected');
  const elements: {start: number; end: number}[] = [];
  let at = skipSpace(text, from + 1);
  if (text[at] === closeBracket) return elements;
  for (;;) {
    const end = skipJsonValue(text, at);
    elements.push({start: at, end});
    at = skipSpace(text, end);
    if (text[at] === closeBracket) return elements;
    if (text[at] !== comma) throw new JsonTextError(at, 'a comma or ] was expected');
    at = skipSpace(text, at + 1);
  }
}

/**
 * The position after the value that starts at `from`. Nesting is kept in a list, so that no depth overflows the stack.
 * @throws JsonTextError
 */
export function skipJsonValue(text: Buffer, from: number): number {
  const open: number[] = [];
  let at = from;
  for (;;) {
    // At the start of a value.
    const byte = text[at];
    if (byte === openBrace || byte === openBracket) {
      const close = byte === openBrace ? closeBrace : closeBracket;
      const inside = skipSpace(text, at + 1);
      if (text[inside] !== close) {
        open.push(close);
        at = byte === openBrace ? skipKey(text, inside) : inside;
        continue;
      }
      at = inside + 1;
    } else {
      at = skipScalar(text, at);
    }
    // After a value: close what ends here, or go on to the next value.
    for (;;) {
      const close = open.at(-1);
      if (close === undefined) return at;
      at = skipSpace(text, at);
      if (text[at] === close) {
        open.pop();
        at += 1;
      } else if (text[at] === comma) {
        const next = skipSpace(text, at + 1);
        at = close === closeBrace ? skipKey(text, next) : next;
        break;
      } else {
        throw new JsonTextError(at, 'a comma or the end of an object or array was expected');
      }
    }
  }
}

/** From a key to the start of its value. */
function skipKey(text: Buffer, from: number): number {
  const at = skipSpace(text, skipString(text, from));
  if (text[at] !== colon) throw new JsonTextError(at, 'a colon was expected');
  return skipSpace(text, at + 1);
}

function skipScalar(text: Buffer, at: number): number {
  const byte = text[at];
  if (byte === quote) return skipString(text, at);
  for (const word of words) {
    if (
      byte === word[0] &&
      text.compare(word, 0, word.length, at, Math.min(at + word.length, text.length)) === 0
    ) {
      return at + word.length;
    }
  }
  return skipNumber(text, at);
}

const words = [Buffer.from('true'), Buffer.from('false'), Buffer.from('null')];

function skipNumber(text: Buffer, from: number): number {
  let at = text[from] === minus ? from + 1 : from;
  const digits = (): void => {
    const start = at;
    while (isDigit(text[at])) at += 1;
    if (at === start) throw new JsonTextError(at, 'a value was expected');
  };
  if (text[at] === 0x30) at += 1;
  else digits();
  if (text[at] === 0x2e) {
    at += 1;
    digits();
  }
  if (text[at] === 0x65 || text[at] === 0x45) {
    at += 1;
    if (text[at] === 0x2b || text[at] === minus) at += 1;
    digits();
  }
  return at;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

function skipString(text: Buffer, from: number): number {
  if (text[from] !== quote) throw new JsonTextError(from, 'a string was expected');
  for (let at = from + 1; at < text.length; at += 1) {
    const byte = text[at] ?? 0;
    if (byte === quote) return at + 1;
    if (byte < 0x20) throw new JsonTextError(at, 'a string contains a control character');
    if (byte === backslash) {
      at += 1;
      if (text[at] === 0x75) {
        if (!/^[0-9a-fA-F]{4}$/.test(text.toString('latin1', at + 1, at + 5))) {
          throw new JsonTextError(at, 'a string contains a wrong escape');
        }
        at += 4;
      } else if (!jsonEscapes.has(text[at] ?? 0)) {
        throw new JsonTextError(at, 'a string contains a wrong escape');
      }
    }
  }
  throw new JsonTextError(text.length, 'a string does not end');
}
