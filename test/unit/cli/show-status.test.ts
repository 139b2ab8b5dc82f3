/** The table of a status on terminals that are too narrow for it. */
import {expect, it} from 'vitest';
import {showStatus} from '../../../src/lib/cli/show-status.js';
import {createStyle} from '../../../src/lib/cli/style.js';
import {limits, statusAt} from '../../support/simulated-status.js';

const checkedAt = '2026-11-15T12:00:00.000Z';
const status = {...statusAt(checkedAt), folder: '/srv/shop/backups/database', places: [], checkedAt, limits};

it.each([80, 60, 40])('keeps rows under their header at %d columns', (width) => {
  const [header = '', row = ''] = showStatus(status, createStyle(true, {NO_COLOR: '1'}, false, width));
  expect(header).toMatch(/^DATABASE +NEWEST GOOD/);
  expect(Math.max(header.length, row.length)).toBeLessThanOrEqual(width);
});

it('tells everything where there is room', () => {
  const [header] = showStatus(status, createStyle(false, {}));
  expect(header?.split(/ {2,}/)).toEqual([
    'DATABASE', 'NEWEST GOOD', 'PROOF', 'SIZE', 'ROWS', 'RESTORE TEST', 'STORAGE',
  ]); // prettier-ignore
});
