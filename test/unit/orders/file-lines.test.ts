import {rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, beforeEach, expect, it} from 'vitest';
import {readLines} from '../../../src/lib/orders/file-lines.js';
import {tempFolder} from '../../support/run-cli.js';

let folder: string;
beforeEach(async () => {
  folder = await tempFolder();
});
afterEach(() => rm(folder, {recursive: true}));

/** What comes of a file: each line with its number, or how many bytes of which line had no end. */
async function linesOf(content: string): Promise<[number, string][]> {
  const path = join(folder, 'file');
  await writeFile(path, content);
  const lines: [number, string][] = [];
  await readLines(path, {
    line: (buffer, start, end, line) => lines.push([line, buffer.toString('utf8', start, end)]),
    drain: () => Promise.resolve(),
    unfinished: (line, bytes) => {
      throw new RangeError(`line ${line}, ${bytes} bytes`);
    },
  });
  return lines;
}

const mebibyte = 1 << 20;

it('gives lines of every length, longer than what is read at once too, in their order', async () => {
  const lengths = [0, 1, 5, mebibyte - 7, mebibyte, 1, 0, 5 * mebibyte + 3, mebibyte - 1, 2, 3 * mebibyte];
  const wanted = lengths.map((length, index) => String.fromCharCode(97 + index).repeat(length));
  const lines = await linesOf(wanted.map((text) => `${text}\n`).join(''));
  expect(lines.map(([number]) => number)).toEqual(lengths.map((_, index) => index + 1));
  expect(lines.map(([, text]) => text.length)).toEqual(lengths);
  expect(lines.every(([, text], index) => text === wanted[index])).toBe(true);
});

it('tells a file whose last line has no end', async () => {
  await expect(linesOf('one\ntwo')).rejects.toThrow('line 2, 3 bytes');
  await expect(linesOf(`one\n${'x'.repeat(2 * mebibyte)}`)).rejects.toThrow(`line 2, ${2 * mebibyte} bytes`);
  expect(await linesOf('')).toEqual([]);
});
