/** Plans the restore of an order backup: the rows that can be restored, compared with the database, and the reasons for the others. */
import {
  countReasons,
  countRows,
  listConflicts,
  type RestoreConflict,
} from '../../../rows/staging/count-staged.js';
import {findConflicts} from '../../../rows/staging/find-conflicts.js';
import type {OrderFile} from '../../../rows/file/order-file.js';
import type {RestoredCounts} from '../../../rows/staging/verify-rows.js';
import {selectOrders} from '../../../rows/staging/select-staged-orders.js';
import {type StagedOrders, stageOrders} from '../../../rows/staging/stage-orders.js';
import {keyNumbers} from '../../../rows/staging/staged-conditions.js';
import {changedTypes, type StagedTable} from '../../../rows/staging/staged-table.js';
import {type Session, withTransaction} from '../../../postgres/client.js';
import {hasSqlState} from '../../../postgres/sql-state.js';
import {AppError} from '../../../base/errors.js';

export interface OrderTableCounts {
  /** Restored rows, or in a preview those that would be. */
  readonly restored: number;
  /** Existing rows whose link was restored. */
  readonly relinked: number;
  readonly skipped: number;
}

export interface RestorableOrders {
  readonly backupPath: string;
  /** When the backup was written. */
  readonly backupTimestamp: string;
  /** Restored orders, by table. */
  readonly orders: Readonly<Record<string, number>>;
  readonly tables: Readonly<Record<string, OrderTableCounts>>;
  /** Skipped rows, at most `conflictsListed` of them. */
  readonly conflicts: readonly RestoreConflict[];
  readonly conflictCount: number;
  /** All skipped rows by table and reason. */
  readonly reasons: readonly {readonly table: string; readonly reason: string; readonly rows: number}[];
  /** Values that the file cannot restore exactly, and changes since it was written. */
  readonly notes: readonly string[];
}

export interface RestoreOrdersPlan {
  readonly staged: StagedOrders;
  readonly result: RestorableOrders;
  readonly restored: RestoredCounts;
  /** Rows to insert and links to set. */
  readonly rows: number;
  readonly links: number;
}

/** The number of conflicts that are listed; all are counted. */
const conflictsListed = 1000;

/**
 * Compares everything in one snapshot; the transaction writes only to temporary tables.
 * @throws PLAN_CHANGED if a column or a table of the orders is dropped meanwhile
 */
export async function planRestoreOrders(
  session: Session,
  file: OrderFile,
  softLinks: Parameters<typeof stageOrders>[2],
  onlyOrders: readonly string[],
): Promise<RestoreOrdersPlan> {
  return withTransaction(session, 'ISOLATION LEVEL REPEATABLE READ', async () => {
    const staged = await stageOrders(session, file, softLinks);
    if (onlyOrders.length > 0) await selectOrders(session, staged, onlyOrders);
    await findConflicts(session, staged);
    return summarize(session, staged, onlyOrders.length > 0);
  }).catch((error: unknown) => {
    throw hasSqlState(error, ...vanished) ? alteredMeanwhile(error) : error;
  });
}

/** A column, table or schema no longer exists, although the catalog contained it at the start of this transaction. */
const vanished = ['42703', '42P01', '3F000'];

function alteredMeanwhile(cause: AppError): AppError {
  return new AppError(
    'PLAN_CHANGED',
    'The tables of the orders were altered while they were compared with the order backup. Nothing was changed.',
    {hint: 'Run it again.', details: [cause.message], cause},
  );
}

async function summarize(
  session: Session,
  staged: StagedOrders,
  isSelection: boolean,
): Promise<RestoreOrdersPlan> {
  const tables: Record<string, OrderTableCounts> = {};
  const conflicts: RestoreConflict[] = [];
  const reasons: {table: string; reason: string; rows: number}[] = [];
  const counts = new Map<StagedTable, number>();
  const totals = {rows: 0, links: 0};
  const add = (table: string, more: OrderTableCounts): void => {
    const {restored, relinked, skipped} = tables[table] ?? {restored: 0, relinked: 0, skipped: 0};
    tables[table] = {
      restored: restored + more.restored,
      relinked: relinked + more.relinked,
      skipped: skipped + more.skipped,
    };
  };
  const list = async (each: StagedTable, key: readonly number[]): Promise<void> => {
    for (const reason of await countReasons(session, each)) reasons.push({table: each.file.table, ...reason});
    const room = conflictsListed - conflicts.length;
    if (room > 0) conflicts.push(...(await listConflicts(session, each, key, room)));
  };
  for (const each of staged.tables) {
    const {restored, skipped} = await countRows(session, each);
    counts.set(each, restored);
    totals.rows += restored;
    add(each.file.table, {restored, relinked: 0, skipped});
    if (skipped > 0) await list(each, each.key);
  }
  for (const each of staged.links) {
    const {restored, skipped} = await countRows(session, each);
    counts.set(each, restored);
    totals.links += restored;
    add(each.file.table, {restored: 0, relinked: restored, skipped});
    if (skipped > 0) await list(each, keyNumbers(each));
  }
  for (const {table, rows} of isSelection ? [] : [...staged.gone, ...staged.goneLinks]) {
    if (rows === 0) continue;
    add(table, {restored: 0, relinked: 0, skipped: rows});
    reasons.push({table, reason: 'table gone', rows});
    conflicts.push({table, key: 'all rows', reason: 'table gone'});
  }
  const {file} = staged;
  return {
    staged,
    restored: counts,
    ...totals,
    result: {
      backupPath: file.path,
      backupTimestamp: file.timestamp,
      orders: Object.fromEntries(file.roots.map((root) => [root, tables[root]?.restored ?? 0])),
      tables,
      conflicts,
      conflictCount: reasons.reduce((sum, {rows}) => sum + rows, 0),
      reasons,
      notes: [...file.notes, ...changeNotes(staged)],
    },
  };
}

/** Notes about columns that changed since the file was written. */
function changeNotes({tables, links}: StagedOrders): string[] {
  return [...tables, ...links].flatMap((each) => {
    const {file, gone, added} = each;
    return [
      ...(gone.length === 0
        ? []
        : [`${file.table} no longer has the column ${gone.map(({name}) => name).join(', ')}.`]),
      ...changedTypes(each).map(
        ({name, before, now}) =>
          `${file.table}: the column ${name} was ${before} and is ${now}; its values must read the same.`,
      ),
      ...(added.length === 0 || links.some((link) => link.file === file)
        ? []
        : [
            `${file.table} has columns that the file does not have; they get their default: ${added.map(({name}) => name).join(', ')}.`,
          ]),
    ];
  });
}
