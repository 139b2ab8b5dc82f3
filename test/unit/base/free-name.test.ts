import {readdir, rm, writeFile} from 'node:fs/promises';
import {basename, join} from 'node:path';
import {afterEach, beforeEach, expect, it} from 'vitest';
import {takeFreeName} from '../../../src/lib/base/free-name.js';
import {exists} from '../../../src/lib/base/safe-file.js';
import {tempFolder} from '../../support/run-cli.js';

let folder: string;
beforeEach(async () => {
  folder = await tempFolder();
});
afterEach(() => rm(folder, {recursive: true}));

const isTaken = (name: string): Promise<boolean> => exists(`${name}.txt`);
/** Fails if the name is taken. */
const write = async (name: string): Promise<string> => {
  await writeFile(`${name}.txt`, '', {flag: 'wx'});
  return name;
};

it('gives runs that begin at once the first names, each its own', async () => {
  const first = join(folder, 'report');
  await writeFile(`${first}.txt`, '');
  const names = await Promise.all(Array.from({length: 20}, () => takeFreeName(first, isTaken, write)));
  const expected = names.map((_, index) => `${first}-${index + 2}`);
  expect(names.sort()).toEqual(expected.sort());
  expect((await readdir(folder)).sort()).toEqual(
    [first, ...expected].map((name) => `${basename(name)}.txt`).sort(),
  );
});

it('sees a name that another run takes between the look at it and the claim', async () => {
  const first = join(folder, 'report');
  let looks = 0;
  const isTakenLater = async (name: string): Promise<boolean> => {
    const answer = await isTaken(name);
    looks += 1;
    if (looks === 1) await write(name);
    return answer;
  };
  expect(await takeFreeName(first, isTakenLater, write)).toBe(`${first}-2`);
  expect((await readdir(folder)).sort()).toEqual(['report-2.txt', 'report.txt']);
});

it('skips a name that another run is about to take, and leaves no claim if taking fails', async () => {
  const first = join(folder, 'report');
  await takeFreeName(first, isTaken, async () => {
    expect(await takeFreeName(first, isTaken, write)).toBe(`${first}-2`);
  });
  const failing = takeFreeName(first, isTaken, () => Promise.reject(new Error('no')));
  await expect(failing).rejects.toThrow('no');
  expect(await readdir(folder)).toEqual(['report-2.txt']);
});
