/** Implements `verify`: chooses backups of a location, checks each at the requested level, records the outcome in its metadata. */
import {stat} from 'node:fs/promises';
import {basename, dirname, resolve} from 'node:path';
import {detectDump} from '../../dump/detect-format.js';
import {type Backup, isGood, lockOfBackup} from '../../catalog/catalogue.js';
import {recordBackup} from '../../catalog/record-backup.js';
import {sizeOf} from '../../base/checksum.js';
import {
  type BackupContent,
  type Outcome,
  outcomeOfError,
  type ProofLevel,
  proofLevels,
} from '../../run/check-outcome.js';
import {elapsedMs} from '../../base/clock.js';
import {defined} from '../../base/defined.js';
import {AppError, type ErrorCode, exitStatus, systemErrorCode} from '../../base/errors.js';
import {codeOfChecks, type DataCheck, describeChecks, withChecks} from '../../run/data-checks.js';
import {identityOf} from '../../catalog/database-groups.js';
import {sourceNames} from '../databases/source-names.js';
import type {RunContext} from '../../run/run-context.js';
import type {OpeningKeys} from '../../encryption/age-keys.js';
import {keysOf} from '../../encryption/settings.js';
import {addProof, type CheckNotes} from '../../storage/add-proof.js';
import {type BackupSource, placeOf} from '../../storage/fetch-backup.js';
import {openSource} from '../../storage/open-place.js';
import type {Place} from '../../storage/place.js';
import {metadataKeyOf} from '../../storage/place-catalogue.js';
import {chooseOwn} from '../../storage/choose-backup.js';
import {checkBackup, type CheckState} from './check-backup.js';
import type {LiveChecks} from './check-live.js';
import type {ScratchPlace} from './scratch-database.js';

export interface VerifyRequest {
  /** Path of a dump or of its metadata, or an id. Without this, `isAll` and `sample`: the newest usable backup. */
  readonly backupFile?: string;
  readonly isAll?: boolean;
  /** Number of usable backups to choose at random. */
  readonly sample?: number;
  readonly level: ProofLevel;
  readonly scratch: ScratchPlace;
  /** How long to wait for another run before the outcome is recorded, ms; short by default. */
  readonly waitMs?: number;
}

export interface VerifiedBackup {
  readonly id: string;
  readonly path: string;
  /** The part of the database that it contains. */
  readonly content: BackupContent;
  /** The requested level. */
  readonly level: ProofLevel;
  readonly outcome: Outcome;
  /** True only for "passed". */
  readonly ok: boolean;
  /** Defects of the backup, or the reasons why it could not be checked, a line each. */
  readonly findings: readonly string[];
  /** Code of the error that prevented the check, CHECK_FAILED or CHECK_NOT_RUN for data checks alone; else null. */
  readonly code: ErrorCode | null;
  /** How to make the check possible, or what to do about a failed data check; else null. */
  readonly hint: string | null;
  /** Remarks that are not defects of the backup. */
  readonly notes: readonly string[];
  /** Results of verify.checks of the config file in a restore test; they say nothing about the bytes of the backup. */
  readonly checks: readonly DataCheck[];
  /** ms */
  readonly duration: number;
  /** Duration of the restore itself, ms: the least time that a recovery takes. */
  readonly restoreDuration: number | null;
  readonly rows: number | null;
}

export interface VerifyResult {
  readonly results: readonly VerifiedBackup[];
  /** The data checks of the live database with --checks-live, without results of backups; else null. */
  readonly live: LiveChecks | null;
}

/** The exit status for the results: a failure outweighs a check that was not possible. */
export function exitCodeOfResults({results, live}: VerifyResult): number {
  const outcomes = [...results, ...(live ? [live] : [])].map(({outcome}) => outcome);
  if (outcomes.includes('failed')) return exitStatus.integrity;
  return outcomes.includes('not-possible') ? exitStatus.environment : 0;
}

/**
 * Checks one backup, several chosen at random, or all. It continues with the others if one fails or cannot be checked; damage
 * is a finding, not an error.
 * @throws BACKUP_NOT_FOUND, USAGE, KEY_NEEDED, INTERRUPTED and the codes of the locations
 */
export async function verifyBackups(
  context: RunContext,
  source: BackupSource,
  request: VerifyRequest,
): Promise<VerifyResult> {
  const keys = await keysOf(context, source);
  const place = await openSource(context.settings, source.from);
  const backups = await chooseBackups(context, place, request);
  const [backup] = backups;
  if (backup && backups.length === 1) recordBackup(context, backup);
  const results: VerifiedBackup[] = [];
  for (const backup of backups) results.push(await verifyOne(context, place, backup, keys, request));
  return {results, live: null};
}

