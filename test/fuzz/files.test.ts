/** Damaged or invented files: metadata, order backups, journals, archives, dumps. */
import {readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {buffer} from 'node:stream/consumers';
import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';
import fc from 'fast-check';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {readArchiveHeader} from '../../src/lib/dump/compress/archive-header.js';
import {CopyStream} from '../../src/lib/dump/sql/copy-stream.js';
import {readCustomHead, UnknownLayout} from '../../src/lib/dump/compress/custom-format.js';
import {detectDump} from '../../src/lib/dump/detect-format.js';
import {dumpStatements} from '../../src/lib/dump/dump-statements.js';
import {filterPlainDump} from '../../src/lib/dump/plain-dump-filter.js';
import {recompress} from '../../src/lib/dump/compress/recompress.js';
import {parseBackupRecord} from '../../src/lib/catalog/backup-record.js';
import {readCatalogue} from '../../src/lib/catalog/catalogue.js';
import type {OrderFileSink} from '../../src/lib/rows/file/order-file.js';
import {openOrderFile} from '../../src/lib/rows/file/open-order-file.js';
import {selectEntries} from '../../src/lib/dump/archive-list.js';
import {BinaryRows} from '../../src/lib/postgres/binary-rows.js';
import {readJournals} from '../../src/lib/run/journal.js';
import {readHistory} from '../../src/lib/run/read-history.js';
import {anyJson, anyText, damaged, orRefusal, orRefusalLater, runs, withOneChange} from '../support/fuzz.js';
import {dumpKinds, makeDump} from '../support/make-dump.js';
import {sampleRecord, writeSampleBackup} from '../support/sample-backups.js';
import {sampleRun} from '../support/sample-run.js';
import {createTempDatabase} from '../support/temp-database.js';
import {writeOrderBackup} from '../support/write-order-backup.js';
import {tempFolder} from '../support/run-cli.js';

let folder: string;
const dumps = new Map<string, Buffer>();
let orderBackup: Buffer;

beforeAll(async () => {
  folder = await tempFolder();
  const shop = await createTempDatabase();
  try {
    for (const kind of dumpKinds) {
      const {path} = await makeDump(shop.connection, folder, kind);
      dumps.set(kind, await readFile(kind === 'directory' ? join(path, 'toc.dat') : path));
    }
    const path = join(folder, 'orders.json');
    await writeOrderBackup(shop, path, {
      roots: ['public.orders'],
      tables: [
        {table: 'public.orders', where: 'true'},
        {table: 'public.order_items', where: 'true'},
      ],
    });
    orderBackup = await readFile(path);
  } finally {
    await shop.drop();
  }
});
afterAll(() => rm(folder, {recursive: true, force: true}));

const dumpOf = (kind: string): Buffer => dumps.get(kind) ?? Buffer.alloc(0);

describe('metadata', () => {
  it('is accepted or refused, and never leads out of its folder', () => {
    const record = sampleRecord('2026-11-22T03:10:05Z', {
      roles: {path: 'r.roles.sql', sha256: 'a'.repeat(64), size: 1},
      sha256: {'toc.dat': 'b'.repeat(64)},
      storage: {folder: 'data/x/'},
    });
    const hostileName = fc.constantFrom(
      '../x',
      '/etc/passwd',
      '..',
      '.',
      'a/b',
      'a\\b',
      'data/../',
      'data/./',
      '',
      'x\0',
    );
    const text = fc.oneof(
      anyText,
      anyJson.map((json) => JSON.stringify(json)),
      withOneChange(record).map((json) => JSON.stringify(json)),
      fc
        .tuple(hostileName, fc.constantFrom('id', 'backupPath'))
        .map(([name, key]) => JSON.stringify({...record, [key]: name})),
      hostileName.map((name) => JSON.stringify({...record, roles: {...record.roles, path: name}})),
      hostileName.map((name) => JSON.stringify({...record, sha256: {[name]: 'a'.repeat(64)}})),
      hostileName.map((name) => JSON.stringify({...record, storage: {folder: name}})),
    );
    fc.assert(
      fc.property(text, (content) => {
        const parsed = orRefusal(['METADATA_INVALID'], () => parseBackupRecord('m.json', content));
        if (!parsed) return;
        const names = [
          parsed.id,
          parsed.backupPath,
          parsed.roles?.path ?? 'r',
          ...(typeof parsed.sha256 === 'string' ? [] : Object.keys(parsed.sha256)),
        ];
        for (const name of names) expect(name).toMatch(/^(?!\.{1,2}$)[^/\\\0]+$/);
        expect(join('/root', parsed.storage?.folder ?? 'data')).toMatch(/^\/root\/data/);
      }),
      runs(600),
    );
  });

  it('in a folder is listed or reported as a problem, with any content', async () => {
    const backups = join(folder, 'catalogue');
    const {id} = await writeSampleBackup(backups, '2026-11-22T03:10:05Z');
    const path = join(backups, `${id}.metadata.json`);
    const original: unknown = JSON.parse(await readFile(path, 'utf8'));
    const old = {
      timestamp: 'x',
      databaseName: 'd',
      format: 'custom',
      compressed: true,
      size: 1,
      command: 'backup-database.ts',
    };
    await fc.assert(
      fc.asyncProperty(fc.oneof(withOneChange(original), withOneChange(old), anyJson), async (json) => {
        await writeFile(path, JSON.stringify(json));
        const {backups: found, problems} = await readCatalogue(backups);
        expect(found.length + problems.length).toBe(1);
      }),
      runs(100),
    );
  });

  it('of runs and journals is read or skipped, with any content', async () => {
    const journal = [
      {
        run: 'r',
        command: 'backup',
        startedAt: '2026-11-22T03:10:05Z',
        owner: {pid: 1, host: 'h', pidNamespace: null, processStart: null},
      },
      {begin: 1, entry: {kind: 'partial', path: '/x'}},
      {done: 1},
    ];
    await writeFile(join(folder, 'history.jsonl'), '');
    const {makePrivateFolder} = await import('../../src/lib/base/safe-file.js');
    await makePrivateFolder(join(folder, '.journal'));
    const lines = fc.oneof(withOneChange(journal), withOneChange([sampleRun()]), fc.array(anyJson));
    await fc.assert(
      fc.asyncProperty(lines, fc.boolean(), async (list, cut) => {
        const text = (Array.isArray(list) ? list : [list])
          .map((line) => `${JSON.stringify(line)}\n`)
          .join('');
        const content = cut ? text.slice(0, -5) : text;
        await writeFile(join(folder, '.journal', '2026-11-22T03-10-00-000Z-0123ab.jsonl'), content);
        await writeFile(join(folder, 'history.jsonl'), content);
        await readJournals(folder);
        await readHistory(folder);
      }),
      runs(100),
    );
  });
});

describe('order backups', () => {
  const noSink: OrderFileSink = {
    row: (_table, _line, _buffer, _start, end) => end,
    link: (_table, _line, _buffer, _start, end) => end,
    drain: () => Promise.resolve(),
  };
  const read = async (bytes: Buffer | string): Promise<boolean> => {
    const path = join(folder, 'fuzzed.json');
    await writeFile(path, bytes);
    const file = await orRefusalLater(['ORDER_BACKUP_INVALID'], () => openOrderFile(path, 'public'));
    await orRefusalLater(['ORDER_BACKUP_INVALID'], async () => file?.send(noSink));
    return file !== undefined;
  };

  it('that are damaged anywhere are refused', async () => {
    expect(await read(orderBackup)).toBe(true);
    await fc.assert(
      fc.asyncProperty(damaged(orderBackup), async (bytes) => {
        if (bytes.equals(orderBackup)) return;
        // One byte less at the end is only a missing line break.
        expect(await read(bytes)).toBe(false);
      }),
      runs(100),
    );
  });

  it('with edited metadata are accepted or refused', async () => {
    const text = orderBackup.toString('utf8');
    const [first = '', ...rest] = text.split('\n');
    const metadata: unknown = JSON.parse(`${first.slice(0, -1)}}`);
    await fc.assert(
      fc.asyncProperty(withOneChange(metadata), async (json) => {
        const line = JSON.stringify(json);
        await read(`${line.slice(0, -1)},\n${rest.join('\n')}`);
        expect(({} as {polluted?: unknown}).polluted).toBeUndefined();
      }),
      runs(100),
    );
  });

  it('of the old scripts are accepted or refused, deep, wide and with duplicate keys', async () => {
    const old = {
      metadata: {timestamp: '2026-01-01T00:00:00Z', totalRecords: 2},
      regularOrders: [{id: 'a', items: [{id: 'i'}], payments: [{id: 'p', refunds: []}], total: 1.5}], cateringOrders: [], emailAlerts: [],
      orderItems: [{id: 'i', orderId: 'a'}], payments: [], refunds: [], cateringOrderItems: [],
    }; // prettier-ignore
    const bytes = Buffer.from(JSON.stringify(old));
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          withOneChange(old).map((json) => JSON.stringify(json)),
          damaged(bytes),
          anyText,
        ),
        async (text) => {
          await read(text);
        },
      ),
      runs(100),
    );
    const deep = '['.repeat(500_000) + ']'.repeat(500_000);
    await read(`{"metadata":{"timestamp":"x","totalRecords":1},"regularOrders":[{"id":"a","x":${deep}}]}`);
    await read('{"a":'.repeat(500_000));
    await read(
      `{"regularOrders":[{"id":"a","id":"b"}],"regularOrders":[],"metadata":{"timestamp":"x","totalRecords":${'9'.repeat(5000)}}}`,
    );
  });
});

