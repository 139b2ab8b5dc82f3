/** destino-db copy */
import {Flags} from '@oclif/core';
import {defined} from '../lib/base/defined.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {encryptFlags, encryptionFlagsOf, repeatableFlag} from '../lib/cli/flags.js';
import {showCopy} from '../lib/cli/show/show-copy.js';
import {copyBackups, type CopyResult} from '../lib/services/copy/copy-backups.js';
import {copyOrders} from '../lib/services/copy/copy-orders.js';

export default class Copy extends BaseCommand {
  static override isRecorded = true;
  static override summary = 'copy backups to and from other folders and S3 buckets';
  static override description =
    'Each file is compared with its checksum on the way and read back where it went; the metadata follows last, so that a copy\n' +
    'is whole or not there. Credentials are taken as the AWS tools take them.\n' +
    'Exit codes: 0 done, 1 failed, 2 usage, 3 environment (store, key, disk), 4 damaged backup, 5 refused, 130 interrupted.';
  static override examples = [
    '<%= config.bin %> copy --to s3://bucket/db',
    '<%= config.bin %> copy --to s3://bucket/db --all --encrypt-to age1...',
    '<%= config.bin %> copy --from s3://bucket/db --to backups/database',
    '<%= config.bin %> copy --from s3://bucket/db --to plain --decrypt --identity key.txt',
  ];
  static override flags = {
    from: Flags.string({helpValue: 'PLACE', summary: 'Place to copy from (default BACKUPS-DIR/database).'}),
    to: Flags.string({
      helpValue: 'PLACE',
      multiple: true,
      multipleNonGreedy: true,
      required: true,
      summary: 'Folder, or s3://bucket/prefix (repeatable).',
    }),
    'backup-file': repeatableFlag(
      'PATH',
      'A backup, by id or path (repeatable); otherwise the newest good one.',
      {exclusive: ['all']},
    ),
    orders: Flags.boolean({summary: 'Order backups, as orders:clean writes them, instead of databases.'}),
    all: Flags.boolean({summary: 'Every backup that is not there yet.'}),
    'encrypt-to': encryptFlags['encrypt-to'],
    'passphrase-file': encryptFlags['passphrase-file'],
    'require-encryption': encryptFlags['require-encryption'],
    identity: encryptFlags.identity,
    decrypt: Flags.boolean({
      helpGroup: 'ENCRYPTION',
      summary: 'Store plain copies of encrypted backups; otherwise these stay as they are.',
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
