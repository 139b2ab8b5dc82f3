/** destino-db orders:clean */
import {Flags} from '@oclif/core';
import {defined} from '../../lib/base/defined.js';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {
  confirmFlags,
  countFlag,
  encryptFlags,
  encryptionFlagsOf,
  sameSettings,
  lockWaitFlag,
  lockWaitMsOf,
  waitFlag,
  waitMsOf,
} from '../../lib/cli/flags.js';
import {orderFlags, planFlag, selectionFlags} from '../../lib/cli/order-flags.js';
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
    'dry-run': Flags.boolean({
      helpGroup: 'SAFETY',
      char: 'n',
      summary: 'Change nothing (the default).',
      exclusive: ['execute'],
    }),
    execute: Flags.boolean({helpGroup: 'SAFETY', summary: 'Delete, after a question.'}),
    ...planFlag,
    backup: Flags.boolean({
      helpGroup: 'SAFETY',
      default: true,
      allowNo: true,
      summary: 'Write every row that goes into a file first; without it a second question is asked.',
    }),
    confirm: Flags.boolean({
      helpGroup: 'SAFETY',
      summary: 'Ask before deleting (the default).',
      exclusive: ['yes'],
    }),
    ...orderFlags,
    'include-customers': Flags.boolean({
      helpGroup: 'ORDERS',
      summary: 'Also failed and cancelled orders of customers who have a paid order.',
    }),
    'batch-size': countFlag('At most so many orders in one DELETE (10,000).', {
      helpGroup: 'SPEED',
      min: 1,
      max: 1_000_000,
    }),
    'create-missing-indexes': Flags.boolean({
      helpGroup: 'SPEED',
      summary: 'Make missing indexes of foreign keys for the duration.',
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
