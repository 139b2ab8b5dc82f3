/** Several pg_restore processes that share an archive find the same as a single one, and miss no damage. */
import {copyFile, readdir, readFile, rm, stat, truncate, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, describe, expect, inject, it} from 'vitest';
import {readCustomHead} from '../../src/lib/dump/compress/custom-format.js';
import {readArchive} from '../../src/lib/dump/read-archive.js';
import {findTool, type Tool} from '../../src/lib/postgres/tools/find-tools.js';
import {makeDump, testSettings} from '../support/make-dump.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, loadFixture, type TempDatabase} from '../support/temp-database.js';

let database: TempDatabase;
let folder: string;
let tool: Tool;

beforeAll(async () => {
  folder = await tempFolder();
  database = await createTempDatabase('template0');
  await loadFixture(database, 'every-type.sql');
  // Large enough to be shared by three: 18 MB of unchanging rows.
  for (const name of ['a', 'b', 'c'])
    await database.run(
      `CREATE TABLE bulk_${name} AS SELECT n, repeat(md5('${name}' || n), 3) AS text FROM generate_series(1, 60000) AS n`,
    );
  tool = await findTool('pg_restore', await testSettings(folder), inject('serverMajor'));
  await makeDump(database.connection, folder, 'custom', {name: 'custom', compressLevel: 0});
  await makeDump(database.connection, folder, 'directory', {name: 'directory', compressLevel: 0});
});

afterAll(async () => {
  await database.drop();
  await rm(folder, {recursive: true, force: true});
});

const read = (path: string, format: 'custom' | 'directory', readers: number) =>
  readArchive({path, format}, tool, {fingerprints: true, readers});

describe('reading an archive with several pg_restore', () => {
  it.each(['custom', 'directory'] as const)('finds everything once in a %s archive', async (format) => {
    const path = join(folder, format);
    const [alone, shared] = [await read(path, format, 1), await read(path, format, 3)];
    // Several readers repeat the heading.
    const same = {textBytes: 0, definitions: ''};
    expect({...shared, ...same}).toEqual({...alone, ...same});
    expect(alone.tables.length).toBeGreaterThan(40);
    // Each has its own heading and closing lines, which shows that there were three.
    const more = shared.textBytes - alone.textBytes;
    expect(more).toBeGreaterThan(2 * 300);
    expect(more).toBeLessThan(2 * 1000);
  });

  it('finds damage in every share', async () => {
    const whole = join(folder, 'custom');
    const archive = await readFile(whole);
    const entries = readCustomHead(archive)?.entries ?? [];
    const large = entries.filter(({copy}) => copy?.name.startsWith('bulk_') === true);
    expect(large).toHaveLength(3);
    for (const {offset = 0} of large) {
      const damaged = join(folder, 'damaged');
      await copyFile(whole, damaged);
      const copy = Buffer.from(archive);
      copy[offset] = 9; // the type of the block
      await writeFile(damaged, copy);
      await expect(read(damaged, 'custom', 3)).rejects.toMatchObject({code: 'VERIFY_FAILED'});
    }
  });

  it('finds that a file of a directory ends early', async () => {
    const path = join(folder, 'directory');
    for (const name of await readdir(path)) {
      const file = join(path, name);
      const {size} = await stat(file);
      if (size < 1e6) continue;
      const whole = await readFile(file);
      await truncate(file, size - 10);
      await expect(read(path, 'directory', 3)).rejects.toMatchObject({code: 'VERIFY_FAILED'});
      await writeFile(file, whole);
    }
    expect((await read(path, 'directory', 3)).tables.length).toBeGreaterThan(40);
  });

  it('ends all of them when the run is interrupted', async () => {
    const interruption = new AbortController();
    const reading = readArchive({path: join(folder, 'custom'), format: 'custom'}, tool, {
      fingerprints: true,
      readers: 3,
      signal: interruption.signal,
      onBytes: (bytes) => {
        if (bytes > 1e6) interruption.abort(new Error('interrupted'));
      },
    });
    await expect(reading).rejects.toThrow('interrupted');
  });
});
