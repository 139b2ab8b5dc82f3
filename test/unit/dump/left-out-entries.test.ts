/** Entries of a dump that are not restored. */
import {expect, it} from 'vitest';
import {type Entry, leaveOut} from '../../../src/lib/dump/left-out-entries.js';

const table = (name: string): Entry => ({type: 'TABLE', schema: 'public', name});
const entries = [table('orders'), table('orders old'), table('orders')];

it.each([true, false])(
  'returns the same whether or not all rules depend on the name only: %s',
  (isByName) => {
    const old = (entry: Entry): string | undefined =>
      entry.name === 'orders old' ? 'which are old' : undefined;
    const some = leaveOut(entries, old, old, isByName);
    expect([...some.counts]).toEqual([['which are old', 1]]);
    expect(some.restored).toBe(1);
    expect(some.whyListed('TABLE public orders old shop')).toBe('which are old');
    expect(some.whyListed('TABLE public orders shop')).toBeUndefined();

    const rows = (entry: Entry): string | undefined => (entry.type === 'TABLE DATA' ? 'rows' : undefined);
    const all = leaveOut(entries, rows, rows, isByName);
    expect(all).toMatchObject({restored: 2});
    expect(all.counts.size + all.names.size).toBe(0);
    expect(all.why(table('orders'))).toBeUndefined();
    expect(all.why({...table('orders'), type: 'TABLE DATA'})).toBe('rows');
    expect(all.whyListed('TABLE public orders shop')).toBeUndefined();
  },
);
