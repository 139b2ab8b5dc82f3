import {execFile} from 'node:child_process';
import {mkdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {promisify} from 'node:util';
import {afterAll, beforeAll, expect, inject, it} from 'vitest';
import {fingerprintDatabase} from '../../src/lib/fingerprint/fingerprint.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';

const run = promisify(execFile);
let database: TempDatabase;
let folder: string;

beforeAll(async () => {
  folder = await tempFolder();
  database = await createTempDatabase();
});

afterAll(async () => {
  await database.drop();
  await rm(folder, {recursive: true, force: true});
});

it('calculates the recorded fingerprint with only the commands in docs/fingerprint.md', async () => {
  const page = await readFile(new URL('../../docs/fingerprint.md', import.meta.url), 'utf8');
  const script = /^```js\n(.*?)^```/ms.exec(page)?.[1] ?? '';
  const [command = '', recorded = ''] = [...page.matchAll(/^```sh\n(.*?)^```/gms)].map(
    ([, text = '']) => text,
  );
  await writeFile(join(folder, 'fingerprint.mjs'), script);
  const columns = (
    await database.query(
      `SELECT attname FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum`,
    )
  ).map(({attname}) => attname ?? '');
  const [expected] = await fingerprintDatabase(database.connection, [
    {schema: 'public', name: 'orders', columns},
  ]);
  const {stdout} = await run('bash', ['-c', command], {
    cwd: folder,
    env: {
      PATH: `${inject('serverBin')}:${process.env['PATH'] ?? ''}`,
      DATABASE_URL: database.url,
      TZ: 'Asia/Tokyo',
    },
  });
  expect(expected?.rows).toBeGreaterThan(10);
  expect(stdout.trim()).toBe(`${expected?.rows ?? 0} rows ${expected?.fingerprint ?? ''}`);
  await mkdir(join(folder, 'backups/database'), {recursive: true});
  await writeFile(
    join(folder, 'backups/database/shop-2026-11-25T02-00-04.metadata.json'),
    JSON.stringify({
      tables: [
        {...expected, name: 'other', rows: 0},
        {...expected, schema: 'public', name: 'orders'},
      ],
    }),
  );
  expect((await run('bash', ['-c', recorded], {cwd: folder})).stdout).toBe(stdout);
});
