/** Reads a dump that was just made to its end: the proof that its metadata tell of. */
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
import type {Proof} from './result.js';
import type {BackupPlan} from './plan.js';

/**
 * @param onBytes is told the bytes of plain SQL read so far
 * @throws VERIFY_FAILED when it cannot be read, or a table that was chosen is not in it
 */
export async function proveDump(
  context: RunContext,
  {options, selection}: BackupPlan,
  dump: DumpFile | DetectedDump,
  onBytes?: (bytes: number) => void,
): Promise<Proof> {
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

/** @throws VERIFY_FAILED when a table that was chosen is not in the dump, however it came about */
function requireEveryTable(selection: DumpSelection, contents: DumpContents): void {
  const held = new Set(contents.tables.map(qualifiedName));
  const missing = selection.tables.map(qualifiedName).filter((name) => !held.has(name));
  if (missing.length === 0) return;
  throw new AppError(
    'VERIFY_FAILED',
    `The dump lacks ${countOf(missing.length, 'table')} of the database; it was discarded.`,
    {
      details: missing,
      hint: 'Were tables dropped or renamed while the dump ran? Run again; if it stays so, report it.',
    },
  );
}

/**
 * Reads the bytes of a dump while they pass by.
 * @throws as `proveDump` does
 */
export function provePassing(context: RunContext, plan: BackupPlan, bytes: Readable): Promise<Proof> {
  const {options, tool, identity} = plan;
  return proveDump(context, plan, {
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
 * @param streamed the tables as pg_dump wrote them, before they were compressed here
 * @throws VERIFY_FAILED when the dump does not hold these rows
 */
export function requireStreamedRows(streamed: readonly DumpedTable[], contents: DumpContents): void {
  const differences = compareTables(streamed, contents.tables, "pg_dump's output");
  if (differences.length > 0) throw notWhatWasWritten(differences);
}

/** @param details what differs, where it is known */
export function notWhatWasWritten(details: readonly string[]): AppError {
  return new AppError('VERIFY_FAILED', 'The dump does not hold what pg_dump wrote; it was discarded.', {
    details,
    hint: 'Is the disk sound? Let pg_dump compress by itself (--compress-level 6), and report it.',
  });
}
