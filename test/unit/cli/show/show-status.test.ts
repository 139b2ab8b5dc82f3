/** The state of the backups for people and monitors: problems must not look fine. */
import {describe, expect, it} from 'vitest';
import {
  nagiosStatus,
  nagiosUnknown,
  showNagios,
  showStatus,
} from '../../../../src/lib/cli/show/show-status.js';
import {createStyle} from '../../../../src/lib/cli/show/style.js';
import type {Status, StatusLimits} from '../../../../src/lib/services/status/assess.js';
import {limits, statusAt} from '../../../support/simulated-status.js';

const style = createStyle(false, {});

function resultOf(status: Status, at: string, changes: Partial<StatusLimits> = {}) {
  return {
    ...status,
    storage: {used: 1_500_000_000, free: 2_000_000_000},
    folder: '/backups/database',
    places: [],
    setAside: [],
    checkedAt: at,
    limits: {...limits, ...changes},
    forgotten: [],
  };
}
const at = (time: string, changes: Partial<StatusLimits> = {}) =>
  resultOf(statusAt(time, changes), time, changes);

const well = at('2026-11-08T12:00:00Z');
const old = at('2026-11-10T12:00:00Z');
const failedTest = at('2026-11-15T12:00:00Z');
const failedRun = at('2026-11-12T12:00:00Z', {maxAge: 36 * 3_600_000});

describe('for people', () => {
  it('is OK and one line where all is well', () => {
    const lines = showStatus(well, style);
    expect(lines[1]).toMatch(/^shop +9 h ago +archive +[\d.]+ MB +[\d,]+ +passed 8 h ago +[\d.]+ GB$/);
    expect(lines.slice(2)).toEqual(['', 'OK /backups/database: 1.5 GB used, 2.0 GB free.']);
  });

  it('says how grave each finding is, and nowhere OK', () => {
    expect(showStatus(old, style).slice(3)).toEqual([
      expect.stringMatching(/^CRITICAL shop: the newest usable backup is 2 d 9 h old, limit 26 h /),
    ]);
    expect(showStatus(failedRun, style).slice(3)).toEqual([
      expect.stringMatching(
        /^WARNING {2}shop: 1 backup run failed since the newest usable backup.* INTERRUPTED/,
      ),
    ]);
  });

  it('says that the last restore test failed', () => {
    expect(showStatus(failedTest, style)[1]).toContain('FAILED 8 h ago');
    expect(
      showStatus(
        {...well, databases: well.databases.map((one) => ({...one, lastRestoreTest: null}))},
        style,
      )[1],
    ).toContain('never');
  });

  it('says that there is none where there is none', () => {
    const none = {...well, databases: well.databases.map((one) => ({...one, newest: null}))};
    expect(showStatus(none, style)[1]).toMatch(/^shop +none +- +- +- /);
  });
});

describe('for monitors', () => {
  it('ends with the status of the gravest finding', () => {
    const [critical] = old.findings;
    const [warning] = failedRun.findings;
    if (!critical || !warning) throw new Error('the story has changed');
    expect([critical.severity, warning.severity]).toEqual(['critical', 'warning']);
    expect(
      [[], [warning], [critical], [warning, critical]].map((findings) => nagiosStatus({findings})),
    ).toEqual([0, 1, 2, 2]);
    expect([well, failedRun, old].map((result) => showNagios(result)[0]?.split(' - ')[0])).toEqual([
      'DESTINO OK',
      'DESTINO WARNING',
      'DESTINO CRITICAL',
    ]);
  });

  it('gives numbers in base units, with the limit of the age', () => {
    const line = showNagios(at('2026-11-12T12:00:00Z', {maxAge: 36 * 3_600_000}))[0] ?? '';
    expect(line.split(' | ')[1]?.split(/ (?=')| (?=free)/)).toEqual([
      `'shop age'=${34 * 3600}s;;${36 * 3600}`,
      expect.stringMatching(/^'shop size'=\d+B$/),
      "'shop failures'=1",
      expect.stringMatching(/^'shop storage'=\d+B$/),
      'free=2000000000B',
    ]);
  });

  it('takes no bar, quote or line break out of a name or a message', () => {
    const hostile = "a|b'c=d\ne";
    const findings = [{severity: 'warning', code: 'DISK_LOW', database: null, message: hostile}] as const;
    const databases = well.databases.map((one) => ({...one, label: hostile}));
    const [line = ''] = showNagios({...well, databases, findings});
    expect(line.match(/\|/g)).toHaveLength(1);
    expect(line).not.toContain('\n');
    expect(line).toContain("'a/b_c_d e age'=");
    expect(nagiosUnknown(hostile)).toBe("DESTINO UNKNOWN - a/b'c=d e");
  });
});

describe('on terminals that are too narrow for the table', () => {
  const status = at('2026-11-15T12:00:00.000Z');
  const titles = ['DATABASE', 'NEWEST USABLE', 'CHECK', 'SIZE', 'ROWS', 'RESTORE TEST', 'STORAGE'];

  it.each([80, 60, 40])('loses no column at %d columns', (width) => {
    const lines = showStatus(status, createStyle(true, {NO_COLOR: '1'}, false, width));
    const end = lines.findIndex((line) => /^(OK|WARNING|CRITICAL)/.test(line));
    const shown = lines.slice(0, end);
    expect(Math.max(...shown.map((line) => line.length))).toBeLessThanOrEqual(width);
    for (const title of titles) expect(shown.join('\n')).toContain(title);
  });

  it('shows one line for each database where there is room', () => {
    const [header] = showStatus(status, style);
    expect(header?.split(/ {2,}/)).toEqual(titles);
  });
});
