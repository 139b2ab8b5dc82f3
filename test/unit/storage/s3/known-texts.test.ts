/** The catalogue of a location with many backups whose texts were read before. */
import {readdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, beforeEach, expect, it, vi} from 'vitest';
import {environmentOf} from '../../../../src/lib/settings/environment.js';
import {openKnownTexts} from '../../../../src/lib/storage/s3/known-texts.js';
import {localPlace} from '../../../../src/lib/storage/local-place.js';
import {readPlace} from '../../../../src/lib/storage/place-catalogue.js';
import type {KnownTexts, Place} from '../../../../src/lib/storage/place.js';
import {tempFolder} from '../../../support/run-cli.js';
import {writeSampleBackup} from '../../../support/sample-backups.js';

let folder: string;
let home: string;
let reads: string[];
beforeEach(async () => {
  folder = await tempFolder();
  home = join(folder, 'home');
});
afterEach(() => rm(folder, {recursive: true}));

const cache = (): string => join(home, 'destino-db/metadata');

async function writeBackups(count: number): Promise<void> {
  for (let hour = 0; hour < count; hour++)
    await writeSampleBackup(join(folder, 'place'), new Date(Date.UTC(2026, 0, 1, hour)).toISOString());
}

function knownTexts(name: string): Promise<KnownTexts> {
  return openKnownTexts(environmentOf([{origin: 'environment', values: {XDG_CACHE_HOME: home}}]), [name]);
}

/** A folder with tags, like a store, identified by its name. */
function taggedPlace({name = 'shop', tagOf = (key: string) => `"${key}"`} = {}): Place {
  const place = localPlace(join(folder, 'place'));
  return {
    ...place,
    async *list(below, isDeep) {
      for await (const object of place.list(below, isDeep)) yield {...object, tag: tagOf(object.key)};
    },
    readText(key) {
      reads.push(key);
      return place.readText(key);
    },
    knownTexts: () => knownTexts(name),
  };
}

/** @returns how many texts were read, and how many backups there are */
async function listing(place = taggedPlace()): Promise<[number, number]> {
  reads = [];
  const {backups, problems} = await readPlace(place);
  expect(problems).toEqual([]);
  return [reads.length, backups.length];
}

it('reads each text once and caches it in a private file', async () => {
  await writeBackups(33);
  expect(await listing()).toEqual([33, 33]);
  expect(await listing()).toEqual([0, 33]);
  const [file = ''] = await readdir(cache());
  expect((await stat(join(cache(), file))).mode & 0o777).toBe(0o600);
  expect((await stat(cache())).mode & 0o777).toBe(0o700);
});

it('reads a text again if its tag, size or time has changed', async () => {
  await writeBackups(33);
  await listing();
  const [key = ''] = reads;
  const tagOf = (one: string): string => (one === key ? 'another' : `"${one}"`);
  expect(await listing(taggedPlace({tagOf}))).toEqual([1, 33]);
  expect(reads).toEqual([key]);
  await writeFile(join(folder, 'place', key), `${await readFile(join(folder, 'place', key), 'utf8')}\n`);
  expect(await listing(taggedPlace({tagOf}))).toEqual([1, 33]);
});

it('ignores the texts of another location', async () => {
  await writeBackups(33);
  await listing();
  expect(await listing(taggedPlace({name: 'another'}))).toEqual([33, 33]);
});

it('forgets objects that the location does not list any more', async () => {
  await writeBackups(34);
  await listing();
  const [gone = ''] = reads;
  await rm(join(folder, 'place', gone));
  expect(await listing()).toEqual([0, 33]);
  const [file = ''] = await readdir(cache());
  expect(await readFile(join(cache(), file), 'utf8')).not.toContain(gone);
});

it('reads everything if its file is damaged, and replaces it', async () => {
  await writeBackups(33);
  await listing();
  const [file = ''] = await readdir(cache());
  const text = await readFile(join(cache(), file), 'utf8');
  await writeFile(join(cache(), file), text.replace('1200', '1300'));
  expect(await listing()).toEqual([33, 33]);
  expect(await listing()).toEqual([0, 33]);
});

it('works if nothing can be cached', async () => {
  await writeBackups(33);
  await writeFile(home, 'a file where the folder should be');
  expect(await listing()).toEqual([33, 33]);
});

it('writes nothing to the working directory if HOME is empty', async () => {
  vi.stubEnv('HOME', '');
  const texts = await openKnownTexts(environmentOf([]), ['homeless']);
  texts.add({key: 'a', tag: 'a', sizeBytes: 1, modifiedAt: new Date(0)}, 'text');
  await texts.save();
  vi.unstubAllEnvs();
  await expect(readdir('.cache/destino-db')).rejects.toMatchObject({code: 'ENOENT'});
});

it('does not cache a location that is fast to read', async () => {
  await writeBackups(32);
  await listing();
  expect(await listing()).toEqual([32, 32]);
  await expect(readdir(cache())).rejects.toMatchObject({code: 'ENOENT'});
});

it('does not cache texts without a tag or very long texts', async () => {
  await writeBackups(33);
  const bare = localPlace(join(folder, 'place'));
  const untagged: Place = {...taggedPlace(), list: (below, isDeep) => bare.list(below, isDeep)};
  await listing(untagged);
  expect(await listing(untagged)).toEqual([33, 33]);
  const texts = await knownTexts('long');
  const object = (key: string) => ({key, tag: key, sizeBytes: 1, modifiedAt: new Date(0)});
  texts.add(object('short'), 'x'.repeat(64 * 1024));
  texts.add(object('long'), 'x'.repeat(64 * 1024 + 1));
  await texts.save();
  const again = await knownTexts('long');
  expect(again.get(object('short'))).toHaveLength(64 * 1024);
  expect(again.get(object('long'))).toBeUndefined();
});
