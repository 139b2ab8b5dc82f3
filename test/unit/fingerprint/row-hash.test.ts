import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {createRowHashSum, rowDigest} from '../../../src/lib/fingerprint/row-hash.js';

function digestOf(...rows: Buffer[]): string {
  const sum = createRowHashSum();
  for (const row of rows) sum.add(row, 0, row.length);
  return sum.digest();
}

describe('the row hash sum', () => {
  // From the reference implementation, the results of mmh3.hash128(text, 0, False) in Python's mmh3 5.3.0.
  it.each([
    ['', '00000000000000000000000000000000'],
    ['a', '5556b01b5556b01b5556b01ba794933c'],
    ['foo', '60b6256560b6256560b62565577c1b25'],
    ['My hovercraft is full of eels.', '3c68fa9c6a8bd934e169ba6ce3a186ae'],
    ['I will not buy this record, it is scratched.', '890dddf5d9af289525ac5e40a0a9683b'],
    ['The quick brown fox jumps over the lazy dog', 'e5e91d2c5d7bf66cecee2c672f1583c3'],
  ])('returns the published MurmurHash3 x86 128-bit value of %j', (text, expected) => {
    expect(digestOf(Buffer.from(text))).toBe(expected);
  });

  it('gives the hash of each row, which adds the row to another sum', () => {
    const rows = ['', 'a', 'My hovercraft is full of eels.'].map((text) => Buffer.from(text));
    const [sum, other] = [createRowHashSum(), createRowHashSum()];
    for (const row of rows) {
      sum.add(row, 0, row.length);
      expect(rowDigest(sum.row)).toBe(digestOf(row));
      other.addHash(sum.row);
    }
    expect([other.digest(), other.rows]).toEqual([sum.digest(), 3]);
  });

  it('sums the values of rows of every length modulo 2^128', () => {
    const data = Buffer.from(Array.from({length: 300}, (_, index) => (index * 167 + 13) & 255));
    const sum = createRowHashSum();
    for (let length = 0; length < 300; length++) sum.add(data, 0, length);
    expect(sum.rows).toBe(300);
    expect(sum.digest()).toBe('cfbd6a2b74839b60a26af063a1c58c2d');
  });

  it('is the same for any division of a row into buffers and any position in them', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({maxLength: 100}), {maxLength: 8}),
        fc.array(fc.nat(40), {minLength: 1, maxLength: 5}),
        fc.nat(20),
        (rows, cuts, padding) => {
          const sum = createRowHashSum();
          for (const bytes of rows) {
            let start = 0;
            for (let index = 0; start < bytes.length; index++) {
              const end = Math.min(bytes.length, start + (cuts[index % cuts.length] ?? 0) + 1);
              const part = Buffer.concat([
                Buffer.alloc(padding, 7),
                bytes.subarray(start, end),
                Buffer.alloc(padding),
              ]);
              sum.append(part, padding, padding + end - start);
              start = end;
            }
            sum.endRow();
          }
          expect(sum.digest()).toBe(digestOf(...rows.map((row) => Buffer.from(row))));
          expect(sum.rows).toBe(rows.length);
        },
      ),
    );
  });

  it('depends on how often each row occurs, but not on the order', () => {
    const [a, b] = [Buffer.from('1\tone'), Buffer.from('2\ttwo')];
    expect(digestOf(a, b, b)).toBe(digestOf(b, a, b));
    expect(digestOf(a, b, b)).not.toBe(digestOf(a, a, b));
    expect(digestOf(a, a)).not.toBe(digestOf());
  });

  it('can be read between rows without affecting the next ones', () => {
    const sum = createRowHashSum();
    sum.add(Buffer.from('foo'), 0, 3);
    sum.digest();
    sum.add(Buffer.from('My hovercraft is full of eels.'), 0, 30);
    expect(sum.digest()).toBe(digestOf(Buffer.from('foo'), Buffer.from('My hovercraft is full of eels.')));
  });
});
