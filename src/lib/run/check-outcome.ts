/** Decides the outcome of a check of a backup, and the state of a backup after several checks. */
import {AppError, type ErrorCode, exitStatus, systemErrorCode} from '../base/errors.js';

export const proofLevels = ['checksum', 'archive', 'restore'] as const;
/** How far a backup is proven: its bytes are unchanged; all of it can be read; a restore of it was compared and equal. */
export type ProofLevel = (typeof proofLevels)[number];

export const outcomes = ['passed', 'failed', 'not-possible'] as const;
/**
 * passed: the backup is as it was dumped. failed: bytes, rows or objects differ from the dump. not-possible: the
 * server, role, disk, an interruption or the partial content of the backup prevented the check, so nothing is known about
 * the backup.
 */
export type Outcome = (typeof outcomes)[number];

export const backupContents = ['whole', 'schema', 'data', 'tables'] as const;
/** The content of a backup: everything, definitions only, rows only, or chosen tables or schemas. */
export type BackupContent = (typeof backupContents)[number];

/** Whether `level` is at least as strong as `other`. */
export function isAtLeast(level: ProofLevel, other: ProofLevel): boolean {
  return proofLevels.indexOf(level) >= proofLevels.indexOf(other);
}

/** Errors of the server that need a closer look: the code alone says nothing about the backup. */
const refusals: readonly ErrorCode[] = ['PG_RESTORE_FAILED', 'QUERY_FAILED', 'RESTORE_FAILED'];

/**
 * The outcome for an error during a check; undefined for errors that concern neither the backup nor the environment, such as
 * a wrong flag or a defect of this program. The caller passes such an error on.
 * @param content of the backup: a partial backup can lack rows that its rows refer to
 */
export function outcomeOfError(
  error: unknown,
  content: BackupContent,
): Exclude<Outcome, 'passed'> | undefined {
  if (!(error instanceof AppError)) return undefined;
  if (error.exitCode === exitStatus.integrity) return 'failed';
  if (error.exitCode === exitStatus.usage || isAnswer(error.code)) return undefined;
  // The output of the tool decides before the code, because the code comes from patterns that can also match the text of a row.
  const lines = [...error.details, ...(refusals.includes(error.code) ? [error.message] : [])];
  return areDataRefused(lines, systemErrorCode(error.cause), content) ? 'failed' : 'not-possible';
}

/** A defect, or a question that was declined or could not be asked. */
function isAnswer(code: ErrorCode): boolean {
  return ['UNEXPECTED', 'CONFIRMATION_NEEDED', 'NOT_CONFIRMED'].includes(code);
}

/** Client-side errors of pg_restore about the archive itself (src/bin/pg_dump/pg_backup_custom.c, compress_*.c). */
const unreadableArchive =
  /unexpected end of file|: end of file|block ID|magic string|corrupt|could not (?:un|de)compress/;

/**
 * Whether the server refused the rows themselves, or pg_restore could not read them. Any other refusal is due to the environment,
 * because the bytes and the archive were checked before.
 * @param lines output of the tool or the server
 * @param code SQLSTATE of the driver's error, if any
 */
function areDataRefused(lines: readonly string[], code: string | undefined, content: BackupContent): boolean {
  if (code !== undefined && isSqlState(code)) return isDataState(code, content);
  const said = lines.flatMap((line) => serverMessageIn(line) ?? [])[0];
  if (!said) return lines.some((line) => unreadableArchive.test(line));
  if (said.state !== undefined) return isDataState(said.state, content);
  if (content !== 'whole' && said.words.includes('violates foreign key constraint')) return false;
  return refusedRows.test(said.words);
}

/** The server's message in a line of pg_restore or psql; psql includes the SQLSTATE in verbose mode. */
function serverMessageIn(line: string): {state: string | undefined; words: string} | undefined {
  const found =
    /(?:could not execute query: |COPY failed for table ".*?": |<stdin>:\d+: )[^:\s]+: {2}(?:([0-9A-Z]{5}): )?(.*)$/.exec(
      line,
    );
  return found ? {state: found[1], words: found[2] ?? ''} : undefined;
}

function isSqlState(code: string): boolean {
  return /^[0-9A-Z]{5}$/.test(code) && /\d/.test(code);
}

