/** Checks one backup, level by level: its bytes, its content, a restore of it. */
import {detectDump} from '../../dump/detect-format.js';
import {compareTables, type ExpectedTable} from '../../dump/compare-tables.js';
import type {DumpContents} from '../../fingerprint/table-contents.js';
import {readDump} from '../../dump/read-dump.js';
import {type Backup, isRecorded} from '../../catalog/catalogue.js';
import {checkFiles} from '../../catalog/check-files.js';
import type {ProofLevel} from '../../run/check-outcome.js';
import {AppError} from '../../base/errors.js';
import type {RunContext} from '../../run/run-context.js';
import type {OpeningKeys} from '../../encryption/age-keys.js';
import {checkPlacedFiles} from '../../storage/write-checked.js';
import {withPlain} from '../../storage/fetch-backup.js';
import type {Place} from '../../storage/place.js';
import {proveByRestore} from './verify-by-restore.js';
import type {ScratchPlace} from './scratch-database.js';

/** How far a backup is checked, and where it is restored for it. */
interface CheckRequest {
  readonly level: ProofLevel;
  readonly scratch: ScratchPlace;
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
 * Goes on to the next level only while nothing was found. From a store elsewhere, checksums are compared with the bytes as they
 * come; for more, the backup is fetched.
 * @param found filled as far as the check comes
 */
export async function checkBackup(
  context: RunContext,
  place: Place,
  backup: Backup,
  keys: OpeningKeys,
  request: CheckRequest,
  found: CheckState,
): Promise<void> {
  if (!backup.record) {
    found.notes = ['It has no checksums: made by other scripts, only its completeness can be told.'];
  }
  if (place.isOnThisMachine || !isRecorded(backup)) {
    await checksum(context, backup);
    found.passed = 'checksum';
    if (request.level === 'checksum') return;
  } else if (request.level === 'checksum') {
    await context.progress.step(`Checksum of ${backup.id}`, (step) =>
      checkPlacedFiles(place, backup, context.signal, (done) =>
        step.advance(done, backup.sizeBytes, 'bytes'),
      ),
    );
    found.passed = 'checksum';
    return;
  }
  await withPlain(context, place, backup, keys, async (plain) => {
    if (!place.isOnThisMachine) await checksum(context, plain);
    found.passed = 'checksum';
    await checkContent(context, plain, request, found);
  });
}

async function checkContent(
  context: RunContext,
  backup: Backup,
  request: CheckRequest,
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
