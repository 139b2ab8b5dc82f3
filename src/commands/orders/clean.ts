/** destino-db orders:clean */
import {Flags} from '@oclif/core';
import {defined} from '../../lib/base/defined.js';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {
  confirmFlags,
  countFlag,
  dryRunFlag,
  encryptFlags,
  encryptionFlagsOf,
  groups,
  lockWaitFlag,
  lockWaitMsOf,
  sameSettings,
  waitFlag,
  waitMsOf,
} from '../../lib/cli/flags.js';
import {detailsFlag, orderFlags, planFlag, selectionFlags} from '../../lib/cli/order-flags.js';
import {repeatCommand} from '../../lib/cli/repeat-command.js';
import {showCleanedOrders} from '../../lib/cli/show/show-cleaned-orders.js';
import type {CleanRequest} from '../../lib/services/orders/clean/execute.js';
import {cleanToPlaces} from '../../lib/services/orders/clean/clean.js';

export default class OrdersClean extends BaseCommand {
  static override isRecorded = true;
  static override hasDatabase = true;
  static override summary = 'preview or delete testing orders, backing up every row';
  static override description = `Testing orders have a test address, a failed payment or were cancelled. Paid orders of high value, orders of customers who
ever paid, protected addresses and excluded ids are never deleted. Without --execute nothing is changed.
Exit codes: 0 done, 1 failed and rolled back, 2 usage, 3 environment, 5 refused (not confirmed, locked, plan changed), 130 interrupted.`;
  static override examples = [
    {description: 'what would go', command: '<%= config.bin %> orders:clean'},
    {
      description: 'delete exactly what the preview showed',
      command: '<%= config.bin %> orders:clean --execute --plan 1509044230e1693d',
    },
    {
      description: 'test addresses of March only',
      command: '<%= config.bin %> orders:clean --test-emails-only --from 2026-03-01 --to 2026-03-31',
    },
  ];
  static override flags = {
    ...dryRunFlag,
    execute: Flags.boolean({helpGroup: groups.safety, summary: 'Delete the orders, after a question.'}),
    ...planFlag,
    backup: Flags.boolean({
      helpGroup: groups.safety,
      default: true,
      allowNo: true,
      summary:
        'Write every row to delete into a file first; --no-backup asks a second question (default: on).',
    }),
    confirm: Flags.boolean({
      helpGroup: groups.safety,
      summary: 'Ask before deleting (default: on).',
      exclusive: ['yes'],
    }),
    ...orderFlags,
    ...detailsFlag,
    'include-customers': Flags.boolean({
      helpGroup: groups.whichOrders,
      summary: 'Choose failed and cancelled orders of customers with a paid order too.',
    }),
    'batch-size': countFlag('Number of orders in one DELETE, at most (default: 10,000).', {
      helpGroup: groups.speed,
      min: 1,
      max: 1_000_000,
    }),
    'create-missing-indexes': Flags.boolean({
      helpGroup: groups.speed,
      summary: 'Create missing indexes of foreign keys, and drop them afterwards.',
    }),
    ...encryptFlags,
    ...waitFlag,
    ...lockWaitFlag,
    ...confirmFlags,
  };

  async run() {
    const {flags} = await this.parse(OrdersClean);
    const request = defined<CleanRequest>({
      selection: selectionFlags(flags),
      execute: flags.execute,
      plan: flags.plan,
      backup: flags.backup,
      batchSize: flags['batch-size'],
      createMissingIndexes: flags['create-missing-indexes'],
      details: flags.details,
      waitMs: waitMsOf(flags),
      lockWaitMs: lockWaitMsOf(flags),
    });
    const command = (id: string): string[] => [this.config.bin, id, ...sameSettings(flags)];
    const repeat = (plan: string): string =>
      repeatCommand(this.config.bin, 'orders:clean', this.argv, ['--execute', '--plan', plan]);
    return this.perform(
      flags,
      (context) => cleanToPlaces(context, request, encryptionFlagsOf(flags), command),
      showCleanedOrders(repeat),
    );
  }
}
