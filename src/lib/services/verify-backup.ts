/** The story of `verify`: choose backups, prove each as far as asked, note the outcome in its metadata. */
import {stat} from 'node:fs/promises';
import {basename, dirname, join, resolve} from 'node:path';
import {detectDump} from '../archive/detect-format.js';
import {compareTables, type ExpectedTable} from '../archive/compare-tables.js';
import type {DumpContents} from '../archive/dump-contents.js';
import {readDump} from '../archive/read-dump.js';
import {addProof} from '../backups/add-proof.js';
import type {ProofLevel} from '../backups/backup-record.js';
import {type Backup, chooseBackup, isGood, readCatalogue} from '../backups/catalogue.js';
import {checkFiles} from '../backups/check-files.js';
import {sizeOf} from '../backups/checksum.js';
import {elapsedMs} from '../clock.js';
import {AppError, exitStatus} from '../errors.js';
import type {RunContext} from '../run-context.js';
import type {OpeningKeys} from '../storage/age-keys.js';
import {withPlain} from './backup-source.js';
import {proveByRestore} from './prove-by-restore.js';
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
}

export interface VerifiedBackup {
  readonly id: string;
  readonly path: string;
  readonly level: ProofLevel;
  readonly ok: boolean;
  /** What is wrong with it, a line each. */
  readonly findings: readonly string[];
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

/**
 * Proves one backup, several chosen at random, or all. One that fails does not keep the others from being looked at.
 * @throws BACKUP_NOT_FOUND; for a single backup also what kept the proof from being made (connection, tools, rights, disk)
 */
export async function verifyBackup(context: RunContext, request: VerifyRequest): Promise<VerifyResult> {
  const backups = await chooseBackups(context, request);
  return proveEach(context, backups, request.level, (backup) => proveBackup(context, backup, request));
}

/** Proves one after the other. @throws what `prove` throws for a single one; of several, it is told in the result of that one */
export async function proveEach<B extends Backup>(
  context: RunContext,
  backups: readonly B[],
  level: ProofLevel,
  prove: (backup: B) => Promise<VerifiedBackup>,
): Promise<VerifyResult> {
  recordBackup(context, backups);
  const results: VerifiedBackup[] = [];
  for (const backup of backups) {
    try {
      results.push(await prove(backup));
    } catch (error) {
      // A proof that could not be made says nothing about the backup: it is told, not noted in its metadata.
      if (backups.length === 1 || !(error instanceof AppError) || context.signal.aborted) throw error;
      results.push(outcomeOf(backup, level, [`It could not be proven: ${error.message}`], 0));
    }
  }
  return {results};
}

/** A proof of one backup belongs to its database in the audit log. */
function recordBackup(context: RunContext, backups: readonly Backup[]): void {
  const [backup] = backups;
  if (!backup || backups.length > 1) return;
  context.record({backupId: backup.id, format: backup.format, size: backup.sizeBytes});
  if (!backup.record) return;
  const {systemIdentifier, host, port} = backup.record.source;
  context.record({database: {name: backup.database, systemIdentifier, host, port}});
}

async function chooseBackups(context: RunContext, request: VerifyRequest): Promise<Backup[]> {
  const {settings} = context;
  const folder = request.folder ?? join(settings.backupsDir, 'database');
  if (request.isAll !== true && request.sample === undefined) {
    return [await chooseOne(request.backupFile, folder, settings.cwd)];
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

async function chooseOne(file: string | undefined, folder: string, cwd: string): Promise<Backup> {
  try {
    return await chooseBackup(folder, {file, isLatest: file === undefined}, cwd);
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'BACKUP_NOT_FOUND' || file === undefined) throw error;
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

/** Proves it, and notes the outcome in its metadata. */
export async function proveBackup(
  context: RunContext,
  backup: Backup,
  request: VerifyRequest,
): Promise<VerifiedBackup> {
  const startedMs = context.clock.now().getTime();
  const found = await findFaults(context, backup, request);
  const duration = elapsedMs(context.clock, startedMs);
  const outcome = {...outcomeOf(backup, request.level, found.findings, duration), ...found};
  const {ok, findings, restoreDuration} = outcome;
  context.record({
    verifications: [{backupId: backup.id, level: request.level, ok, duration, restoreDuration}],
  });
  if (backup.record) {
    await noteProof(context, backup, {
      level: request.level,
      at: context.clock.now().toISOString(),
      ok,
      duration,
      findings: [...findings],
      ...(restoreDuration === null ? {} : {restoreDuration}),
    });
  }
  return outcome;
}

/** Who may only read the folder, or finds another run in it, has proven the backup all the same. */
async function noteProof(
  context: RunContext,
  {id, metadataPath}: Backup,
  proof: Parameters<typeof addProof>[2],
): Promise<void> {
  try {
    await addProof(context, metadataPath, proof);
  } catch (error) {
    const isInTheWay =
      error instanceof AppError && ['FOLDER_NOT_WRITABLE', 'DISK_FULL', 'LOCKED'].includes(error.code);
    if (!isInTheWay) throw error;
    warnOfUnnoted(context, id, dirname(metadataPath), error);
  }
}

export function warnOfUnnoted(context: RunContext, id: string, place: string, {message}: AppError): void {
  context.warn(
    `What was found of ${id} could not be noted in ${place}, so that list and status do not tell of it: ${message}`,
  );
}

export function outcomeOf(
  backup: Backup,
  level: ProofLevel,
  findings: readonly string[],
  duration: number,
): VerifiedBackup {
  const {id, path} = backup;
  const ok = findings.length === 0;
  return {id, path, level, ok, findings, notes: [], duration, restoreDuration: null, rows: null};
}

type Faults = Pick<VerifiedBackup, 'findings' | 'notes' | 'restoreDuration' | 'rows'>;

/** Goes on to the next level only while nothing was found. */
async function findFaults(context: RunContext, backup: Backup, request: VerifyRequest): Promise<Faults> {
  const notes = backup.record
    ? []
    : ['It has no checksums: made by other scripts, only its completeness can be told.'];
  const none = {notes, restoreDuration: null, rows: null};
  const damage = await asFindings(() => checksum(context, backup));
  if (damage.findings) return {...none, findings: damage.findings};
  if (request.level === 'checksum') return {...none, findings: []};
  const content = await asFindings(() =>
    withPlain(context, backup, request.keys ?? noKeys, (plain) =>
      findFaultsOfContent(context, plain, request, notes),
    ),
  );
  return content.findings ? {...none, findings: content.findings} : content.value;
}

async function findFaultsOfContent(
  context: RunContext,
  backup: Backup,
  request: VerifyRequest,
  notes: readonly string[],
): Promise<Faults> {
  const none = {notes, restoreDuration: null, rows: null};
  const read = await asFindings(() => readWhole(context, backup, request.level === 'restore'));
  if (read.findings) return {...none, findings: read.findings};
  const contents = read.value;
  const rows = contents.tables.reduce((sum, table) => sum + table.rows, 0);
  const expected = expectedTables(backup);
  const differences = expected ? compareTables(expected, contents.tables, 'the metadata') : [];
  if (differences.length > 0 || request.level === 'archive') return {...none, rows, findings: differences};
  const proof = await proveByRestore(
    context,
    {backup, dump: await detectDump(backup.path), contents},
    request.scratch,
  );
  return {...proof, notes: [...notes, ...proof.notes], rows};
}

const noKeys: OpeningKeys = {identities: [], passphrases: []};

async function checksum(context: RunContext, backup: Backup): Promise<void> {
  await context.progress.step(`Checksum of ${backup.id}`, (step) =>
    checkFiles(backup, {
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

type Looked<T> = {readonly value: T; readonly findings?: undefined} | {readonly findings: string[]};

/** Damage is what is looked for; anything else that goes wrong is an error. */
async function asFindings<T>(work: () => Promise<T>): Promise<Looked<T>> {
  try {
    return {value: await work()};
  } catch (error) {
    if (!(error instanceof AppError) || error.exitCode !== exitStatus.integrity) throw error;
    return {findings: [error.message, ...error.details]};
  }
}
