import {expect, it} from 'vitest';
import {mostParts, partsAtOnce, partSize} from '../../../../src/lib/storage/s3/part-size.js';

const tebibyte = 2 ** 40;

/** Total size of all parts of an upload. */
function capacity(expectedBytes?: number): number {
  let sum = 0;
  for (let number = 1; number <= mostParts; number += 1) sum += partSize(number, expectedBytes);
  return sum;
}

it('fits 5 TiB into the parts of an upload, of unknown length or of that length', () => {
  expect(capacity()).toBeGreaterThan(5 * tebibyte);
  expect(capacity(5 * tebibyte)).toBeGreaterThan(5 * tebibyte);
});

it('keeps no more than 32 MiB in flight for the first 8 GiB', () => {
  const last = partSize(1000);
  expect(last).toBe(8 * 2 ** 20);
  expect(last * partsAtOnce(last)).toBe(32 * 2 ** 20);
  expect(1000 * last).toBe(8000 * 2 ** 20);
});

it('sends one part at a time when parts are large', () => {
  expect(partsAtOnce(512 * 2 ** 20)).toBe(1);
});

it('never asks for a part above 5 GiB', () => {
  expect(partSize(mostParts, 50 * tebibyte)).toBe(5 * 2 ** 30);
});

it('uses slowly growing parts for data beyond the expected size', () => {
  const expected = 60 * 2 ** 30;
  expect(partSize(9000, expected)).toBe(8 * 2 ** 20);
  expect(partSize(9001, expected)).toBe(16 * 2 ** 20);
  expect(capacity(expected)).toBeGreaterThan(10 * expected);
});
