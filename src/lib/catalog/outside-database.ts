/** Data that a hosting service keeps outside the database, so that no backup of the database contains it. */
import {isWithoutRows} from '../base/left-out-rows.js';
import {qualifiedName} from '../base/qualified-name.js';
import {countOf} from '../base/format.js';
import type {BackupRecord} from './backup-record.js';

type Recorded = Pick<BackupRecord, 'inventory' | 'tables'>;

/**
 * That data in words, with counts if the backup has them; empty if no service is known. The service is recognised by its
 * platform tables; the names only choose the words.
 */
export function outsideDatabase(record: Recorded): string[] {
  const hasStorage = isPlatformTable(record, 'storage.objects') && isPlatformTable(record, 'storage.buckets');
  if (!hasStorage || !isPlatformTable(record, 'auth.users')) return [];
  return [storageFiles(record), 'edge functions', 'settings of the dashboard and of sign-in providers'];
}

function storageFiles(record: Recorded): string {
  const [objects, buckets] = [rowsOf(record, 'storage.objects'), rowsOf(record, 'storage.buckets')];
  if (objects === null || buckets === null) return 'files in Storage';
  return `files in Storage (${countOf(objects, 'object')} in ${countOf(buckets, 'bucket')})`;
}

/** Tables and sequences of the platform that are missing in the backup, because the role could not read them. */
export function unreadableTables({inventory}: Recorded): string[] {
  return (inventory.unreadable ?? []).map(({table, reason}) => `${table} (${reason})`);
}

/** Rows that are missing in the backup, because a pattern excludes them. */
export function excludedRows({inventory}: Recorded): string[] {
  return inventory.leftOut.flatMap(({table, reason}) =>
    isWithoutRows(reason) ? [`the rows of ${table} (${reason})`] : [],
  );
}

/** The platform's recorded tables that contain password hashes of people. */
export function passwordTables(record: Recorded): string[] {
  return record.tables.flatMap(({schema, name, rows}) => {
    const table = qualifiedName({schema, name});
    return table === 'auth.users' && rows !== 0 && isPlatformTable(record, table) ? [table] : [];
  });
}

/** Warning about a backup with password hashes that is stored unencrypted off this machine. */
export function plainPasswordsWarning(tables: readonly string[], places: readonly string[]): string {
  return `The backup contains personal data with password hashes (${tables.join(', ')}), and it is not encrypted in ${places.join(', ')}. Encrypt backups with --encrypt-to AGE1..., or refuse unencrypted ones with --require-encryption.`;
}

function isPlatformTable({inventory}: Recorded, table: string): boolean {
  return inventory.platform?.tables.includes(table) === true;
}

function rowsOf({tables}: Recorded, table: string): number | null {
  return tables.find((one) => qualifiedName(one) === table)?.rows ?? null;
}
