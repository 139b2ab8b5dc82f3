import {describe, expect, it} from 'vitest';
import {createRowHashSum} from '../../../src/lib/fingerprint/row-hash.js';
import {RowHashes} from '../../../src/lib/fingerprint/row-hashes.js';

function hashOf(text: string): Uint32Array {
  const sum = createRowHashSum();
  const row = Buffer.from(text);
  sum.add(row, 0, row.length);
  return sum.row;
}

describe('a set of row hashes', () => {
  it.each([0, 20_000])('has the rows that were added and no others, made for %i of 20,000', (expected) => {
    const hashes = new RowHashes(expected);
    for (let row = 0; row < 20_000; row++) hashes.add(hashOf(String(row)));
    hashes.add(hashOf('7')); // twice
    const found = Array.from({length: 40_000}, (_, row) => hashes.has(hashOf(String(row))));
    expect(found.indexOf(false)).toBe(20_000);
    expect(found.lastIndexOf(true)).toBe(19_999);
  });

  it('distinguishes hashes that share a word', () => {
    const hashes = new RowHashes(0);
    for (const word of [0, 2 ** 32 - 1]) hashes.add(Uint32Array.of(word, word, 5, 5));
    const has = (...words: number[]): boolean => hashes.has(Uint32Array.from(words));
    expect([has(0, 0, 5, 5), has(2 ** 32 - 1, 2 ** 32 - 1, 5, 5)]).toEqual([true, true]);
    expect([has(0, 2 ** 32 - 1, 5, 5), has(2 ** 32 - 1, 0, 5, 5), has(0, 6, 5, 5)]).toEqual([
      false,
      false,
      false,
    ]);
  });
});
