import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {hasData, type ListedEntry, listedEntries, shareEntries} from '../../../src/lib/dump/share-entries.js';

const lines = [
  '5; 2615 16385 SCHEMA - shop postgres',
  '215; 1259 16390 TABLE public orders postgres',
  '3345; 0 16390 TABLE DATA public orders postgres',
  '3346; 0 16400 TABLE DATA public my TABLE DATA postgres',
  '3350; 0 0 SEQUENCE SET public orders_id_seq postgres',
  '3341; 0 0 BLOBS - BLOBS ',
  '216; 1259 16404 BLOB METADATA - 16404..16410 postgres',
];

describe('sharing the entries of an archive among readers', () => {
  it('reads ids and kinds from the list', () => {
    expect(listedEntries(lines).map(({id, type}) => [id, type])).toEqual([
      [5, 'SCHEMA'], [215, 'TABLE'], [3345, 'TABLE DATA'], [3346, 'TABLE DATA'], [3350, 'SEQUENCE'], [3341, 'BLOBS'], [216, 'BLOB'],
    ]); // prettier-ignore
    expect(
      listedEntries(lines)
        .filter(hasData)
        .map(({id}) => id),
    ).toEqual([3345, 3346, 3341]);
  });

  it('assigns every entry to one reader, in order, and no reader exceeds its share by more than one entry', () => {
    const entry = fc.record({type: fc.constantFrom('TABLE DATA', 'BLOBS', 'TABLE'), size: fc.nat(1000)});
    fc.assert(
      fc.property(fc.array(entry), fc.integer({min: 1, max: 5}), (list, count) => {
        const entries = list.map(({type}, id): ListedEntry => ({id, type}));
        const sizes = new Map(list.map(({size}, id) => [id, size]));
        const shares = shareEntries(entries, sizes, count);
        expect(shares.flat().map(({id}) => id).sort((a, b) => a - b)).toEqual(entries.map(({id}) => id));
        expect(shares.length).toBeLessThanOrEqual(count);
        for (const share of shares) {
          expect(share.length).toBeGreaterThan(0);
          expect(share).toEqual(entries.filter((each) => share.includes(each)));
        }
        expect(shares.slice(1).flat().every(hasData)).toBe(true);
        const data = entries.filter(hasData);
        const bytes = (part: ListedEntry[]) => part.filter(hasData).reduce((sum, {id}) => sum + (sizes.get(id) ?? 0), 0);
        const largest = Math.max(0, ...data.map(({id}) => sizes.get(id) ?? 0));
        for (const share of shares) expect(bytes(share)).toBeLessThanOrEqual(bytes(data) / count + largest);
      }),
    ); // prettier-ignore
  });
});
