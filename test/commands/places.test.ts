import {readdir, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {runCli, tempFolder} from '../support/run-cli.js';

let folder: string;
beforeAll(async () => {
  folder = await tempFolder();
});
afterAll(() => rm(folder, {recursive: true, force: true}));

describe('an invalid location', () => {
  it.each([
    [['list', '--from', 's3://../..//'], '--from: "s3://../..//" does not name a bucket.'],
    [['backup', '--to', 'shop', '--to', 'S3://bucket/shop'], '--to: "S3://bucket/shop" is neither'],
    [
      ['copy', '--to', 's3://bucket/../other'],
      '--to: "s3://bucket/../other": "." and ".." have no meaning in a prefix',
    ],
    [['prune', '--keep-last', '1', '--from', 'gs://bucket'], '--from: "gs://bucket" is neither'],
    [['backup', '--output-dir', 's3://bucket/shop'], '--output-dir takes a folder'],
    [['list', '--backups-dir', 's3://bucket/shop'], '--backups-dir takes a folder'],
  ])('is a usage error before anything is done: %j', async (args, told) => {
    const run = await runCli([...args, '--json'], {cwd: folder});
    expect(run.status).toBe(2);
    expect(run.json()).toMatchObject({error: {code: 'USAGE'}});
    expect((run.json() as {error: {message: string}}).error.message).toContain(told);
    expect(await readdir(folder)).toEqual([]);
  });

  it('is an error in the config file', async () => {
    const config = join(folder, 'destino-db.config.json');
    await writeFile(config, JSON.stringify({storage: {places: ['backups', 's3:/bucket/shop']}}));
    const run = await runCli(['list', '--json'], {cwd: folder});
    expect(run.status).toBe(2);
    const {error} = run.json() as {error: {code: string; message: string}};
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toContain('"s3:/bucket/shop" is neither');
  });
});
