/** The audit log for people. */
import {expect, it} from 'vitest';
import {showHistory} from '../../../../src/lib/cli/show/show-history.js';
import {createStyle} from '../../../../src/lib/cli/show/style.js';
import {sampleRun} from '../../../support/sample-run.js';

const style = createStyle(false, {});
const proof = {backupId: 'shop-1', level: 'restore', duration: 1, restoreDuration: null} as const;

it.each([
  ['a backup', sampleRun({size: 2_000_000, rows: 1, verifications: [{...proof, level: 'archive', ok: true}], pruned: ['a', 'b']}), 'ok 1.2 s 2.0 MB, 1 row, archive passed, 2 backups pruned'],
  ['one whose check failed', sampleRun({outcome: 'failed', errorCode: 'VERIFY_FAILED', errorMessage: 'It is cut.\nmore', verifications: [{...proof, ok: false}]}), 'failed 1.2 s VERIFY_FAILED: It is cut, restore FAILED'],
  ['one that shrank', sampleRun({outcome: 'alarm', alarms: ['public.orders has 0 rows, 12 before.']}), 'alarm 1.2 s public.orders has 0 rows, 12 before.'],
  ['a test that passed and one that failed', sampleRun({command: 'verify', outcome: 'alarm', verifications: [{...proof, ok: true}, {...proof, backupId: 'shop-2', ok: false}]}), 'alarm 1.2 s shop-1 restore passed, shop-2 restore FAILED'],
  ['a cleaning', sampleRun({command: 'orders:clean', orders: 2, deletedRows: 1234}), 'ok 1.2 s 2 orders, 1,234 rows deleted'],
  ['its preview', sampleRun({command: 'orders:clean', mode: 'preview', orders: 2, deletedRows: 5}), 'ok 1.2 s preview, 2 orders, 5 rows to delete'],
  ['a preview of restoring', sampleRun({command: 'orders:restore', mode: 'preview', orders: 2, restoredRows: 5}), 'ok 1.2 s preview, 2 orders, 5 rows to restore'],
  ['restoring', sampleRun({command: 'orders:restore', orders: 2, restoredRows: 5}), 'ok 1.2 s 2 orders, 5 rows restored'],
])('says of %s what it did', (_, run, told) => {
  const [, line = ''] = showHistory({runs: [run], total: 1, unreadableLines: 0}, style);
  expect(line.replace(/ +/g, ' ')).toBe(`2026-11-22 02:00:00 ${run.command} shop ${told}`);
}); // prettier-ignore

it('says what is not shown and what could not be read', () => {
  const lines = showHistory({runs: [sampleRun()], total: 3, unreadableLines: 2}, style);
  expect(lines.slice(2)).toEqual([
    '2 older runs not shown; --limit shows more.',
    '2 lines could not be read: torn by a kill or a full disk, or edited.',
  ]);
  expect(showHistory({runs: [], total: 0, unreadableLines: 1}, style)).toEqual([
    'No run fits.',
    '1 line could not be read: torn by a kill or a full disk, or edited.',
  ]);
});
