/** Checks one backup level by level: its bytes, its content, a restore of it. */
import {detectDump} from '../../dump/detect-format.js';
import {compareTables, type ExpectedTable} from '../../dump/compare-tables.js';
import type {DumpContents} from '../../fingerprint/table-contents.js';
import {readDump} from '../../dump/read-dump.js';
import {type Backup, isRecorded} from '../../catalog/catalogue.js';
import {checkFiles} from '../../catalog/check-files.js';
import type {DataCheck} from '../../run/data-checks.js';
import type {ProofLevel} from '../../run/check-outcome.js';
import {AppError} from '../../base/errors.js';
import type {RunContext} from '../../run/run-context.js';
import type {OpeningKeys} from '../../encryption/age-keys.js';
import {checkPlacedFiles} from '../../storage/write-checked.js';
import {withPlain} from '../../storage/fetch-backup.js';
import type {Place} from '../../storage/place.js';
import {verifyByRestore} from './verify-by-restore.js';
import type {ScratchPlace} from './scratch-database.js';

/** The level of the check, and the server for its restore test. */
interface CheckRequest {
  readonly level: ProofLevel;
  readonly scratch: ScratchPlace;
}

/** The findings of a check so far. They are kept if an error ends the check. */
export interface CheckState {
  /** The strongest level that passed. */
  passed: ProofLevel | null;
  findings: readonly string[];
  notes: readonly string[];
  /** Results of the data checks of a restore test. */
  checks: readonly DataCheck[];
  restoreDuration: number | null;
  rows: number | null;
}

/**
 * Continues with the next level only if there are no findings. In a bucket, checksums are compared while the bytes are read; for
 * the other levels, the backup is downloaded.
 * @param found updated during the check
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
    found.notes = [
      'It was made by other scripts and has no checksums, so only its completeness can be checked.',
    ];
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
  const tested = await verifyByRestore(context, {backup, dump, contents}, request.scratch);
  found.findings = tested.findings;
  found.notes = [...found.notes, ...tested.notes];
  found.checks = tested.checks;
  found.restoreDuration = tested.restoreDuration;
  if (tested.findings.length === 0) found.passed = 'restore';
}

/** @throws NOT_SUPPORTED_HERE */
function refuseLoneRows({id, content}: Backup): void {
  if (content !== 'data') return;
  throw new AppError(
    'NOT_SUPPORTED_HERE',
    `${id} contains rows without their tables, so it cannot be restored into an empty database.`,
    {
      hint: 'Use --level archive, which reads every row of it, and make the restore test with a backup of the whole database.',
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

/** Null for a dump without rows, which has no tables to compare, and for metadata of the old scripts, which lists none. */
function expectedTables({record}: Backup): readonly ExpectedTable[] | null {
  return record && !record.config.schemaOnly ? record.tables : null;
}
