/** Gathers the facts of a run that does work, and writes its end to the audit log. */
import {randomUUID} from 'node:crypto';
import {hostname, userInfo} from 'node:os';
import {type Clock, elapsedMs} from '../base/clock.js';
import {type AppError, exitStatus, messageOf} from '../base/errors.js';
import {logProgress} from '../progress/progress-log.js';
import type {Progress} from '../progress/progress.js';
import type {Settings} from '../settings/settings.js';
import {countedRuns, formatMetrics} from '../services/status/metrics.js';
import {assessStatus} from '../services/status/assess.js';
import {endNotice, joinRuns, type Notice, startNotice} from '../services/status/notice.js';
import {readStatusSources, resolveLimits} from '../services/status/check-status.js';
import {databaseOf} from '../services/schedule/named-databases.js';
import {exists, writeFileSafely} from '../base/safe-file.js';
import {appendRun} from '../run/append-history.js';
import {recordStart, recordKilledRuns} from '../run/started-runs.js';
import {
  addFacts,
  exitCodeOfKilled,
  isIncident,
  noFacts,
  type RunFacts,
  type RunRecord,
} from '../run/run-record.js';

export interface RunStart {
  readonly command: string;
  /** Whether it works on the database that the settings name. */
  readonly hasDatabase: boolean;
  readonly isPreview: boolean;
  /** Whether somebody at a terminal sees how it ends. */
  readonly isAttended: boolean;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly toolVersion: string;
}

export interface RunEnding {
  /** The error of a run that failed; undefined when it gave a result. */
  readonly error: AppError | undefined;
  readonly exitCode: number;
  readonly warnings: readonly string[];
}

export interface RunRecorder {
  readonly record: (facts: RunFacts) => void;
  /** The progress to work with: the given one, followed so that a notification can carry the last lines. */
  readonly follow: (progress: Progress) => Progress;
  /** The record of one of several databases: with any, the run has no line of its own, and one notification reports all. */
  readonly part: (settings: Settings) => Promise<RunRecorder>;
  /** Writes down how the run ended. Never throws: what could not be done comes back as warnings. */
  readonly finish: (ending: RunEnding) => Promise<string[]>;
}

/** @param report receives the record of a part, about which the run that it belongs to sends the notification */
export function startRun(start: RunStart, report?: (run: RunRecord) => void): RunRecorder {
  const {settings, clock, command} = start;
  const parts: RunRecord[] = [];
  const identity = {
    runId: randomUUID(),
    command,
    user: userName(),
    host: hostname(),
    startedAt: clock.now().toISOString(),
  };
  let log: readonly string[] = [];
  let facts = addFacts(noFacts, {
    mode: start.isPreview ? 'preview' : 'execute',
    database: start.hasDatabase ? databaseOf(settings) : null,
  });
  // Beside the work, which does not wait for it.
  const noted = start.isPreview ? Promise.resolve({untold: [], done: () => Promise.resolve()}) : note();
  // At a terminal it may become a refusal. A start without an end would look like an incident.
  const begun =
    start.isAttended || report
      ? Promise.resolve([])
      : tell(start, () => startNotice({...identity, database: facts.database}));
  async function note(): Promise<{untold: string[]; done: () => Promise<void>}> {
    const done = await recordStart(settings.backupsDir, {
      schemaVersion: 1,
      ...identity,
      toolVersion: start.toolVersion,
      duration: 0,
      outcome: 'interrupted',
      exitCode: exitCodeOfKilled,
      errorCode: null,
      errorMessage: 'The run stopped without recording a result: it was killed, or the machine stopped.',
      ...facts,
      warnings: [],
    });
    const untold = await recordKilledRuns(settings.backupsDir, clock.now()).catch((error: unknown) => [
      `A run that was killed is missing in the audit log: ${messageOf(error)}`,
    ]);
    return {untold, done};
  }

  return {
    record: (more) => {
      facts = addFacts(facts, more);
    },
    part: async (ofDatabase) => {
      await (await noted).done(); // a killed run has one line, that of the database
      return startRun({...start, hasDatabase: true, settings: ofDatabase}, (run) => parts.push(run));
    },
    follow: (progress) => {
      const followed = logProgress(progress, clock);
      log = followed.lines;
      return followed.progress;
    },
    finish: async (ending) => {
      const run: RunRecord = {
        schemaVersion: 1,
        ...identity,
        toolVersion: start.toolVersion,
        duration: elapsedMs(clock, new Date(identity.startedAt).getTime()),
        outcome: outcomeOf(ending),
        exitCode: ending.exitCode,
        incident: isIncidentEnding(ending, start.isAttended),
        errorCode: ending.error?.code ?? null,
        errorMessage: ending.error?.message ?? null,
        ...facts,
        database: withSource(facts.database, settings.source),
        warnings: [...ending.warnings],
      };
      report?.(run);
      const {untold: killed, done} = await noted;
      const unwritten = [
        ...killed,
        ...(parts.length > 0 ? [] : await writeRun(settings, run)),
        ...(report ? [] : await writeMetrics(start)),
      ];
      await done();
      // Only now, as a slow target must not cost the record; the start goes first, or it would hide the end.
      const untold = await begun;
      if (report) return unwritten;
      const told = parts.length > 0 ? joinRuns(run, parts) : run;
      if (told.outcome !== 'ok' && !isIncident(told)) return [...unwritten, ...untold];
      const details = ending.error?.details ?? [];
      const hurry = told.outcome === 'interrupted' ? interruptedTimeoutMs : undefined;
      return [
        ...unwritten,
        ...untold,
        ...(await tell(start, () => endNotice(told, [...log, ...details], parts), hurry)),
      ];
    },
  };
}