/** States of class 22 about the server's settings or encoding rather than a value (manual, appendix A). */
const statesOfPlace = new Set(['22023', '22P05', '22P06']);

function isDataState(state: string, content: BackupContent): boolean {
  if (state === '23503') return content === 'whole';
  return (state.startsWith('22') || state.startsWith('23')) && !statesOfPlace.has(state);
}

/** Messages of classes 22 and 23, because pg_restore prints no SQLSTATE. In other languages the refusal counts as environmental. */
const refusedRows = new RegExp(
  [
    'duplicate key value violates',
    'could not create (?:unique index|exclusion constraint)',
    'violates (?:foreign key|check|not-null|exclusion) constraint',
    'is violated by some row',
    'contains? null values',
    'contains values that violate',
    'no partition of relation .* found for row',
    'would be violated by some row',
    'invalid input (?:syntax|value) for',
    'invalid byte sequence for encoding',
    'missing data for column',
    'extra data after last expected column',
    'value too long for type',
    'out of range',
    'field overflow',
    'malformed (?:array|record|range|multirange) literal',
    'literal (?:newline|carriage return) found in data',
    'end-of-copy marker',
    'invalid (?:hexadecimal|XML|JSON|regular)',
    'division by zero',
  ].join('|'),
);

/** One result of a check, as stored in the metadata. */
export interface CheckResult {
  readonly level: ProofLevel;
  readonly ok: boolean;
  /** Missing in metadata of 0.1.0. */
  readonly outcome?: 'passed' | 'failed';
  /** The problems found, a line each. */
  readonly findings: readonly string[];
}

/** The checks of a backup, as stored in the metadata. */
export interface CheckedRecord<R, N> {
  readonly verification: R | null;
  /** Oldest first. */
  readonly proofs: readonly R[];
  /** Checks that were not possible, the newest of each level. */
  readonly notPossible?: readonly N[];
}

/** The result of all checks of a backup together. */
export interface Standing<R, N> {
  /** The failure in force: no check of the same or a stronger level has passed since. */
  readonly failure: R | null;
  /** The strongest check that passed; null while a failure is in force. */
  readonly proof: R | null;
  /** The newest check that was not possible, unless one of its level or a stronger one has passed since. */
  readonly notPossible: R | N | null;
}

/**
 * Combines the checks of a backup. A failure is in force until a check of the same or a stronger level passes, and
 * cancels the passes before it. A check that was not possible changes nothing.
 */
export function standingOf<
  R extends CheckResult & {readonly at: string},
  N extends {readonly level: ProofLevel; readonly at: string; readonly findings: readonly string[]},
>(record: CheckedRecord<R, N>, content: BackupContent): Standing<R, N> {
  let failures: R[] = [];
  let proof: R | null = null;
  let skipped: R | N | null = null;
  for (const result of [...(record.verification ? [record.verification] : []), ...record.proofs]) {
    const outcome = outcomeOfResult(result, content);
    if (outcome === 'passed') {
      failures = failures.filter(({level}) => !isAtLeast(result.level, level));
      if (!proof || isAtLeast(result.level, proof.level)) proof = result;
    } else if (outcome === 'failed') {
      failures.push(result);
      proof = null;
    } else {
      skipped = result;
    }
  }
  const newest = [...(record.notPossible ?? [])].sort((a, b) => (a.at < b.at ? 1 : -1))[0];
  const untested = newest ?? skipped;
  const isMadeUpFor =
    untested !== null && proof !== null && isAtLeast(proof.level, untested.level) && proof.at >= untested.at;
  return {
    failure: failures.at(-1) ?? null,
    proof: failures.length > 0 ? null : proof,
    notPossible: isMadeUpFor ? null : untested,
  };
}

/**
 * The outcome stored in metadata. Version 0.1.0 knew two outcomes and recorded a restore test that the server refused as failed;
 * its findings begin with the words below.
 */
export function outcomeOfResult(
  {level, ok, outcome, findings}: CheckResult,
  content: BackupContent,
): Outcome {
  if (outcome !== undefined) return outcome;
  if (ok) return 'passed';
  const isRefusal =
    level === 'restore' &&
    findings.length > 0 &&
    findings.every((finding) => finding.startsWith('It cannot be restored: '));
  if (!isRefusal) return 'failed';
  return areDataRefused(findings, undefined, content) ? 'failed' : 'not-possible';
}
