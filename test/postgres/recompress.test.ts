/** A custom backup that this program compresses itself is, for the stock pg_restore, like one of pg_dump. */
import {execFile} from 'node:child_process';
import {open, readFile, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {promisify} from 'node:util';
import {afterAll, beforeAll, describe, expect, inject, it} from 'vitest';
import {knownDumpMajors, readCustomHead} from '../../src/lib/dump/compress/custom-format.js';
import {readDump} from '../../src/lib/dump/read-dump.js';
import {installedTools} from '../../src/lib/postgres/tools/find-tools.js';
import {writeDump} from '../../src/lib/services/backup/run-dump.js';
import {loadEveryType} from '../support/every-type.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

const run = promisify(execFile);
let source: TempDatabase;
let folder: string;

beforeAll(async () => {
  folder = await tempFolder();
  source = await createTempDatabase('template0');
  await loadEveryType(source);
  await source.run(`
    CREATE TABLE public.nothing (i int);
    CREATE TABLE public.wide AS
      SELECT n AS id, md5(n::text) AS hash, repeat(md5(n::text), n % 400) AS text FROM generate_series(1, 800) AS n;
    SELECT lo_create(0), lo_from_bytea(0, decode(repeat(md5('x'), 50000), 'hex'))`);
});
afterAll(async () => {
  await Promise.all([source.drop(), rm(folder, {recursive: true, force: true})]);
});

describe('a backup compressed on several cores', () => {
  it('equals that of every pg_dump in content, can be restored in parallel, and knows its offsets', async () => {
    const context = testContext(folder);
    const tools = (await installedTools('pg_dump', context.settings)).filter(
      ({major}) => major >= inject('serverMajor') && knownDumpMajors.includes(major),
    );
    expect(tools.length).toBeGreaterThan(0);
    for (const tool of tools) {
      const output = join(folder, `${tool.major}.dump`);
      await (await open(output, 'w', 0o600)).close();
      const options = {
        format: 'custom', schemaOnly: false, dataOnly: false, includeTables: [], excludeTables: [],
        includeSchemas: [], excludeSchemas: [], parallelJobs: 1, lockWaitMs: 10_000, encoding: undefined, snapshot: undefined,
      } as const; // prettier-ignore
      await writeDump(context, {
        tool,
        connection: source.connection,
        options,
        recompressLevel: 5,
        tail: undefined,
        verify: undefined,
        fingerprints: true,
        output,
      });

      const stock = join(folder, `${tool.major}.stock`);
      await run(tool.path, ['--format=custom', '--compress=6', `--file=${stock}`, source.url]);
      const read = (path: string) =>
        readDump(
          {path, format: 'custom', compressed: true},
          {settings: context.settings, fingerprints: true},
        );
      expect(await read(output)).toEqual(await read(stock));

      const archive = await readFile(output);
      for (const {offsetPosition} of readCustomHead(archive)?.entries ?? [])
        expect(archive[offsetPosition]).toBe(2);

      const copy = await createTempDatabase('template0');
      try {
        const restore = join(inject('serverBin'), 'pg_restore');
        if (tool.major === inject('serverMajor')) {
          await run(restore, ['--exit-on-error', '--jobs=3', `--dbname=${copy.url}`, output]);
          const [before, after] = await Promise.all([source, copy].map(async ({url}) => {
            const {stdout} = await run(tool.path, [url], {maxBuffer: 1 << 28});
            return stdout.replaceAll(/^\\(un)?restrict .*$/gm, '');
          })); // prettier-ignore
          expect(after).toEqual(before);
        }
      } finally {
        await copy.drop();
      }
    }
  });
});
