import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {CopyStream} from '../../../../src/lib/dump/sql/copy-stream.js';
import type {DumpContents} from '../../../../src/lib/fingerprint/table-contents.js';
import {createRowHashSum, fingerprintText} from '../../../../src/lib/fingerprint/row-hash.js';

const key = 'Ab1cD2';
const head = `--\n-- PostgreSQL database dump\n--\n\n\\restrict ${key}\n\nSET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\n\n`;
const tail = `--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict ${key}\n\n`;

/** Reads a whole text, in chunks of the given lengths, repeatedly. */
function read(text: string | Buffer, chunkLengths: readonly number[] = [1 << 20]): DumpContents {
  const bytes = Buffer.from(text as string);
  const stream = new CopyStream(true);
  let start = 0;
  for (let index = 0; start < bytes.length; index++) {
    const end = start + Math.max(1, chunkLengths[index % chunkLengths.length] ?? 1);
    // A separate buffer, wiped afterwards: the reader must not keep it.
    const chunk = Buffer.from(bytes.subarray(start, end));
    stream.write(chunk);
    chunk.fill(0x21);
    start = end;
  }
  return stream.end();
}

const dump = (body: string): string => head + body + tail;
const namesIn = (contents: DumpContents): string[] =>
  contents.tables.map(({schema, name}) => `${schema}.${name}`);

function fingerprintOf(...rows: string[]): string {
  const sum = createRowHashSum();
  for (const row of rows) sum.add(Buffer.from(row), 0, Buffer.byteLength(row));
  return fingerprintText(sum);
}

/** A dump with everything that can mislead a reader. */
const hostile = dump(`
CREATE FUNCTION public.f() RETURNS text LANGUAGE sql AS $_$ SELECT $$
COPY public.fake (a) FROM stdin;
1
\\.
\\! rm -rf /
$$ $_$;
COMMENT ON TABLE public.t IS 'it''s
COPY public.fake (a) FROM stdin;
\\.
-- PostgreSQL database dump complete
';
CREATE VIEW public.v AS SELECT 'a\\' AS a, E'b\\'; \\\\' AS b, $1 AS not_a_quote, a$b$c FROM t; -- a 'quote and $$ in a comment
/* a comment /* nested */ ' " $$ \\. */
CREATE TABLE public."T (a, b) FROM stdin;
x" ("c,""1" integer, "d) FROM stdin;" text);

COPY public.t (a, b) FROM stdin;
1\tone
2\t\\\\.
\\N\t\\N
\\\\.
\\.


COPY public."T (a, b) FROM stdin;
x" ("c,""1", "d) FROM stdin;") FROM stdin;
\\N

\\.


COPY public.nothing (a) FROM stdin;
\\.


COPY public.no_columns  FROM stdin;


\\.


COPY public."ñ 日本" ("ñ日本🥟") FROM stdin;
-- PostgreSQL database dump complete
COPY public.fake (a) FROM stdin;
\\.


INSERT INTO public.inserted VALUES (1, 'text; with \\ and ''
\\.
');
SELECT pg_catalog.lo_open('16390', 131072);
SELECT pg_catalog.lowrite(0, '\\x00ff');
SELECT pg_catalog.lowrite(0, '\\x27');
SELECT pg_catalog.lo_close(0);
SELECT pg_catalog.lo_open('16391', 131072);
SELECT pg_catalog.lo_close(0);
SELECT pg_catalog.setval('public."it''s"', 9223372036854775807, true);
CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA public;
REFRESH MATERIALIZED VIEW public."m.v";
ALTER TABLE ONLY public.t
    ADD CONSTRAINT "later; on" CHECK ((a > 0)) NOT VALID;
`);

