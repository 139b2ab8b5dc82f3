/** Implements `restore:rows --undo`: undoes exactly one restore of rows, unless its rows have changed since. */
import {existsSync} from 'node:fs';
import {readdir} from 'node:fs/promises';
import {basename, join, resolve} from 'node:path';
import {elapsedMs} from '../../base/clock.js';
import {AppError} from '../../base/errors.js';
import {countOf, formatCount} from '../../base/format.js';
import {newestNameFirst} from '../../base/file-names.js';
import {requireTrustedFolder} from '../../base/own-file.js';
import {someOf} from '../../base/some-of.js';
import {keysOf} from '../../encryption/settings.js';
import {type Session, withSession, withTransaction} from '../../postgres/client.js';
import {type Connection, refuseTransactionPooler} from '../../postgres/connect/connection.js';
import {resolveConnection} from '../../postgres/connect/resolve-connection.js';
import {withAdvisoryLock} from '../../postgres/databases/advisory-lock.js';
import {inspectIdentity} from '../../postgres/inspect/inspect-database.js';
import {requireWritable} from '../../postgres/inspect/writable.js';
import {openOrderFile} from '../../rows/file/open-order-file.js';
import type {OrderFile} from '../../rows/file/order-file.js';
import {readCatalog} from '../../rows/model/read-schema.js';
import {listConflicts, type RestoreConflict} from '../../rows/staging/count-staged.js';
import {inspectTarget, type TargetTable} from '../../rows/staging/restore-target.js';
import {type StagedOrders, stageOrders} from '../../rows/staging/stage-orders.js';
import {
  countTakenBack,
  findChangesSince,
  lockStagedRows,
  takeBack,
  type TakenBack,
} from '../../rows/staging/take-back.js';
import type {RunContext} from '../../run/run-context.js';
import type {BackupSource} from '../../storage/fetch-backup.js';
import {isProductionDatabase} from '../guards/production.js';
import {ordersAt, withPlainOrders} from '../orders/restore/restore.js';
import {undoFolder, undoPrefix} from './undo-file.js';
import {planTriggers, type TriggerPlan, writeInTransaction} from './write-rows.js';

export interface UndoRowsRequest {
  /** A path, the name of a file in the folder of undo files, or "latest". */
  readonly undo: string;
  readonly execute: boolean;
  readonly firesTriggers: boolean;
  readonly waitMs?: number;
  readonly lockWaitMs?: number;
}

export interface UndoRowsResult {
  readonly mode: 'preview' | 'execute';
  readonly database: string;
  readonly undoPath: string;
  /** When the rows were written. */
  readonly writtenAt: string;
  readonly tables: readonly ({readonly table: string} & TakenBack)[];
  /** Rows that have changed since, at most 1,000; if there are any, nothing is undone. */
  readonly changedSince: readonly RestoreConflict[];
  readonly triggers: TriggerPlan;
  /** ms */
  readonly duration: number;
}

const changesListed = 1000;
const undoExtension = /\.json(?:\.age)?$/;

/**
 * @throws BACKUP_NOT_FOUND, ORDER_BACKUP_INVALID, KEY_NEEDED before it connects; ROWS_CHANGED naming the rows;
 *   LOCKED; ROWS_RESTORE_FAILED after a rollback
 */
export async function undoRows(
  context: RunContext,
  source: BackupSource,
  request: UndoRowsRequest,
): Promise<UndoRowsResult> {
  const startedMs = context.clock.now().getTime();
  const connection = resolveConnection(context.settings);
  refuseTransactionPooler(connection);
  const keys = await keysOf(context, source);
  const path = await findUndoFile(context, request.undo);
  return withPlainOrders(context, ordersAt(path), keys, async (plain) => {
    const file = await openOrderFile(plain, connection.schema ?? 'public', context.signal);
    if (file.kind !== 'row-undo')
      throw new AppError('USAGE', `${path} is an order backup, not an undo file of restore:rows.`, {
        hint: `Restore it with destino-db orders:restore --backup-file ${path}`,
      });
    const result = await withSession(
      connection,
      (session) => undoIn({context, session, connection, file, path}, request),
      {signal: context.signal},
    );
    return {...result, duration: elapsedMs(context.clock, startedMs)};
  });
}

async function findUndoFile({settings}: RunContext, name: string): Promise<string> {
  const folder = join(settings.backupsDir, undoFolder);
  if (name !== 'latest') {
    const path = resolve(settings.cwd, name);
    if (basename(name) !== name || existsSync(path)) return path;
    return join(folder, name);
  }
  if (existsSync(folder)) {
    await requireTrustedFolder(folder);
    const idOf = (file: string): string => file.replace(undoExtension, '');
    const newest = (await readdir(folder))
      .filter((file) => file.startsWith(`${undoPrefix}-`) && undoExtension.test(file))
      .sort((a, b) => newestNameFirst(idOf(a), idOf(b)))[0];
    if (newest !== undefined) return join(folder, newest);
  }
  throw new AppError('BACKUP_NOT_FOUND', `There is no undo file in ${folder}.`, {
    hint: 'Every destino-db restore:rows --execute writes one.',
  });
}

interface Undo {
  readonly context: RunContext;
  readonly session: Session;
  readonly connection: Connection;
  readonly file: OrderFile;
  readonly path: string;
}

