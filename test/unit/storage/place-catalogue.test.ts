/** The catalogue of a location that changes, fails or is interrupted while it is read. */
import {mkdir, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, beforeEach, expect, it} from 'vitest';
import {AppError} from '../../../src/lib/base/errors.js';
import {localPlace} from '../../../src/lib/storage/local-place.js';
import {findPlaced, readNewest, readPlace} from '../../../src/lib/storage/place-catalogue.js';
import type {Place} from '../../../src/lib/storage/place.js';
import {tempFolder} from '../../support/run-cli.js';
import {writeSampleBackup} from '../../support/sample-backups.js';

let folder: string;
beforeEach(async () => {
  folder = await tempFolder();
});
afterEach(() => rm(folder, {recursive: true}));

async function writeBackups(count: number): Promise<void> {
  for (let hour = 0; hour < count; hour++)
    await writeSampleBackup(folder, new Date(Date.UTC(2026, 0, 1, hour)).toISOString());
}

/** The folder; `before` is called with the number of each read. */
function watchedPlace(before: (number: number) => void): {place: Place; reads: () => number} {
  const place = localPlace(folder);
  let reads = 0;
  const readText = async (key: string): Promise<string> => {
    before(++reads);
    return place.readText(key);
  };
  return {place: {...place, readText}, reads: () => reads};
}

it('stops reading a location that denies access', async () => {
  await writeBackups(100);
  let reads = 0;
  const readText = (): Promise<string> =>
    ++reads === 1 ? Promise.reject(new AppError('STORAGE_DENIED', 'denied')) : Promise.resolve('{}');
  await expect(readPlace({...localPlace(folder), readText})).rejects.toMatchObject({code: 'STORAGE_DENIED'});
  await new Promise((resolve) => setImmediate(resolve));
  expect(reads).toBeLessThanOrEqual(32);
});

it('stops reading when the run is interrupted', async () => {
  await writeBackups(100);
  const interruption = new AbortController();
  const {place, reads} = watchedPlace(() => interruption.abort(new AppError('INTERRUPTED', 'stop')));
  await expect(readPlace(place, interruption.signal)).rejects.toMatchObject({code: 'INTERRUPTED'});
  expect(reads()).toBeLessThanOrEqual(32);
});

it('continues after an unreadable file', async () => {
  await writeBackups(2);
  const {place} = watchedPlace((number) => {
    if (number === 1) throw new AppError('READ_FAILED', 'no');
  });
  const {backups, problems} = await readPlace(place);
  expect([backups.length, problems.length]).toEqual([1, 1]);
});

it('leaves out files that another run removes while a folder is listed', async () => {
  await writeBackups(3);
  const keys: string[] = [];
  for await (const {key} of localPlace(folder).list('', false)) {
    keys.push(key);
    await rm(folder, {recursive: true});
    await mkdir(folder);
  }
  expect(keys).toHaveLength(1);
});

it('does not mix up databases if one name continues the other like a year', async () => {
  await writeBackups(2);
  for (const hour of [5, 6]) {
    const at = new Date(Date.UTC(2026, 0, 1, hour)).toISOString();
    await writeSampleBackup(folder, at, {databaseName: 'shop-2026-new'});
  }
  const place = localPlace(folder);
  // Like a store: by a prefix of the key, which need not be a folder.
  const bucket: Place = {
    ...place,
    async *list(begin) {
      for await (const object of place.list('', false)) if (object.key.startsWith(begin)) yield object;
    },
  };
  const newest = await readNewest(bucket, 'shop', 2);
  expect(newest.map(({database}) => database)).toEqual(['shop', 'shop']);
});

it('names an unreadable source file', async () => {
  await mkdir(join(folder, 'x.dump'));
  const target = localPlace(join(folder, 'copies'));
  const source = (await localPlace(folder).read('x.dump')) as AsyncIterable<Buffer>;
  await expect(target.write('x.dump', source)).rejects.toMatchObject({
    code: 'READ_FAILED',
    message: expect.stringContaining(`Cannot read ${folder}/x.dump`) as string,
  });
});

it('finds a backup by the beginning of its id, but not where several begin like it', async () => {
  const at = (day: number): Promise<{id: string}> => writeSampleBackup(folder, `2026-01-0${day}T00:00:00Z`);
  const [one, two] = [await at(1), await at(2)];
  const place = localPlace(folder);
  const {backups} = await readPlace(place);
  expect(findPlaced(place, backups, 'shop-2026-01-02').id).toBe(two.id);
  expect(() => findPlaced(place, backups, 'shop')).toThrow(
    expect.objectContaining({code: 'USAGE', details: [two.id, one.id]}) as Error,
  );
  expect(() => findPlaced(place, backups, 'shoq-2026-01-02')).toThrow(`Did you mean "${two.id}"?`);
  // Copies of different servers' backups may have one id.
  const twins = [1, 2].flatMap((number) =>
    backups.slice(0, 1).map((backup) => ({...backup, metadataPath: `${folder}/${number}.metadata.json`})),
  );
  expect(() => findPlaced(place, twins, 'shop')).toThrow(
    expect.objectContaining({
      code: 'USAGE',
      details: [`${folder}/1.metadata.json`, `${folder}/2.metadata.json`],
    }) as Error,
  );
});