describe('reading the text of a dump', () => {
  it('finds the tables, rows and large objects among similar text', () => {
    const contents = read(hostile);
    expect(contents.tables).toEqual([
      {
        schema: 'public',
        name: 'T (a, b) FROM stdin;\nx',
        columns: ['c,"1', 'd) FROM stdin;'],
        rows: 2,
        fingerprint: fingerprintOf('\\N', ''),
      },
      {schema: 'public', name: 'no_columns', columns: [], rows: 2, fingerprint: fingerprintOf('', '')},
      {schema: 'public', name: 'nothing', columns: ['a'], rows: 0, fingerprint: fingerprintOf()},
      {
        schema: 'public',
        name: 't',
        columns: ['a', 'b'],
        rows: 4,
        fingerprint: fingerprintOf('1\tone', '2\t\\\\.', '\\N\t\\N', '\\\\.'),
      },
      {
        schema: 'public',
        name: 'ñ 日本',
        columns: ['ñ日本🥟'],
        rows: 2,
        fingerprint: fingerprintOf(
          '-- PostgreSQL database dump complete',
          'COPY public.fake (a) FROM stdin;',
        ),
      },
      {
        schema: 'pg_catalog',
        name: 'pg_largeobject',
        columns: ['loid', 'data'],
        rows: 2,
        fingerprint: fingerprintOf('16390\t\\\\x00ff27', '16391\t\\\\x'),
      },
    ]);
    expect(contents).toMatchObject({
      refreshedViews: [{schema: 'public', name: 'm.v'}],
      sequences: [{schema: 'public', name: "it's", lastValue: '9223372036854775807', isCalled: true}],
      textBytes: Buffer.byteLength(hostile),
    });
  });

  it('returns the same for all divisions into chunks', () => {
    const whole = read(hostile);
    for (let length = 1; length < 40; length++) expect(read(hostile, [length])).toEqual(whole);
    fc.assert(
      fc.property(fc.array(fc.integer({min: 1, max: 200}), {minLength: 1, maxLength: 20}), (lengths) => {
        expect(read(hostile, lengths)).toEqual(whole);
      }),
    );
  });

  it('reads all quoted names, literals and rows that a server can write', () => {
    const text = fc.string({
      unit: fc.constantFrom(
        'a',
        '"',
        "'",
        '$',
        '\\',
        ';',
        '-',
        '/',
        '*',
        ' ',
        '\n',
        '(',
        ')',
        ',',
        '.',
        'é',
        'E',
        '\t',
      ),
      maxLength: 30,
    });
    const name = text.filter((value) => value !== '');
    fc.assert(
      fc.property(
        name,
        name,
        name,
        text,
        fc.array(text, {maxLength: 5}),
        fc.integer({min: 1, max: 50}),
        (schema, table, column, literal, values, length) => {
          const quote = (value: string): string => `"${value.replaceAll('"', '""')}"`;
          const escape = (value: string): string =>
            value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\t', '\\t');
          const rows = values.map(escape);
          const body =
            `COMMENT ON TABLE ${quote(table)} IS '${literal.replaceAll("'", "''")}';\nSELECT E'${literal.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}';\n` +
            `SELECT $tag$${literal}$tag$;\n` +
            `COPY ${quote(schema)}.${quote(table)} (${quote(column)}) FROM stdin;\n${rows.map((row) => `${row}\n`).join('')}\\.\n\n`;
          expect(read(dump(body), [length]).tables).toEqual([
            {schema, name: table, columns: [column], rows: rows.length, fingerprint: fingerprintOf(...rows)},
          ]);
        },
      ),
    );
  });

  it('reads rows and lines of megabytes in arbitrary chunks', () => {
    const row = `1\t${'x'.repeat(3_000_000)}`;
    const body = `COMMENT ON TABLE t IS '${"'';\\".repeat(700_000)}'; COMMENT ON TABLE u IS $q$${'$q '.repeat(700_000)}$q$;\nCOPY public.t (a, b) FROM stdin;\n${row}\n\\.\n`;
    const whole = read(dump(body));
    expect(whole.tables).toMatchObject([{rows: 1, fingerprint: fingerprintOf(row)}]);
    for (const length of [65_536, 1_000_003]) expect(read(dump(body), [length])).toEqual(whole);
  });

  it('recognises a quote although the line before it was read in pieces', () => {
    const body = `SELECT ${"E'\\'',a$b$,".repeat(110_000)} 1;\nCOPY public.t (a) FROM stdin;\n1\n\\.\n`;
    for (let length = 1000; length < 1012; length++)
      expect(namesIn(read(dump(body), [length]))).toEqual(['public.t']);
  });

  it('treats a backslash in literals as an escape if standard_conforming_strings is off', () => {
    const body = `SET standard_conforming_strings = off;\nCOMMENT ON TABLE t IS 'it\\'s; \\\\';\nCOPY public.t (a) FROM stdin;\n1\n\\.\n`;
    expect(namesIn(read(dump(body)))).toEqual(['public.t']);
  });

  it('reads names in the encoding of the dump', () => {
    const body = dump(`SET client_encoding = 'LATIN1';\nCOPY public."Größe" ("ß") FROM stdin;\nä\n\\.\n`);
    const contents = read(Buffer.from(body, 'latin1'));
    expect(contents.tables).toMatchObject([{name: 'Größe', columns: ['ß'], rows: 1}]);
  });

  it('adds up blocks of the same table', () => {
    const block = (rows: string): string => `COPY public.t (a) FROM stdin;\n${rows}\\.\n\n`;
    expect(read(dump(block('1\n2\n') + block('3\n'))).tables).toMatchObject([
      {rows: 3, fingerprint: fingerprintOf('3', '2', '1')},
    ]);
  });

  it('only counts rows if no fingerprints are requested', () => {
    const stream = new CopyStream(false);
    stream.write(Buffer.from(hostile));
    expect(stream.end().tables.map(({rows, fingerprint}) => [rows, fingerprint])).toEqual([
      [2, null], [2, null], [0, null], [4, null], [2, null], [2, null],
    ]); // prettier-ignore
  });
});

