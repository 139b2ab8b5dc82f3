/** The result of restoring orders: skipped rows have a reason, and none is counted twice. */
import {expect, it} from 'vitest';
import {showRestoredOrders} from '../../../../src/lib/cli/show/show-restored-orders.js';
import {createStyle} from '../../../../src/lib/cli/show/style.js';
import type {RestoreOrdersResult} from '../../../../src/lib/services/orders/restore/execute.js';

const reason = 'is there with other content';
const result: RestoreOrdersResult = {
  mode: 'execute',
  database: 'shop',
  backupPath: '/b/orders.json',
  backupTimestamp: '2026-11-25T02:40:04.000Z',
  orders: {'public.orders': 2, 'public.catering_orders': 1},
  tables: {
    'public.orders': {restored: 2, relinked: 0, skipped: 12},
    'public.catering_orders': {restored: 1, relinked: 0, skipped: 0},
    'public.reviews': {restored: 0, relinked: 4, skipped: 0},
  },
  conflicts: Array.from({length: 12}, (_, index) => ({table: 'public.orders', key: String(index), reason})),
  conflictCount: 12,
  reasons: [{table: 'public.orders', reason, rows: 12}],
  notes: ['A note.'],
  sequences: ['orders_id_seq'],
  duration: 373,
};
const show = (changes: Partial<RestoreOrdersResult>) =>
  showRestoredOrders((path) => `destino-db orders:restore --backup-file ${path} --execute`)(
    {...result, ...changes},
    createStyle(false, {}),
  );

it('counts orders, rows, links and what was skipped', () => {
  const lines = show({}).map((line) => line.trim().replace(/ +/g, ' '));
  expect(lines.slice(0, 8)).toEqual([
    '3 orders with 3 rows in all and 4 links were restored into shop and compared with the file (373 ms).',
    'from /b/orders.json, written 2026-11-25 02:40:04Z',
    '',
    'TABLE RESTORED RELINKED SKIPPED',
    'public.orders 2 0 12',
    'public.catering_orders 1 0 0',
    'public.reviews 0 4 0',
    '',
  ]);
  expect(lines.slice(8, 11)).toEqual([
    '12 rows skipped:',
    `12 public.orders ${reason}`,
    'The first 10 rows:',
  ]);
  expect(lines.slice(-3)).toEqual(['Note: A note.', 'Note: Sequences brought forward: orders_id_seq.', '']);
});

it('a preview says what it would do, and how', () => {
  const lines = show({mode: 'preview', conflicts: [], conflictCount: 0, notes: [], sequences: []});
  expect(lines[0]).toBe('Preview: 3 orders with 3 rows in all and 4 links would be restored into shop.');
  expect(lines.at(-1)).toBe('Next: destino-db orders:restore --backup-file /b/orders.json --execute');
});

it('says that there is nothing to restore where everything was skipped, and suggests nothing', () => {
  const lines = show({
    mode: 'preview',
    orders: {},
    tables: {'public.orders': {restored: 0, relinked: 0, skipped: 12}},
  });
  expect(lines[0]).toBe('There is nothing to restore into shop.');
  expect(lines).toContain('12 rows skipped:');
  expect(lines.some((line) => line.startsWith('Next:'))).toBe(false);
});
