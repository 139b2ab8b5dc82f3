import {createHash} from 'node:crypto';
import {expect, it} from 'vitest';
import {takeRows} from '../../../../src/lib/postgres/take-rows.js';
import {decodeFields, RowShortener, shortKey} from '../../../../src/lib/dump/sql/copy-rows.js';
import {CopyStream} from '../../../../src/lib/dump/sql/copy-stream.js';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** The rows of COPY lines in pieces of one size; each piece is wiped after use. */
function rowsOf(lines: string, size: number): string[] {
  const bytes = Buffer.from(lines);
  const rows: string[] = [];
  const taker = new RowShortener((row) => rows.push(row.toString()));
  for (let at = 0; at < bytes.length; at += size) {
    const piece = Buffer.from(bytes.subarray(at, at + size));
    takeRows(piece, taker);
    piece.fill(0);
  }
  return rows;
}

it('passes rows on unchanged, except values of more than 16 KiB, in any chunks', () => {
  const [short, long] = ['s'.repeat(1 << 14), 'l'.repeat((1 << 14) + 1)];
  const lines = ['1\ta', '', '\t', `${short}\t${short}\t\\N`, `1\t${long}\t2`, long, `\t${long}\t`, '3\t4'];
  const token = `\\(16385 bytes, SHA-256 ${sha256(long)})`;
  const wanted = lines.map((line) => line.replace(long, token));
  for (const size of [7, 16_384, 16_385, 1 << 20])
    expect(rowsOf(lines.map((line) => `${line}\n`).join(''), size)).toEqual(wanted);
  expect(decodeFields(Buffer.from(token), 'UTF8')).toEqual([token.slice(1)]);
});

it('needs no memory for a value of 64 MB', () => {
  const piece = Buffer.alloc(1 << 16, 'x');
  const rows: number[] = [];
  const taker = new RowShortener((row) => rows.push(row.length));
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  for (let pieces = 0; pieces < 1024; pieces++) {
    taker.append(piece, 0, piece.length);
    most = Math.max(most, process.memoryUsage().arrayBuffers - before);
  }
  taker.add(piece, 0, 0);
  expect(rows).toEqual([`\\(${1 << 26} bytes, SHA-256 ${'0'.repeat(64)})`.length]);
  expect(most).toBeLessThan(1 << 25);
});

it('shortens long keys, and keeps them distinct', () => {
  const key = 'k'.repeat(1024);
  expect(shortKey(Buffer.from(key)).toString()).toBe(key);
  const [one, other] = [`${key}1`, `${key}2`].map((each) => shortKey(Buffer.from(each)).toString());
  expect(one).toBe(`${key.slice(0, 256)}\\(1025 bytes, SHA-256 ${sha256(`${key}1`)})`);
  expect(other).not.toBe(one);
});

it('treats only lines after a COPY statement as rows', () => {
  const looks = 'COPY public.other (a) FROM stdin;\n';
  const sql = [
    `CREATE FUNCTION public.f() RETURNS text LANGUAGE plpgsql AS $$\n${looks}$$;`,
    `COMMENT ON TABLE public.t IS '\n${looks}';`,
    'COPY public.t ("a\nb", c) FROM stdin;', '1\t2', looks.trim(), '\\.', '',
    'COPY public.u (a) FROM stdin;', '\\.', `INSERT INTO public.v VALUES ('${'x'.repeat(3 << 20)}\n${looks}');`,
    'COPY public.w (a) FROM stdin;', '3', '\\.', '',
  ].join('\n'); // prettier-ignore
  for (const size of [61, 1 << 16, sql.length]) {
    const rows: string[] = [];
    const stream = new CopyStream(false, ({schema, name, columns}) => {
      return new RowShortener((row) => rows.push(`${schema}.${name}(${columns.join()}): ${row.toString()}`));
    });
    const bytes = Buffer.from(sql);
    for (let at = 0; at < bytes.length; at += size) stream.write(bytes.subarray(at, at + size));
    expect(rows).toEqual(['public.t(a\nb,c): 1\t2', `public.t(a\nb,c): ${looks.trim()}`, 'public.w(a): 3']);
  }
});
