/** JSON is cut into the values that JSON.parse would see; nothing else is accepted. */
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {
  JsonTextError,
  jsonElements,
  jsonMembers,
  memberName,
  skipJsonValue,
} from '../../../../src/lib/rows/file/json-scanner.js';

const bigObject = fc.dictionary(fc.string(), fc.oneof(fc.jsonValue(), fc.array(fc.jsonValue())), {
  noNullPrototype: true,
});

describe('cutting a JSON object', () => {
  it('finds every member and every element with its own text', () => {
    fc.assert(
      fc.property(bigObject, fc.nat(3), (object, indent) => {
        const text = Buffer.from(JSON.stringify(object, null, indent));
        const read = (start: number, end: number): unknown => JSON.parse(text.toString('utf8', start, end));
        const {members, end} = jsonMembers(text, 0);
        expect(end).toBe(text.length);
        expect(members.map((member) => memberName(text, member))).toEqual(
          Object.keys(read(0, end) as object),
        );
        for (const member of members) {
          const expected: unknown = JSON.parse(JSON.stringify(object[memberName(text, member)]));
          expect(read(member.valueStart, member.valueEnd)).toEqual(expected);
          if (!Array.isArray(expected)) continue;
          const elements = jsonElements(text, member.valueStart);
          expect(elements.map((element) => read(element.start, element.end))).toEqual(expected);
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
      fc.property(fc.uint8Array({maxLength: 200}), (bytes) => {
        try {
          jsonMembers(Buffer.concat([Buffer.from('{'), bytes]), 0);
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