async function chooseBackups(context: RunContext, place: Place, request: VerifyRequest): Promise<Backup[]> {
  if (request.isAll !== true && request.sample === undefined) {
    return [await chooseOne(context, place, request.backupFile)];
  }
  const {backups, problems} = await place.catalogue(context.signal);
  for (const {path, reason} of problems) context.warn(`Cannot read backup metadata ${path}: ${reason}`);
  return chooseSeveral(ofSource(context.settings, backups), request, place.url);
}

/** The backups of the database that the settings name in the config file; all where they name none. */
function ofSource(settings: RunContext['settings'], backups: readonly Backup[]): readonly Backup[] {
  if (settings.source === undefined) return backups;
  const sourceOf = sourceNames(settings);
  return backups.filter((backup) => sourceOf(identityOf(backup)) === settings.source);
}

/** All backups, or some of the usable ones. @throws BACKUP_NOT_FOUND */
function chooseSeveral(
  backups: readonly Backup[],
  {isAll, sample}: Pick<VerifyRequest, 'isAll' | 'sample'>,
  place: string,
): Backup[] {
  const candidates = isAll === true ? [...backups] : backups.filter(isGood);
  if (candidates.length === 0) {
    const what = backups.length === 0 ? 'backup' : 'usable backup';
    throw new AppError('BACKUP_NOT_FOUND', `There is no ${what} in ${place}.`, {
      hint: 'Make one: destino-db backup',
    });
  }
  return isAll === true ? candidates : chooseAtRandom(candidates, sample ?? 1);
}

/** In a folder, it can also be a dump without metadata. */
async function chooseOne(context: RunContext, place: Place, file: string | undefined): Promise<Backup> {
  const {cwd} = context.settings;
  try {
    return await chooseOwn(context, place, defined({backupFile: file}));
  } catch (error) {
    const isNewest = file === undefined || file === 'latest';
    if (
      !place.isOnThisMachine ||
      !(error instanceof AppError) ||
      error.code !== 'BACKUP_NOT_FOUND' ||
      isNewest
    )
      throw error;
    const path = resolve(cwd, file);
    const found = await stat(path).catch(() => undefined); // the first error names the missing backup
    if (!found) throw error;
    const {format, compressed, databaseName} = await detectDump(path);
    return {
      id: basename(path),
      path,
      metadataPath: path,
      createdAt: found.mtime,
      database: databaseName ?? basename(path),
      format,
      compressed,
      sizeBytes: await sizeOf(path),
      label: null,
      content: 'whole',
      record: null,
    };
  }
}

function chooseAtRandom<B>(backups: readonly B[], count: number): B[] {
  const rest = [...backups];
  const chosen: B[] = [];
  while (chosen.length < count && rest.length > 0) {
    chosen.push(...rest.splice(Math.floor(Math.random() * rest.length), 1));
  }
  return chosen;
}

/**
 * Checks the backup, decides on the outcome, and records it in the audit log and in the metadata.
 * @throws INTERRUPTED after the outcome is recorded, and errors that concern neither the backup nor the location
 */
async function verifyOne(
  context: RunContext,
  place: Place,
  backup: Backup,
  keys: OpeningKeys,
  request: VerifyRequest,
): Promise<VerifiedBackup> {
  const {level} = request;
  const startedMs = context.clock.now().getTime();
  const found: CheckState = {
    passed: null,
    findings: [],
    notes: [],
    checks: [],
    restoreDuration: null,
    rows: null,
  };
  let ending: AppError | undefined;
  try {
    await checkBackup(context, place, backup, keys, request, found);
  } catch (error) {
    // An interruption causes other errors, so it is reported instead of them.
    ending = asEnding(context.signal.aborted ? context.signal.reason : error);
  }
  const duration = elapsedMs(context.clock, startedMs);
  const error = ending && outcomeOfError(ending, backup.content);
  if (ending && !error) throw ending;
  const ofBackup = error ?? (found.findings.length > 0 ? 'failed' : 'passed');
  const {id, path, content} = backup;
  const {notes, checks, restoreDuration, rows} = found;
  const outcome = withChecks(ofBackup, checks);
  const checkCode = ofBackup === 'passed' ? codeOfChecks(checks) : null;
  const result: VerifiedBackup = {
    id,
    path,
    content,
    level,
    outcome,
    ok: outcome === 'passed',
    findings: [...(ending ? [ending.message, ...ending.details] : found.findings), ...describeChecks(checks)],
    code: outcome === 'not-possible' && ending ? ending.code : checkCode,
    hint:
      outcome === 'not-possible' && ending
        ? wayOut(ending, found.passed, content, request.scratch)
        : hintOf(checkCode),
    notes,
    checks,
    duration,
    restoreDuration,
    rows,
  };
  context.record({
    verifications: [
      {
        backupId: id,
        level,
        ok: result.ok,
        outcome,
        duration,
        restoreDuration,
        ...(checks.length === 0 ? {} : {checks: [...checks]}),
      },
    ],
  });
  // The metadata are about the backup, which a failing data check does not damage.
  const recorded: VerifiedBackup = {
    ...result,
    outcome: ofBackup,
    ok: ofBackup === 'passed',
    findings: ending ? lastingFindings(ending) : found.findings,
  };
  if (backup.record)
    await recordCheck(context, place, backup, notesOf(context, recorded, found.passed), request.waitMs);
  context.signal.throwIfAborted();
  return result;
}

