import {appendFile, rm} from 'node:fs/promises';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import type {DumpContents} from '../../src/lib/fingerprint/table-contents.js';
import {detectDump} from '../../src/lib/dump/detect-format.js';
import {fingerprintDatabase} from '../../src/lib/fingerprint/fingerprint.js';
import {readDump} from '../../src/lib/dump/read-dump.js';
import {quoteQualified} from '../../src/lib/postgres/quote.js';
import {dumpKinds, makeDump, testSettings} from '../support/make-dump.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, loadFixture, type TempDatabase} from '../support/temp-database.js';

let database: TempDatabase;
let folder: string;
const contents = new Map<string, DumpContents>();

beforeAll(async () => {
  folder = await tempFolder();
  database = await createTempDatabase('template0');
  await loadFixture(database, 'every-type.sql');
  const settings = await testSettings(folder);
  for (const kind of dumpKinds) {
    const dump = await makeDump(database.connection, folder, kind);
    contents.set(kind, await readDump(dump, {settings, fingerprints: true}));
  }
});

afterAll(async () => {
  await database.drop();
  await rm(folder, {recursive: true, force: true});
});

const customContents = (): DumpContents => {
  const found = contents.get('custom');
  if (!found) throw new Error('the custom dump was not read');
  return found;
};

describe('reading a dump', () => {
  it('finds the same tables, rows and fingerprints in every format', () => {
    const [first, ...others] = [...contents.values()];
    // Large objects are read in pieces of different lengths, so the length of the text differs; its digest is of the text of one format.
    for (const {textBytes: _, definitions, ...other} of others) {
      expect(definitions).toMatch(/^[0-9a-f]{64}$/);
      expect(first).toMatchObject(other);
    }
    expect(customContents().tables.length).toBeGreaterThan(40);
  });

  it('refuses zeros after the end of a gzip file, which zlib ignores', async () => {
    const dump = await makeDump(database.connection, folder, 'sql.gz', {name: 'longer.sql.gz'});
    await appendFile(dump.path, Buffer.alloc(4));
    await expect(
      readDump(dump, {settings: await testSettings(folder), fingerprints: true}),
    ).rejects.toMatchObject({
      code: 'VERIFY_FAILED',
      message: expect.stringContaining('4 bytes after its end') as string,
    });
  });

  it('counts the rows as the server does', async () => {
    const tables = customContents().tables.filter(({schema}) => schema !== 'pg_catalog');
    const counts = tables.map(
      ({schema, name}) => `(SELECT count(*) FROM ONLY ${quoteQualified(schema, name)})`,
    );
    const [row] = await database.query(`SELECT ARRAY[${counts.join(', ')}] AS counts`);
    expect(`{${tables.map(({rows}) => rows).join(',')}}`).toBe(row?.['counts']);
  });

  it('gives the fingerprints of the live tables and large objects', async () => {
    const {tables} = customContents();
    const live = await fingerprintDatabase(database.connection, tables, {sessions: 3});
    expect(live).toEqual(
      tables.map(({schema, name, rows, fingerprint}) => ({schema, name, rows, fingerprint})),
    );
    expect(tables.at(-1)).toMatchObject({schema: 'pg_catalog', name: 'pg_largeobject', rows: 3});
  });

  it('reports the views that are filled', () => {
    expect(customContents().refreshedViews).toEqual([
      {schema: 'kinds', name: 'filled'},
      {schema: 'kinds', name: 'on_top'},
    ]);
  });

  it('recognises format, versions and database from the content alone', async () => {
    const detected = await Promise.all(dumpKinds.map((kind) => detectDump(`${folder}/shop.${kind}`)));
    expect(detected.map(({format, compressed}) => [format, compressed])).toEqual([
      ['custom', false],
      ['directory', false],
      ['sql', false],
      ['sql', true],
    ]);
    expect(detected[0]?.databaseName).toBe(database.name);
    for (const {serverVersion, dumpMajor} of detected) {
      expect(serverVersion).toMatch(/^\d+\.\d+/);
      expect(dumpMajor).toBeGreaterThanOrEqual(13);
    }
  });
});
