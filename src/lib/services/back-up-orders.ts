/** The order backup of a cleaning: written in its transaction, and read back before anything is deleted. */
import {access, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {partialSuffix, timestampForName} from '../backups/backup-name.js';
import {makePrivateFolder, renameSafely} from '../backups/safe-file.js';
import {AppError, systemErrorCode} from '../errors.js';
import type {SnapshotMetadata} from '../orders/order-snapshot.js';
import {readOrderSnapshot} from '../orders/read-order-snapshot.js';
import {relinkedParts, writeOrderSnapshot} from '../orders/write-order-snapshot.js';
import type {RunContext} from '../run-context.js';
import type {Cleaning, CleanPlan} from './plan-clean.js';

/**
 * Writes every row that the plan touches to `backups/order-cleanup`, syncs it, reads it back and gives it its name.
 * @returns the absolute path
 * @throws CLEAN_FAILED, ORDER_BACKUP_INVALID, DISK_FULL, FOLDER_NOT_WRITABLE; no file is left then
 */
export async function backUpOrders(
  context: RunContext,
  cleaning: Cleaning,
  plan: CleanPlan,
): Promise<string> {
  const {session, notes} = cleaning;
  const at = context.clock.now();
  const path = await freePath(join(context.settings.backupsDir, 'order-cleanup'), at);
  const partial = `${path}${partialSuffix}`;
  try {
    const written = await context.progress.step('Back up the rows', async (step) =>
      writeOrderSnapshot(
        session,
        partial,
        {
          facts: snapshotFacts(context, cleaning, plan, at),
          deleted: notes.deleted.flatMap((noted) => {
            const rows = plan.tables[noted.table.label]?.deleted ?? 0;
            return rows === 0 ? [] : [{noted, rows}];
          }),
          relinked: relinkedParts(cleaning.selection.graph, notes, plan),
        },
        (rows) => step.advance(rows, plan.totalRows, 'rows'),
      ),
    );
    await context.reach('clean.file-written');
    await context.progress.step('Check the order backup', () => readBack(context, partial, written));
    await renameSafely(partial, path);
    return path;
  } catch (error) {
    await rm(partial, {force: true}).catch(() => undefined); // `recover` finds it by its name
    throw error;
  }
}

function snapshotFacts(
  context: RunContext,
  {connection, identity, selection}: Cleaning,
  plan: CleanPlan,
  at: Date,
): Parameters<typeof writeOrderSnapshot>[2]['facts'] {
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
async function readBack(context: RunContext, path: string, written: SnapshotMetadata): Promise<void> {
  const read = await readOrderSnapshot(path, context.signal);
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
