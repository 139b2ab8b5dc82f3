import {buffer} from 'node:stream/consumers';
import {inflateSync} from 'node:zlib';
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {CopyStream} from '../../../../src/lib/dump/sql/copy-stream.js';
import {readCustomHead} from '../../../../src/lib/dump/compress/custom-format.js';
import {recompress} from '../../../../src/lib/dump/compress/recompress.js';

/** An entry's rows, a piece each; or large objects, each in pieces. */
type Data = {rows: Buffer[]} | {objects: Buffer[][]};

/** The text that pg_dump writes after the last row. */
const endOfRows = Buffer.from('\\.\n\n\n');

const int = (value: number): Buffer => {
  const bytes = Buffer.alloc(5);
  bytes[0] = value < 0 ? 1 : 0;
  bytes.writeUInt32LE(Math.abs(value), 1);
  return bytes;
};
const text = (value: string | null): Buffer =>
  value === null ? int(-1) : Buffer.concat([int(Buffer.byteLength(value)), Buffer.from(value)]);
const pieces = (list: Buffer[]): Buffer[] => [...list.flatMap((piece) => [int(piece.length), piece]), int(0)];

/** The archive as pg_dump -Fc -Z0 writes it to a pipe; the last entry has no data. */
function makeArchive(minor: number, entries: Data[]): Buffer {
  const compression = minor >= 15 ? Buffer.of(0) : int(0);
  const toc = [...entries.map(() => 1), 3].map((state, index) => [
    int(index + 1), int(1), ...['1259', '16384', `t${index}`, 'TABLE DATA'].map(text), int(3),
    ...['', null, `COPY public.t${index} (a) FROM stdin;\n`, 'public', null, ''].map(text), ...(minor >= 16 ? [int(114)] : []),
    text('postgres'), text('false'), text('7'), text(null), Buffer.of(state), Buffer.alloc(8),
  ]); // prettier-ignore
  const blocks = entries.map((data, index) =>
    'rows' in data
      ? [Buffer.of(1), int(index + 1), ...pieces(data.rows)]
      : [
          Buffer.of(3),
          int(index + 1),
          ...data.objects.flatMap((list, n) => [int(n + 1), ...pieces(list)]),
          int(0),
        ],
  );
  return Buffer.concat([
    Buffer.from('PGDMP'), Buffer.of(1, minor, 0, 4, 8, 1), compression, ...Array.from({length: 7}, () => int(1)),
    ...['shop', '15.18', '15.18'].map(text), int(toc.length), ...toc.flat(), ...blocks.flat(),
  ]); // prettier-ignore
}

/** Reads what `recompress` wrote by the offsets of its table of contents; inflating checks every Adler-32. */
function readBack(archive: Buffer): Buffer[][] {
  const head = readCustomHead(archive);
  if (!head) throw new Error('the head is not whole');
  return head.entries.map(({offsetPosition}) => {
    let position = Number(archive.readBigUInt64LE(offsetPosition + 1));
    const isRows = archive[position] === 1;
    position += 6;
    const readInt = (): number => archive.readUInt32LE((position += 5) - 4);
    const readStream = (): Buffer => {
      const parts: Buffer[] = [];
      for (let size = readInt(); size > 0; size = readInt())
        parts.push(archive.subarray(position, (position += size)));
      return inflateSync(Buffer.concat(parts));
    };
    if (isRows) return [readStream()];
    const objects: Buffer[] = [];
    while (readInt() !== 0) objects.push(readStream());
    return objects;
  });
}

async function* inChunks(data: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let position = 0; position < data.length; position += size)
    yield await Promise.resolve(data.subarray(position, position + size));
}

/** The final content of a file: the stream, with its beginning overwritten by the head. */
async function run(archive: Buffer, chunk: number, blockBytes: number) {
  const options = {level: 5, blocksAhead: 2, fingerprints: true, blockBytes};
  const {stream, result} = recompress(inChunks(archive, chunk), options);
  const written = await buffer(stream);
  const {isWhole, tables, head} = result();
  if (isWhole) expect(written.subarray(0, head.streamed.length).equals(head.streamed)).toBe(true);
  head.placed.copy(written);
  return {isWhole, tables, written};
}