describe('archives', () => {
  it('have a header, or none, with any bytes', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({maxLength: 300}).map((bytes) => Buffer.concat([Buffer.from('PGDMP'), bytes])),
          damaged(Buffer.alloc(0)),
          fc.constant(null).chain(() => damaged(dumpOf('custom').subarray(0, 4000))),
        ),
        (bytes) => {
          orRefusal([], () => readArchiveHeader(bytes));
        },
      ),
      runs(400),
    );
  });

  it('that are damaged in their table of contents are recognised, and nothing is read endlessly', async () => {
    const custom = dumpOf('custom');
    const head = readCustomHead(custom);
    const start = custom.subarray(0, (head?.length ?? 0) + 200);
    await fc.assert(
      fc.asyncProperty(
        fc.constant(null).chain(() => damaged(start)),
        fc.integer({min: 40, max: 5000}),
        async (bytes, size) => {
          const chunks = async function* (): AsyncGenerator<Buffer> {
            for (let at = 0; at < bytes.length; at += size)
              yield await Promise.resolve(bytes.subarray(at, at + size));
          };
          const {stream} = recompress(chunks(), {level: 1, blocksAhead: 1, fingerprints: true});
          await orRefusalLater([], () =>
            buffer(stream).catch((error: unknown) => {
              if (!(error instanceof UnknownLayout)) throw error;
            }),
          );
        },
      ),
      runs(150),
    );
  });

  it('are recognised by their content, in any file', async () => {
    const path = join(folder, 'detected');
    const source = fc.constantFrom(...dumpKinds).chain((kind) => damaged(dumpOf(kind).subarray(0, 20_000)));
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          source,
          fc.uint8Array().map((bytes) => Buffer.from(bytes)),
        ),
        async (bytes) => {
          await writeFile(path, bytes);
          await orRefusalLater(['NOT_A_BACKUP', 'READ_FAILED'], () => detectDump(path));
        },
      ),
      runs(),
    );
  });

  it('are selected from by any listing', () => {
    const part = fc.constantFrom(
      '1; ',
      '0 0 ',
      'TABLE ',
      'TABLE DATA ',
      'public ',
      'a b ',
      'SCHEMA - public ',
      ';',
      '\n',
    );
    const line = fc.array(fc.oneof(part, anyText), {maxLength: 9}).map((parts) => parts.join(''));
    const name = fc.record({schema: anyText, name: anyText});
    fc.assert(
      fc.property(
        fc.array(line),
        fc.array(name),
        fc.array(name),
        fc.boolean(),
        (lines, tables, onlyTables, isSuperuser) => {
          const dump = {format: 'custom', dumpMajor: 15} as const;
          const {entries, left} = orRefusal([], () =>
            selectEntries(lines, {dump, isSuperuser, tables, onlyTables}),
          ) ?? {entries: [], left: []};
          expect(entries.length + left.length).toBeLessThanOrEqual(lines.length);
        },
      ),
      runs(),
    );
  });
});

