/** The result of a cleaning: it says whether the orders can be restored, and names each guard. */
import {describe, expect, it} from 'vitest';
import {showCleanedOrders} from '../../../../src/lib/cli/show/show-cleaned-orders.js';
import {showSafeCleanup} from '../../../../src/lib/cli/show/show-safe-cleanup.js';
import {createStyle} from '../../../../src/lib/cli/show/style.js';
import type {CleanToPlacesResult} from '../../../../src/lib/services/orders/clean/clean.js';

const style = createStyle(false, {});
const result: CleanToPlacesResult = {
  mode: 'execute',
  database: 'shop',
  host: 'db.example',
  profile: 'destino',
  criteria: {
    testEmailsOnly: false,
    includeOld: false,
    includeCustomers: false,
    from: null,
    to: null,
    timeZone: 'UTC',
    excludedIds: [],
  },
  rules: [],
  unseen: [],
  triggers: [
    {table: 'public.orders', trigger: 'audit', event: 'delete', timing: 'after', function: 'f'},
    {table: 'public.other', trigger: 'silent', event: 'delete', timing: 'after', function: 'f'},
  ],
  slowLinks: [{table: 'public.notes', columns: ['order_id'], constraint: 'fk', seconds: 90}],
  plan: 'abc',
  roots: {'public.orders': 2},
  tables: {
    'public.orders': {deleted: 2, relinked: 0},
    'public.reviews': {deleted: 0, relinked: 3},
    'public.other': {deleted: 0, relinked: 0},
  },
  reasons: {'test-email': 1, cancelled: 1},
  guards: {
    'high-value-paid': 1,
    'production-customer': 2,
    protected: 3,
    excluded: 4,
    'outside-range': 5,
    linked: 6,
  },
  statuses: {},
  sample: [],
  orders: null,
  totalRows: 2,
  backupPath: '/b/orders.json',
  sideEffects: [],
  copies: [],
  undo: 'destino-db orders:restore --backup-file /b/orders.json --execute',
};
const squeezed = (lines: readonly string[]): string[] => lines.map((line) => line.trim().replace(/ +/g, ' '));
const show = (changes: Partial<CleanToPlacesResult>): string[] =>
  squeezed(
    showCleanedOrders((plan) => `destino-db orders:clean --plan ${plan}`)({...result, ...changes}, style),
  );

describe('orders:clean', () => {
  it('says what was deleted, what stayed and why, and the way back', () => {
    expect(show({})).toEqual([
      'Deleted 2 orders with everything that belongs to them, 2 rows, from shop on db.example.',
      '',
      'Deleted rows, by table',
      'public.orders 2',
      'public.reviews 0 3 kept without their link',
      '',
      'Matching orders that guards keep',
      'paid and of high value 1',
      'customer with a paid order 2',
      'protected address 3',
      'excluded id 4',
      'outside the dates 5',
      'a guarded order refers to it 6',
      '',
      'Order backup: /b/orders.json',
      'To restore them: destino-db orders:restore --backup-file /b/orders.json --execute',
    ]);
    expect(show({backupPath: null, undo: null}).at(-1)).toBe(
      'There is no order backup: the orders cannot be restored one by one.',
    );
  });

  it('previews triggers of tables that are touched, and how long links without an index take', () => {
    const lines = show({mode: 'preview'});
    expect(lines.slice(0, 2)).toEqual([
      'Preview: 2 orders with everything that belongs to them, 2 rows, would be deleted from shop on db.example.',
      'Nothing was changed.',
    ]);
    expect(lines).toContain('audit after delete on public.orders: f');
    expect(lines.join()).not.toContain('silent');
    expect(lines).toContain('fk on public.notes (order_id): about 1 min 30 s');
    expect(lines.at(-1)).toBe('Next: destino-db orders:clean --plan abc');
  });

  it('lists every order with its reasons where that was asked for, and says how many a list cannot have', () => {
    const order = {
      table: 'public.orders',
      key: '7',
      email: null,
      status: 'NEW',
      paymentStatus: null,
      total: '5',
    };
    const orders = [{...order, createdAt: '2026-03-01 10:00:00', reasons: ['test-email', 'cancelled']}];
    const lines = show({orders, sample: []});
    const at = lines.indexOf('Deleted orders');
    expect(lines.slice(at + 1, at + 5)).toEqual([
      'DATE STATUS TOTAL E-MAIL KEY REASON',
      '2026-03-01 NEW/- 5 - 7 public.orders: test address, cancelled',
      'and 1 more order, more than a list can have',
      '',
    ]);
    expect(show({mode: 'preview', orders: [...orders, ...orders]})).toContain('Orders to delete');
    expect(show({orders: [...orders, ...orders]}).join()).not.toContain('more order');
  });

  it('shows the guards even if nothing is left to delete', () => {
    const lines = show({roots: {}, guards: {protected: 3}});
    expect(lines).toEqual([
      'No order in shop on db.example is to be deleted.',
      '',
      'Matching orders that guards keep',
      'protected address 3',
    ]);
  });
});

describe('workflow:safe-cleanup', () => {
  it('says where the backups are, or that there is none, and how each step ended', () => {
    const show = showSafeCleanup((plan) => `destino-db workflow:safe-cleanup --plan ${plan}`);
    const steps = [{name: 'Full backup', status: 'skipped', duration: 0}] as const;
    const done = {
      mode: 'execute',
      steps,
      backup: null,
      orders: result,
      reportPath: '/b/r.md',
      undo: ['undo it'],
    } as const;
    const lines = squeezed(show(done, style));
    expect(lines[0]).toBe('Deleted 2 orders with 2 rows from shop on db.example.');
    expect(lines).toContain('Full backup skipped 0 ms');
    expect(lines.slice(-6)).toEqual([
      'Full backup none',
      'Order backup /b/orders.json',
      'Report /b/r.md',
      '',
      'To undo it, for the whole database or only the orders:',
      'undo it',
    ]);
    const without = squeezed(show({...done, orders: {...result, backupPath: null}, undo: []}, style));
    expect(without.slice(-3)).toEqual(['Full backup none', 'Order backup none', 'Report /b/r.md']);
    const preview = squeezed(show({...done, mode: 'preview'}, style));
    expect(preview.slice(0, 3)).toEqual([
      'Preview: 2 orders with 2 rows would be deleted from shop on db.example.',
      'Nothing was changed.',
      'No full backup would be made.',
    ]);
  });
});
