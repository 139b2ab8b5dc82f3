/** The status at any moment of the simulated month. */
import {type BackupRecord, contentOf} from '../../src/lib/catalog/backup-record.js';
import type {Catalogue} from '../../src/lib/catalog/catalogue.js';
import {assessStatus, type Status, type StatusLimits} from '../../src/lib/services/status/assess.js';
import {simulateMonth} from './simulated-month.js';

const hour = 3_600_000;

export const limits: StatusLimits = {maxAge: 26 * hour, require: null, maxRestoreTestAge: null};

/** The result of reading a folder with these backups. */
export function catalogueOf(records: readonly BackupRecord[]): Catalogue {
  const backups = records.map((record) => ({
    id: record.id,
    path: `/backups/database/${record.backupPath}`,
    metadataPath: `/backups/database/${record.id}.metadata.json`,
    createdAt: new Date(record.timestamp),
    database: record.databaseName,
    format: record.format,
    compressed: record.compressed,
    sizeBytes: record.size,
    label: record.label,
    content: contentOf(record),
    record,
  }));
  return {backups: backups.reverse(), problems: []};
}

/** @param at such as "2026-11-10T12:00:00Z" */
export function statusAt(at: string, changes: Partial<StatusLimits> = {}): Status {
  const now = new Date(at);
  const month = simulateMonth(now);
  return assessStatus(
    {catalogue: catalogueOf(month.backups), runs: month.runs, now, freeBytes: 1e12},
    {...limits, ...changes},
  );
}
