/** What the record of a backup says of its files, plain or encrypted, and where they are in a place. */
import type {BackupRecord} from '../catalog/backup-record.js';
import type {EncryptTo} from '../encryption/age-keys.js';

export interface StoredFile {
  /** The file's name below the folder of the backup: "x.dump", "x.dir/toc.dat". */
  readonly name: string;
  readonly sha256: string;
}

/** What was written under each name. */
export type Written = ReadonlyMap<string, {readonly sha256: string; readonly sizeBytes: number}>;

/** Ends the name of every encrypted file. */
export const ageSuffix = '.age';

/** The files that a record names, with what is stored of them. */
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

/** The record of what was written: as before, or with the encrypted files in place of the plain ones. */
export function storedRecord(
  {record, seal}: {readonly record: BackupRecord; readonly seal: EncryptTo | undefined},
  written: Written,
): BackupRecord {
  if (!seal) return record;
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
        ? {path: roles.path + ageSuffix, sha256: rolesFile.sha256, size: rolesFile.sizeBytes}
        : null,
    encryption: {
      format: 'age',
      recipients: 'recipients' in seal ? [...seal.recipients] : [],
      plain: {backupPath, size, sha256, roles},
    },
  };
}

/** The record of the files that are inside encrypted ones. */
export function plainRecord(record: BackupRecord): BackupRecord {
  const {encryption, ...rest} = record;
  return encryption ? {...rest, ...encryption.plain} : record;
}

/** The record with the folder that its files are in. */
export function withFolder(record: BackupRecord, folder: string): BackupRecord {
  return {...record, storage: folder === '' ? undefined : {folder}};
}
