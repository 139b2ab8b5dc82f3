/** The story of `verify`: choose backups, prove each as far as asked, note the outcome in its metadata. */
import {stat} from 'node:fs/promises';
import {basename, resolve} from 'node:path';
import {backupFolder} from '../../catalog/backup-name.js';
import {detectDump} from '../../dump/detect-format.js';
import {compareTables, type ExpectedTable} from '../../dump/compare-tables.js';
import type {DumpContents} from '../../fingerprint/table-contents.js';
import {readDump} from '../../dump/read-dump.js';
import {addProof, type CheckNotes} from '../../catalog/add-proof.js';
import {type Backup, isGood, readCatalogue} from '../../catalog/catalogue.js';
import {checkFiles as checkDigests} from '../../catalog/check-files.js';
import {sizeOf} from '../../base/checksum.js';
import {
  type BackupContent,
  type Outcome,
  outcomeOfError,
  type ProofLevel,
  proofLevels,
} from '../../run/outcome.js';
import {elapsedMs} from '../../base/clock.js';
import {AppError, type ErrorCode, exitStatus, systemErrorCode} from '../../base/errors.js';
import type {RunContext} from '../../run/run-context.js';
import type {OpeningKeys} from '../../encryption/age-keys.js';
import {withPlain} from '../../storage/fetch-backup.js';
import {proveByRestore} from './verify-by-restore.js';
import {findLocalBackup} from '../restore/source.js';
import type {ScratchPlace} from './scratch-database.js';

export interface VerifyRequest {
  /** Path of a dump or of its metadata, or an id. Without this, `isAll` and `sample` the newest good backup is meant. */
  readonly backupFile?: string | undefined;
  readonly isAll?: boolean | undefined;
  /** How many good backups, chosen at random. */
  readonly sample?: number | undefined;
  readonly level: ProofLevel;
  readonly scratch: ScratchPlace;
  /** Absolute path of the folder to choose from; that of database backups by default. */
  readonly folder?: string | undefined;
  /** What opens encrypted backups; without it only their checksums can be compared. */
  readonly keys?: OpeningKeys | undefined;
  /** How long to wait for another run before the outcome is noted, ms; a moment without it. */
  readonly waitMs?: number | undefined;
}

export interface VerifiedBackup {
  readonly id: string;
  readonly path: string;
  /** What it contains of its database. */
  readonly content: BackupContent;
  /** The level that was asked for. */
  readonly level: ProofLevel;
  readonly outcome: Outcome;
  /** True for "passed" alone. */
  readonly ok: boolean;
  /** What is wrong with it, or why it could not be checked, a line each. */
  readonly findings: readonly string[];
  /** Code of the error that kept the check from being made; null for other outcomes. */
  readonly code: ErrorCode | null;
  /** What would make the check possible; null for other outcomes. */
  readonly hint: string | null;
  /** What is worth knowing and does not make it a bad backup. */
  readonly notes: readonly string[];
  /** ms */
  readonly duration: number;
  /** ms that the restore itself took: what a recovery takes at least. */
  readonly restoreDuration: number | null;
  readonly rows: number | null;
}

export interface VerifyResult {
  readonly results: readonly VerifiedBackup[];
}

/** The exit status that results stand for: a failure outweighs a check that was not possible. */
export function exitCodeOfResults({results}: VerifyResult): number {
  if (results.some(({outcome}) => outcome === 'failed')) return exitStatus.integrity;
  return results.some(({outcome}) => outcome === 'not-possible') ? exitStatus.environment : 0;
}

/**
 * Checks one backup, several chosen at random, or all. One that fails, or cannot be checked here, does not keep the others from
 * being looked at.
 * @throws BACKUP_NOT_FOUND, INTERRUPTED
 */
export async function verifyBackup(context: RunContext, request: VerifyRequest): Promise<VerifyResult> {
  const backups = await chooseBackups(context, request);
  return proveEach(context, backups, (backup) => proveBackup(context, backup, request));
}

