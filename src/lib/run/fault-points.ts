/** Named points between two steps where a test can kill, interrupt or fail the program; without a test they do nothing. */
import {AppError, type ErrorCode, errorCodeTable} from '../base/errors.js';

/** All points, by room; the part after the dot names the step that has just ended. */
export const faultPoints = [
  'backup.reserved',
  'backup.dumped',
  'backup.synced',
  'backup.digested',
  'backup.verified',
  'backup.sealed',
  'backup.published',
  'backup.recorded',
  'backup.pruned',
  'prune.metadata-renamed',
  'prune.renamed',
  'prune.dump-removed',
  'prune.removed',
  'verify.role-made',
  'verify.scratch-made',
  'verify.scratch-marked',
  'verify.loaded',
  'verify.compared',
  'verify.dropped',
  'restore.prepared',
  'restore.rows-added',
  'restore.loaded',
  'restore.compared',
  'staging.made',
  'staging.marked',
  'staging.compared',
  'staging.masked',
  'staging.proven',
  'staging.changed',
  'staging.filled',
  'staging.finished',
  'swap.begun',
  'swap.renamed',
  'swap.committed',
  'clean.indexed',
  'clean.locked',
  'clean.file-written',
  'clean.file-named',
  'clean.deleted',
  'clean.committed',
  'orders.staged',
  'orders.inserted',
  'orders.committed',
  'rows.staged',
  'rows.locked',
  'rows.undo-written',
  'rows.undo-named',
  'rows.written',
  'rows.committed',
  'recover.planned',
  'recover.one-done',
  'recover.all-done',
] as const;

export type FaultPoint = (typeof faultPoints)[number];

/** Called at the end of a step; does nothing unless a fault is set for this point. */
export type Checkpoint = (point: FaultPoint) => Promise<void>;

/** No faults, as in every run outside tests. */
export const passBy: Checkpoint = () => Promise.resolve();

const signals = ['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGSTOP'] as const;

/**
 * @param setting "POINT=SIGKILL", "POINT=SIGTERM", "POINT=SIGINT", "POINT=SIGSTOP" (a test can then break something else
 *   until SIGCONT) or "POINT=error:CODE"; "POINT@3=..." from the third time on; undefined for no fault
 * @param interruption aborted by the program's own signal handlers
 * @throws USAGE for a point, signal or code that does not exist
 */
export function createCheckpoint(setting: string | undefined, interruption: AbortSignal): Checkpoint {
  if (setting === undefined || setting === '') return passBy;
  const [where = '', action = ''] = setting.split('=');
  const [point = '', times = '1'] = where.split('@');
  if (!faultPoints.some((known) => known === point)) throw unknown(setting, `no point "${point}"`);
  const act = actionOf(setting, action, interruption);
  let left = Number(times);
  if (!Number.isInteger(left) || left < 1) throw unknown(setting, `no number of times "${times}"`);
  return (reached) => {
    if (reached !== point) return Promise.resolve();
    left -= 1;
    return left <= 0 ? act(point) : Promise.resolve();
  };
}

function actionOf(
  setting: string,
  action: string,
  interruption: AbortSignal,
): (point: string) => Promise<void> {
  const signal = signals.find((name) => name === action);
  if (signal === 'SIGSTOP') return once(() => void process.kill(process.pid, signal));
  if (signal !== undefined) return () => sendToItself(signal, interruption);
  const code = errorCodeTable().find((row) => `error:${row.code}` === action)?.code;
  if (code === undefined) throw unknown(setting, `no action "${action}"`);
  return (point) => Promise.reject(faultAt(point, code));
}

function once(act: () => void): () => Promise<void> {
  let isOver = false;
  return () => {
    if (!isOver) act();
    isOver = true;
    return Promise.resolve();
  };
}

/** Once only: a second signal at the same point would force the end. */
async function sendToItself(
  signal: Exclude<(typeof signals)[number], 'SIGSTOP'>,
  interruption: AbortSignal,
): Promise<void> {
  if (interruption.aborted) return;
  const arrived = new Promise<void>((resolve) => {
    interruption.addEventListener('abort', () => resolve(), {once: true});
  });
  const awake = setInterval(() => {}, 1000); // a signal handler does not keep the process alive
  process.kill(process.pid, signal);
  await arrived;
  clearInterval(awake);
}

function faultAt(point: string, code: ErrorCode): AppError {
  return new AppError(code, `The injected fault at ${point} happened.`);
}

function unknown(setting: string, reason: string): AppError {
  return new AppError('USAGE', `The fault "${setting}" is not known: ${reason}.`);
}
