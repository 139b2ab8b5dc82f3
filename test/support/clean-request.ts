/** Requests for cleanings, in the form that the command creates from its flags. */
import type {CleanRequest} from '../../src/lib/services/orders/clean/execute.js';

export function cleanRequest(
  changes: Partial<Omit<CleanRequest, 'selection'>> & {selection?: Partial<CleanRequest['selection']>} = {},
): CleanRequest {
  return {
    execute: true,
    plan: undefined,
    backup: true,
    batchSize: undefined,
    createMissingIndexes: false,
    waitMs: undefined,
    ...changes,
    selection: {
      testEmailsOnly: false,
      includeOld: false,
      includeCustomers: false,
      from: undefined,
      to: undefined,
      excludeIds: [],
      ...changes.selection,
    },
  };
}
