/** The page about one backup. */
import {expect, it} from 'vitest';
import {showOneBackup} from '../../../../src/lib/cli/show/show-one-backup.js';
import {createStyle} from '../../../../src/lib/cli/show/style.js';
import type {ShowResult} from '../../../../src/lib/services/by-id/show-backup.js';

const time = '2026-11-25T20:32:15.476Z';
const tables = (empty: number) => [
  {table: 'public.orders', rows: 7, size: 8192, fingerprint: null},
  ...Array.from({length: empty}, (_, n) => ({table: `public.log_${n}`, rows: 0, size: 0, fingerprint: null})),
];

function shown(empty: number, isVerbose: boolean): string[] {
  const result: ShowResult = {
    now: time,
    id: 'shop-1',
    path: '/b/shop-1.dump',
    metadataPath: '/b/shop-1.metadata.json',
    database: 'shop',
    server: null,
    createdAt: time,
    format: 'custom',
    content: 'whole',
    masked: false,
    compressed: true,
    size: 2_000_000,
    databaseSize: null,
    duration: null,
    rows: 7,
    label: null,
    keep: false,
    madeBy: 'destino-db',
    toolVersion: '0.1.0',
    postgresVersion: '15.18',
    encrypted: false,
    recipients: [],
    ok: true,
    tables: tables(empty),
    notInIt: [],
    shrunkTables: [],
    warnings: [],
    checks: [],
    places: [],
    commands: [],
  };
  return showOneBackup(isVerbose)(result, createStyle(false, {}));
}

it('counts many empty tables, such as partitions, and lists few', () => {
  expect(shown(50, false)).toContain('50 empty tables; --verbose lists them.');
  expect(shown(50, false).join('\n')).not.toContain('public.log_');
  expect(shown(50, false)).toContain('51 tables, 7 rows');
  expect(shown(50, true).filter((line) => line.startsWith('public.log_'))).toHaveLength(50);
  expect(shown(5, false).filter((line) => line.startsWith('public.log_'))).toHaveLength(5);
});
