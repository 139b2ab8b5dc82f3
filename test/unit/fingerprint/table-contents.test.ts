import {expect, it} from 'vitest';
import {CopyStream} from '../../../src/lib/dump/sql/copy-stream.js';
import {type DumpContents, joinContents} from '../../../src/lib/fingerprint/table-contents.js';

function read(...blocks: string[]): DumpContents {
  const stream = new CopyStream(true);
  stream.write(Buffer.from([...blocks, '--\n-- PostgreSQL database dump complete\n--\n'].join('')));
  return stream.end();
}
const rows = (table: string, ...values: string[]): string =>
  `COPY public.${table} (a) FROM stdin;\n${values.map((value) => `${value}\n`).join('')}\\.\n`;
const object = (oid: number): string =>
  `SELECT pg_catalog.lo_open('${oid}', 131072);\nSELECT pg_catalog.lowrite(0, '\\x6162');\nSELECT pg_catalog.lo_close(0);\n`;

it('merges the parts of a dump like a single read, including tables and large objects in several parts', () => {
  const [first, second] = [
    [rows('b', 'one', 'two'), object(7)],
    [rows('a', 'x'), rows('b', 'three', 'one'), object(8), object(9)],
  ];
  const whole = read(...first, ...second);
  expect(whole.tables.map(({name, rows: count}) => [name, count])).toEqual([
    ['a', 1],
    ['b', 4],
    ['pg_largeobject', 3],
  ]);
  expect(joinContents([read(...first), read(...second)]).tables).toEqual(whole.tables);
});
