/** The files of a backup according to its record, encrypted or not, and their keys in a location. */
import {defined} from '../base/defined.js';
import type {BackupRecord} from '../catalog/backup-record.js';
import type {EncryptTo} from '../encryption/age-keys.js';

export interface StoredFile {
  /** The file's name in the folder of the backup: "x.dump", "x.dir/toc.dat". */
  readonly name: string;
  readonly sha256: string;
}

/** Digest and size written under each name. */
export type Written = ReadonlyMap<string, {readonly sha256: string; readonly sizeBytes: number}>;

/** Suffix of encrypted files. */
export const ageSuffix = '.age';

/** The files of a record, with the digests and sizes of the stored bytes. */
export function filesOf(record: BackupRecord): StoredFile[] {
  const files =
    typeof record.sha256 === 'string'
      ? [{name: record.backupPath, sha256: record.sha256}]
      : Object.entries(record.sha256).map(([name, sha256]) => ({
          name: `${record.backupPath}/${name}`,
          sha256,
        }));
  return record.roles ? [...files, {name: record.roles.path, sha256: record.roles.sha256}] : files;
}

/** The record of the stored files: unchanged, or with the encrypted files instead of the unencrypted ones. */
export function storedRecord(
  {record, encryptTo}: {readonly record: BackupRecord; readonly encryptTo: EncryptTo | undefined},
  written: Written,
): BackupRecord {
  if (!encryptTo) return record;
  const {backupPath, size, sha256, roles} = record;
  const digestOf = (name: string): string => written.get(name)?.sha256 ?? '';
  const rolesFile = roles && written.get(roles.path);
  const sizes = filesOf({...record, roles: null}).map(({name}) => written.get(name)?.sizeBytes ?? 0);
  return {
    ...record,
    backupPath: typeof sha256 === 'string' ? backupPath + ageSuffix : backupPath,
    size: sizes.reduce((sum, bytes) => sum + bytes, 0),
    sha256:
      typeof sha256 === 'string'
        ? digestOf(backupPath)
        : Object.fromEntries(
            Object.keys(sha256).map((name) => [name + ageSuffix, digestOf(`${backupPath}/${name}`)]),
          ),
    roles:
      roles && rolesFile
        ? {...roles, path: roles.path + ageSuffix, sha256: rolesFile.sha256, size: rolesFile.sizeBytes}
        : null,
    encryption: {
      format: 'age',
      recipients: 'recipients' in encryptTo ? [...encryptTo.recipients] : [],
      plain: {backupPath, size, sha256, roles},
    },
  };
}

/** The record of the unencrypted files. */
export function plainRecord(record: BackupRecord): BackupRecord {
  const {encryption, ...rest} = record;
  return encryption ? {...rest, ...encryption.plain} : record;
}

/** The record with the folder of its files. */
export function withFolder(record: BackupRecord, folder: string): BackupRecord {
  return defined<BackupRecord>({...record, storage: folder === '' ? undefined : {folder}});
}

/** The record of a copy, which has bytes of its own. */
export function withoutSharing(record: BackupRecord): BackupRecord {
  return defined<BackupRecord>({...record, equalTo: undefined});
}
