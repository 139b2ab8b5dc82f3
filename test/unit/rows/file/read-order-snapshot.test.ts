/** An order backup that is not exactly what was written is refused, whatever was done to it. */
import {readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import fc from 'fast-check';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {createRowHashSum} from '../../../../src/lib/fingerprint/row-hash.js';
import {AppError} from '../../../../src/lib/base/errors.js';
import type {OrderFile, OrderFileSink} from '../../../../src/lib/rows/file/order-file.js';
import {openOrderFile} from '../../../../src/lib/rows/file/open-order-file.js';
import {tempFolder} from '../../../support/run-cli.js';

const orders = ['{"id":1,"note":"a, }} \\" {"}', '{"id":2,"note":"ñ 🥟"}', '{"id":3,"note":null}'];
const items = ['{"id":10,"order":1,"big":9007199254740993}', '{"id":11,"order":2,"big":1.10}'];
const link = '"key":{"id":7},"values":{"order":1}';

let folder: string;
let path: string;
let whole: Buffer;

function checksum(rows: readonly string[]): string {
  const sum = createRowHashSum();
  for (const row of rows) sum.add(Buffer.from(row), 0, Buffer.byteLength(row));
  return sum.digest();
}

const column = (name: string) => ({name, type: 'integer', generated: false, identity: null, asText: false});
const table = (name: string, rows: readonly string[], columns: string[], key: string[]) => ({
  table: `public.${name}`, schema: 'public', name, rows: rows.length, checksum: checksum(rows), columns: columns.map(column), key,
}); // prettier-ignore

function metadata(change: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    schemaVersion: 1,
    kind: 'order-backup',
    toolVersion: '0.1.0',
    timestamp: '2026-11-22T03:10:00.000Z',
    database: {name: 'shop', systemIdentifier: '7', host: 'localhost', port: 5432, serverVersion: '15.1'},
    profile: {
      name: 'test',
      roots: [{table: 'public.orders', schema: 'public', name: 'orders', key: ['id']}],
      softLinks: [],
    },
    criteria: {
      testEmailsOnly: false, includeOld: false, includeCustomers: false, from: null, to: null, timeZone: 'UTC', excludedIds: [],
    }, // prettier-ignore
    reasons: {'test address': 3},
    guards: {},
    plan: 'abc',
    roots: {'public.orders': 3},
    tables: [
      table('orders', orders, ['id', 'note'], ['id']),
      table('items', items, ['id', 'order', 'big'], ['id']),
    ],
    relinked: [table('reviews', [link], ['order'], ['id'])],
    totalRows: 5,
    ...change,
  };
}

function textOf(head = metadata(), orderRows = orders, links = [link]): string {
  const lines = [
    ...orderRows.map((row) => `{"table":"public.orders","row":${row}}`),
    ...items.map((row) => `{"table":"public.items","row":${row}}`),
  ];
  const relinked = links.map((text) => `{"table":"public.reviews",${text}}`);
  return `{"metadata":${JSON.stringify(head)}  ,\n"rows":[\n${lines.join(',\n')}\n],\n"relinked":[\n${relinked.join(',\n')}\n]}\n`;
}

async function contentOf(file: OrderFile): Promise<string[]> {
  const content: string[] = [];
  let parts: string[] = [];
  const sink =
    (kind: string): OrderFileSink['row'] =>
    (table, _line, buffer, start, end, isLast) => {
      const taken = takes(buffer, start, end, isLast);
      parts.push(buffer.toString('latin1', start, taken));
      if (isLast) content.push(`${kind}${table} ${Buffer.from(parts.join(''), 'latin1').toString()}`);
      if (isLast) parts = [];
      return taken;
    };
  await file.send({row: sink(''), link: sink('link '), drain: () => Promise.resolve()});
  return content;
}

/** Takes a part of a long row, and leaves 100 bytes of some parts, as a reader does that cannot split what follows. */
const takes = (buffer: Buffer, start: number, end: number, isLast: boolean): number =>
  isLast || buffer[start] === 0x78 ? end : end - 100;

async function read(bytes: Buffer | string): Promise<string[]> {
  await writeFile(path, bytes);
  return contentOf(await openOrderFile(path, 'public'));
}

async function refusal(bytes: Buffer | string): Promise<string> {
  return read(bytes).then(
    () => 'accepted',
    (error: unknown) => {
      expect(error).toBeInstanceOf(AppError);
      expect((error as AppError).code).toBe('ORDER_BACKUP_INVALID');
      return (error as AppError).message;
    },
  );
}

let original: string[];

beforeAll(async () => {
  folder = await tempFolder();
  path = join(folder, 'orders-backup.json');
  whole = Buffer.from(textOf());
  original = await read(whole);
});

afterAll(() => rm(folder, {recursive: true, force: true}));

/** The file's lines with their newlines; `change` edits the list. */
function edited(change: (lines: string[]) => void): string {
  const lines = textOf().split('\n').slice(0, -1);
  change(lines);
  return `${lines.join('\n')}\n`;
}

