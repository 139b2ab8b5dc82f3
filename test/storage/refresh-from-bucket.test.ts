/** refresh straight from a bucket: rows of masked tables are loaded without a local copy, and a backup that changes meanwhile is refused. */
import {randomBytes} from 'node:crypto';
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, beforeEach, expect, it} from 'vitest';
import {defined} from '../../src/lib/base/defined.js';
import {backupToPlaces} from '../../src/lib/services/backup/backup.js';
import {refresh} from '../../src/lib/services/refresh/refresh.js';
import {makeKey} from '../support/age.js';
import {changeDump, createBucket, storeEnvironment} from '../support/bucket.js';
import {cases} from '../support/long-form.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, dropDatabase, existingDatabase, onServer, type TempDatabase, urlOf} from '../support/temp-database.js'; // prettier-ignore
import {testContext} from '../support/test-context.js';

let production: TempDatabase;
let folder: string;
let bucket: string;
let target: string;

beforeAll(async () => {
  production = await createTempDatabase('template0');
  await production.run(`
    CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL, email text UNIQUE);
    CREATE TABLE letters (id int PRIMARY KEY, person int REFERENCES people, body text);
    INSERT INTO people SELECT n, 'Anna ' || n, 'anna' || n || '@shop.example' FROM generate_series(1, 200) n;
    INSERT INTO letters SELECT n, 1 + n % 200, 'what was written' FROM generate_series(1, 50000) n`);
});
afterAll(() => production.drop());
beforeEach(async () => {
  folder = await tempFolder();
  bucket = await createBucket();
  target = `staging_${randomBytes(4).toString('hex')}`;
  return async () => {
    for (const name of await databasesNamedLikeTarget()) await dropDatabase(name);
    await rm(folder, {recursive: true});
  };
});

async function databasesNamedLikeTarget(): Promise<string[]> {
  const rows = await onServer((session) =>
    session.query('SELECT datname FROM pg_database WHERE starts_with(datname, $1)', [target]),
  );
  return rows.map((row) => String(row['datname'])).sort();
}

function context(checkpoint?: (point: string) => Promise<void>) {
  const masks = {
    'public.people.name': {mask: 'name'},
    'public.people.email': {mask: 'email'},
    'public.letters.body': {mask: 'text'},
  } as const;
  const made = testContext(folder, {
    settings: {databaseUrl: urlOf(production.connection), config: {masks}},
    env: {...storeEnvironment(), STAGING_URL: existingDatabase(target).url},
  });
  return {...made, checkpoint: checkpoint ?? made.checkpoint};
}

const asked = {targetUrlEnv: 'STAGING_URL', keepSetAside: 1} as const;
const place = () => `s3://${bucket}/shop`;
const backUp = (format: 'custom' | 'sql', rest: {recipients?: string[]; compress?: boolean} = {}) =>
  backupToPlaces(context(), defined({format, compress: rest.compress}), defined({to: [place()], recipients: rest.recipients, isLocal: false})); // prettier-ignore

it.each(cases(['custom', 'sql'] as const))(
  'copies an encrypted backup in %s format that is only there',
  async (format) => {
    const recipient = makeKey(join(folder, 'key.txt'));
    await backUp(format, {recipients: [recipient]});
    const streaming = context();
    const done = await refresh(streaming, {from: place(), identityFile: 'key.txt'}, asked);
    expect(done.masked?.proof.passed).toBe(true);
    expect(streaming.steps).not.toContainEqual(expect.stringMatching(/^Fetch /));
    const copy = existingDatabase(target);
    expect(
      await copy.query(
        `SELECT count(*) AS letters, count(DISTINCT p.name) AS names, count(*) FILTER (WHERE p.name LIKE 'Anna%' OR l.body LIKE '%written%' OR p.email !~ '@masked.invalid$') AS left
         FROM letters l JOIN people p ON p.id = l.person`,
      ),
    ).toEqual([{letters: '50000', names: '200', left: '0'}]);
    expect(
      await copy.query(`SELECT n_tup_ins AS rows FROM pg_stat_user_tables WHERE relname = 'people'`),
    ).toEqual([{rows: format === 'custom' ? '200' : '400'}]);
  },
);

it.each(cases(['staging.compared', 'staging.marked']))(
  'leaves the copy of before if the backup changes at %s',
  async (changes) => {
    await backUp('custom', {compress: false});
    const first = await refresh(context(), {from: place()}, asked);
    expect(first.setAside).toBeNull();
    let isChanged = false;
    const changing = context(async (point) => {
      if (point !== changes) return;
      await changeDump(bucket, 'what was written', 'what was wrotten');
      isChanged = true;
    });
    const error: unknown = await refresh(changing, {from: place()}, asked).catch((thrown: unknown) => thrown);
    expect(isChanged).toBe(true);
    expect(error).toMatchObject({code: 'CHECKSUM_MISMATCH'});
    expect(String(error)).toContain(`"${target}" is unchanged`);
    expect(await databasesNamedLikeTarget()).toEqual([target]);
  },
);
