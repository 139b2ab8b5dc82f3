/** The summary of the report: failures are counted, and a failed restore test does not count as passed. */
import {expect, it} from 'vitest';
import {showReport} from '../../../../src/lib/cli/show/show-report.js';
import {createStyle} from '../../../../src/lib/cli/show/style.js';
import {reportData} from '../../../../src/lib/services/report/report-data.js';
import {catalogueOf} from '../../../support/simulated-status.js';
import {simulateMonth, story} from '../../../support/simulated-month.js';

const now = new Date(`${story.restoreTestFailed}T12:00:00Z`);
const {runs, backups} = simulateMonth(now);
const data = {
  ...reportData({
    runs,
    backups: catalogueOf(backups).backups,
    plan: undefined,
    findings: [
      {severity: 'warning', code: 'DAMAGED', database: 'shop', message: 'shop: 1 backup is damaged.'},
    ],
    now,
  }),
  path: '/b/report.html',
};

it('shows runs, the longest gap, storage and the last restore test', () => {
  const lines = showReport(data, createStyle(false, {}), false).map((line) => line.replace(/ +/g, ' '));
  expect(lines).toEqual([
    '1 problem needs attention.',
    ' warning: shop: 1 backup is damaged.',
    '',
    'Newest usable 9 h ago',
    expect.stringMatching(/^Size shop custom 122 MB [#*]{15,}$/),
    expect.stringMatching(/^Time shop custom 1 min 11 s [#*]{15,}$/),
    expect.stringMatching(/^Size shop sql 159 MB [#*]{4}$/),
    expect.stringMatching(/^Time shop sql 1 min 20 s [#*]{4}$/),
    expect.stringMatching(/^Runs 22 worked, 3 failed .{4} by week$/),
    'Longest gap 2 d 23 h from 2026-11-08',
    expect.stringMatching(/^Storage [\d.]+ GB in \d+ backups$/),
    expect.stringMatching(/^Restore test failed 8 h ago .{4}$/),
    '',
    'Written: /b/report.html',
  ]);
});