describe('the reader of order backups', () => {
  it('hands over every row and link as the bytes that were written', () => {
    expect(original).toEqual([
      ...orders.map((row) => `0 ${row}`),
      ...items.map((row) => `1 ${row}`),
      `link 0 ${link}`,
    ]);
  });

  it('hands over rows and links that are too long to be held whole in parts, and refuses what is wrong in them', async () => {
    const long = (id: number): string => `{"id":${id},"note":"${'é }}, \\"'.repeat(400_000)}"}`;
    const rows = [long(1), '{"id":2,"note":""}', long(3)];
    const longLink = `"key":{"id":7},"values":${long(4)}`;
    const tables = [table('orders', rows, ['id', 'note'], ['id']), metadata()['tables']]
      .flat()
      .toSpliced(1, 1);
    const relinked = [table('reviews', [longLink], ['id', 'note'], ['id'])];
    const text = textOf(metadata({tables, relinked}), rows, [longLink]);
    const wanted = [
      ...rows.map((row) => `0 ${row}`),
      ...items.map((row) => `1 ${row}`),
      `link 0 ${longLink}`,
    ];
    expect((await read(text)).map((row) => row.length)).toEqual(wanted.map((row) => row.length));
    expect(await read(text)).toEqual(wanted);
    expect(await refusal(text.replace('é }}', 'è }}'))).toContain('their checksum differs');
    expect(await refusal(text.replace('"}},\n', '",\n'))).toContain('the line is cut');
  });

  it('reads valid JSON', () => {
    expect(JSON.parse(textOf())).toMatchObject({rows: {length: 5}, relinked: {length: 1}});
  });

  it('refuses a file that is cut, wherever', async () => {
    for (let length = 0; length < whole.length; length += length > whole.length - 20 ? 1 : 23) {
      const message = await refusal(whole.subarray(0, length));
      // Without its last newline nothing is missing, but the end is not as it was written.
      expect(message, `${length} bytes`).not.toBe('accepted');
    }
  });

  it('refuses a file with any byte changed, or reads the same rows', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({min: 1, max: 255}), async (at, flip) => {
        const damaged = Buffer.from(whole);
        damaged[at] = (damaged[at] ?? 0) ^ flip;
        const content = await read(damaged).catch((error: unknown) => {
          expect((error as AppError).code).toBe('ORDER_BACKUP_INVALID');
          return original;
        });
        expect(content).toEqual(original);
      }),
      {numRuns: 300},
    );
  });

  it.each<[string, (lines: string[]) => void, string]>([
    ['a row missing', (lines) => void lines.splice(3, 1), 'public.orders has 2 rows, but 3 were written'],
    [
      'a row twice',
      (lines) => void lines.splice(3, 0, lines[3] ?? ''),
      'line 6: public.orders has more rows',
    ],
    [
      'tables in another order',
      (lines) => void lines.splice(2, 0, ...lines.splice(5, 1)),
      'public.orders has 0 rows',
    ],
    [
      'a value edited',
      (lines) => void (lines[2] = (lines[2] ?? '').replace('"id":1', '"id":9')),
      'checksum differs',
    ],
    ['a link edited', (lines) => void (lines[9] = (lines[9] ?? '').replace('7', '8')), 'checksum differs'],
    [
      'a comma missing',
      (lines) => void (lines[2] = (lines[2] ?? '').slice(0, -1)),
      'line 4: the line before has no comma',
    ],
    ['a comma too many', (lines) => void (lines[6] = `${lines[6] ?? ''},`), 'line 8: rows are missing'],
    [
      'a table that was not announced',
      (lines) => void (lines[4] = '{"table":"public.users","row":{}},'),
      'line 5: the line is not a row',
    ],
    ['an empty line', (lines) => void lines.splice(4, 0, ''), 'line 5'],
    ['something after the end', (lines) => void lines.push('{}'), 'line 12: something follows'],
    ['Windows line ends', (lines) => lines.forEach((line, index) => (lines[index] = `${line}\r`)), 'line 1'],
  ])('names %s and where it is', async (_what, change, expected) => {
    expect(await refusal(edited(change))).toContain(expected);
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['a wrong type', {totalRows: '5'}, 'totalRows'],
    ['another kind', {kind: 'backup'}, 'kind'],
    ['a newer version', {schemaVersion: 2}, 'schemaVersion'],
    ['counts that do not add up', {totalRows: 6}, 'the tables add up to 5'],
    ['more orders than rows', {roots: {'public.orders': 4}}, '4 orders of public.orders'],
    ['no tables', {tables: undefined}, 'tables'],
  ])('refuses metadata with %s', async (_what, change, expected) => {
    expect(await refusal(textOf(metadata(change)))).toContain(expected);
  });

  it("refuses keys that JavaScript takes for an object's prototype", async () => {
    const text = textOf().replace('"guards":{}', '"guards":{"__proto__":1}');
    expect(await refusal(text)).toContain('__proto__');
    expect(await refusal(textOf().replace('"guards":{}', '"__proto__":{"plan":"x"},"guards":{}'))).toContain(
      '__proto__',
    );
  });

  it('notices a file that changes after it was checked', async () => {
    await writeFile(path, whole);
    const file = await openOrderFile(path, 'public');
    await writeFile(path, (await readFile(path, 'utf8')).replace('"id":11', '"id":12'));
    await expect(contentOf(file)).rejects.toMatchObject({code: 'ORDER_BACKUP_INVALID'});
  });

  it('says that a file is not there', async () => {
    await expect(openOrderFile(join(folder, 'none.json'), 'public')).rejects.toMatchObject({
      code: 'BACKUP_NOT_FOUND',
    });
    await expect(openOrderFile(folder, 'public')).rejects.toMatchObject({code: 'READ_FAILED'});
  });
});
