/** Implements `history`: the recorded runs that match the filters. */
import {AppError} from '../../base/errors.js';
import {nearest} from '../../base/nearest.js';
import {foreignNote} from '../../base/own-file.js';
import {parseSince} from '../../base/parse-duration.js';
import {commandProblem, recordedCommands} from '../../base/recorded-commands.js';
import type {RunContext} from '../../run/run-context.js';
import {readHistory} from '../../run/read-history.js';
import type {RunRecord} from '../../run/run-record.js';

export interface HistoryRequest {
  readonly command?: string;
  readonly database?: string;
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
  const databases = new Set<string>();
  const {runs, unreadableLines, foreign} = await readHistory(
    context.settings.backupsDir,
    (run) =>
      databases.add(run.database?.name ?? '').size > 0 &&
      (request.command === undefined || run.command === request.command) &&
      (request.database === undefined || run.database?.name === request.database) &&
      (request.failed !== true || run.outcome !== 'ok') &&
      (from === undefined || new Date(run.startedAt) >= from),
  );
  foreignNote(foreign).forEach(context.warn);
  if (request.database !== undefined && !databases.has(request.database)) {
    const guess = nearest(request.database, [...databases]);
    context.warn(
      `No run of the database "${request.database}" is recorded.${guess === undefined ? '' : ` Did you mean ${guess}?`}`,
    );
  }
  const {limit} = request;
  return {runs: limit === undefined ? runs : runs.slice(-limit), total: runs.length, unreadableLines};
}
