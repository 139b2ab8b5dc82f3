/** Findings in words for a reader who knows the business and no database. */
import type {Finding} from '../status/assess.js';

/** The meaning of a finding for the owner of the data. */
export function plainFinding({
  code,
  severity,
  database,
}: Pick<Finding, 'code' | 'severity' | 'database'>): string {
  if (code === 'DAMAGED' && severity === 'critical')
    return `Every backup of ${database ?? 'the database'} is damaged.`;
  return meanings[code](database ?? 'the database');
}

const meanings: Readonly<Record<Finding['code'], (database: string) => string>> = {
  NO_BACKUP: (database) =>
    `There is no usable backup of ${database}. If its data were lost today, it could not be brought back.`,
  NOT_PROVEN: (database) => `No backup of ${database} has been tested as thoroughly as it should be.`,
  TOO_OLD: (database) =>
    `The newest backup of ${database} is too old. If data were lost today, everything entered since that backup would be gone.`,
  FROM_THE_FUTURE: (database) =>
    `The newest backup of ${database} is dated in the future, so its age is not known. A clock is probably wrong.`,
  DAMAGED: (database) => `A backup of ${database} is damaged. Another one is intact.`,
  SHRUNK: (database) =>
    `The newest backup of ${database} contains far fewer rows than the one before. Somebody has to find out whether data was deleted by mistake.`,
  RUN_FAILED: (database) => `Backups of ${database} have failed since the newest usable one.`,
  RESTORE_TEST_FAILED: (database) =>
    `The last restore test of ${database} failed: the tested backup did not bring back all data.`,
  RESTORE_TEST_NOT_POSSIBLE: (database) =>
    `The last restore test of ${database} could not be carried out. The backup itself may be intact.`,
  CHECK_FAILED: (database) =>
    `The last backup of ${database} that was tested is intact, but its data is not as it should be. Somebody has to look at the data.`,
  CHECK_NOT_RUN: (database) =>
    `The last backup of ${database} that was tested is intact, but one question about its data has an error.`,
  RESTORE_TEST_TOO_OLD: (database) => `No backup of ${database} has passed a restore test recently.`,
  UNREADABLE_METADATA: () => 'The description of one backup cannot be read, so that backup is not counted.',
  COPY_MISSING: (database) => `One storage location has no usable copy of the backups of ${database}.`,
  COPY_TOO_OLD: (database) => `One storage location has only an old copy of the backups of ${database}.`,
  COPY_DAMAGED: () => 'One storage location has a damaged copy of a backup.',
  PLACE_UNREADABLE: () => 'One storage location could not be read, so its copies are not counted.',
  DATABASE_GONE: (database) =>
    `The server no longer has the database ${database}. Its backups stay until somebody removes them.`,
  DISK_LOW: () => 'The disk has too little free space for the next backup.',
};
