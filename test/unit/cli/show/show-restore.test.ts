/** The result or preview of a restore: lost rows, restored rows and errors. */
import {describe, expect, it} from 'vitest';
import {showRestore} from '../../../../src/lib/cli/show/show-restore.js';
import {createStyle} from '../../../../src/lib/cli/show/style.js';
import type {RestoreResult} from '../../../../src/lib/services/restore/execute.js';

const style = createStyle(false, {});
const now = new Date('2026-11-25T12:00:04Z');
const show = (result: RestoreResult, isVerbose = false) =>
  showRestore({
    now,
    repeat: (id) => `destino-db restore --backup-file ${id} --yes`,
    command: (id) => ['destino-db', id, '--env-file=/srv/.env'],
    isVerbose,
  })(result, style);

const done: RestoreResult = {
  mode: 'execute',
  way: 'swap',
  backup: 'shop-2026-11-25T02-00-04',
  backupPath: '/backups/shop.dump',
  content: 'whole' as const,
  backupCreatedAt: '2026-11-25T02:00:04.000Z',
  backupSize: 2_000_000,
  target: 'shop',
  host: 'db.example',
  present: '15 tables, 11.1 MB',
  tables: [
    {table: 'public.orders', rows: 1200, fingerprint: null},
    {table: 'public.refunds', rows: 34, fingerprint: null},
  ],
  duration: 3000,
  setAside: 'shop_before_20261125_120000',
  safetyBackup: null,
  notes: [],
  differences: [],
  notCompared: [],
  warnings: [],
  errors: [],
  commands: ['pg_restore --dbname shop_restore'],
  wouldLose: [],
  schemaDifferences: [],
  migrations: {onlyLive: [], onlyBackup: []},
};
const preview: RestoreResult = {...done, mode: 'dry-run', setAside: null};

describe('a restore', () => {
  it('says what is there now and how to take it back', () => {
    expect(show(done)).toEqual([
      'Restored shop-2026-11-25T02-00-04 into shop: 2 tables, 1,234 rows, 3.0 s.',
      'Compared with the backup: equal.',
      'The database as it was before is kept as shop_before_20261125_120000.',
      'Take it back:   destino-db undo --env-file=/srv/.env --target-db shop',
      'Drop it later:  destino-db prune --env-file=/srv/.env --set-aside --all-of-them --target-db shop',
    ]);
  });

  it('reports every statement that was skipped and every table that differs for it, never equality', () => {
    const lines = show({
      ...done,
      way: 'fill',
      setAside: null,
      errors: ['no role "a"', 'no role "b"'],
      differences: ['public.orders: missing'],
    });
    expect(lines.slice(1)).toEqual([
      '2 statements failed and were skipped:',
      '  no role "a"',
      '  no role "b"',
      'Compared with the backup: different, because statements were skipped:',
      '  public.orders: missing',
    ]);
    expect(show({...done, way: 'clean', setAside: null, safetyBackup: 'shop-safe'}).slice(2)).toEqual([
      'The database as it was before is in the safety backup shop-safe.',
    ]);
  });
});

describe('a preview', () => {
  const loss = {
    table: 'public.orders',
    onlyLive: 1234,
    onlyBackup: 5,
    changed: 67,
    key: ['id'],
    newestLive: '2026-11-25',
    newestBackup: '2026-11-24',
    keys: {onlyLive: [['7']], onlyBackup: [['8']], changed: [[null]]},
  };

  it('says how many rows would be lost, come back and change, and which', () => {
    const lines = show({...preview, wouldLose: [loss]}).map((line) => line.replace(/ +/g, ' '));
    expect(lines[0]).toBe('This would be restored; nothing was changed.');
    expect(lines).toContain(' made 2026-11-25 02:00:04Z (10 h ago)');
    const at = lines.indexOf('The live database differs from the backup:');
    expect(lines.slice(at + 1, at + 6)).toEqual([
      ' TABLE LOST COME BACK CHANGED NEWEST LIVE NEWEST IN BACKUP',
      ' public.orders 1,234 5 67 2026-11-25 2026-11-24',
      ' lost: public.orders (id) 7',
      ' comes back: public.orders (id) 8',
      ' changed: public.orders (id) NULL',
    ]);
    expect(lines.at(-1)).toBe('Next: destino-db restore --backup-file shop-2026-11-25T02-00-04 --yes');
  });

  it('shows what differs first, and counts the tables that do not', () => {
    const lines = show({...preview, wouldLose: [loss]});
    const differ = lines.indexOf('The live database differs from the backup:');
    const equal = lines.indexOf('1 table with the same rows (34 rows); --verbose lists them.');
    expect(differ).toBeGreaterThan(0);
    expect(equal).toBeGreaterThan(differ);
    expect(lines.join()).not.toContain('public.refunds');
    expect(show({...preview, way: 'create'})).toContain('2 tables (1,234 rows); --verbose lists them.');
  });

  it('lists every table with --verbose', () => {
    const lines = show({...preview, wouldLose: [loss]}, true).map((line) => line.replace(/ +/g, ' '));
    expect(lines).toContain(' public.orders 1,200');
    expect(lines).toContain(' public.refunds 34');
    expect(lines.join()).not.toContain('--verbose');
  });

  it('says nothing would be lost only where the live database is looked at', () => {
    const nothing = 'The live database has the same rows as the backup: nothing would be lost.';
    expect(show(preview)).toContain(nothing);
    expect(show({...preview, way: 'fill'})).not.toContain(nothing);
  });

  it('names migrations of one side alone, and tables that --clean leaves', () => {
    const migrations = {onlyLive: ['20261125_add'], onlyBackup: ['20261101_old']};
    const lines = show({...preview, way: 'clean', wouldLose: [loss], migrations});
    expect(lines).toContain('  migration 20261125_add: only live');
    expect(lines).toContain('  migration 20261101_old: only in the backup');
    expect(lines).toContain(
      'The live database differs from the backup (tables that are not in the backup stay as they are):',
    );
  });
});
