/** The reason in the metadata of a table that is in a backup without its rows, because a pattern excludes them. */

const flag = '--exclude-table-data';

/** @param pattern of pg_dump */
export function withoutRowsReason(pattern: string): string {
  return `${flag} ${pattern}`;
}

/** Whether a table with this reason is in the backup without its rows. */
export function isWithoutRows(reason: string): boolean {
  return reason.startsWith(`${flag} `);
}
