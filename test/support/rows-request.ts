/** Requests for a restore of rows, in the form that the command creates from its flags. */
import type {RestoreRowsRequest} from '../../src/lib/services/rows/request.js';

/** Executes --all of the newest backup, with the changes. */
export function rowsRequest(changes: Partial<RestoreRowsRequest>): RestoreRowsRequest {
  return {
    tables: [],
    missing: true,
    changed: true,
    where: undefined,
    keys: [],
    columns: [],
    withParents: false,
    withChildren: false,
    firesTriggers: false,
    failOnConflicts: false,
    execute: true,
    plan: undefined,
    details: false,
    ...changes,
  };
}
