/** destino-db orders:restore */
import {Flags} from '@oclif/core';
import {defined} from '../../lib/base/defined.js';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {
  backupArgument,
  confirmFlags,
  conflictsFlag,
  dryRunFlag,
  groups,
  lockWaitFlag,
  lockWaitMsOf,
  namedBackup,
  placeFlags,
  repeatableFlag,
  sourceOf,
  waitFlag,
  waitMsOf,
} from '../../lib/cli/flags.js';
import {repeatCommand, withoutArgument} from '../../lib/cli/repeat-command.js';
import {showRestoredOrders} from '../../lib/cli/show/show-restored-orders.js';
import {restoreOrdersFrom} from '../../lib/services/orders/restore/restore.js';

export default class OrdersRestore extends BaseCommand {
  static override isRecorded = true;
  static override hasDatabase = true;
  static override summary = 'restore the orders that orders:clean deleted';
  static override description = `Without --execute it prints the content of the file, the rows that exist already and the conflicts, and changes nothing.
With --execute all rows are restored in one transaction, which commits only if every row then reads as in the file.
Files of the old scripts are read too.
Exit codes: 0 done, 1 rolled back, 2 usage, 3 no connection or rights, 4 the file is damaged, 5 not confirmed, locked, or conflicts with --fail-on-conflicts.`;
  static override examples = [
    {
      description: 'see what would come back',
      command: '<%= config.bin %> <%= command.id %> latest',
    },
    {
      description: 'put everything back',
      command: '<%= config.bin %> <%= command.id %> latest --execute',
    },
    {
      description: 'one order only, in a script',
      command: '<%= config.bin %> <%= command.id %> latest --only-order ID --execute --yes',
    },
  ];
  static override args = backupArgument;
  static override flags = {
    'backup-file': Flags.string({
      helpGroup: groups.whichBackup,
      helpValue: 'PATH',
      summary: 'Order backup: a path, a name in the backups folder, or latest.',
    }),
    from: Flags.string({
      helpGroup: groups.whichBackup,
      helpValue: 'PLACE',
      summary: 'Location of the order backup: s3://bucket/prefix or a folder (default: the backups folder).',
    }),
    identity: placeFlags.identity,
    'passphrase-file': placeFlags['passphrase-file'],
    ...dryRunFlag,
    execute: Flags.boolean({helpGroup: groups.safety, summary: 'Restore the rows, after a question.'}),
    ...conflictsFlag,
    'only-order': repeatableFlag('ID', 'Order to restore, with its rows (repeatable; default: all).', {
      helpGroup: groups.whichOrders,
    }),
    ...waitFlag,
    ...lockWaitFlag,
    ...confirmFlags,
  };

  async run() {
    const {flags, args} = await this.parse(OrdersRestore);
    const backupFile = namedBackup(args.backup, flags, ['backup-file']);
    // The file that was looked at, not whichever is the newest by then.
    const repeat = (path: string): string => {
      const {bin} = this.config;
      if (backupFile !== 'latest') return repeatCommand(bin, 'orders:restore', this.argv, ['--execute']);
      const flagsOf = {...OrdersRestore.baseFlags, ...OrdersRestore.flags};
      const words = [path, ...withoutArgument(this.argv, args.backup, flagsOf)];
      return repeatCommand(bin, 'orders:restore', words, ['--execute'], ['--backup-file']);
    };
    return this.perform(
      flags,
      (context) =>
        restoreOrdersFrom(
          context,
          sourceOf(flags),
          defined({
            backupFile,
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