/** Checks one after the other. */
export async function proveEach<B extends Backup>(
  context: RunContext,
  backups: readonly B[],
  prove: (backup: B) => Promise<VerifiedBackup>,
): Promise<VerifyResult> {
  recordBackup(context, backups);
  const results: VerifiedBackup[] = [];
  for (const backup of backups) results.push(await prove(backup));
  return {results};
}

/** A proof of one backup belongs to its database in the audit log. */
function recordBackup(context: RunContext, backups: readonly Backup[]): void {
  const [backup] = backups;
  if (!backup || backups.length > 1) return;
  context.record({backupId: backup.id, format: backup.format, size: backup.sizeBytes});
  if (!backup.record) return;
  const {systemIdentifier, host, port, project} = backup.record.source;
  context.record({
    database: {
      name: backup.database,
      systemIdentifier,
      host,
      port,
      ...(project === undefined ? {} : {project}),
    },
  });
}

async function chooseBackups(context: RunContext, request: VerifyRequest): Promise<Backup[]> {
  const {settings} = context;
  const folder = request.folder ?? backupFolder(settings);
  if (request.isAll !== true && request.sample === undefined) {
    return [await chooseOne(context, request.backupFile, folder)];
  }
  const {backups, problems} = await readCatalogue(folder);
  for (const {path, reason} of problems) context.warn(`${path} tells no backup: ${reason}`);
  return chooseSeveral(backups, request, folder);
}

/** All, or some of the good ones. @throws BACKUP_NOT_FOUND */
export function chooseSeveral<B extends Backup>(
  backups: readonly B[],
  {isAll, sample}: Pick<VerifyRequest, 'isAll' | 'sample'>,
  place: string,
): B[] {
  const candidates = isAll === true ? [...backups] : backups.filter(isGood);
  if (candidates.length === 0) {
    const what = backups.length === 0 ? 'backup' : 'good backup';
    throw new AppError('BACKUP_NOT_FOUND', `There is no ${what} in ${place}.`, {
      hint: 'Make one: destino-db backup',
    });
  }
  return isAll === true ? candidates : chooseAtRandom(candidates, sample ?? 1);
}

