import {expect, it} from 'vitest';
import {filterPlainDump, type PlainDumpRules} from '../../../src/lib/dump/plain-dump-filter.js';

const dump = [
  'SET client_encoding = \'UTF8\';',
  '--', '-- Name: public; Type: SCHEMA; Schema: -; Owner: -', '--', '', 'CREATE SCHEMA public;', '',
  '--', '-- Name: notes; Type: TABLE; Schema: public; Owner: shop', '--', '', 'CREATE TABLE public.notes (', '    note text', ');', '',
  '--', '-- Data for Name: notes; Type: TABLE DATA; Schema: public; Owner: shop', '--', '',
  'COPY public.notes (note) FROM stdin;', 'CREATE SCHEMA public;', '-- Name: x; Type: SCHEMA; Schema: -; Owner: -', '\\\\.', 'BEGIN;', '\\.', '',
  '--', '-- Data for Name: empty; Type: TABLE DATA; Schema: public; Owner: shop', '--', '', 'COPY public.empty (note) FROM stdin;', '\\.', '',
  '--', '-- Data for Name: BLOBS; Type: BLOBS; Schema: -; Owner: -', '--', '', 'BEGIN;', 'SELECT 1;', 'COMMIT;', '',
  '--', '-- PostgreSQL database dump complete', '--', '',
].join('\n'); // prettier-ignore

/** Feeds the dump in pieces of `size` bytes. */
async function filter(rules: Partial<PlainDumpRules>, size: number, from = dump): Promise<string> {
  const bytes = Buffer.from(from);
  async function* pieces(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += size)
      yield await Promise.resolve(bytes.subarray(at, at + size));
  }
  const out: Buffer[] = [];
  const all = {keeps: () => true, leavesOut: () => false, ...rules};
  for await (const piece of filterPlainDump(pieces(), all)) out.push(Buffer.from(piece));
  return Buffer.concat(out).toString();
}

it('passes a dump on unchanged, for any division of the stream', async () => {
  for (let size = 1; size <= dump.length; size++) expect(await filter({}, size)).toBe(dump);
});

it('removes lines from the SQL, never from the rows', async () => {
  const expected = dump.replace('\nCREATE SCHEMA public;\n', '\n');
  for (const size of [1, 2, 3, 7, 64, dump.length]) {
    expect(await filter({leavesOut: (line) => line === 'CREATE SCHEMA public;'}, size)).toBe(expected);
  }
});

it('passes the section of each line', async () => {
  const leavesOut: PlainDumpRules['leavesOut'] = (line, section) =>
    section?.type === 'BLOBS' && /^(BEGIN|COMMIT);$/.test(line);
  const expected = dump.replace('BEGIN;\nSELECT 1;\nCOMMIT;\n', 'SELECT 1;\n');
  for (const size of [1, 5, dump.length]) expect(await filter({leavesOut}, size)).toBe(expected);
});

it('leaves out whole sections with their rows', async () => {
  for (const size of [1, 3, 50, dump.length]) {
    const rest = await filter({keeps: (section) => section.type !== 'TABLE DATA'}, size);
    expect(rest).not.toContain('COPY');
    expect(rest).not.toContain('\\.');
    expect(rest).toContain('CREATE TABLE public.notes');
    expect(rest).toContain('SELECT 1;');
  }
});

it('distinguishes a statement from similar text in a function, a comment or a name', async () => {
  const looks = [
    'CREATE SCHEMA public;',
    '-- Name: x; Type: SCHEMA; Schema: -; Owner: -',
    'COPY public.t (a) FROM stdin;',
  ].join('\n');
  const body = [
    '-- Name: f(); Type: FUNCTION; Schema: public; Owner: shop', '',
    `CREATE FUNCTION public.f() RETURNS text LANGUAGE plpgsql AS $$\n${looks}\n$$;`,
    `COMMENT ON FUNCTION public.f() IS '\n${looks}\n';`,
    '-- Data for Name: t; Type: TABLE DATA; Schema: public; Owner: shop', '',
    'COPY public.t ("a\nb") FROM stdin;', 'CREATE SCHEMA public;', '\\.', '',
  ].join('\n'); // prettier-ignore
  const rules: Partial<PlainDumpRules> = {
    keeps: (section) => section.type !== 'SCHEMA',
    leavesOut: (line) => line === 'CREATE SCHEMA public;',
  };
  for (const size of [1, 7, body.length]) {
    expect(await filter(rules, size, `${body}CREATE SCHEMA public;\n`)).toBe(body);
    expect(await filter({keeps: ({type}) => type !== 'TABLE DATA'}, size, body)).not.toContain(
      'COPY public.t ("a',
    );
  }
});