/** A service reports what the server says of the database, which is not its name in the config file. */
function withSource(database: RunRecord['database'], source: string | undefined): RunRecord['database'] {
  return database && source !== undefined ? {...database, source} : database;
}

/** After Ctrl-C the user waits for the end. */
const interruptedTimeoutMs = 3000;

/** Sends nothing about previews. */
async function tell(
  {settings, isPreview}: RunStart,
  notice: () => Notice,
  maxTimeoutMs = Infinity,
): Promise<string[]> {
  const config = settings.config.notifications;
  if (isPreview || config === undefined) return [];
  const {notify} = await import('../services/status/notify.js');
  return notify(notice(), {config, environment: settings.environment, maxTimeoutMs});
}

async function writeRun(settings: Settings, run: RunRecord): Promise<string[]> {
  // A preview or a mistyped command in some folder does not create a backups folder there.
  const isWorthAFolder = run.mode === 'execute' && run.exitCode !== exitStatus.usage;
  if (!isWorthAFolder && !(await exists(settings.backupsDir))) return [];
  try {
    await appendRun(settings.backupsDir, run);
    return [];
  } catch (error) {
    return [`The run is missing in the audit log: ${messageOf(error)}`];
  }
}

/** After previews as well: the state may have changed since the last run, as backups may have been removed manually. */
async function writeMetrics({settings, clock, toolVersion}: RunStart): Promise<string[]> {
  const {metricsFile} = settings;
  if (metricsFile === undefined) return [];
  try {
    const sources = await readStatusSources(settings, clock.now());
    const status = assessStatus(sources, resolveLimits(settings));
    const runs = countedRuns({...sources, backups: sources.catalogue.backups});
    // The exporter runs as another user, so others may read the file; there is no secret in it.
    await writeFileSafely(metricsFile, formatMetrics(status, runs, toolVersion), 0o644);
    return [];
  } catch (error) {
    return [`The metrics file ${metricsFile} was not written: ${messageOf(error)}`];
  }
}

function outcomeOf(ending: RunEnding): RunRecord['outcome'] {
  if (ending.exitCode >= exitStatus.interrupted) return 'interrupted';
  if (ending.error) return 'failed';
  return ending.exitCode === 0 ? 'ok' : 'alarm';
}

/** Somebody who mistyped a flag or was refused reads that on the terminal; from cron the same is a job that does not work. */
function isIncidentEnding(ending: RunEnding, isAttended: boolean): boolean {
  if (outcomeOf(ending) === 'ok') return false;
  const isForTheKeyboard = [exitStatus.usage, exitStatus.refused].some((code) => code === ending.exitCode);
  return !(isAttended && isForTheKeyboard);
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? 'unknown'}`; // no entry in the password file, as in some containers
  }
}
