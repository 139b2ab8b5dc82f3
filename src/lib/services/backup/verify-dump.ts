/** Verifies a new dump by reading it to its end. */
import {qualifiedName} from '../../base/qualified-name.js';
import type {Readable} from 'node:stream';
import {compareTables} from '../../dump/compare-tables.js';
import type {DetectedDump} from '../../dump/detect-format.js';
import type {DumpContents, DumpedTable} from '../../fingerprint/table-contents.js';
import {type DumpFile, readDump} from '../../dump/read-dump.js';
import {elapsedMs} from '../../base/clock.js';
import {AppError} from '../../base/errors.js';
import {countOf} from '../../base/format.js';
import type {DumpSelection} from '../../postgres/inspect/dump-selection.js';
import type {RunContext} from '../../run/run-context.js';
import type {VerifiedDump} from './result.js';
import type {BackupPlan} from './plan.js';

/**
 * @param onBytes receives the bytes of plain SQL read so far
 * @throws VERIFY_FAILED if the dump cannot be read or lacks a selected table
 */
export async function verifyDump(
  context: RunContext,
  {options, selection}: BackupPlan,
  dump: DumpFile | DetectedDump,
  onBytes?: (bytes: number) => void,
): Promise<VerifiedDump> {
  const startedMs = context.clock.now().getTime();
  const contents = await readDump(dump, {
    settings: context.settings,
    signal: context.signal,
    fingerprints: options.hasFingerprints,
    ...(onBytes ? {onBytes} : {}),
  });
  if (!options.schemaOnly) requireEveryTable(selection, contents);
  return {
    contents,
    verification: {
      level: 'archive',
      at: context.clock.now().toISOString(),
      ok: true,
      outcome: 'passed',
      duration: elapsedMs(context.clock, startedMs),
      findings: [],
    },
  };
}

/** @throws VERIFY_FAILED if the dump lacks a selected table, for any reason */
function requireEveryTable(selection: DumpSelection, contents: DumpContents): void {
  const dumped = new Set(contents.tables.map(qualifiedName));
  const missing = selection.tables.map(qualifiedName).filter((name) => !dumped.has(name));
  if (missing.length === 0) return;
  throw new AppError(
    'VERIFY_FAILED',
    `The dump lacks ${countOf(missing.length, 'table')} of the database; it was discarded.`,
    {
      details: missing,
      hint: 'Tables may have been dropped or renamed while the dump ran. Run it again; if it fails again, report a bug.',
    },
  );
}

/**
 * Verifies a dump while it is streamed.
 * @throws the errors of `verifyDump`
 */
export function verifyStream(context: RunContext, plan: BackupPlan, bytes: Readable): Promise<VerifiedDump> {
  const {options, tool, identity} = plan;
  return verifyDump(context, plan, {
    path: "pg_dump's output",
    format: options.format,
    compressed: options.isCompressed,
    archiveVersion: null,
    databaseName: identity.database,
    serverVersion: identity.version,
    dumpVersion: tool.version,
    dumpMajor: tool.major,
    remote: {sizeBytes: 0, command: '', open: () => bytes, isUnchecked: true},
  });
}

/**
 * @param streamed the tables in the output of pg_dump, before this program compressed it
 * @throws VERIFY_FAILED if the dump does not contain these rows
 */
export function requireStreamedRows(streamed: readonly DumpedTable[], contents: DumpContents): void {
  const differences = compareTables(streamed, contents.tables, "pg_dump's output");
  if (differences.length > 0) throw notWhatWasWritten(differences);
}

/** @param details the differences, if known */
export function notWhatWasWritten(details: readonly string[]): AppError {
  return new AppError('VERIFY_FAILED', 'The dump differs from the output of pg_dump; it was discarded.', {
    details,
    hint: 'Check the disk. Let pg_dump compress (--compress-level 6), and report a bug.',
  });
}
