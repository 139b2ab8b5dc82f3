/** COPY reads the text that is in the JSON. */
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {type ColumnForm, CopyText} from '../../../../src/lib/rows/staging/copy-text.js';
import {JsonTextError} from '../../../../src/lib/rows/file/json-scanner.js';

/** The line that one value becomes, and where the reader stood after it. */
function copied(json: string, form: ColumnForm = 'text'): {line: string; end: number} {
  const bytes = Buffer.from(`${json},`);
  const copy = new CopyText();
  copy.begin(7);
  copy.reserve(bytes.length, 1);
  const end = copy.value(bytes, 0, form);
  copy.endRow();
  return {line: Buffer.concat(copy.take()).toString(), end};
}

const letters: Readonly<Record<string, string>> = {
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
};

/** Reads a line as COPY does: columns apart by tabs, \N for NULL, a backslash and a letter for what would end them. */
function columnsOf(line: string): (string | null)[] {
  expect(line.endsWith('\n')).toBe(true);
  expect(line.slice(0, -1)).not.toMatch(/[\n\r]/);
  return line
    .slice(0, -1)
    .split('\t')
    .map((field) =>
      field === '\\N' ? null : field.replace(/\\(.)/gs, (_, letter: string) => letters[letter] ?? letter),
    );
}

/** As other writers than JSON.stringify might put it. */
function escapedAll(text: string): string {
  return `"${[...Array(text.length).keys()].map((at) => `\\u${text.charCodeAt(at).toString(16).padStart(4, '0')}`).join('')}"`;
}

describe('a JSON value as the text of a column', () => {
  it('is the string that it stands for, however it is escaped', () => {
    const text = fc.string({unit: 'binary'}).map((value) => value.replaceAll('\0', ''));
    fc.assert(
      fc.property(text, (value) => {
        for (const json of [JSON.stringify(value), escapedAll(value)]) {
          const {line, end} = copied(json);
          expect(columnsOf(line)).toEqual(['7', value]);
          expect(end).toBe(Buffer.byteLength(json));
        }
      }),
      {numRuns: 500},
    );
  });

  it('has room for a list of objects, whose quotes and backslashes are escaped twice', () => {
    const object = JSON.stringify({a: '\\'.repeat(100_000)});
    const escaped = object.replace(/["\\]/g, '\\$&');
    expect(columnsOf(copied(`[${object}]`, 'array').line)).toEqual(['7', `{"${escaped}"}`]);
  });

  it.each(['"\\N"', '"\\\\."', '"\\\\N"', '"a\\/b"', '"\\u001f\\u007f\\ud83e\\udd5f🥟"'])(
    'keeps %s, which means something to COPY or to JSON',
    (json) => {
      if (json === '"\\N"') expect(() => copied(json)).toThrow(JsonTextError);
      else expect(columnsOf(copied(json).line)).toEqual(['7', JSON.parse(json)]);
    },
  );

  it.each(['0', '-1.10', '1e400', '9007199254740993', '12E+7', 'true', 'false'])(
    'spells %s as it was',
    (json) => {
      expect(copied(json)).toEqual({line: `7\t${json}\n`, end: json.length});
    },
  );

  it('is NULL for null, and not for the word', () => {
    expect(copied('null').line).toBe('7\t\\N\n');
    expect(columnsOf(copied('"null"').line)).toEqual(['7', 'null']);
  });

  it('stays JSON for a column of JSON', () => {
    const json = '{"a": "b\\\\c\\n", "n": [1.10, null]}';
    expect(columnsOf(copied(json, 'json').line)).toEqual(['7', json]);
    expect(columnsOf(copied('"text"', 'json').line)).toEqual(['7', '"text"']);
    expect(columnsOf(copied('"\\u0041"', 'json').line)).toEqual(['7', '"\\u0041"']);
    expect(copied('null', 'json').line).toBe('7\t\\N\n');
  });

  it('becomes an array where it is a list', () => {
    const json = '["a\\"b\\\\", null, "null", [1.10, 2], "ñ\\n"]';
    expect(columnsOf(copied(json, 'array').line)).toEqual([
      '7',
      '{"a\\"b\\\\",NULL,"null",{"1.10","2"},"ñ\n"}',
    ]);
    expect(columnsOf(copied('"{1,2}"', 'array').line)).toEqual(['7', '{1,2}']);
  });

  it.each(['"open', '"a\nb"', '"\\x"', '"\\u12g4"', '"\\ud800"', '"\\ud800\\u0041"', '\\', ''])(
    'refuses %j',
    (json) => {
      expect(() => copied(json)).toThrow(JsonTextError);
    },
  );

  it('fits into its block, however short and however long rows are', () => {
    const copy = new CopyText();
    const rows = Array.from({length: 3000}, (_, index) => JSON.stringify('\n"\\x'.repeat(index % 400)));
    const lines: string[] = [];
    for (const [index, json] of rows.entries()) {
      const bytes = Buffer.from(json);
      copy.begin(index);
      copy.reserve(2 * bytes.length, 3);
      copy.value(bytes, 0, 'text');
      copy.null();
      copy.tab();
      copy.text(bytes, 0, bytes.length);
      copy.endRow();
      if (index % 700 === 0) lines.push(Buffer.concat(copy.take()).toString());
    }
    lines.push(Buffer.concat(copy.take()).toString());
    const found = lines
      .join('')
      .split('\n')
      .slice(0, -1)
      .map((line) => columnsOf(`${line}\n`));
    expect(found).toEqual(rows.map((json, index) => [String(index), JSON.parse(json) as string, null, json]));
  });
});
