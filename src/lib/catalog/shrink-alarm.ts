/** Tells when a backup holds far fewer rows than the one before: perhaps the data was lost, not the need for it. */
import {qualifiedName} from '../base/qualified-name.js';
import {countOf, formatCount} from '../base/format.js';
import type {BackupRecord, RecordedTable, Shrink} from './backup-record.js';
import {type Backup, databaseIdentity, isGood, safetyLabel} from './catalogue.js';

export interface ShrinkLimits {
  /** Loss of a table's rows, in percent of what there were, that is still taken for normal: 0 to 100. */
  readonly maxLossPercent: number;
  /** In smaller tables a large share is a few rows: they count only together, when so many rows are gone that they are empty. */
  readonly minRows: number;
}

export const defaultShrinkLimits: ShrinkLimits = {maxLossPercent: 50, minRows: 10};

/**
 * Tables that lost more than the limit, became empty or are gone, compared with an earlier backup.
 * Tables that are only in `now` are new and never a finding. Small tables that became empty are a finding when they held
 * `minRows` rows together, or when nothing at all is left: one work table that comes and goes is neither.
 * @returns largest loss first
 */
export function findShrinkage(
  before: readonly RecordedTable[],
  now: readonly RecordedTable[],
  limits: ShrinkLimits,
): Shrink[] {
  const rowsNow = new Map(now.map((table) => [nameOf(table), table.rows]));
  const losses = before
    .map((table) => ({
      table: qualifiedName(table),
      rowsBefore: table.rows ?? 0,
      rowsNow: rowsNow.get(nameOf(table)) ?? 0,
    }))
    .filter(
      ({rowsBefore, rowsNow: rows}) =>
        (rowsBefore > 0 && rows === 0) ||
        (rowsBefore >= limits.minRows && (rowsBefore - rows) * 100 > limits.maxLossPercent * rowsBefore),
    )
    .sort((a, b) => b.rowsBefore - b.rowsNow - (a.rowsBefore - a.rowsNow));
  const small = losses.filter(({rowsBefore}) => rowsBefore < limits.minRows);
  const rowsOfSmall = small.reduce((sum, {rowsBefore}) => sum + rowsBefore, 0);
  const isAllGone = now.every(({rows}) => rows === 0 || rows === null);
  const doSmallCount = rowsOfSmall >= limits.minRows || isAllGone;
  return doSmallCount ? losses : losses.filter((loss) => !small.includes(loss));
}

/** "shop.orders has 0 rows, 120 before"; a table that the backup does not contain any more is gone. */
export function describeLosses({shrink, tables}: Pick<BackupRecord, 'shrink' | 'tables'>): string[] {
  const names = new Set(tables.map(qualifiedName));
  return shrink.map(({table, rowsBefore, rowsNow}) =>
    names.has(table)
      ? `${table} has ${countOf(rowsNow, 'row')}, ${formatCount(rowsBefore)} before`
      : `${table} is gone, with ${countOf(rowsBefore, 'row')}`,
  );
}

/**
 * The backup to compare a new one with: the newest good one of the same database, taken with the same choice of tables,
 * that stands under no alarm itself and is no safety backup, which may hold the damage. A backup without rows (schema only) is compared with nothing.
 * @param backups newest first, without the new one
 */
export function lastComparable(
  backups: readonly Backup[],
  record: Pick<BackupRecord, 'databaseName' | 'source' | 'config'>,
): BackupRecord | undefined {
  if (record.config.schemaOnly) return undefined;
  const identity = databaseIdentity({database: record.databaseName, record});
  const found = backups.find(
    (backup) =>
      backup.record !== null &&
      backup.record.verification !== null && // without it no rows were counted
      isGood(backup) &&
      backup.label !== safetyLabel &&
      databaseIdentity(backup) === identity &&
      backup.record.shrink.length === 0 &&
      selectionOf(backup.record) === selectionOf(record),
  );
  return found?.record ?? undefined;
}

/** What decides which rows a backup holds. */
function selectionOf({config}: Pick<BackupRecord, 'config'>): string {
  return JSON.stringify([
    config.schemaOnly,
    [...config.includeTables].sort(),
    [...config.excludeTables].sort(),
    [...config.includeSchemas].sort(),
    [...config.excludeSchemas].sort(),
  ]);
}

function nameOf(table: RecordedTable): string {
  return JSON.stringify([table.schema, table.name]);
}
