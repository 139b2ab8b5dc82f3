/** The examples in the help that name a bucket, in their order. */
import {CreateBucketCommand} from '@aws-sdk/client-s3';
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {makeKey} from '../support/age.js';
import {storeClient, storeEnvironment} from '../support/bucket.js';
import {openShell, readExamples} from '../support/help-examples.js';
import {type CliResult, tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';

const examples = (await readExamples()).filter(({line}) => line.includes('s3://'));

let database: TempDatabase;
let folder: string;
let recipient: string;
let shell: (line: string) => Promise<CliResult>;

beforeAll(async () => {
  folder = await tempFolder();
  database = await createTempDatabase();
  recipient = makeKey(join(folder, 'key.txt'));
  await storeClient().send(new CreateBucketCommand({Bucket: 'bucket'}));
  shell = await openShell(folder, {DIRECT_URL: database.url, ...storeEnvironment()});
  for (const line of ['destino-db backup', 'destino-db copy --to s3://bucket/db'])
    expect(await shell(line), line).toMatchObject({status: 0});
});
afterAll(async () => {
  await database.drop();
  await rm(folder, {recursive: true, force: true});
});

it.each(examples)('$line', async ({line}) => {
  const {status, stdout, stderr} = await shell(line.replace('age1...', recipient));
  expect([status, stderr.match(/^Error.*/m)]).toEqual([0, null]);
  expect(stdout.trim()).not.toBe('');
});
