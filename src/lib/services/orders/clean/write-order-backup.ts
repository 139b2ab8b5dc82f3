/** Writes the order backup of a cleaning, and reads it back, while the rows are deleted; it gets its final name before the commit. */
import {orderBackupFolder} from '../../../catalog/order-backup-name.js';
import type {RowDigest} from './count-plan.js';
import {makeRowFile, type RowFileInTheMaking} from '../../../rows/file/make-row-file.js';
import {type LeafRows, type SnapshotContent, writeOrderSnapshot} from './write-order-snapshot.js';
import type {Session} from '../../../postgres/client.js';
import type {RunContext} from '../../../run/run-context.js';
import {type Cleaning, type CleanPlan, completePlan, type FoundPlan} from './plan.js';

export interface OrderBackup extends RowFileInTheMaking {
  /** The plan in the file, including the rows of the leaf tables. */
  readonly plan: CleanPlan;
  readonly leaves: ReadonlyMap<string, LeafRows>;
}

/**
 * Writes every row of the plan to `backups/order-cleanup`, syncs the file and reads it back.
 * @param reader sees the rows in the state before the deletion
 * @param signal checked between two pieces of the file
 * @throws CLEAN_FAILED, ORDER_BACKUP_INVALID, DISK_FULL, FOLDER_NOT_WRITABLE; no file remains then
 */
export async function backUpOrders(
  context: RunContext,
  cleaning: Cleaning,
  reader: Session,
  found: FoundPlan,
  signal: AbortSignal,
): Promise<OrderBackup> {
  const planOf = (leaves: ReadonlyMap<string, RowDigest>): CleanPlan => completePlan(cleaning, found, leaves);
  const {result, publish, discard} = await makeRowFile(
    context,
    {
      folder: orderBackupFolder,
      prefix: 'orders-backup',
      command: 'orders:clean',
      titles: {write: 'Back up the rows', check: 'Check the order backup'},
      write: (path, at, onRows) => {
        const content: SnapshotContent = {
          ...found.rows,
          facts: (leaves) => snapshotFacts(context, cleaning, planOf(leaves), at),
        };
        return writeOrderSnapshot(reader, path, content, onRows);
      },
      written: 'clean.file-written',
    },
    signal,
  );
  return {plan: planOf(result.leaves), leaves: result.leaves, publish, discard};
}

function snapshotFacts(
  context: RunContext,
  {connection, identity, selection}: Cleaning,
  plan: CleanPlan,
  at: Date,
): ReturnType<SnapshotContent['facts']> {
  const {graph, criteria} = selection;
  return {
    toolVersion: context.toolVersion,
    timestamp: at.toISOString(),
    database: {
      name: identity.database,
      systemIdentifier: identity.systemIdentifier,
      host: connection.host,
      port: connection.port,
      serverVersion: identity.version,
    },
    profile: {
      name: graph.profile.name,
      roots: graph.roots.map(({table, profile}) => ({
        table: table.label,
        schema: table.schema,
        name: table.name,
        key: [...profile.key],
      })),
    },
    criteria: {...criteria, excludedIds: [...criteria.excludedIds]},
    reasons: {...plan.reasons},
    guards: {...plan.guards},
    plan: plan.plan,
    roots: {...plan.roots},
  };
}
