/** destino-db copy */
import {Flags} from '@oclif/core';
import {defined} from '../lib/base/defined.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {encryptFlags, encryptionFlagsOf, groups, repeatableFlag} from '../lib/cli/flags.js';
import {showCopy} from '../lib/cli/show/show-copy.js';
import {copyBackups, type CopyResult} from '../lib/services/copy/copy-backups.js';
import {copyOrders} from '../lib/services/copy/copy-orders.js';

export default class Copy extends BaseCommand {
  static override isRecorded = true;
  static override summary = 'copy backups to and from other folders and S3 buckets';
  static override description =
    'Each file is compared with its checksum on the way and read back from its destination. The metadata is copied last, so that\n' +
    'an interrupted copy is never taken for a backup. Credentials come from where the AWS tools look for them.\n' +
    'Exit codes: 0 done, 1 failed, 2 usage, 3 environment (store, key, disk), 4 damaged backup, 5 refused, 130 interrupted.';
  static override examples = [
    '<%= config.bin %> copy --to s3://bucket/db',
    '<%= config.bin %> copy --to s3://bucket/db --all --encrypt-to age1...',
    '<%= config.bin %> copy --from s3://bucket/db --to backups/database',
    '<%= config.bin %> copy --from s3://bucket/db --to plain --decrypt --identity key.txt',
  ];
  static override flags = {
    from: Flags.string({
      helpValue: 'PLACE',
      helpGroup: groups.whichBackup,
      summary: 'Location to copy from (default: the backups folder).',
    }),
    to: Flags.string({
      helpValue: 'PLACE',
      multiple: true,
      multipleNonGreedy: true,
      required: true,
      helpGroup: groups.whereTo,
      summary: 'Location to copy to: s3://bucket/prefix or a folder (repeatable).',
    }),
    'backup-file': repeatableFlag(
      'PATH',
      'Backup to copy, by ID or path (repeatable; default: the newest usable one).',
      {helpGroup: groups.whichBackup, exclusive: ['all']},
    ),
    orders: Flags.boolean({
      helpGroup: groups.whichBackup,
      summary: 'Copy order backups, which orders:clean writes, instead of backups of databases.',
    }),
    all: Flags.boolean({
      helpGroup: groups.whichBackup,
      summary: 'Copy every backup that the destination does not have yet.',
    }),
    'encrypt-to': encryptFlags['encrypt-to'],
    'passphrase-file': encryptFlags['passphrase-file'],
    'require-encryption': encryptFlags['require-encryption'],
    identity: encryptFlags.identity,
    decrypt: Flags.boolean({
      helpGroup: groups.encryption,
      summary: 'Decrypt encrypted backups on the way (default: copies stay encrypted).',
      exclusive: ['encrypt-to'],
    }),
  };

  async run(): Promise<CopyResult> {
    const {flags} = await this.parse(Copy);
    return this.perform(
      flags,
      (context) =>
        (flags.orders ? copyOrders : copyBackups)(
          context,
          defined({
            from: flags.from,
            to: flags.to,
            backupFiles: flags['backup-file'],
            isAll: flags.all,
            ...encryptionFlagsOf(flags),
            isOpening: flags.decrypt,
          }),
        ),
      showCopy,
    );
  }
}
