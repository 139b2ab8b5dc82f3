/** Names of order backups of this program and of the old scripts. */
import {newestNameFirst} from '../base/file-names.js';

/** Folder of the order backups: inside the backups folder and in every other location. */
export const orderBackupFolder = 'order-cleanup';

/** The time with "-" for ":" and "."; a number if the name was taken; in other locations a tag of the content; ".age" if encrypted. */
const pattern =
  /^(orders-backup-(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d)(?:-\d+)?Z?)(?:\.([0-9a-f]{12}))?\.json(\.age)?$/;

export interface OrderBackupName {
  /** Without tag and extensions. */
  readonly id: string;
  /** UTC; null if the name has no valid time. */
  readonly at: Date | null;
  /** Hash of the content, if the file was copied to another location. */
  readonly tag: string | undefined;
  readonly isEncrypted: boolean;
}

/** Undefined if the name is not that of an order backup. */
export function parseOrderBackupName(name: string): OrderBackupName | undefined {
  const match = pattern.exec(name);
  if (!match) return undefined;
  const [, id = '', day = '', hour = '', minute = '', second = '', tag, age] = match;
  const at = new Date(`${day}T${hour}:${minute}:${second}Z`);
  return {id, at: Number.isNaN(at.getTime()) ? null : at, tag, isEncrypted: age !== undefined};
}

/** The newest first; within one second, the higher number first. */
export function compareOrderBackups(a: {readonly id: string}, b: {readonly id: string}): number {
  return newestNameFirst(a.id.replace(/Z$/, ''), b.id.replace(/Z$/, ''));
}
