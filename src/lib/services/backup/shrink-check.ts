/** The alarm for a new backup that contains far fewer rows than the previous one. */
import type {BackupRecord} from '../../catalog/backup-record.js';
import type {Backup} from '../../catalog/catalogue.js';
import {
  defaultShrinkLimits,
  describeLosses,
  findShrinkage,
  lastComparable,
} from '../../catalog/shrink-alarm.js';
import type {RunContext} from '../../run/run-context.js';
import type {BackupRequest} from './options.js';

export interface NewBackup {
  readonly record: BackupRecord;
  /** The backups in the location of the new one, newest first. */
  readonly earlier: () => Promise<readonly Backup[]>;
  /** Tables whose rows come and go: schema.name. */
  readonly volatile: ReadonlySet<string>;
}

/** Warns of tables that lost suspiciously many rows since the last usable backup, and records them, unless the user accepted the loss. */
export async function findShrink(
  context: RunContext,
  request: BackupRequest,
  {record, earlier, volatile}: NewBackup,
): Promise<BackupRecord['shrink']> {
  if (request.acceptShrink === true || record.config.schemaOnly || record.verification === null) return [];
  const before = lastComparable(await earlier(), record);
  if (!before) return [];
  const limits = {...defaultShrinkLimits, ...context.settings.config.shrinkAlarm};
  const shrink = findShrinkage(before.tables, record.tables, limits).filter(
    ({table}) => !volatile.has(table),
  );
  for (const loss of describeLosses({shrink, tables: record.tables})) {
    const lost = `${loss} (${before.id})`;
    context.warn(`${lost}. Nothing is pruned until a backup is made with --accept-shrink.`);
    context.record({alarms: [lost]});
  }
  return shrink;
}
