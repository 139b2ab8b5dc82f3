/** destino-db orders:restore */
import {Flags} from '@oclif/core';
import {defined} from '../../lib/base/defined.js';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {
  confirmFlags,
  lockWaitFlag,
  lockWaitMsOf,
  placeFlags,
  repeatableFlag,
  sourceOf,
  waitFlag,
  waitMsOf,
} from '../../lib/cli/flags.js';
import {repeatCommand} from '../../lib/cli/repeat-command.js';
import {showRestoredOrders} from '../../lib/cli/show/show-restored-orders.js';
import {restoreOrdersFrom} from '../../lib/services/orders/restore/restore.js';

export default class OrdersRestore extends BaseCommand {
  static override isRecorded = true;
  static override hasDatabase = true;
  static override summary = 'put back the orders that orders:clean took away';
  static override description = `Without --execute it shows what is in the file, what is already there and what conflicts; nothing is changed.
With it, all rows go back in one transaction, which commits only if every row reads as it does in the file.
Files of the old scripts are read too.
Exit codes: 0 done, 1 rolled back, 2 usage, 3 no connection or rights, 4 the file is damaged, 5 not confirmed, locked, or conflicts with --fail-on-conflicts.`;
  static override examples = [
    {
      description: 'see what would come back',
      command: '<%= config.bin %> <%= command.id %> --backup-file latest',
    },
    {
      description: 'put everything back',
      command: '<%= config.bin %> <%= command.id %> --backup-file latest --execute',
    },
    {
      description: 'one order only, in a script',
      command: '<%= config.bin %> <%= command.id %> --backup-file latest --only-order ID --execute --yes',
    },
  ];
  static override flags = {
    'backup-file': Flags.string({
      helpGroup: 'SOURCE',
      helpValue: 'PATH',
      summary: 'Order backup to read: a path, a name in the backups folder, or "latest".',
    }),
    from: Flags.string({
      helpGroup: 'SOURCE',
      helpValue: 'PLACE',
      summary: 'Take it from s3://bucket/prefix, or a folder, instead of the backups folder.',
    }),
    identity: placeFlags.identity,
    'passphrase-file': placeFlags['passphrase-file'],
    'dry-run': Flags.boolean({
      helpGroup: 'SAFETY',
      char: 'n',
      summary: 'Show what would happen (the default).',
      exclusive: ['execute'],
    }),
    execute: Flags.boolean({helpGroup: 'SAFETY', summary: 'Put the rows back.'}),
    'fail-on-conflicts': Flags.boolean({
      helpGroup: 'SAFETY',
      summary: 'Stop before anything is written when a row cannot be put back.',
    }),
    'only-order': repeatableFlag('ID', 'Only this order, with its rows; may be repeated.', {
      helpGroup: 'ORDERS',
    }),
    ...waitFlag,
    ...lockWaitFlag,
    ...confirmFlags,
  };

  async run() {
    const {flags} = await this.parse(OrdersRestore);
    // The file that was looked at, not whichever is the newest by then.
    const repeat = (path: string): string =>
      flags['backup-file'] === 'latest'
        ? repeatCommand(
            this.config.bin,
            'orders:restore',
            this.argv,
            ['--backup-file', path, '--execute'],
            ['--backup-file'],
          )
        : repeatCommand(this.config.bin, 'orders:restore', this.argv, ['--execute']);
    return this.perform(
      flags,
      (context) =>
        restoreOrdersFrom(
          context,
          sourceOf(flags),
          defined({
            backupFile: flags['backup-file'],
            execute: flags.execute,
            failOnConflicts: flags['fail-on-conflicts'],
            onlyOrders: flags['only-order'] ?? [],
            waitMs: waitMsOf(flags),
            lockWaitMs: lockWaitMsOf(flags),
          }),
        ),
      showRestoredOrders(repeat),
    );
  }
}
