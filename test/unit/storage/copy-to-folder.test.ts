/** Copying into a folder on a disk that fails while the files are renamed. */
import {createHash} from 'node:crypto';
import {mkdir, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {Readable} from 'node:stream';
import {afterEach, beforeEach, expect, it} from 'vitest';
import {AppError} from '../../../src/lib/base/errors.js';
import {localPlace} from '../../../src/lib/storage/local-place.js';
import type {Place} from '../../../src/lib/storage/place.js';
import {readPlaced} from '../../../src/lib/storage/place-catalogue.js';
import {transferBackup} from '../../../src/lib/storage/transfer-backup.js';
import {until} from '../../support/observe.js';
import {tempFolder} from '../../support/run-cli.js';
import {writeSampleBackup} from '../../support/sample-backups.js';
import {testContext} from '../../support/test-context.js';

let home: string;
let target: string;
beforeEach(async () => {
  home = await tempFolder();
  target = join(home, 'copies');
});
afterEach(() => rm(home, {recursive: true}));

/** One copy of the same backup to each. */
async function copyTo(...places: readonly Place[]): Promise<unknown[]> {
  const here = join(home, 'backups/database');
  const {id} = await writeSampleBackup(here, '2026-11-22T03:10:00.000Z');
  const backup = await readPlaced(localPlace(here), `${id}.metadata.json`);
  const keys = {identities: [], passphrases: []};
  return Promise.all(
    places.map((to) => transferBackup(testContext(home), {from: localPlace(here), backup, to, keys})),
  );
}

const journals = (): Promise<string[]> => readdir(join(home, 'backups/.journal'));

it('removes a file that was already renamed when the disk became full', async () => {
  const place = localPlace(target);
  const finalize = async (staging: string): Promise<void> => {
    await place.finalize(staging);
    throw new AppError('DISK_FULL', 'The folder could not be synced.');
  };
  await expect(copyTo({...place, finalize})).rejects.toMatchObject({code: 'DISK_FULL'});
  expect(await readdir(target)).toEqual([]);
  expect(await journals()).toEqual([]);
});

it('sends no more files of a folder after one has failed', async () => {
  const here = join(home, 'backups/database');
  const names = Array.from({length: 50}, (_, number) => `${number}.dat`);
  const sha256 = Object.fromEntries(
    names.map((name) => [name, createHash('sha256').update(name).digest('hex')]),
  );
  const {id, backupPath} = await writeSampleBackup(here, '2026-11-22T03:10:00.000Z', {
    format: 'directory',
    sha256,
  });
  await rm(join(here, backupPath), {recursive: true, force: true});
  await mkdir(join(here, backupPath));
  for (const name of names)
    await writeFile(join(here, backupPath, name), name === '0.dat' ? 'damaged' : name);
  const backup = await readPlaced(localPlace(here), `${id}.metadata.json`);
  const place = localPlace(target);
  const written: string[] = [];
  const to: Place = {
    ...place,
    write: (key, source, options) => {
      written.push(key);
      return place.write(key, source, options);
    },
  };
  const keys = {identities: [], passphrases: []};
  await expect(
    transferBackup(testContext(home), {from: localPlace(here), backup, to, keys}),
  ).rejects.toMatchObject({code: 'CHECKSUM_MISMATCH'});
  expect(written.length).toBeLessThan(10);
});

it('does not change a foreign file of the same name', async () => {
  const place = localPlace(target);
  const foreign = 'shop-2026-11-22T03-10-00.dump';
  const finalize = async (staging: string): Promise<void> => {
    await writeFile(join(target, foreign), 'mine');
    await place.finalize(staging);
  };
  await expect(copyTo({...place, finalize})).rejects.toMatchObject({code: 'STORAGE_CONFLICT'});
  expect(await readdir(target)).toEqual([foreign]);
  expect(await readFile(join(target, foreign), 'utf8')).toBe('mine');
  expect(await journals()).toEqual([]);
});

it('two runs that copy one backup at the same time do not remove the files of each other', async () => {
  const place = localPlace(target);
  // Both have sent their files before either gives them their names.
  let sent = 0;
  let go: () => void;
  const bothSent = new Promise<void>((resolve) => (go = resolve));
  const finalize = async (staging: string): Promise<void> => {
    sent += 1;
    if (sent === 2) go();
    await bothSent;
    // The second one begins once the first one is done.
    if (sent === 2) sent += 1;
    else await until('the first copy', async () => (await readdir(target)).includes(`${id}.metadata.json`));
    await place.finalize(staging);
  };
  const id = 'shop-2026-11-22T03-10-00';
  const copies = await copyTo({...place, finalize}, {...place, finalize});
  expect(copies).toEqual(
    expect.arrayContaining([
      expect.objectContaining({isPresent: false}),
      expect.objectContaining({isPresent: true}),
    ]),
  );
  expect((await readdir(target)).sort()).toEqual([`${id}.dump`, `${id}.metadata.json`]);
  expect(await journals()).toEqual([]);
});

it('does not remove the file that another run is writing', async () => {
  const place = localPlace(target);
  await mkdir(target);
  await writeFile(join(target, 'x.json.partial'), 'half');
  await expect(place.write('x.json', Readable.from([Buffer.from('mine')]))).rejects.toMatchObject({
    code: 'STORAGE_CONFLICT',
  });
  expect(await readdir(target)).toEqual(['x.json.partial']);
});
