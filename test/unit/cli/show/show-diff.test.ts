/** The differences of two sides, and the command that restores the rows. */
import {expect, it} from 'vitest';
import {repeatCommand} from '../../../../src/lib/cli/repeat-command.js';
import {showDiff} from '../../../../src/lib/cli/show/show-diff.js';
import {createStyle} from '../../../../src/lib/cli/show/style.js';
import type {DiffResult} from '../../../../src/lib/services/rows/diff-backups.js';

const style = createStyle(false, {});
const database = {kind: 'database', name: 'shop', takenAt: null} as const;
const backup = {kind: 'backup', name: 'shop-1', takenAt: '2026-11-25T20:32:15.476Z'} as const;
const table = {table: 'public.Order Lines', key: ['id'], onlyLeft: 0, onlyRight: 0, changed: 0};
const show = showDiff((id, words) => repeatCommand('destino-db', 'restore:rows', [id], words));

function shown(change: Partial<DiffResult>): string[] {
  return show(
    {left: database, right: backup, tables: [], equalTables: 2, schemaDifferences: [], ...change},
    style,
  );
}

it('names the tables and the kinds of rows that can be restored', () => {
  const tables = [
    {...table, onlyLeft: 1, onlyRight: 3},
    {...table, table: 'public.t', changed: 2},
    {...table, table: 'public.log', onlyLeft: 9},
  ];
  expect(shown({tables})[0]).toBe('The rows of 3 tables differ.');
  expect(shown({tables}).at(-1)).toBe(
    "Next: preview the restore of these rows: destino-db restore:rows shop-1 '--table=public.Order Lines' --table=public.t --missing --changed",
  );
  expect(shown({tables: tables.slice(0, 1)}).at(-1)).toMatch(/ --missing$/);
  expect(shown({tables: tables.slice(1)}).at(-1)).toMatch(/ --table=public\.t --changed$/);
});

it('has no next step where the backup has nothing to give', () => {
  expect(shown({tables: [{...table, onlyLeft: 9}]}).join('\n')).not.toContain('Next');
  expect(shown({left: backup, tables: [{...table, changed: 1}]}).join('\n')).not.toContain('Next');
});

it('has one empty line between two sections', () => {
  const keys = {onlyLeft: [], onlyRight: [], changed: [['7'], ['9']]};
  const lines = shown({tables: [{...table, table: 'public.t', changed: 2, keys}], equalTables: 0});
  expect(lines.slice(5)).toEqual([
    'public.t          0           0        2',
    '',
    'public.t (id)',
    '  changed: 7, 9',
    '',
    'Next: preview the restore of these rows: destino-db restore:rows shop-1 --table=public.t --changed',
  ]);
});

it('says whether rows or definitions differ', () => {
  expect(shown({})[0]).toBe('Both sides are equal.');
  expect(shown({schemaDifferences: ['table public.t: only left']})[0]).toBe(
    'The rows are equal, definitions differ.',
  );
});
