/** The result of recover: failures must not be missing. */
import {expect, it} from 'vitest';
import {showRecover} from '../../../../src/lib/cli/show/show-recover.js';
import {createStyle} from '../../../../src/lib/cli/show/style.js';

const style = createStyle(false, {});
const result = {
  dryRun: false,
  recovered: [{kind: 'partial', action: 'remove', what: '/b/a.partial', reason: 'of a killed backup'}],
  failed: [{kind: 'swap', what: 'shop', reason: 'the server is away'}],
  left: [{kind: 'partial', what: '/b/c.partial', reason: 'its run is at work'}],
  serverNotLookedAt: 'no URL is set',
  serverError: null,
} as const;

it('shows what was done, what failed, what was skipped, and that the server was not checked', () => {
  expect(showRecover('')(result, style)).toEqual([
    'remove: done  /b/a.partial  of a killed backup',
    'failed        shop          the server is away',
    'left alone    /b/c.partial  its run is at work',
    '',
    '1 thing cleared up, 1 left alone, 1 failed.',
    'The server was not looked at: no URL is set',
  ]);
});

it('says with --dry-run what it would do, and how', () => {
  const repeat = showRecover('destino-db recover --backups-dir /b --yes');
  const lines = repeat({...result, dryRun: true, failed: [], serverNotLookedAt: null}, style);
  expect(lines[0]).toBe('would remove  /b/a.partial  of a killed backup');
  expect(lines.slice(-2)).toEqual([
    '1 thing to clear up, 1 left alone.',
    'Next: destino-db recover --backups-dir /b --yes',
  ]);
});

it('that finds nothing still says when it did not look at the server', () => {
  expect(showRecover('')({...result, recovered: [], failed: [], left: []}, style)).toEqual([
    'Interrupted runs left nothing behind.',
    'The server was not looked at: no URL is set',
  ]);
});
