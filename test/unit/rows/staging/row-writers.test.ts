/** Rows become the same text for COPY wherever their JSON is cut. */
import fc from 'fast-check';
import {expect, it} from 'vitest';
import {type ColumnForm, CopyText} from '../../../../src/lib/rows/staging/copy-text.js';
import {LayoutRows, LinkRows, type RowWriter} from '../../../../src/lib/rows/staging/row-writers.js';
import type {StagedField, StagedTable} from '../../../../src/lib/rows/staging/staged-table.js';

const json = fc.oneof(
  fc.string({unit: 'binary'}).map((text) => JSON.stringify(text.replaceAll('\0', '').repeat(3))),
  fc.constantFrom('null', 'true', '-1.10', '9007199254740993', '1e400', `${'7'.repeat(300)}.5`),
  fc.constant('"\\ud83e\\udd5f\\u001f\\/\\n"'),
);
const form = fc.constantFrom<ColumnForm>('text', 'json');
const row = fc.array(fc.record({json, form}), {maxLength: 4});

const fieldsOf = (columns: readonly {form: ColumnForm}[]): StagedField[] =>
  columns.map(({form}, index) => ({name: `"${index}`, column: `c${index}`, form}));
const objectOf = (columns: readonly {json: string}[]): string =>
  `{${columns.map(({json}, index) => `${JSON.stringify(`"${index}`)}:${json}`).join(',')}}`;

/** Of a part, what may have to be seen with what follows it: a column's name, or an escape. */
const longestRest = 16;

/** Hands over a text in parts that end where `cuts` say, each with what was not taken of the one before. */
function copied(writer: RowWriter, text: string, cuts: readonly number[]): string {
  const bytes = Buffer.from(text);
  const copy = new CopyText();
  const taken: Buffer[] = [];
  let start = 0;
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    const end = Math.min(cut, bytes.length);
    start = writer.take(copy, {line: 7, json: bytes.subarray(0, end), start, end, isLast: false});
    if (copy.line === 7) expect(end - start).toBeLessThan(longestRest);
    taken.push(...copy.take().map((block) => Buffer.from(block)));
  }
  // As in a file, something follows.
  const json = Buffer.concat([bytes, Buffer.from('},\n')]);
  expect(writer.take(copy, {line: 7, json, start, end: bytes.length, isLast: true})).toBe(bytes.length);
  copy.endRow();
  return Buffer.concat([...taken, ...copy.take()]).toString();
}

const cuts = fc.array(fc.nat({max: 400}), {maxLength: 6});

it('of rows and of links', () => {
  fc.assert(
    fc.property(row, row, cuts, (key, values, where) => {
      const rows = new LayoutRows(fieldsOf(values));
      expect(copied(rows, objectOf(values), where)).toBe(copied(rows, objectOf(values), []));
      const keyFields = fieldsOf(key.map(() => ({form: 'text'})));
      const links = new LinkRows({keyFields, fields: fieldsOf(values)} as unknown as StagedTable);
      const text = `"key":${objectOf(key)},"values":${objectOf(values)}`;
      expect(copied(links, text, where)).toBe(copied(links, text, []));
    }),
    {numRuns: 300},
  );
});