describe('plain dumps', () => {
  const readText = (bytes: Buffer, sizes: readonly number[]): unknown => {
    const stream = new CopyStream(true);
    for (let at = 0, index = 0; at < bytes.length; index++) {
      const end = at + (sizes[index % sizes.length] ?? 1);
      stream.write(bytes.subarray(at, end));
      at = end;
    }
    return stream.end();
  };
  const refusals = ['VERIFY_FAILED', 'UNSAFE_DUMP'] as const;
  const sizes = fc.array(fc.integer({min: 1, max: 9000}), {minLength: 1, maxLength: 5});

  it('that are truncated anywhere are refused', () => {
    const dump = dumpOf('sql');
    const lastLines = dump.lastIndexOf('\\unrestrict');
    fc.assert(
      fc.property(fc.nat(lastLines), (length) => {
        expect(orRefusal(refusals, () => readText(dump.subarray(0, length), [1 << 16]))).toBeUndefined();
      }),
      runs(100),
    );
  });

  it('that are damaged are refused, or read the same for any chunk sizes', () => {
    fc.assert(
      fc.property(
        fc.constant(null).chain(() => damaged(dumpOf('sql'))),
        sizes,
        (bytes, pieces) => {
          const whole = orRefusal(refusals, () => readText(bytes, [1 << 24]));
          expect(orRefusal(refusals, () => readText(bytes, pieces))).toEqual(whole);
        },
      ),
      runs(60),
    );
  });

  it('pass a filter that keeps everything unchanged, for any chunk sizes, if their reader accepts them', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constant(null).chain(() => damaged(dumpOf('sql'))),
        sizes,
        async (bytes, pieces) => {
          const chunks = async function* (): AsyncGenerator<Buffer> {
            for (let at = 0, index = 0; at < bytes.length; index++) {
              const end = at + (pieces[index % pieces.length] ?? 1);
              yield await Promise.resolve(bytes.subarray(at, end));
              at = end;
            }
          };
          const passOn = async (): Promise<Buffer> => {
            const passed: Buffer[] = [];
            for await (const chunk of filterPlainDump(chunks(), {keeps: () => true, leavesOut: () => false}))
              passed.push(Buffer.from(chunk));
            return Buffer.concat(passed);
          };
          const isRead = orRefusal(refusals, () => readText(bytes, pieces)) !== undefined;
          const passed = await orRefusalLater(isRead ? [] : refusals, passOn);
          expect(passed?.equals(bytes)).not.toBe(false);
        },
      ),
      runs(60),
    );
  });

  it('are the same statements and rows for any chunk sizes, if their reader accepts them', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constant(null).chain(() => damaged(dumpOf('sql'))),
        sizes,
        async (bytes, pieces) => {
          const read = async (sizesOf: readonly number[]): Promise<string[]> => {
            const chunks = async function* (): AsyncGenerator<Buffer> {
              for (let at = 0, index = 0; at < bytes.length; index++) {
                const end = at + (sizesOf[index % sizesOf.length] ?? 1);
                yield await Promise.resolve(bytes.subarray(at, end));
                at = end;
              }
            };
            const found: string[] = [];
            for await (const {sql, rows} of dumpStatements(chunks())) {
              const taken: Buffer[] = [];
              for await (const chunk of rows ?? []) taken.push(Buffer.from(chunk));
              found.push(sql, Buffer.concat(taken).toString('latin1'));
            }
            return found;
          };
          const isRead = orRefusal(refusals, () => readText(bytes, pieces)) !== undefined;
          const whole = await orRefusalLater(isRead ? [] : refusals, () => read([1 << 24]));
          expect(await orRefusalLater(isRead ? [] : refusals, () => read(pieces))).toEqual(whole);
        },
      ),
      runs(60),
    );
  });

  it('with endless lines and rows need no more memory than the maximum line length', () => {
    const piece = Buffer.alloc(1 << 20, 'x');
    const before = usedBytes();
    for (const start of ['', 'SELECT ', "SELECT '", '-- ', '/* ', 'COPY t (a) FROM stdin;\n', '$$']) {
      orRefusal(refusals, () => {
        const stream = new CopyStream(true);
        stream.write(Buffer.from(start));
        for (let count = 0; count < 120; count++) stream.write(piece);
        expect((usedBytes() - before) / 2 ** 20, 'MiB').toBeLessThan(80);
        return stream.end();
      });
    }
  });
});

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Memory in use after a collection, plus up to 40 MiB of buffers that are freed a little later. */
function usedBytes(): number {
  collectGarbage();
  const {heapUsed, external} = process.memoryUsage();
  return heapUsed + external;
}

