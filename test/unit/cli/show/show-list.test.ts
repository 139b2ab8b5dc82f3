/** The list of backups: a damaged, shrunk, encrypted or missing one must not look intact. */
import {expect, it} from 'vitest';
import {showList} from '../../../../src/lib/cli/show/show-list.js';
import {createStyle} from '../../../../src/lib/cli/show/style.js';
import type {BackupList, ListedBackup} from '../../../../src/lib/services/status/list-backups.js';

const style = createStyle(false, {});
const verification = {level: 'archive', at: '2026-11-25T02:00:05.000Z', ok: true, outcome: 'passed'} as const;
const backup: ListedBackup = {
  id: 'shop-2026-11-25T02-00-04',
  path: '/b/shop.dump',
  database: 'shop',
  host: 'db.example',
  server: 'db.example:5432',
  content: 'whole',
  createdAt: '2026-11-25T02:00:04.000Z',
  format: 'custom',
  size: 1_500_000,
  rows: 1234,
  label: null,
  equalTo: null,
  keep: false,
  verification,
  notPossible: null,
  kept: null,
  madeBy: 'destino-db',
  encrypted: false,
  masked: false,
  shrunkTables: [],
  missing: [],
  places: [],
};
const list: BackupList = {
  folder: '/b',
  now: '2026-11-25T03:00:04.000Z',
  backups: [backup, {...backup, size: 2_000_000}],
  orderBackups: [],
  problems: [],
  setAside: [],
  places: [],
};
const lineOf = (changes: Partial<ListedBackup>, more: Partial<BackupList> = {}, isVerbose = false): string =>
  showList({...list, ...more, backups: [{...backup, ...changes}]}, style, {isVerbose})[1]?.replace(
    / +/g,
    ' ',
  ) ?? '';
const start = 'shop-2026-11-25T02-00-04 2026-11-25 02:00:04 shop whole 1.5 MB 1,234';

it.each<[string, Partial<ListedBackup>, string]>([
  ['a checked one', {}, 'archive 2026-11-25 -'],
  ['one without a check', {verification: null}, 'no -'],
  ['one of the old scripts', {verification: null, madeBy: 'old scripts'}, 'no (old scripts) -'],
  ['a damaged one', {verification: {...verification, ok: false, outcome: 'failed'}}, 'DAMAGED (archive) -'],
  ['one that could not be restored here', {notPossible: {level: 'restore', at: '2026-11-26T00:00:00Z', findings: []}}, 'archive 2026-11-25 (restore not possible) -'],
  ['one that shrank', {shrunkTables: ['public.orders']}, 'archive 2026-11-25 shrunk -'],
  ['one without a check that shrank', {verification: null, shrunkTables: ['public.orders']}, 'no shrunk -'],
])('%s', (_, changes, shown) => {
  expect(lineOf(changes)).toBe(`${start} ${shown}`);
}); // prettier-ignore

it('says what part of a database it contains, and whether it is encrypted', () => {
  expect(lineOf({content: 'tables'})).toContain(' shop tables 1.5 MB ');
  expect(lineOf({encrypted: true, rows: null})).toContain(' shop whole (age) 1.5 MB - ');
});

it('shows age, format and what retention decides with --verbose alone', () => {
  const kept = {kept: 'would be removed: too old'};
  expect(lineOf(kept, {}, true)).toMatch(/ archive 2026-11-25 - 1 h ago custom would be removed: too old$/);
  expect(lineOf(kept)).toMatch(/ archive 2026-11-25 -$/);
});

it.each([120, 80, 40])(
  'shows ID, time, database, content, size, rows, check and label at %i columns',
  (width) => {
    const label = 'before-release';
    const narrow = createStyle(true, {NO_COLOR: '1'}, false, width);
    const text = showList({...list, backups: [{...backup, label}]}, narrow)
      .slice(0, -2)
      .join('\n');
    for (const cell of [
    'ID', 'TIME (UTC)', 'DATABASE', 'CONTENT', 'SIZE', 'ROWS', 'CHECK', 'LABEL',
    backup.id, '2026-11-25 02:00:04', 'shop', 'whole', '1.5 MB', '1,234', 'archive 2026-11-25', label,
  ]) expect(text).toContain(cell); // prettier-ignore
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(width);
  },
);

it('says where each backup is, and of one without a good copy that it is damaged', () => {
  const place = {backups: 1, size: 1, newestGood: null, damaged: 0, error: null};
  const places = [
    {...place, place: '/b'},
    {...place, place: 's3://bucket'},
  ];
  expect(lineOf({places: ['/b', 's3://bucket']}, {places})).toMatch(/ - here, s3:\/\/bucket$/);
  expect(lineOf({places: []}, {places})).toMatch(/ - damaged$/);
});

it('sums up, and lists order backups', () => {
  const orders = {id: 'orders-backup-x', path: '/o', createdAt: list.now, size: 4000, encrypted: true};
  const lines = showList({...list, orderBackups: [orders]}, style).map((line) => line.replace(/ +/g, ' '));
  expect(lines.slice(3)).toEqual([
    '',
    '2 backups, 3.5 MB, in /b; the newest: 1 h ago',
    '',
    'ORDER BACKUP TIME (UTC) AGE SIZE',
    'orders-backup-x (age) 2026-11-25 03:00:04 just now 4.0 kB',
  ]);
});

it('shows the servers of databases with the same name', () => {
  const other = {...backup, id: 'other', host: 'db.abcdefgh.supabase.co', server: 'abcdefgh'};
  const [head, ...lines] = showList({...list, backups: [backup, other]}, style);
  expect(head).toMatch(/ SERVER$/);
  expect(lines[0]).toMatch(/ db\.example:5432$/);
  expect(lines[1]).toMatch(/ abcdefgh$/);
});
