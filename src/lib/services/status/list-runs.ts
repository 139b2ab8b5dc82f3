/** Implements `history`: the recorded runs that match the filters. */
import {AppError} from '../../base/errors.js';
import {nearest} from '../../base/nearest.js';
import {foreignNote} from '../../base/own-file.js';
import {parseSince} from '../../base/parse-duration.js';
import {commandProblem, recordedCommands} from '../../base/recorded-commands.js';
import type {RunContext} from '../../run/run-context.js';
import {readHistory} from '../../run/read-history.js';
import type {RunRecord} from '../../run/run-record.js';
import {chooseSources, isNamed} from '../../settings/sources.js';

export interface HistoryRequest {
  readonly command?: string;
  /** Names of the databases, their own or those of the config file. */
  readonly databases?: readonly string[];
  /** Only those of `databases` in the config file. */
  readonly isAllDatabases?: boolean;
  /** Only runs that did not succeed. */
  readonly failed?: boolean;
  /** A duration before now, a date or a time. */
  readonly since?: string;
  /** The newest N. */
  readonly limit?: number;
}

export interface HistoryResult {
  /** Newest last. */
  readonly runs: readonly RunRecord[];
  /** Number of matching runs, including those beyond the limit. */
  readonly total: number;
  readonly unreadableLines: number;
}

/** @throws USAGE for an invalid `since` or a command that is never recorded, READ_FAILED */
export async function listRuns(context: RunContext, request: HistoryRequest): Promise<HistoryResult> {
  const {since} = request;
  const from = since === undefined ? undefined : parseSince(since, '--since', context.clock.now());
  const problem = request.command === undefined ? undefined : commandProblem(request.command);
  if (problem !== undefined) {
    throw new AppError('USAGE', `--command: ${problem}.`, {
      hint: `Recorded commands: ${[...recordedCommands].join(', ')}.`,
    });
  }
  const wanted =
    request.isAllDatabases === true
      ? chooseSources(context.settings, {isAll: true}).map(({name}) => name)
      : request.databases;
  const databases = new Map<string, {label: string; name: string}>();
  const {runs, unreadableLines, foreign} = await readHistory(
    context.settings.backupsDir,
    (run) =>
      databases.set(labelOf(run), {label: labelOf(run), name: run.database?.name ?? ''}).size > 0 &&
      (request.command === undefined || run.command === request.command) &&
      (wanted === undefined || isNamed(wanted, {label: labelOf(run), name: run.database?.name ?? ''})) &&
      (request.failed !== true || run.outcome !== 'ok') &&
      (from === undefined || new Date(run.startedAt) >= from),
  );
  foreignNote(foreign).forEach(context.warn);
  for (const name of wanted ?? []) {
    if ([...databases.values()].some((one) => isNamed([name], one))) continue;
    const known = [...new Set([...databases.values()].flatMap((one) => [one.label, one.name]))];
    const guess = nearest(name, known);
    context.warn(
      `No run of the database "${name}" is recorded.${guess === undefined ? '' : ` Did you mean ${guess}?`}`,
    );
  }
  const {limit} = request;
  return {runs: limit === undefined ? runs : runs.slice(-limit), total: runs.length, unreadableLines};
}

function labelOf({database}: RunRecord): string {
  return database?.source ?? database?.name ?? '';
}
