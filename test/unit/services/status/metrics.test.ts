import {describe, expect, it} from 'vitest';
import {countedRuns, formatMetrics} from '../../../../src/lib/services/status/metrics.js';
import {assessStatus} from '../../../../src/lib/services/status/assess.js';
import {sampleRecord} from '../../../support/sample-backups.js';
import {sampleRun} from '../../../support/sample-run.js';
import {simulateMonth, story} from '../../../support/simulated-month.js';
import {catalogueOf, limits, statusAt} from '../../../support/simulated-status.js';

const hour = 3600;
const server = 'database="shop",server="db.example:5432"';

/** The samples of a text by their name and labels. */
function samplesOf(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [
      line.slice(0, line.lastIndexOf(' ')),
      Number(line.slice(line.lastIndexOf(' ') + 1)),
    ]),
  );
}

function metricsAt(at: string): Map<string, number> {
  return samplesOf(formatMetrics(statusAt(at), simulateMonth(new Date(at)).runs, '0.1.0'));
}

/** The codes of the alerts in docs/alerts for these values at the time `at`. */
function codesByMetrics(at: string): string[] {
  const samples = metricsAt(at);
  const value = (name: string, labels = server): number =>
    samples.get(`destino_db_${name}{${labels}}`) ?? NaN;
  return [
    ...(Date.parse(at) / 1000 - value('newest_backup_timestamp_seconds') > 26 * hour ? ['TOO_OLD'] : []),
    ...(value('shrunk_tables') > 0 ? ['SHRUNK'] : []),
    ...(value('failures_since_backup') > 0 ? ['RUN_FAILED'] : []),
    ...(value('restore_test_failed') === 1 ? ['RESTORE_TEST_FAILED'] : []),
    ...(value('backups', `${server},state="damaged"`) > 0 ? ['DAMAGED'] : []),
  ];
}

describe('metrics over a simulated month', () => {
  it('agree with the status at every fifth hour', () => {
    const last = Date.parse(`${story.lastDay}T12:30:00Z`);
    for (let at = Date.parse(`${story.firstDay}T02:30:00Z`); at <= last; at += hour * 1000 * 5) {
      const iso = new Date(at).toISOString();
      expect([iso, ...codesByMetrics(iso)]).toEqual([iso, ...statusAt(iso).findings.map(({code}) => code)]);
    }
  });

  it('contain times, sizes, rows and durations in base units', () => {
    const samples = metricsAt(`${story.diskFull}T12:00:00Z`);
    const seconds = (iso: string): number => Date.parse(iso) / 1000;
    const backup = `command="backup",${server}`;
    expect(Object.fromEntries(samples)).toMatchObject({
      'destino_db_build_info{version="0.1.0"}': 1,
      [`destino_db_last_success_timestamp_seconds{${backup}}`]: seconds('2026-11-04T02:00:00Z') + 65.5,
      [`destino_db_last_failure_timestamp_seconds{${backup}}`]: seconds('2026-11-05T02:00:41Z'),
      [`destino_db_last_duration_seconds{${backup}}`]: 65.5,
      [`destino_db_newest_backup_timestamp_seconds{${server}}`]: seconds('2026-11-04T02:00:00Z'),
      [`destino_db_newest_backup_size_bytes{${server}}`]: 111_000_000,
      [`destino_db_newest_backup_rows{${server}}`]: 13_140,
      [`destino_db_failures_since_backup{${server}}`]: 1,
      [`destino_db_restore_test_success_timestamp_seconds{${server}}`]: seconds('2026-11-01T04:00:00Z'),
      [`destino_db_restore_duration_seconds{${server}}`]: 98,
      [`destino_db_backups{${server},state="archive"}`]: 11,
      [`destino_db_backups{${server},state="restore"}`]: 2,
      destino_db_storage_free_bytes: 1e12,
    });
  });
});

describe('metrics', () => {
  const now = new Date('2026-11-22T12:00:00Z');
  const write = (...args: Parameters<typeof catalogueOf>): string =>
    formatMetrics(
      assessStatus({catalogue: catalogueOf(...args), runs: [], now, freeBytes: null}, limits),
      [],
      '0.1.0',
    );

  it('escape database names', () => {
    expect(write([sampleRecord('2026-11-22T02:00:00Z', {databaseName: 'a"b\\c\nd', id: 'x'})])).toContain(
      'destino_db_storage_bytes{database="a\\"b\\\\c\\nd",server="db.example:5432"} 6\n',
    );
  });

  it('omit samples without a value', () => {
    const text = write([]);
    expect(text).toBe(
      '# HELP destino_db_build_info Always 1; the version of destino-db that wrote this file.\n' +
        '# TYPE destino_db_build_info gauge\ndestino_db_build_info{version="0.1.0"} 1\n',
    );
  });

  it('distinguish two clusters that had the same address, because Prometheus refuses a repeated sample', () => {
    const at = '2026-11-22T02:00:00Z';
    const old = sampleRecord('2026-11-20T02:00:00Z', {
      id: 'before-upgrade',
      source: {...sampleRecord(at).source, systemIdentifier: '7200000000000000001'},
    });
    const names = write([old, sampleRecord(at)])
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => line.slice(0, line.lastIndexOf(' ')));
    expect(names).toEqual([...new Set(names)]);
    expect(names).toContain(`destino_db_storage_bytes{${server},cluster="7200000000000000001"}`);
  });

  it('name the server as the backups do if a run used another address, and omit previews', () => {
    const run = sampleRun({startedAt: '2026-11-22T02:00:00Z'});
    const other = {
      ...run,
      database: {name: 'shop', systemIdentifier: '7300000000000000001', host: 'pooler.example', port: 6000},
    };
    const status = assessStatus(
      {catalogue: catalogueOf([sampleRecord('2026-11-22T02:00:00Z')]), runs: [run], now, freeBytes: null},
      limits,
    );
    const text = formatMetrics(
      status,
      [
        {...other, outcome: 'failed'},
        {...run, command: 'orders:clean', mode: 'preview'},
      ],
      '1',
    );
    expect(text).toContain(`destino_db_last_failure_timestamp_seconds{command="backup",${server}}`);
    expect(text).not.toContain('orders:clean');
  });

  it('include neither a backup with a mistyped URL nor a refusal at a terminal', () => {
    const database = {name: 'shop', systemIdentifier: null, host: 'db.example', port: 5432};
    const failed = {outcome: 'failed', exitCode: 3} as const;
    const runs = [
      sampleRun({...failed, database: {...database, name: 'shopp'}}),
      sampleRun({...failed, exitCode: 5, incident: false, database}),
      sampleRun({...failed, command: 'restore', database: {...database, name: 'copy'}}),
    ];
    const {backups} = catalogueOf([sampleRecord('2026-11-22T02:00:00Z')]);
    expect(countedRuns({backups, runs})).toEqual(runs.slice(2));
    expect(countedRuns({backups, runs, named: [{...database, name: 'shopp'}]})).toHaveLength(2);
  });
});