/** Lines of a tool can quote rows, which must not be written into metadata. */
function lastingFindings({exitCode, message, details}: AppError): string[] {
  return exitCode === exitStatus.integrity ? [message, ...details] : [message];
}

/** @throws a defect of this program, which is not reported as an outcome */
function asEnding(error: unknown): AppError {
  if (error instanceof AppError) return error;
  throw error;
}

/** A failure counts for the level that failed. If a check was not possible, the levels that passed before it are recorded too. */
function notesOf(
  {clock}: RunContext,
  {level, outcome, ok, findings, checks, duration, restoreDuration, code, hint}: VerifiedBackup,
  passed: ProofLevel | null,
): CheckNotes {
  const at = clock.now().toISOString();
  if (outcome === 'not-possible') {
    return {
      proofs:
        passed === null ? [] : [{level: passed, at, ok: true, outcome: 'passed', duration, findings: []}],
      notPossible: {level, at, outcome, duration, code: code ?? '', findings: [...findings], hint},
    };
  }
  const failedAt = proofLevels[passed === null ? 0 : proofLevels.indexOf(passed) + 1];
  const proof = {
    level: ok ? level : (failedAt ?? level),
    at,
    ok,
    outcome,
    duration,
    findings: [...findings],
    ...(restoreDuration === null ? {} : {restoreDuration}),
    ...(checks.length === 0 ? {} : {checks: [...checks]}),
  };
  return {proofs: [proof]};
}

function hintOf(code: ReturnType<typeof codeOfChecks>): string | null {
  if (code === 'CHECK_FAILED')
    return 'The backup is intact and was restored. Look at the data in question in the database, then at the check in the config file.';
  return code === null
    ? null
    : 'Correct the query in verify.checks of the config file, or raise verify.checkTimeoutSeconds.';
}

/** The hint that explains how to make the check possible. */
function wayOut(
  {code, exitCode, hint, cause}: AppError,
  passed: ProofLevel | null,
  content: BackupContent,
  scratch: VerifyRequest['scratch'],
): string {
  if (exitCode >= exitStatus.interrupted) return 'Run it again, and let it finish.';
  // Errors of the restore test's server get their own hints, because those of other commands name other servers.
  if (passed === 'archive') {
    const isLocal = scratch.kind === 'local';
    const elsewhere = isLocal
      ? 'Test it on another server (--scratch-url URL).'
      : 'Test it on another server (--scratch-url URL), or on a temporary one here (--scratch local).';
    // The hint of an error about files on this machine, such as a full temporary folder, names the folder.
    const isHere = hint !== undefined && ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(systemErrorCode(cause) ?? '');
    if (code === 'DISK_FULL' && isHere) return hint;
    if (code === 'DISK_FULL')
      return `${isLocal ? 'Free space in the temporary folder, or set TMPDIR to another one.' : 'Free space on that server.'} ${elsewhere}`;
    if (code === 'PERMISSION_DENIED') return `Use a role with that privilege on the server. ${elsewhere}`;
    if (content !== 'whole' && exitCode === exitStatus.failed)
      return 'The backup lacks objects that its tables refer to. Use --level archive, which reads every row of it, and make the restore test with a backup of the whole database.';
    return hint ?? elsewhere;
  }
  return hint ?? 'Run it again once that is fixed.';
}

/** Longest wait for the folder in an interrupted run, ms, because the user waits for its end. */
const interruptedWaitMs = 1000;

/** Warns if the folder is read-only or locked by another run, because the check itself is complete. */
async function recordCheck(
  context: RunContext,
  place: Place,
  backup: Backup,
  notes: CheckNotes,
  waitMs: number | undefined,
): Promise<void> {
  const {id, metadataPath} = backup;
  const {aborted} = context.signal;
  // The outcome of an interrupted check is recorded too.
  const within = aborted ? {...context, signal: new AbortController().signal} : context;
  try {
    const wait = aborted ? interruptedWaitMs : waitMs;
    await addProof(
      within,
      placeOf(place, backup),
      metadataKeyOf(backup),
      notes,
      defined({waitMs: wait, database: lockOfBackup(backup)}),
    );
  } catch (error) {
    const isInTheWay =
      error instanceof AppError &&
      (error.exitCode === exitStatus.environment ||
        ['LOCKED', 'STORAGE_CONFLICT', 'STORAGE_TIMEOUT', 'STORAGE_FAILED'].includes(error.code));
    if (!isInTheWay) throw error;
    context.warn(
      `The result of the check of ${id} could not be recorded in ${dirname(metadataPath)}, so list and status do not show it: ${error.message}`,
    );
  }
}
