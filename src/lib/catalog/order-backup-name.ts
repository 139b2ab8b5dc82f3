/** Names of order backups, as this program and the old scripts give them. */

/** Folder of the order backups: in the backups folder, and below every other place. */
export const orderBackupFolder = 'order-cleanup';

/** The time, ":" and "." as "-"; a number where the name was taken; in other places a mark of the content; ".age" when it is encrypted. */
const pattern =
  /^(orders-backup-(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d)(?:-\d+)?Z?)(?:\.([0-9a-f]{12}))?\.json(\.age)?$/;

export interface OrderBackupName {
  /** Without mark and extensions. */
  readonly id: string;
  /** UTC; null where the name tells no time that exists. */
  readonly at: Date | null;
  /** Of the content, where the file was copied to another place. */
  readonly mark: string | undefined;
  readonly isEncrypted: boolean;
}

/** Undefined for what is no order backup. */
export function parseOrderBackupName(name: string): OrderBackupName | undefined {
  const match = pattern.exec(name);
  if (!match) return undefined;
  const [, id = '', day = '', hour = '', minute = '', second = '', mark, age] = match;
  const at = new Date(`${day}T${hour}:${minute}:${second}Z`);
  return {id, at: Number.isNaN(at.getTime()) ? null : at, mark, isEncrypted: age !== undefined};
}

/** The newest first; of one second the one with the higher number. */
export function compareOrderBackups(a: {readonly id: string}, b: {readonly id: string}): number {
  return b.id.replace(/Z$/, '').localeCompare(a.id.replace(/Z$/, ''), 'en', {numeric: true});
}
