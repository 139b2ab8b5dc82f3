/** The order backup of a cleaning: written and read back while the rows are being deleted, and named before that is committed. */
import {access, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {orderBackupFolder} from '../../../catalog/order-backup-name.js';
import {partialSuffix, timestampForName} from '../../../base/file-names.js';
import {makePrivateFolder, renameSafely} from '../../../base/safe-file.js';
import {AppError, systemErrorCode} from '../../../base/errors.js';
import type {RowDigest} from './count-plan.js';
import type {SnapshotMetadata} from '../../../rows/file/format.js';
import {readOrderSnapshot} from '../../../rows/file/read-order-snapshot.js';
import {type LeafRows, type SnapshotContent, writeOrderSnapshot} from './write-order-snapshot.js';
import type {Session} from '../../../postgres/client.js';
import type {RunContext} from '../../../run/run-context.js';
import {openJournal} from '../../../run/journal.js';
import {type Cleaning, type CleanPlan, completePlan, type FoundPlan} from './plan.js';

export interface OrderBackup {
  /** What the file tells, the rows of the leaves included. */
  readonly plan: CleanPlan;
  readonly leaves: ReadonlyMap<string, LeafRows>;
  /** Gives the file its name. @returns the absolute path */
  publish(): Promise<string>;
  /** Removes the file, named or not. */
  discard(): Promise<void>;
}

/**
 * Writes every row that the plan touches to `backups/order-cleanup`, syncs it and reads it back.
 * @param reader sees the rows as they were before any was deleted
 * @param signal looked at between two pieces of the file
 * @throws CLEAN_FAILED, ORDER_BACKUP_INVALID, DISK_FULL, FOLDER_NOT_WRITABLE; no file is left then
 */
export async function backUpOrders(
  context: RunContext,
  cleaning: Cleaning,
  reader: Session,
  found: FoundPlan,
  signal: AbortSignal,
): Promise<OrderBackup> {
  const at = context.clock.now();
  const path = await freePath(join(context.settings.backupsDir, orderBackupFolder), at);
  const partial = `${path}${partialSuffix}`;
  // Without it `recover` would take the file for one whose run has ended.
  const journal = openJournal(context, 'orders:clean');
  const named = await journal.begin({kind: 'partial', path: partial});
  const discard = async (): Promise<void> => {
    // What cannot be removed does no harm: `recover` finds a partial by its name, and putting back what is there changes nothing.
    for (const name of [partial, path]) await rm(name, {force: true}).catch(() => undefined);
    await named();
    await journal.close();
  };
  const planOf = (leaves: ReadonlyMap<string, RowDigest>): CleanPlan => completePlan(cleaning, found, leaves);
  const content: SnapshotContent = {
    ...found.rows,
    facts: (leaves) => snapshotFacts(context, cleaning, planOf(leaves), at),
  };
  try {
    const {metadata, leaves} = await context.progress.step('Back up the rows', (step) =>
      writeOrderSnapshot(reader, partial, content, (rows) => {
        signal.throwIfAborted();
        step.advance(rows, undefined, 'rows');
      }),
    );
    await context.reach('clean.file-written');
    await context.progress.step('Check the order backup', () => readBack(partial, metadata, signal));
    return {
      plan: planOf(leaves),
      leaves,
      publish: async () => {
        await renameSafely(partial, path);
        await named();
        await journal.close();
        return path;
      },
      discard,
    };
  } catch (error) {
    await discard();
    throw error;
  }
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

/** @throws ORDER_BACKUP_INVALID when the file does not hold what was written into it */
async function readBack(path: string, written: SnapshotMetadata, signal: AbortSignal): Promise<void> {
  const read = await readOrderSnapshot(path, signal);
  const rowsOf = (tables: readonly {table: string; rows: number}[]): string =>
    JSON.stringify(tables.map(({table, rows}) => [table, rows]));
  if (rowsOf(read.tables) === rowsOf(written.tables) && rowsOf(read.relinked) === rowsOf(written.relinked))
    return;
  throw new AppError(
    'ORDER_BACKUP_INVALID',
    `${path} reads back otherwise than it was written; nothing was changed.`,
  );
}

/** A name in `folder` that neither a file nor a file in the making has. */
async function freePath(folder: string, at: Date): Promise<string> {
  await makePrivateFolder(folder);
  const isTaken = (path: string): Promise<boolean> =>
    access(path).then(
      () => true,
      (error: unknown) => systemErrorCode(error) !== 'ENOENT',
    );
  for (let attempt = 1; ; attempt += 1) {
    const path = join(
      folder,
      `orders-backup-${timestampForName(at)}${attempt === 1 ? '' : `-${attempt}`}.json`,
    );
    const names = [path, `${path}${partialSuffix}`, `${path}.age`];
    if (!(await Promise.all(names.map(isTaken))).includes(true)) return path;
  }
}