const bytes = fc.oneof(
  fc.uint8Array({minLength: 1, maxLength: 60}).map((array) => Buffer.from(array)),
  fc.nat(50_000).map((length) => Buffer.from('some words that repeat '.repeat(4000).slice(0, length + 1))),
);
// PostgreSQL's texts contain no NUL, and readers of plain SQL refuse it.
const rowsOf = (list: Buffer[]): Buffer[] => [
  ...list.map((row) => Buffer.from(`${row.toString('latin1').replaceAll(/[\\\0]/g, '/')}\n`, 'latin1')),
  endOfRows,
];
const data: fc.Arbitrary<Data> = fc.oneof(
  fc.array(bytes, {maxLength: 12}).map((list) => ({rows: rowsOf(list)})),
  fc.array(fc.array(bytes, {maxLength: 3}), {maxLength: 4}).map((objects) => ({objects})),
);

describe('recompressing an archive', () => {
  it('keeps every byte of every entry, for all chunks and blocks', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(14, 15, 16),
        fc.array(data, {maxLength: 6}),
        fc.integer({min: 1, max: 70_000}),
        fc.integer({min: 1, max: 100_000}),
        async (minor, entries, chunk, block) => {
          const {isWhole, written} = await run(
            makeArchive(minor, entries),
            Math.max(chunk, 40),
            Math.max(block, 2000),
          );
          expect(isWhole).toBe(true);
          const wanted = entries.map((entry) =>
            'rows' in entry ? [Buffer.concat(entry.rows)] : entry.objects.map((list) => Buffer.concat(list)),
          );
          expect(readBack(written).map((list) => list.map((item) => item.toString('latin1')))).toEqual(
            wanted.map((list) => list.map((item) => item.toString('latin1'))),
          );
        },
      ),
      {numRuns: 40},
    );
  });

  it('counts and hashes the rows and large objects as a reader of plain SQL does', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(data, {maxLength: 6}), fc.integer({min: 2000, max: 100_000}), async (entries, block) => {
        const {tables} = await run(makeArchive(15, entries), 5000, block);
        const plain = new CopyStream(true);
        entries.forEach((entry, index) => {
          if ('rows' in entry)
            plain.write(Buffer.concat([Buffer.from(`COPY public.t${index} (a) FROM stdin;\n`), ...entry.rows]));
          else for (const [n, pieces] of entry.objects.entries()) {
            plain.write(Buffer.from(`SELECT pg_catalog.lo_open('${n + 1}', 131072);\n`));
            for (const piece of pieces) plain.write(Buffer.from(`SELECT pg_catalog.lowrite(0, '\\x${piece.toString('hex')}');\n`));
            plain.write(Buffer.from('SELECT pg_catalog.lo_close(0);\n'));
          }
        });
        plain.write(Buffer.from('--\n-- PostgreSQL database dump complete\n--\n'));
        expect(tables).toEqual(plain.end().tables);
      }),
      {numRuns: 40},
    ); // prettier-ignore
  });

  it('refuses rows without the end marker of pg_dump', async () => {
    const [row, more] = [Buffer.from('one\n'), Buffer.from('two\n')];
    await expect(run(makeArchive(14, [{rows: [row]}]), 1000, 1000)).rejects.toThrow(/without their end/);
    await expect(run(makeArchive(14, [{rows: [row, endOfRows, more]}]), 1000, 1000)).rejects.toThrow(
      /after the rows/,
    );
  });

  it('reads a long table of contents in time that grows with its length alone', async () => {
    const archive = makeArchive(
      16,
      Array.from({length: 3000}, () => ({rows: [endOfRows]})),
    );
    const {isWhole, tables} = await run(archive, 16, 1 << 16);
    expect([isWhole, tables.length]).toEqual([true, 3000]);
  }, 15_000);

  it('reports an incomplete archive, wherever it ends', async () => {
    const archive = makeArchive(14, [
      {rows: [Buffer.from('one\n'), Buffer.from('two\n'), endOfRows]},
      {objects: [[Buffer.from('x')]]},
    ]);
    const head = readCustomHead(archive)?.length ?? 0;
    const ends = [head + 39]; // between the two entries an archive may end
    for (let length = 0; length < archive.length; length++) {
      const {isWhole} = await run(archive.subarray(0, length), 1000, 1000);
      if (isWhole) expect([head, ...ends]).toContain(length);
    }
    expect((await run(archive, 1000, 1000)).isWhole).toBe(true);
  });

  it('refuses an archive with an unknown layout', async () => {
    const archive = makeArchive(14, []);
    for (const [position, value] of [[5, 2], [6, 13], [6, 17], [8, 8], [9, 4], [10, 3]] as const) {
      const other = Buffer.from(archive);
      other[position] = value;
      await expect(run(other, 1000, 1000)).rejects.toThrow(/unknown layout/);
    } // prettier-ignore
    await expect(run(Buffer.concat([archive, Buffer.of(9)]), 1000, 1000)).rejects.toThrow(/unknown kind/);
  });
});
