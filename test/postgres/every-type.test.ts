/** The fixture with every type survives the stock tools, so a failure elsewhere is a fault of that code. */
import {execFile} from 'node:child_process';
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {promisify} from 'node:util';
import {afterAll, beforeAll, expect, inject, it} from 'vitest';
import {loadEveryType} from '../support/every-type.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';

const run = promisify(execFile);

let source: TempDatabase;
let copy: TempDatabase;
let folder: string;

beforeAll(async () => {
  folder = await tempFolder();
  source = await createTempDatabase('template0');
  copy = await createTempDatabase('template0');
  await loadEveryType(source);
});

afterAll(async () => {
  await Promise.all([source.drop(), copy.drop(), rm(folder, {recursive: true, force: true})]);
});

it('is dumped, restored and dumped again to the same text by pg_dump and pg_restore', async () => {
  const tool = (name: string) => join(inject('serverBin'), name);
  const dumpFile = join(folder, 'every-type.dump');
  await run(tool('pg_dump'), ['--format=custom', `--file=${dumpFile}`, source.url]);
  await run(tool('pg_restore'), ['--exit-on-error', `--dbname=${copy.url}`, dumpFile]);
  const texts = await Promise.all(
    [source, copy].map(async ({url}) => {
      const {stdout} = await run(tool('pg_dump'), [url], {maxBuffer: 100_000_000});
      return stdout.replaceAll(/^\\(un)?restrict .*$/gm, '');
    }),
  );
  expect(texts[0]).toContain('Weird ""Table"".name');
  expect(texts[1]).toEqual(texts[0]);
});
