/** Flags that choose orders, shared by orders:clean and workflow:safe-cleanup. */
import {Flags} from '@oclif/core';
import type {Given} from '../base/defined.js';
import {groups, repeatableFlag} from './flags.js';
import type {SelectionFlags} from '../services/orders/rules/criteria.js';

export const orderFlags = {
  'test-emails-only': Flags.boolean({
    helpGroup: groups.whichOrders,
    summary: 'Choose orders with a test address only, not failed and cancelled ones.',
    exclusive: ['include-old'],
  }),
  'include-old': Flags.boolean({
    helpGroup: groups.whichOrders,
    summary: 'Report failed and cancelled orders older than 90 days separately.',
  }),
  from: Flags.string({
    helpGroup: groups.whichOrders,
    helpValue: 'YYYY-MM-DD',
    summary: 'First day of the orders to choose (default: no limit).',
  }),
  to: Flags.string({
    helpGroup: groups.whichOrders,
    helpValue: 'YYYY-MM-DD',
    summary: 'Last day of the orders to choose (default: no limit).',
  }),
  'exclude-id': repeatableFlag('ID', 'Order to keep in any case (repeatable).', {
    helpGroup: groups.whichOrders,
  }),
  'allow-trigger': repeatableFlag(
    'NAME',
    'Rule or trigger to allow although its effects cannot be seen, as schema.table.name (repeatable).',
    {helpGroup: groups.safety},
  ),
};

export const detailsFlag = {
  details: Flags.boolean({
    helpGroup: groups.output,
    summary: 'List every order with its reason, also in JSON as "orders" (default: a sample).',
  }),
};

export const planFlag = {
  plan: Flags.string({
    helpGroup: groups.safety,
    helpValue: 'HASH',
    summary: 'Plan of the preview; refuse if the rows to change are others by now.',
    dependsOn: ['execute'],
  }),
};

export function selectionFlags(
  flags: Given<{
    // A flag that is not given has no value, whatever oclif's types say.
    'test-emails-only'?: boolean;
    'include-old'?: boolean;
    'include-customers'?: boolean;
    from?: string;
    to?: string;
    'exclude-id'?: string[];
    'allow-trigger'?: string[];
  }>,
): SelectionFlags {
  return {
    testEmailsOnly: flags['test-emails-only'] ?? false,
    includeOld: flags['include-old'] ?? false,
    includeCustomers: flags['include-customers'] ?? false,
    from: flags.from,
    to: flags.to,
    excludeIds: flags['exclude-id'] ?? [],
    allowTriggers: flags['allow-trigger'] ?? [],
  };
}