it("rows in COPY's binary form are the same for any chunk sizes", () => {
  const rows = fc.array(fc.uint8Array({minLength: 1, maxLength: 40}), {maxLength: 12});
  fc.assert(
    fc.property(rows, fc.array(fc.integer({min: 1, max: 50}), {minLength: 1}), (list, sizes) => {
      const int = (value: number, bytes: 2 | 4): Buffer => {
        const buffer = Buffer.alloc(bytes);
        buffer.writeIntBE(value, 0, bytes);
        return buffer;
      };
      const stream = Buffer.concat([
        Buffer.alloc(19),
        ...list.flatMap((row) => [int(1, 2), int(row.length, 4), Buffer.from(row)]),
        int(-1, 2),
      ]);
      const found: string[] = [];
      let row = '';
      const reader = new BinaryRows({
        part: (chunk, start, end) => (row += chunk.toString('hex', start, end)),
        endRow: () => {
          found.push(row);
          row = '';
        },
      });
      for (let at = 0, index = 0; at < stream.length; index++) {
        const end = at + (sizes[index % sizes.length] ?? 1);
        reader.take(stream.subarray(at, end));
        at = end;
      }
      expect([reader.isComplete, ...found]).toEqual([
        true,
        ...list.map((bytes) => Buffer.from(bytes).toString('hex')),
      ]);
    }),
    runs(),
  );
});
