/** The result of a backup: alarms, parts that were not checked, copies, and the command that tests it. */
import {expect, it} from 'vitest';
import {showBackup} from '../../../../src/lib/cli/show/show-backup.js';
import {createStyle} from '../../../../src/lib/cli/show/style.js';
import type {CopiedBackupResult} from '../../../../src/lib/services/backup/backup.js';

const id = 'shop-2026-11-25T02-00-04';
const result: CopiedBackupResult = {
  mode: 'execute',
  id,
  path: `/backups/database/${id}.dump`,
  metadataPath: `/backups/database/${id}.metadata.json`,
  database: 'shop',
  format: 'custom',
  size: 2_000_000,
  duration: 1200,
  sha256: 'ab',
  encrypted: false,
  keyFlags: [],
  tables: [{table: 'public.orders', rows: 1234, fingerprint: null}],
  content: 'whole',
  verification: {level: 'archive', ok: true, outcome: 'passed'},
  pruned: [],
  equalTo: null,
  shrink: [],
  unreadable: [],
  withoutRows: [],
  outside: [],
  warnings: [],
  commands: [],
  copies: [],
};
const show = (changes: Partial<CopiedBackupResult>) =>
  showBackup('destino-db backup --format sql', ['destino-db', 'verify'])(
    {...result, ...changes},
    createStyle(false, {}),
  );

it('of a plain backup says where it is, what it contains and how it was checked', () => {
  expect(show({})).toEqual([
    `Backup ${id} written.`,
    `  file     /backups/database/${id}.dump`,
    '  size     2.0 MB',
    '  content  1 table, 1,234 rows',
    '  checked  every row read back (archive)',
    '  took     1.2 s',
    `Test it with a restore: destino-db verify ${id} --level restore`,
  ]);
});

it('says of one that shrank, and of one that was not read back, that it is so', () => {
  expect(show({shrink: [{table: 'public.orders', rowsBefore: 12, rowsNow: 0}]})[0]).toBe(
    `Backup, with a shrink alarm: ${id} written.`,
  );
  const unchecked = show({
    verification: null,
    tables: [{table: 'public.orders', rows: null, fingerprint: null}],
  });
  expect(unchecked).toContain('  checked  not checked');
  expect(unchecked).toContain('  content  1 table');
});

it('says what is encrypted and what is not, and with which key to test it', () => {
  const copy = {id, size: 1, duration: 1, outcome: 'copied', from: '/backups', to: 's3://b'} as const;
  const lines = show({
    encrypted: true,
    keyFlags: ['--identity', 'KEY.txt'],
    copies: [
      {...copy, metadataPath: 's3://b/x.metadata.json', encrypted: true},
      {...copy, metadataPath: '/disk/x.metadata.json', encrypted: false},
    ],
    pruned: [{id: 'shop-old', reason: 'older than 30 days'}],
  });
  expect(lines).toContain(`  file     /backups/database/${id}.dump, encrypted`);
  expect(lines.slice(-4)).toEqual([
    '  copy     s3://b/x.metadata.json, encrypted',
    '  copy     /disk/x.metadata.json',
    '  pruned   shop-old: older than 30 days',
    `Test it with a restore: destino-db verify ${id} --level restore --identity KEY.txt`,
  ]);
});

it('of one that is in a bucket alone names the bucket to test it from', () => {
  const lines = show({metadataPath: `s3://b/my shop/${id}.metadata.json`, verification: null});
  expect(lines).toContain('  checked  bytes read back, rows not read');
  expect(lines.at(-1)).toContain(`destino-db verify ${id} --from 's3://b/my shop'`);
});

it('previews, and says that nothing was written', () => {
  expect(
    show({mode: 'dry-run', id: null, path: null, metadataPath: null, commands: ['pg_dump -Fp']}),
  ).toEqual([
    'Would back up shop: 1 table, format custom, about 2.0 MB (estimate).',
    'Nothing was written.',
    '',
    '  public.orders',
    '',
    'It would run:',
    '  pg_dump -Fp',
    '',
    'Next: destino-db backup --format sql',
  ]);
});