async function chooseOne(context: RunContext, file: string | undefined, folder: string): Promise<Backup> {
  const {cwd} = context.settings;
  try {
    return await findLocalBackup(context, {backupFile: file}, folder);
  } catch (error) {
    const isNewest = file === undefined || file === 'latest';
    if (!(error instanceof AppError) || error.code !== 'BACKUP_NOT_FOUND' || isNewest) throw error;
    const path = resolve(cwd, file);
    const found = await stat(path).catch(() => undefined); // then the first error tells what was looked for
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

/** Where the results of a check are noted: in the metadata beside the backup, unless it was fetched from elsewhere. */
export type NoteCheck = (context: RunContext, notes: CheckNotes, waitMs?: number) => Promise<void>;

/**
 * Checks it, and notes the outcome.
 * @throws INTERRUPTED once that is noted, and what says nothing about backup or place
 */
export async function proveBackup(
  context: RunContext,
  backup: Backup,
  request: VerifyRequest,
  note: NoteCheck = (within, notes, waitMs = request.waitMs) =>
    addProof(within, backup.metadataPath, notes, waitMs),
): Promise<VerifiedBackup> {
  return checkAndNote(context, backup, request.level, note, (found) =>
    checkFiles(context, backup, request, found),
  );
}

/** What a check has found so far; also what it had found when an error ended it. */
export interface CheckState {
  /** The strongest level that held. */
  passed: ProofLevel | null;
  findings: readonly string[];
  notes: readonly string[];
  restoreDuration: number | null;
  rows: number | null;
}

/**
 * Runs a check, decides on its outcome, records it in the audit log, and notes it.
 * @param work fills the state; an error that ends it is one of the outcomes too, or passed on
 */
export async function checkAndNote(
  context: RunContext,
  backup: Backup,
  level: ProofLevel,
  note: NoteCheck,
  work: (found: CheckState) => Promise<void>,
): Promise<VerifiedBackup> {
  const startedMs = context.clock.now().getTime();
  const found: CheckState = {passed: null, findings: [], notes: [], restoreDuration: null, rows: null};
  let ending: AppError | undefined;
  try {
    await work(found);
  } catch (error) {
    // Whatever broke because of the interruption, the interruption is what happened.
    ending = asEnding(context.signal.aborted ? context.signal.reason : error);
  }
  const duration = elapsedMs(context.clock, startedMs);
  const error = ending && outcomeOfError(ending, backup.content);
  if (ending && !error) throw ending;
  const outcome = error ?? (found.findings.length > 0 ? 'failed' : 'passed');
  const {id, path, content} = backup;
  const {notes, restoreDuration, rows} = found;
  const result: VerifiedBackup = {
    id,
    path,
    content,
    level,
    outcome,
    ok: outcome === 'passed',
    findings: ending ? [ending.message, ...ending.details] : found.findings,
    code: outcome === 'not-possible' ? (ending?.code ?? null) : null,
    hint: outcome === 'not-possible' && ending ? wayOut(ending, found.passed, content) : null,
    notes,
    duration,
    restoreDuration,
    rows,
  };
  context.record({
    verifications: [{backupId: id, level, ok: result.ok, outcome, duration, restoreDuration}],
  });
  const noted = ending ? {...result, findings: lastingFindings(ending)} : result;
  if (backup.record) await noteCheck(context, backup, note, notesOf(context, noted, found.passed));
  context.signal.throwIfAborted();
  return result;
}

/** The lines of a tool can quote rows, which must not get into metadata. */
function lastingFindings({exitCode, message, details}: AppError): string[] {
  return exitCode === exitStatus.integrity ? [message, ...details] : [message];
}

/** @throws what is no trouble that a user is told about: a defect */
function asEnding(error: unknown): AppError {
  if (error instanceof AppError) return error;
  throw error;
}

/** A failure belongs to the level that failed; of a check that was not possible, what held until then is a result as well. */
function notesOf(
  {clock}: RunContext,
  {level, outcome, ok, findings, duration, restoreDuration, code, hint}: VerifiedBackup,
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
  };
  return {proofs: [proof]};
}

/** What would make a check possible that could not be made. */
function wayOut(
  {code, exitCode, hint, cause}: AppError,
  passed: ProofLevel | null,
  content: BackupContent,
): string {
  if (exitCode >= exitStatus.interrupted) return 'Run it again, and let it end.';
  // Of the server of a restore test: hints of other commands name other places.
  if (passed === 'archive') {
    const elsewhere =
      'Test it on another server (--scratch-url URL), or on a throw-away one here (--scratch local).';
    // An error of this machine's own files, such as a full temporary folder, knows which.
    const isHere = hint !== undefined && ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(systemErrorCode(cause) ?? '');
    if (code === 'DISK_FULL') return isHere ? hint : `Free space on that server. ${elsewhere}`;
    if (code === 'PERMISSION_DENIED') return `Use a role that may do this there. ${elsewhere}`;
    if (content !== 'whole' && exitCode === exitStatus.failed)
      return 'It lacks what its tables refer to: test a backup of the whole database by a restore; this one by --level archive, which reads every row of it.';
    return hint ?? elsewhere;
  }
  return hint ?? 'Run it again once that is fixed.';
}

/** Longest wait for the folder when somebody waits for an interrupted run to end, ms. */
const interruptedWaitMs = 1000;

/** Who may only read the folder, or finds another run in it, has checked the backup all the same. */
async function noteCheck(
  context: RunContext,
  {id, metadataPath}: Backup,
  note: NoteCheck,
  notes: CheckNotes,
): Promise<void> {
  const {aborted} = context.signal;
  // An interruption is a result to be noted as well.
  const within = aborted ? {...context, signal: new AbortController().signal} : context;
  try {
    await note(within, notes, aborted ? interruptedWaitMs : undefined);
  } catch (error) {
    const isInTheWay =
      error instanceof AppError &&
      (error.exitCode === exitStatus.environment ||
        ['LOCKED', 'STORAGE_CONFLICT', 'STORAGE_TIMEOUT', 'STORAGE_FAILED'].includes(error.code));
    if (!isInTheWay) throw error;
    context.warn(
      `What was found of ${id} could not be noted in ${placeOf(metadataPath)}, so that list and status do not tell of it: ${error.message}`,
    );
  }
}

function placeOf(metadataPath: string): string {
  return metadataPath.slice(0, metadataPath.lastIndexOf('/'));
}

/** Goes on to the next level only while nothing was found. */
export async function checkFiles(
  context: RunContext,
  backup: Backup,
  request: VerifyRequest,
  found: CheckState,
): Promise<void> {
  if (!backup.record) {
    found.notes = ['It has no checksums: made by other scripts, only its completeness can be told.'];
  }
  await checksum(context, backup);
  found.passed = 'checksum';
  if (request.level === 'checksum') return;
  await withPlain(context, backup, request.keys ?? noKeys, (plain) =>
    checkContent(context, plain, request, found),
  );
}

async function checkContent(
  context: RunContext,
  backup: Backup,
  request: VerifyRequest,
  found: CheckState,
): Promise<void> {
  const contents = await readWhole(context, backup, request.level === 'restore');
  found.rows = contents.tables.reduce((sum, table) => sum + table.rows, 0);
  const expected = expectedTables(backup);
  found.findings = expected ? compareTables(expected, contents.tables, 'the metadata') : [];
  if (found.findings.length > 0) return;
  found.passed = 'archive';
  if (request.level === 'archive') return;
  refuseLoneRows(backup);
  const dump = await detectDump(backup.path);
  const proof = await proveByRestore(context, {backup, dump, contents}, request.scratch);
  found.findings = proof.findings;
  found.notes = [...found.notes, ...proof.notes];
  found.restoreDuration = proof.restoreDuration;
  if (proof.findings.length === 0) found.passed = 'restore';
}

/** @throws NOT_SUPPORTED_HERE */
function refuseLoneRows({id, content}: Backup): void {
  if (content !== 'data') return;
  throw new AppError(
    'NOT_SUPPORTED_HERE',
    `${id} contains rows without their tables, so that it cannot be restored into an empty database.`,
    {
      hint: 'Check a backup of the whole database by a restore; this one by --level archive, which reads every row of it.',
    },
  );
}

const noKeys: OpeningKeys = {identities: [], passphrases: []};

async function checksum(context: RunContext, backup: Backup): Promise<void> {
  await context.progress.step(`Checksum of ${backup.id}`, (step) =>
    checkDigests(backup, {
      signal: context.signal,
      onBytes: (done, total) => step.advance(done, total, 'bytes'),
    }),
  );
}

async function readWhole(context: RunContext, backup: Backup, isRestoring: boolean): Promise<DumpContents> {
  const {settings, signal} = context;
  const hasFingerprints = backup.record?.tables.some((table) => table.fingerprint !== null) ?? false;
  return context.progress.step(`Read ${backup.id}`, (step) =>
    readDump(backup, {
      settings,
      signal,
      fingerprints: hasFingerprints || isRestoring,
      onBytes: (bytes) => step.advance(bytes, undefined, 'bytes'),
    }),
  );
}

/** A dump without rows names its tables in the metadata only; metadata of the old scripts names none. */
function expectedTables({record}: Backup): readonly ExpectedTable[] | null {
  return record && !record.config.schemaOnly ? record.tables : null;
}
