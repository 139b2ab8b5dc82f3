/** Writes the state of the backups and the last runs as a Prometheus textfile. */
import {isDeepStrictEqual} from 'node:util';
import {groupByDatabase, type GroupSources, isBackupRun} from '../../catalog/database-groups.js';
import {isIncident, type RunRecord} from '../../run/run-record.js';
import type {DataCheck} from '../../run/data-checks.js';
import type {RestoreTest} from './restore-tests.js';
import {backupStates, type DatabaseStatus, type Status} from './assess.js';

type Labels = Readonly<Record<string, string>>;

interface Sample {
  readonly labels: Labels;
  /** Undefined omits the sample. */
  readonly value: number | undefined;
}

/**
 * The text in the exposition format 0.0.4: base units, names by the Prometheus naming rules. Every value is a gauge, because a state may
 * rise and fall. Times are Unix seconds, so that ages grow even if no run happens.
 * @param runs newest last
 */
export function formatMetrics(status: Status, runs: readonly RunRecord[], toolVersion: string): string {
  const labels = labelsByDatabase(status.databases);
  const of = (value: (database: DatabaseStatus) => number | undefined): Sample[] =>
    [...labels].map(([database, each]) => ({labels: each, value: value(database)}));
  const lasts = lastRuns(runs, labels);
  const ofRuns = (value: (last: LastRun) => number | undefined): Sample[] =>
    lasts.map((last) => ({labels: last.labels, value: value(last)}));
  return [
    metric('build_info', 'Always 1; the version of destino-db that wrote this file.', [
      {labels: {version: toolVersion}, value: 1},
    ]),
    metric('last_success_timestamp_seconds', 'End of the last successful run of a command.', ofRuns(({success}) => endOf(success))),
    metric('last_failure_timestamp_seconds', 'End of the last run that failed, was interrupted or raised an alarm.', ofRuns(({failure}) => endOf(failure))),
    metric('last_duration_seconds', 'Duration of the last successful run.', ofRuns(({success}) => success && success.duration / 1000)),
    metric('newest_backup_timestamp_seconds', 'Time of the newest usable backup of the whole database.', of(({newest}) => newest ? seconds(newest.createdAt) : undefined)),
    metric('newest_backup_size_bytes', 'Size of the newest usable backup.', of(({newest}) => newest?.size)),
    metric('newest_backup_rows', 'Rows in the newest usable backup.', of(({newest}) => newest?.rows ?? undefined)),
    metric('failures_since_backup', 'Backup runs that failed since the newest usable backup.', of(({failuresSince}) => failuresSince)),
    metric('shrunk_tables', 'Tables that lost rows in the newest backup, unless accepted.', of(({shrink}) => shrink.length)),
    metric('restore_test_success_timestamp_seconds', 'Time of the last passed restore test.', of(({lastGoodRestoreTest}) => lastGoodRestoreTest ? seconds(lastGoodRestoreTest.at) : undefined)),
    metric('restore_test_failed', '1 if the last restore test failed.', of(({lastRestoreTest}) => lastRestoreTest ? Number(!lastRestoreTest.ok) : undefined)),
    metric('checks_failed', 'Checks of the config file that failed in the last restore test.', of(({lastRestoreTest}) => countChecks(lastRestoreTest, 'failed'))),
    metric('checks_not_run', 'Checks of the config file that could not run in the last restore test.', of((each) => countChecks(each.restoreTestNotPossible ?? each.lastRestoreTest, 'not-run'))),
    metric('restore_duration_seconds', 'Duration of the restore in the last passed restore test.', of(({lastGoodRestoreTest}) => lastGoodRestoreTest?.restoreDuration == null ? undefined : lastGoodRestoreTest.restoreDuration / 1000)),
    metric('backups', 'Number of backups by proven level.', [...labels].flatMap(([database, each]) =>
      backupStates.map((state) => ({labels: {...each, state}, value: database.backups[state]})),
    )),
    metric('storage_bytes', 'Size of all backups of a database.', of(({storage}) => storage)),
    metric('storage_free_bytes', 'Free space in the backups folder.', [{labels: {}, value: status.storage.free ?? undefined}]),
  ].join(''); // prettier-ignore
}

/** Undefined where no check ran. */
function countChecks(test: RestoreTest | null, outcome: DataCheck['outcome']): number | undefined {
  if (test === null || test.checks.length === 0) return undefined;
  return test.checks.filter((check) => check.outcome === outcome).length;
}

/** The runs for the metrics: without refusals at a terminal and without backups of unwatched databases. */
export function countedRuns(sources: GroupSources): RunRecord[] {
  const ofWatched = new Set(groupByDatabase(sources).flatMap(({runs}) => runs));
  return sources.runs.filter(
    (run) =>
      run.command !== 'status' && // it is recorded only when it forgets databases
      (run.outcome === 'ok' || isIncident(run)) &&
      (!isBackupRun(run) || run.database === null || ofWatched.has(run)),
  );
}

interface LastRun {
  readonly labels: Labels;
  success?: RunRecord;
  failure?: RunRecord;
}

/** The last run of each command on each database, without previews; labelled by the server of the backups, even if a run used another address. */
function lastRuns(runs: readonly RunRecord[], databases: ReadonlyMap<DatabaseStatus, Labels>): LastRun[] {
  const lasts = new Map<string, LastRun>();
  for (const run of runs.filter(({mode}) => mode === 'execute')) {
    const {database, command} = run;
    const [, known] =
      [...databases].find(
        ([{name, systemIdentifier}]) =>
          systemIdentifier !== null &&
          name === database?.name &&
          systemIdentifier === database.systemIdentifier,
      ) ?? [];
    const labels = {command, ...(known ?? (database ? labelsOf(database) : {database: '', server: ''}))};
    const key = JSON.stringify(labels);
    const last: LastRun = lasts.get(key) ?? {labels};
    if (run.outcome === 'ok') last.success = run;
    else last.failure = run;
    lasts.set(key, last);
  }
  return [...lasts.values()];
}

/**
 * If a cluster was replaced at the same address, for example by an upgrade, a label with its identifier distinguishes both: Prometheus
 * refuses a file with a repeated sample.
 */
function labelsByDatabase(databases: readonly DatabaseStatus[]): Map<DatabaseStatus, Labels> {
  return new Map(
    databases.map((database) => {
      const labels = labelsOf(database);
      const isAlone = databases.every(
        (other) => other === database || !isDeepStrictEqual(labelsOf(other), labels),
      );
      return [
        database,
        isAlone ? labels : {...labels, cluster: database.systemIdentifier ?? database.project ?? ''},
      ];
    }),
  );
}

function labelsOf({name, host, port}: {name: string; host: string | null; port: number | null}): Labels {
  return {database: name, server: host === null ? '' : `${host}:${port ?? ''}`};
}

function endOf(run: RunRecord | undefined): number | undefined {
  return run && seconds(run.startedAt) + run.duration / 1000;
}

function seconds(iso: string): number {
  return new Date(iso).getTime() / 1000;
}

function metric(name: string, help: string, samples: readonly Sample[]): string {
  const present = samples.filter(({value}) => value !== undefined);
  if (present.length === 0) return '';
  const full = `destino_db_${name}`;
  const lines = present.map(({labels, value}) => `${full}${formatLabels(labels)} ${value}`);
  return `# HELP ${full} ${help}\n# TYPE ${full} gauge\n${lines.join('\n')}\n`;
}

function formatLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

/** Label values escape only the backslash, the quote and the line feed (exposition format, "Comments, help text, and type information"). */
function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
