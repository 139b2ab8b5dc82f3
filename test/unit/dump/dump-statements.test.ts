import {expect, it} from 'vitest';
import {dumpStatements} from '../../../src/lib/dump/dump-statements.js';

const dump = [
  "SET client_encoding = 'UTF8';",
  '--', '-- Name: public; Type: SCHEMA; Schema: -; Owner: -', '--', '', 'CREATE SCHEMA public;', '',
  '--', '-- Name: notes; Type: TABLE; Schema: public; Owner: shop', '--', '', 'CREATE TABLE public.notes (', '    note text -- kept', ');', '',
  '--', '-- Data for Name: notes; Type: TABLE DATA; Schema: public; Owner: shop', '--', '',
  'COPY public.notes (note) FROM stdin;', '', 'CREATE SCHEMA public;', '-- Name: x; Type: SCHEMA; Schema: -; Owner: -', '\\\\.', 'x\\.', '\\. ', "'", '$$', '\\.', '',
  '--', '-- Data for Name: empty; Type: TABLE DATA; Schema: public; Owner: shop', '--', '', 'COPY public.empty (note) FROM stdin;', '\\.', '',
  '--', '-- Data for Name: BLOBS; Type: BLOBS; Schema: -; Owner: -', '--', '', 'BEGIN;', 'SELECT 1; SELECT/* a; */2;', 'COMMIT;', '',
  '--', '-- PostgreSQL database dump complete', '--', '',
].join('\n'); // prettier-ignore

const end = '-- PostgreSQL database dump complete\n';

async function* pieces(text: string, size: number): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
}

/** "TYPE: statement", followed by its rows. */
async function read(text: string, size: number, readsRows = true): Promise<string[]> {
  const found: string[] = [];
  for await (const {sql, section, rows} of dumpStatements(pieces(text, size))) {
    const taken: Buffer[] = [];
    for await (const chunk of (readsRows && rows) || []) taken.push(Buffer.from(chunk));
    found.push(`${section?.type ?? ''}: ${sql}${rows ? `|${Buffer.concat(taken).toString()}` : ''}`);
  }
  return found;
}

const statements = [
  ": SET client_encoding = 'UTF8';",
  'SCHEMA: CREATE SCHEMA public;',
  'TABLE: CREATE TABLE public.notes (\n    note text -- kept\n);',
  "TABLE DATA: COPY public.notes (note) FROM stdin;|\nCREATE SCHEMA public;\n-- Name: x; Type: SCHEMA; Schema: -; Owner: -\n\\\\.\nx\\.\n\\. \n'\n$$\n",
  'TABLE DATA: COPY public.empty (note) FROM stdin;|',
  'BLOBS: BEGIN;',
  'BLOBS: SELECT 1;',
  'BLOBS: SELECT/* a; */2;',
  'BLOBS: COMMIT;',
];

it('never takes rows for statements, for any division of the stream', async () => {
  for (let size = 1; size <= dump.length; size++) expect(await read(dump, size)).toEqual(statements);
});

it('never takes rows for statements if they are not read, or only partly', async () => {
  const withoutRows = statements.map((line) => line.replace(/\|[^]*/, '|'));
  for (const size of [1, 2, 3, 7, 64, dump.length]) {
    expect(await read(dump, size, false)).toEqual(withoutRows);
    const found: string[] = [];
    for await (const {sql, section, rows} of dumpStatements(pieces(dump, size))) {
      await rows?.[Symbol.asyncIterator]().next();
      found.push(`${section?.type ?? ''}: ${sql}${rows ? '|' : ''}`);
    }
    expect(found).toEqual(withoutRows);
  }
});

it('distinguishes a statement from similar text in a function, a comment, a rule or a name', async () => {
  const looks = [
    'CREATE SCHEMA public;',
    '-- Name: x; Type: SCHEMA; Schema: -; Owner: -',
    'COPY public.t (a) FROM stdin;',
  ].join('\n');
  const bodies = [
    `CREATE FUNCTION public.f() RETURNS text LANGUAGE plpgsql AS $$\n${looks}\n$$;`,
    'CREATE FUNCTION public.g() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END;',
    'CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2);',
    `COMMENT ON FUNCTION public.f() IS '\n${looks}\n';`,
    'COMMENT ON TABLE "a;b" IS NULL;',
  ]; // prettier-ignore
  const text = `-- Name: f(); Type: FUNCTION; Schema: public; Owner: shop\n${bodies.join('\n')}\n${end}`;
  for (const size of [1, 7, text.length])
    expect(await read(text, size)).toEqual(bodies.map((body) => `FUNCTION: ${body}`));
});

it('reads a line longer than its buffer', async () => {
  const long = `SELECT '${'x'.repeat(3 << 20)}';`;
  expect(await read(`${long} SELECT 2;\n${end}`, 1 << 16)).toEqual([`: ${long}`, ': SELECT 2;']);
});

it.each([
  ['a program', '\\! touch x\n', 'UNSAFE_DUMP'],
  ['another connection', '\\connect postgres\n', 'UNSAFE_DUMP'],
  ['a copy to the client', 'COPY t TO stdout;\n', 'UNSAFE_DUMP'],
  ['rows in the line of their COPY', 'COPY t (a) FROM stdin; x\n\\.\n', 'UNSAFE_DUMP'],
  ['a COPY inside parentheses', '(;\nCOPY t (a) FROM stdin;\n);\nSELECT 1;\n\\.\n', 'UNSAFE_DUMP'],
  ['a NUL', 'SELECT 1;\0\n', 'UNSAFE_DUMP'],
  ['rows without an end', 'COPY t (a) FROM stdin;\nx\n', 'VERIFY_FAILED'],
  ['a statement without an end', `SELECT 1\n${end}`, 'VERIFY_FAILED'],
  ['a dump that ends between statements', 'SELECT 1;\n', 'VERIFY_FAILED'],
])('refuses %s', async (_what, text, code) => {
  for (const size of [1, 5, text.length]) await expect(read(text, size)).rejects.toMatchObject({code});
});
