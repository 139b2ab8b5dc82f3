/** The tables that a backup contains without their rows: after a restore they exist and are empty. */
import {qualifiedName} from '../../../base/qualified-name.js';
import {type BackupRecord, tablesWithoutRows} from '../../../catalog/backup-record.js';
import type {LeftOutEntries} from '../../../dump/left-out-entries.js';
import type {DumpDefinition} from '../../../dump/dump-definitions.js';
import type {DumpedTable} from '../../../fingerprint/table-contents.js';

/** @param definitions those that are restored, unless `leftOut` leaves them out */
export function emptyTables(
  record: BackupRecord | null | undefined,
  definitions: readonly DumpDefinition[],
  leftOut: LeftOutEntries,
): DumpedTable[] {
  const names = new Set(record ? tablesWithoutRows(record) : []);
  return definitions.flatMap((one) => {
    const {type, schema, name} = one;
    if (type !== 'TABLE' || !names.has(qualifiedName(one)) || leftOut.why(one) !== undefined) return [];
    return [{schema, name, columns: [], rows: 0, fingerprint: null}];
  });
}

/** A line for people; none where no table is empty for this reason. */
export function emptyTablesNotes(tables: readonly DumpedTable[]): string[] {
  if (tables.length === 0) return [];
  return [`empty, as the backup was made without their rows: ${tables.map(qualifiedName).join(', ')}`];
}