async function undoIn(undo: Undo, request: UndoRowsRequest): Promise<Omit<UndoRowsResult, 'duration'>> {
  const {context, session, connection, file, path} = undo;
  const identity = await inspectIdentity(session);
  const {database, systemIdentifier} = identity;
  const mode = request.execute ? 'execute' : 'preview';
  context.record({
    mode,
    database: {name: database, systemIdentifier, host: connection.host, port: connection.port},
  });
  await requireWritable(session, 'A restore of rows cannot be undone here');
  const work = async (): Promise<Omit<UndoRowsResult, 'duration'>> => {
    const children = await childrenOf(session, file);
    const found = await withTransaction(session, 'ISOLATION LEVEL REPEATABLE READ', async () => {
      const staged = await stageOrders(session, file, []);
      refuseGone(staged);
      await findChangesSince(session, staged, children);
      return {staged, ...(await summarize(session, staged))};
    });
    const {staged, tables, changedSince} = found;
    const triggers = await planTriggers(context, session, staged.tables, request.firesTriggers);
    if (request.execute) {
      refuseChanged(changedSince);
      await confirm(undo, database, tables, triggers.plan);
      await context.progress.step('Undo the restore of rows', () =>
        writeInTransaction(
          context,
          session,
          staged.tables,
          triggers,
          {connection, firesTriggers: request.firesTriggers, lockWaitMs: request.lockWaitMs},
          async () => {
            for (const each of staged.tables) await lockStagedRows(session, each);
            await findChangesSince(session, staged, children);
            refuseChanged((await summarize(session, staged)).changedSince);
            await takeBack(session, staged, triggers.mode);
          },
          () => Promise.resolve(),
        ),
      );
      await context.checkpoint('rows.committed');
    }
    return {
      mode,
      database,
      undoPath: path,
      writtenAt: file.timestamp,
      tables,
      changedSince,
      triggers: triggers.plan,
    };
  };
  return request.execute
    ? withAdvisoryLock(
        session,
        {purpose: 'change', database, waitMs: request.waitMs ?? 0, signal: context.signal},
        work,
      )
    : work();
}

/** Tables whose rows may refer to rows that the undo deletes. */
async function childrenOf(session: Session, file: OrderFile): Promise<TargetTable[]> {
  const {tables, foreignKeys} = await readCatalog(session);
  const topOf = (oid: string): string => tables.get(oid)?.topOid ?? oid;
  const isOfFile = (oid: string): boolean =>
    file.tables.some(({table}) => tables.get(topOf(oid))?.label === table);
  const oids = new Set(
    foreignKeys.filter(({parentOid}) => isOfFile(parentOid)).map(({childOid}) => topOf(childOid)),
  );
  const children: TargetTable[] = [];
  for (const oid of oids) {
    const table = tables.get(oid);
    const target = table && (await inspectTarget(session, table.schema, table.name));
    if (target) children.push(target);
  }
  return children;
}

/** @throws TABLE_NOT_FOUND, COLUMN_NOT_FOUND */
function refuseGone({gone, goneLinks, tables, links}: StagedOrders): void {
  const [table] = [...gone, ...goneLinks];
  if (table)
    throw new AppError(
      'TABLE_NOT_FOUND',
      `The database no longer has the table ${table.table}. Nothing was changed.`,
    );
  const each = [...tables, ...links].find((staged) => staged.gone.length > 0);
  if (!each) return;
  throw new AppError(
    'COLUMN_NOT_FOUND',
    `${each.file.table} no longer has ${each.gone.map(({name}) => name).join(', ')}. Nothing was changed.`,
  );
}

async function summarize(
  session: Session,
  {tables}: StagedOrders,
): Promise<Pick<UndoRowsResult, 'tables' | 'changedSince'>> {
  const counts: ({table: string} & TakenBack)[] = [];
  const changedSince: RestoreConflict[] = [];
  for (const each of tables) {
    const count = await countTakenBack(session, each);
    counts.push({table: each.file.table, ...count});
    const room = changesListed - changedSince.length;
    if (count.kept > 0 && room > 0)
      changedSince.push(...(await listConflicts(session, each, each.key, room)));
  }
  return {tables: counts, changedSince};
}

/** @throws ROWS_CHANGED */
function refuseChanged(changedSince: readonly RestoreConflict[]): void {
  if (changedSince.length === 0) return;
  throw new AppError(
    'ROWS_CHANGED',
    `${countOf(changedSince.length, 'row')} changed since restore:rows wrote them. Nothing was changed.`,
    {
      hint: 'Correct these rows first, or restore chosen rows of a backup instead.',
      details: someOf(
        changedSince.map(({table, key, reason}) => `${table} ${key}: ${reason}`),
        20,
        changedSince.length,
      ),
    },
  );
}

async function confirm(
  {context, connection, path}: Undo,
  database: string,
  tables: UndoRowsResult['tables'],
  triggers: TriggerPlan,
): Promise<void> {
  await context.confirm({
    action: `Undo the restore of rows recorded in ${path}.`,
    host: connection.host,
    database,
    isProduction: await isProductionDatabase(context, connection),
    plan: [
      ...tables.map(
        ({table, inserted, updated}) =>
          `${table}: ${formatCount(inserted)} deleted, ${formatCount(updated)} set to their old values`,
      ),
      ...(triggers.off.length > 0 ? [`off meanwhile: ${triggers.off.join(', ')}`] : []),
    ],
  });
}