describe('refusing the text of a dump', () => {
  /** Dumps in which psql would run a command that a simple reader takes for quoted text, a comment or a row. */
  it.each([
    ['a comment that a carriage return ends', '-- a\r\\! id\n'],
    ['rows that a carriage return ends', 'COPY public.t (a) FROM stdin;\n\\.\r\n\\! id\n\\.\n'],
    ['a COPY in parentheses', 'SELECT (1;\nCOPY public.t (a) FROM stdin;\n\\! id\n\\.\n'],
    [
      "a COPY in a function's body",
      'CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1;\nCOPY public.t (a) FROM stdin;\n\\! id\n\\.\nEND;\n',
    ],
    [
      'a COPY in CASE in a body',
      'CREATE PROCEDURE p() BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END;\nCOPY public.t (a) FROM stdin;\n\\! id\n\\.\nEND;\n',
    ],
    ['a NUL', "SELECT 'a\0'\n\\! id\n';\n"],
    ['a literal that goes on in the next line', "SELECT E'a'\n'\\'\n\\! id\n';\n"],
    ['a literal that goes on behind a comment', "SELECT E'a' -- b\n'\\'\n\\! id\n';\n"],
    ['a quote behind a parameter', 'SELECT $1$x$ , $x$\n\\! id\n$x$;\n'],
    ['a quote behind a number', 'SELECT 1$x$ , $x$\n\\! id\n$x$;\n'],
    ['a literal behind a number', "SELECT 1E'\\'\n\\! id\n';\n"],
    [
      'an encoding with backslashes in characters',
      "SET client_encoding = 'SJIS';\nSELECT E'\u0081\\'\n\\! id\n';\n",
    ],
    ['such an encoding in other words', "SET NAMES 'SJIS';\n"],
    [
      'backslashes that begin to count',
      "SET LOCAL standard_conforming_strings TO off;\nSELECT 'a\\', '\n\\! id\n';\n",
    ],
    ['the same in quotes', 'SET "standard_conforming_strings" TO off;\n'],
    // psql ends a variable's name before a "$", so that a dollar quote begins there.
    ['a dollar quote behind what psql takes for a variable', "SELECT 'a':a$x$ $x$\n\\! id\n$x$;\n"],
    ['a literal behind what psql takes for a variable', "SELECT :e'\\'\n\\! id\n';\n"],
    ['such a variable behind a cast', 'SELECT 1:::a$x$ $x$\n\\! id\n$x$;\n'],
    ['a variable of psql that another one chose', 'SELECT :DBNAME;\n'],
  ])('refuses %s, in pieces of any length', (_what, text) => {
    for (const length of [1, 2, 3, 5, 7, 64, 1 << 20]) {
      const bytes = Buffer.from(dump(text), 'latin1');
      expect(() => read(bytes, [length]), `pieces of ${length}`).toThrow(
        expect.objectContaining({code: 'UNSAFE_DUMP'}) as Error,
      );
    }
  });

  it.each([
    ['a cast to a type with a dollar', 'SELECT 1::a$x$;\n'],
    ['slices of arrays', "SELECT a[1:b], a[1:CASE WHEN c THEN 2 END], a[b::int:c], 'x:e'':a$x$';\n"],
    ['a colon and a name apart', 'SELECT a[1: b$x$];\n'],
  ])('accepts %s, in pieces of any length', (_what, text) => {
    for (const length of [1, 2, 3, 64, 1 << 20]) expect(() => read(dump(text), [length])).not.toThrow();
  });

  it('refuses quotes and words at the ends of overlong lines that are longer than any name', () => {
    const filler = `SELECT ${'1,'.repeat(600_000)}`;
    for (const hiding of [
      `$${'a'.repeat(200)}$ $${'a'.repeat(200)}$\n\\! id\n`,
      `${'a'.repeat(200)}e'\\'\n\\! id\n`,
    ]) {
      for (let shift = 0; shift < 330; shift += 30) {
        const text = dump(`${filler.slice(0, (1 << 20) + 20 - shift)}1, ${hiding}`);
        expect(() => read(text, [1 << 16])).toThrow(expect.objectContaining({code: 'UNSAFE_DUMP'}) as Error);
      }
    }
  }, 120_000);

  const table = 'COPY public.t (a) FROM stdin;\n1\n2\n\\.\n\n';

  it.each([
    ['among rows', `${head}COPY public.t (a) FROM stdin;\n1\n`, /within the rows of public\.t/],
    ['right before the end of the rows', `${head}COPY public.t (a) FROM stdin;\n1\n\\.`, /within the rows/],
    ['before its closing line', head + table, /closing line/],
    ['inside the closing line', `${head}${table}--\n-- PostgreSQL database dump comp`, /closing line/],
    ['before \\unrestrict', `${head}${table}--\n-- PostgreSQL database dump complete\n--\n\n`, /unrestrict/],
    [
      'inside \\unrestrict',
      `${head}${table}--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict Ab`,
      /unrestrict/,
    ],
    ['inside a literal', `${head}COMMENT ON TABLE t IS 'x\n${tail}`, /closing line/],
    ['inside a dollar quote', `${head}SELECT $x$ \n${tail}`, /closing line/],
  ])('reports an incomplete dump that ends %s', (_where, text, message) => {
    expect(() => read(text)).toThrow(message);
  });

  it('accepts a dump without the restrict pair, as older versions of pg_dump write it', () => {
    const old = head.replace(/\\restrict.*\n/, '') + table + tail.replace(/\\unrestrict.*\n/, '');
    expect(namesIn(read(old))).toEqual(['public.t']);
  });

  it.each([
    ['a command at the start of a line', '\\! touch /tmp/x\n'],
    ['a command behind a statement', 'SELECT 1; \\! touch /tmp/x\n'],
    ['a command inside a statement', 'SELECT 1\n\\gexec\n'],
    ['an include', '\\i other.sql\n'],
    ['a connect', '\\connect other\n'],
    ['a second restrict', '\\restrict other\n'],
    ['an early unrestrict', `\\unrestrict ${key}\n`],
    ['a command behind a literal with an escaped quote', "SELECT E'\\''; \\! touch /tmp/x\n"],
    ['a command behind rows', 'COPY public.t (a) FROM stdin;\n1\n\\.\n\\! touch /tmp/x\n'],
    [
      'rows of another form of COPY',
      "copy public.t from stdin with (format csv);\n'\n\\.\n\\! touch /tmp/x\n",
    ],
    ['COPY with more in its line', "COPY public.t (a) FROM stdin; SELECT 'x\n\\.\n"],
    ['COPY to a program', "COPY public.t (a) TO PROGRAM 'rm';\n"],
  ])('refuses %s', (_what, body) => {
    expect(() => read(dump(body), [7])).toThrow(expect.objectContaining({code: 'UNSAFE_DUMP'}));
  });

  it('names --create for the lines that pg_dump writes with it alone', () => {
    const ofCreate = expect.objectContaining({hint: expect.stringContaining('--create') as string}) as object;
    for (const line of [`\\unrestrict ${key}\n`, '\\connect shop\n'])
      expect(() => read(dump(line), [7])).toThrow(ofCreate);
    expect(() => read(dump('\\unrestrict other\n'), [7])).not.toThrow(ofCreate);
  });

  it('refuses statements and text after the closing line', () => {
    const text = dump(table);
    for (const more of ['DROP TABLE t;\n', 'garbage', '\\unrestrict other\n', '\0\0\0']) {
      expect(() => read(text + more)).toThrow(/after its closing line|psql command|NUL byte/);
    }
  });
});

