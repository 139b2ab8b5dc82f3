/** Raises an alarm if a backup has far fewer rows than the previous one, because the data may have been lost. */
import {qualifiedName} from '../base/qualified-name.js';
import {countOf, formatCount} from '../base/format.js';
import type {BackupRecord, RecordedTable, Shrink} from './backup-record.js';
import {type Backup, databaseIdentity, isGood, safetyLabel} from './catalogue.js';

export interface ShrinkLimits {
  /** Accepted loss of a table's rows, in percent: 0 to 100. */
  readonly maxLossPercent: number;
  /** Smaller tables count only together: if those that became empty had this many rows in total. */
  readonly minRows: number;
}

export const defaultShrinkLimits: ShrinkLimits = {maxLossPercent: 50, minRows: 10};

/**
 * Tables that lost more than the limit, became empty or are missing, compared with an earlier backup.
 * Tables that are only in `now` are new and never a finding. Small tables that became empty are a finding if they had
 * `minRows` rows together, or if no rows are left at all, so that one temporary work table is not a finding.
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

/** "shop.orders has 0 rows, 120 before"; a table that is not in the backup any more is "gone". */
export function describeLosses({shrink, tables}: Pick<BackupRecord, 'shrink' | 'tables'>): string[] {
  const names = new Set(tables.map(qualifiedName));
  return shrink.map(({table, rowsBefore, rowsNow}) =>
    names.has(table)
      ? `${table} has ${countOf(rowsNow, 'row')}, ${formatCount(rowsBefore)} before`
      : `${table} is gone, with ${countOf(rowsBefore, 'row')}`,
  );
}

/**
 * The backup to compare a new one with: the newest intact one of the same database with the same selection of tables,
 * without an alarm itself. Safety backups, which may contain the damage, are excluded. A backup without rows (schema only) is not compared.
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
      backup.record.verification !== null && // without it, no rows were counted
      isGood(backup) &&
      backup.label !== safetyLabel &&
      databaseIdentity(backup) === identity &&
      backup.record.shrink.length === 0 &&
      selectionOf(backup.record) === selectionOf(record),
  );
  return found?.record ?? undefined;
}

/** The part of the config that determines the rows of a backup. */
function selectionOf({config}: Pick<BackupRecord, 'config'>): string {
  return JSON.stringify([
    config.schemaOnly,
    [...config.includeTables].sort(),
    [...config.excludeTables].sort(),
    [...(config.excludeTableData ?? [])].sort(),
    [...config.includeSchemas].sort(),
    [...config.excludeSchemas].sort(),
  ]);
}

function nameOf(table: RecordedTable): string {
  return JSON.stringify([table.schema, table.name]);
}
