import {expect, it} from 'vitest';
import {filterPlainDump, type PlainDumpRules} from '../../../src/lib/archive/plain-dump-filter.js';

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
async function filter(rules: Partial<PlainDumpRules>, size: number): Promise<string> {
  const bytes = Buffer.from(dump);
  async function* pieces(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += size)
      yield await Promise.resolve(bytes.subarray(at, at + size));
  }
  const out: Buffer[] = [];
  const all = {keeps: () => true, leavesOut: () => false, ...rules};
  for await (const piece of filterPlainDump(pieces(), all)) out.push(Buffer.from(piece));
  return Buffer.concat(out).toString();
}

it('passes a dump on unchanged, however the stream is cut', async () => {
  for (let size = 1; size <= dump.length; size++) expect(await filter({}, size)).toBe(dump);
});

it('leaves lines out of the SQL, never out of the rows', async () => {
  const expected = dump.replace('\nCREATE SCHEMA public;\n', '\n');
  for (const size of [1, 2, 3, 7, 64, dump.length]) {
    expect(await filter({leavesOut: (line) => line === 'CREATE SCHEMA public;'}, size)).toBe(expected);
  }
});

it('knows the section of each line', async () => {
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
