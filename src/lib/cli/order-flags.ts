/** Flags that choose orders, shared by orders:clean and workflow:safe-cleanup. */
import {Flags} from '@oclif/core';
import type {Given} from '../base/defined.js';
import {repeatableFlag} from './flags.js';
import type {SelectionFlags} from '../services/orders/rules/criteria.js';

export const orderFlags = {
  'test-emails-only': Flags.boolean({
    helpGroup: 'ORDERS',
    summary: 'Only orders with a test address; failed and cancelled ones stay.',
    exclusive: ['include-old'],
  }),
  'include-old': Flags.boolean({
    helpGroup: 'ORDERS',
    summary: 'Name failed and cancelled orders older than 90 days as such.',
  }),
  from: Flags.string({
    helpGroup: 'ORDERS',
    helpValue: 'YYYY-MM-DD',
    summary: 'Only orders made on this day or later.',
  }),
  to: Flags.string({
    helpGroup: 'ORDERS',
    helpValue: 'YYYY-MM-DD',
    summary: 'Only orders made on this day or earlier.',
  }),
  'exclude-id': repeatableFlag('ID', 'Never this order (repeatable).', {helpGroup: 'ORDERS'}),
  'allow-trigger': repeatableFlag(
    'NAME',
    'Allow this rule or trigger, schema.table.name, whose effects cannot be seen (repeatable).',
    {helpGroup: 'SAFETY'},
  ),
};

export const planFlag = {
  plan: Flags.string({
    helpGroup: 'SAFETY',
    helpValue: 'HASH',
    summary: "The preview's plan; refuse when what would be touched has changed.",
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
