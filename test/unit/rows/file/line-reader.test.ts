import {rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, beforeEach, expect, it} from 'vitest';
import {readLines} from '../../../../src/lib/rows/file/line-reader.js';
import {tempFolder} from '../../../support/run-cli.js';

let folder: string;
beforeEach(async () => {
  folder = await tempFolder();
});
afterEach(() => rm(folder, {recursive: true}));

/**
 * The result of reading a file: each line with its number, or how many bytes of which line had no end.
 * @param takes how much of a part that is not the last is taken
 */
async function linesOf(
  content: string,
  takes = (_start: number, end: number) => end - 100,
): Promise<[number, string][]> {
  const path = join(folder, 'file');
  await writeFile(path, content);
  const lines: [number, string][] = [];
  let parts = '';
  await readLines(path, {
    line: (buffer, start, end, line, isLast) => {
      if (takes !== whole) expect(buffer.length).toBeLessThanOrEqual(mebibyte);
      const taken = isLast ? end : takes(start, end);
      parts += buffer.toString('utf8', start, taken);
      if (isLast) lines.push([line, parts]);
      if (isLast) parts = '';
      return taken;
    },
    drain: () => Promise.resolve(),
    unfinished: (line, bytes) => {
      throw new RangeError(`line ${line}, ${bytes} bytes`);
    },
  });
  return lines;
}

const whole = (start: number): number => start;

const mebibyte = 1 << 20;

it.each([
  ['whole', whole],
  ['in parts', undefined],
])(
  'gives lines of every length, longer than what is read at once too, in their order, %s',
  async (_, takes) => {
    const lengths = [0, 1, 5, mebibyte - 7, mebibyte, 1, 0, 5 * mebibyte + 3, mebibyte - 1, 2, 3 * mebibyte];
    const wanted = lengths.map((length, index) => String.fromCharCode(97 + index).repeat(length));
    const lines = await linesOf(wanted.map((text) => `${text}\n`).join(''), takes);
    expect(lines.map(([number]) => number)).toEqual(lengths.map((_, index) => index + 1));
    expect(lines.map(([, text]) => text.length)).toEqual(lengths);
    expect(lines.every(([, text], index) => text === wanted[index])).toBe(true);
  },
);

it('reports a file whose last line has no end', async () => {
  await expect(linesOf('one\ntwo')).rejects.toThrow('line 2, 3 bytes');
  const long = `one\n${'x'.repeat(2 * mebibyte)}`;
  await expect(linesOf(long, whole)).rejects.toThrow(`line 2, ${2 * mebibyte} bytes`);
  expect(await linesOf('')).toEqual([]);
});

it('buffers at most 64 MiB of a line that is read as a whole', async () => {
  const long = 'x'.repeat(64 * mebibyte);
  await expect(linesOf(`${long}\n`, whole)).rejects.toThrow(`line 1, ${64 * mebibyte} bytes`);
});
