/** The undo file of a restore of rows: every row as it will be written, and the values that it overwrites. */
import {AppError} from '../../base/errors.js';
import type {Session} from '../../postgres/client.js';
import type {Connection} from '../../postgres/connect/connection.js';
import type {DatabaseIdentity} from '../../postgres/inspect/inspect-database.js';
import {
  relinkedLinePrefix,
  rowLinePrefix,
  type RowUndoMetadata,
  type SnapshotTable,
} from '../../rows/file/format.js';
import {transactionId} from '../../postgres/transaction-outcome.js';
import {makeRowFile, type RowFileInTheMaking} from '../../rows/file/make-row-file.js';
import {noChecksum, type RowSource, writeRowFile} from '../../rows/file/write-row-file.js';
import {rowJsonExpression, rowJsonQuery} from '../../rows/model/row-json.js';
import {fromRelation} from '../../rows/staging/restore-target.js';
import {sameKey} from '../../rows/staging/staged-conditions.js';
import type {SharedColumn, StagedTable} from '../../rows/staging/staged-table.js';
import type {RunContext} from '../../run/run-context.js';
import {alteredMeanwhile, type RowPlan, type RowSet} from './plan.js';

/** Folder of the undo files in the backups folder. */
export const undoFolder = 'row-undo';
export const undoPrefix = 'row-undo';

interface Part {
  readonly source: RowSource;
  readonly entry: Omit<SnapshotTable, 'checksum'>;
}

/**
 * Writes, syncs and reads back the file. The rows to update are locked, so their old values in the file are current.
 * @throws ORDER_BACKUP_INVALID, DISK_FULL, FOLDER_NOT_WRITABLE; the file is removed then
 */
export async function writeUndoFile(
  context: RunContext,
  session: Session,
  set: RowSet,
  plan: RowPlan,
  database: {readonly identity: DatabaseIdentity; readonly connection: Connection; readonly backup: string},
  signal: AbortSignal,
): Promise<RowFileInTheMaking> {
  const rows: Part[] = [];
  const links: Part[] = [];
  for (const {staged} of set.tables) {
    const count = plan.restored.get(staged) ?? 0;
    if (count === 0) continue;
    rows.push(rowsPart(staged, count));
    const link = await linksPart(session, staged);
    if (link) links.push(link);
  }
  const {identity, connection, backup} = database;
  const transaction = (await transactionId(session)) ?? undefined;
  return makeRowFile(
    context,
    {
      folder: undoFolder,
      prefix: undoPrefix,
      command: 'restore:rows',
      titles: {write: 'Write the undo file', check: 'Check the undo file'},
      written: 'rows.undo-written',
      write: async (path, at, onRows) => {
        const metadata = await writeRowFile<RowUndoMetadata>(
          session,
          path,
          {
            rows: rows.map(({source}) => source),
            links: links.map(({source}) => source),
            metadata: (copied) => {
              const entry = ({source, entry: rest}: Part): SnapshotTable => ({
                ...rest,
                checksum: copied(source)?.checksum ?? noChecksum,
              });
              return {
                schemaVersion: 1,
                kind: 'row-undo',
                toolVersion: context.toolVersion,
                timestamp: at.toISOString(),
                database: {
                  name: identity.database,
                  systemIdentifier: identity.systemIdentifier,
                  host: connection.host,
                  port: connection.port,
                  serverVersion: identity.version,
                },
                backup,
                transaction,
                plan: plan.plan,
                tables: rows.map(entry),
                relinked: links.map(entry),
                totalRows: rows.reduce((sum, part) => sum + part.entry.rows, 0),
              };
            },
          },
          onRows,
        );
        return {metadata};
      },
    },
    signal,
  );
}

const changedMeanwhile = (): AppError =>
  alteredMeanwhile(new AppError('PLAN_CHANGED', 'Rows changed while the undo file was written.'));

function rowsPart(staged: StagedTable, rows: number): Part {
  const {temp, json} = staged;
  return {
    source: {
      prefix: rowLinePrefix(staged.file.table),
      query: rowJsonQuery('s', json.staged, `FROM ${temp} s WHERE s.reason IS NULL`),
      numbers: 0,
      rows,
      otherwise: changedMeanwhile,
    },
    entry: entryOf(staged, rows, staged.shared),
  };
}

/** The old values of all columns that change in any row; undefined without rows to update. */
async function linksPart(session: Session, staged: StagedTable): Promise<Part | undefined> {
  const {temp, target} = staged;
  const [found] = await session.query(
    `SELECT count(DISTINCT s.line) AS rows, pg_catalog.array_to_string(pg_catalog.array_agg(DISTINCT c.number), ',') AS columns
       FROM ${temp} s CROSS JOIN LATERAL pg_catalog.unnest(s.changes) c(number) WHERE s.reason IS NULL`,
  );
  const rows = Number(found?.['rows'] ?? 0);
  if (rows === 0) return undefined;
  const numbers = new Set((found?.['columns'] ?? '').split(',').map(Number));
  const columns = staged.shared.filter(({column}) => numbers.has(column.number));
  const keys = target.columns.filter(({number}) => staged.key.includes(number));
  const values = columns.map(({column: {name}, asText}) => ({name, asText}));
  return {
    source: {
      prefix: relinkedLinePrefix(staged.file.table),
      query: `SELECT '"key":' || ${rowJsonExpression('t', keys)} || ',"values":' || ${rowJsonExpression('t', values)}
                FROM ${temp} s JOIN ${fromRelation(target)} t ON ${sameKey(staged)} WHERE s.reason IS NULL AND s.changes IS NOT NULL`,
      numbers: 0,
      rows,
      otherwise: changedMeanwhile,
    },
    entry: entryOf(staged, rows, columns),
  };
}

function entryOf(
  {file, target, key}: StagedTable,
  rows: number,
  columns: readonly SharedColumn[],
): Omit<SnapshotTable, 'checksum'> {
  return {
    table: file.table,
    schema: target.schema,
    name: target.name,
    rows,
    columns: columns.map(({column: {name, type, generated}, asText}) => ({
      name,
      type,
      generated,
      identity: null,
      asText,
    })),
    key: target.columns.filter(({number}) => key.includes(number)).map(({name}) => name),
  };
}