/** Used memory after a garbage collection. */
function heldBytes(of: 'arrayBuffers' | 'heapUsed'): number {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  collectGarbage();
  return process.memoryUsage()[of];
}

it('keeps no rows of a table that was read, even with many tables', () => {
  const stream = new CopyStream(true);
  stream.write(Buffer.from(head));
  const before = heldBytes('arrayBuffers');
  for (let index = 0; index < 200; index++)
    stream.write(Buffer.from(`COPY public.t${index} (a) FROM stdin;\n${'x'.repeat(1 << 18)}\n\\.\n\n`));
  expect(heldBytes('arrayBuffers') - before).toBeLessThan(10 << 20);
  stream.write(Buffer.from(tail));
  expect(stream.end().tables).toHaveLength(200);
});

it('keeps little more of a table than its name, columns and fingerprint', () => {
  const stream = new CopyStream(true);
  stream.write(Buffer.from(head));
  const before = heldBytes('heapUsed');
  for (let index = 0; index < 10_000; index++)
    stream.write(Buffer.from(`COPY public.t${index} (id, name) FROM stdin;\n${index}\tname\n\\.\n\n`));
  expect((heldBytes('heapUsed') - before) / 10_000).toBeLessThan(750);
  stream.write(Buffer.from(tail));
  expect(stream.end().tables).toHaveLength(10_000);
});
