/** Big JSON is cut into the values that JSON.parse would see, whatever the pieces it arrives in; nothing else is accepted. */
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {
  JsonTextError,
  jsonElements,
  jsonMembers,
  skipJsonValue,
} from '../../../../src/lib/rows/file/json-scanner.js';
import {TopLevelSplitter} from '../../../../src/lib/rows/file/json-top-level.js';

interface Parts {
  members: [string, string | undefined][];
  elements: [string, string, number][];
}

function split(text: Buffer, pieceBytes: number): Parts {
  const parts: Parts = {members: [], elements: []};
  const splitter = new TopLevelSplitter({
    member: (key, value) => void parts.members.push([key, value?.toString()]),
    element: (key, value, at) => void parts.elements.push([key, value.toString(), at]),
  });
  for (let at = 0; at < text.length; at += pieceBytes) splitter.feed(text.subarray(at, at + pieceBytes));
  splitter.finish();
  return parts;
}

const bigObject = fc.dictionary(fc.string(), fc.oneof(fc.jsonValue(), fc.array(fc.jsonValue())), {
  noNullPrototype: true,
});

describe('cutting a big JSON object', () => {
  it('finds every member and every element with its own text', () => {
    fc.assert(
      fc.property(bigObject, fc.nat(3), fc.integer({min: 1, max: 40}), (object, indent, pieceBytes) => {
        const text = Buffer.from(JSON.stringify(object, null, indent));
        const {members, elements} = split(text, pieceBytes);
        expect(members.map(([key]) => key)).toEqual(Object.keys(JSON.parse(text.toString()) as object));
        for (const [key, value] of members) {
          if (value === undefined) {
            const found = elements
              .filter(([name]) => name === key)
              .map(([, element]) => JSON.parse(element) as unknown);
            expect(found).toEqual(JSON.parse(JSON.stringify(object[key])));
          } else {
            expect(JSON.parse(value)).toEqual(JSON.parse(JSON.stringify(object[key])));
          }
        }
        for (const [, element, at] of elements) {
          expect(text.toString('utf8', at, at + Buffer.byteLength(element))).toBe(element);
        }
      }),
    );
  });

  it('accepts values of exactly the texts that JSON.parse accepts', () => {
    const pieces = [
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"',
      '\\',
      ' ',
      '\n',
      'a',
      'u',
      '0',
      '00',
      '1',
      '-',
      '.5',
      'e',
      '+',
      'true',
      'null',
      '"a"',
      '\u0001',
    ];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces), {maxLength: 12}), (words) => {
        const text = words.join('');
        let isJson = true;
        try {
          JSON.parse(text.trim());
        } catch {
          isJson = false;
        }
        const bytes = Buffer.from(text.trim());
        let isAccepted = true;
        try {
          isAccepted = skipJsonValue(bytes, 0) === bytes.length;
        } catch (error) {
          expect(error).toBeInstanceOf(JsonTextError);
          isAccepted = false;
        }
        expect(isAccepted).toBe(isJson);
      }),
      {numRuns: 3000},
    );
  });

  it('ends with an answer on any bytes at all', () => {
    fc.assert(
      fc.property(fc.uint8Array({maxLength: 200}), fc.integer({min: 1, max: 9}), (bytes, pieceBytes) => {
        try {
          split(Buffer.from(bytes), pieceBytes);
        } catch (error) {
          expect(error).toBeInstanceOf(JsonTextError);
        }
      }),
    );
  });

  it('survives nesting that would overflow a stack', () => {
    const deep = Buffer.from('['.repeat(200_000) + ']'.repeat(200_000));
    expect(skipJsonValue(deep, 0)).toBe(deep.length);
    expect(() => skipJsonValue(deep.subarray(0, -1), 0)).toThrow(JsonTextError);
  });

  it('keeps the spelling of numbers, keys and escapes', () => {
    const text = Buffer.from('{"a" : 1.10, "__proto__":{"b":1e400}, "c":[9007199254740993 , "\\u00e9"]}');
    const {members, end} = jsonMembers(text, 0);
    const spell = (start: number, stop: number): string => text.toString('utf8', start, stop);
    expect(
      members.map((each) => [spell(each.keyStart, each.keyEnd), spell(each.valueStart, each.valueEnd)]),
    ).toEqual([
      ['a', '1.10'],
      ['__proto__', '{"b":1e400}'],
      ['c', '[9007199254740993 , "\\u00e9"]'],
    ]);
    expect(end).toBe(text.length);
    const list = members[2]?.valueStart ?? 0;
    expect(jsonElements(text, list).map(({start, end: stop}) => spell(start, stop))).toEqual([
      '9007199254740993',
      '"\\u00e9"',
    ]);
  });
});
