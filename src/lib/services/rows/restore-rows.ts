/** Implements `restore:rows`: restores chosen rows of a backup into a database in use, or shows the changes. */
import {rm} from 'node:fs/promises';
import {elapsedMs} from '../../base/clock.js';
import {AppError} from '../../base/errors.js';
import {qualifiedName} from '../../base/qualified-name.js';
import {countOf, formatCount} from '../../base/format.js';
import {shellCommand} from '../../base/shell-quote.js';
import {someOf} from '../../base/some-of.js';
import {sizeOf} from '../../base/checksum.js';
import {isMasked} from '../../catalog/backup-record.js';
import {type Encryption, encryptionOf, keyWordsFor, requireEncryption} from '../../encryption/settings.js';
import {type Session, withSession} from '../../postgres/client.js';
import {type Connection, refuseTransactionPooler} from '../../postgres/connect/connection.js';
import {resolveConnection} from '../../postgres/connect/resolve-connection.js';
import {withAdvisoryLock} from '../../postgres/databases/advisory-lock.js';
import {type DatabaseIdentity, inspectIdentity} from '../../postgres/inspect/inspect-database.js';
import {removeMaskedTag, warningOfMasked} from '../../postgres/inspect/masked-comment.js';
import {requireWritable} from '../../postgres/inspect/writable.js';
import {findTool, type Tool} from '../../postgres/tools/find-tools.js';
import {encryptOrders} from '../../rows/file/encrypt.js';
import {rowWords, type OrderFile} from '../../rows/file/order-file.js';
import {putBackOrders} from '../../rows/staging/insert-rows.js';
import {fromRelation} from '../../rows/staging/restore-target.js';
import {BackupStage} from '../../rows/staging/stage-backup.js';
import {sameKey} from '../../rows/staging/staged-conditions.js';
import {keyOf, type StagedTable} from '../../rows/staging/staged-table.js';
import {chooseWhereLines} from '../../rows/staging/where-lines.js';
import type {RunContext} from '../../run/run-context.js';
import type {BackupSource} from '../../storage/fetch-backup.js';
import {ageSuffix} from '../../storage/stored-record.js';
import {isProductionDatabase} from '../guards/production.js';
import {requireServerDisk} from '../guards/server-disk.js';
import {readTableRows} from '../restore/read-rows.js';
import {readDumpDefinitions, type RestoreSource} from '../restore/source.js';
import {type ChosenTables, chooseTables} from './choose-tables.js';
import {planAgain, planRows, type RowPlan, type RowSet, type RowTablePlan, stagedOf} from './plan.js';
import {checkRowsRequest, type RestoreRowsRequest} from './request.js';
import {withBackup} from './source.js';
import {columnsInBackup, columnsOfSameType} from './same-types.js';
import {writeUndoFile} from './undo-file.js';
import {type FoundTriggers, planTriggers, type TriggerPlan, writeInTransaction} from './write-rows.js';

export interface RestoreRowsResult {
  readonly mode: 'preview' | 'execute';
  readonly database: string;
  readonly backup: {readonly id: string; readonly path: string; readonly createdAt: string};
  /** The plan hash for --plan. */
  readonly plan: string;
  readonly tables: readonly RowTablePlan[];
  /** Skipped rows, at most 1,000. */
  readonly conflicts: RowPlan['conflicts'];
  readonly conflictCount: number;
  /** Number of all skipped rows by table and reason. */
  readonly reasons: RowPlan['reasons'];
  readonly triggers: TriggerPlan;
  /** Estimated size of the rows in temporary tables on the server, bytes. */
  readonly stagedBytes: number;
  readonly notes: readonly string[];
  /** The undo file; null in a preview, or if nothing was written. */
  readonly undoPath: string | null;
  /** The command that undoes the restore. */
  readonly undo: string | null;
  /** Sequences that were behind the inserted keys and were advanced. */
  readonly sequences: readonly string[];
  /** ms */
  readonly duration: number;
}

/**
 * @param command program, id and the flags for the same settings
 * @throws the codes of bad input before any change; PLAN_CHANGED; CONFLICTS with `failOnConflicts`; LOCKED;
 *   LOCK_TIMEOUT and ROWS_RESTORE_FAILED after a rollback
 */
export async function restoreRows(
  context: RunContext,
  from: BackupSource,
  request: RestoreRowsRequest,
  command: (id: string) => readonly string[],
): Promise<RestoreRowsResult> {
  checkRowsRequest(request);
  const connection = resolveConnection(context.settings);
  refuseTransactionPooler(connection);
  const encryption = await encryptionOf(context, {});
  if (request.execute) requireEncryption(encryption);
  return withBackup(context, from, request, (source) =>
    withSession(connection, (session) => restoreFrom({context, request, connection, encryption, source, session, command}), {
      signal: context.signal,
    }),
  ); // prettier-ignore
}

interface Run {
  readonly context: RunContext;
  readonly request: RestoreRowsRequest;
  readonly connection: Connection;
  readonly encryption: Encryption;
  readonly source: RestoreSource;
  readonly session: Session;
  readonly command: (id: string) => readonly string[];
}

async function restoreFrom(run: Run): Promise<RestoreRowsResult> {
  const {context, request, connection, source, session} = run;
  const {execute} = request;
  const startedMs = context.clock.now().getTime();
  const identity = await inspectIdentity(session);
  const {database, systemIdentifier} = identity;
  context.record({
    mode: execute ? 'execute' : 'preview',
    database: {name: database, systemIdentifier, host: connection.host, port: connection.port},
    backupId: source.id,
  });
  const isReal = !isMasked(source.backup?.record ?? null);
  const ofMasked = isReal ? await warningOfMasked(session, identity.database) : [];
  for (const warning of [...originWarnings(source, identity), ...ofMasked]) context.warn(warning);
  // A preview needs temporary tables too.
  await requireWritable(session, 'Rows cannot be restored here');
  const pgRestore =
    source.dump.format === 'sql'
      ? null
      : await findTool('pg_restore', context.settings, source.dump.dumpMajor ?? undefined);
  const chosen = await chooseTables(session, source, request, connection.schema ?? 'public', () =>
    readDumpDefinitions(source, pgRestore, context.signal),
  );
  const stagedBytes = await estimate(source, chosen, stagedKeys(request));
  await requireServerDisk(context, session, connection, {
    what: 'Comparing these tables in temporary tables',
    size: {bytes: stagedBytes, largestTableBytes: 0},
    isLikeCurrent: true,
    hint: 'Free space on the server, then run again.',
    warnsFrom: 2 ** 30,
  });
  const work = async (): Promise<RestoreRowsResult> => {
    // An execution asks for confirmation between reading and writing, and no progress may be on the screen then.
    const set = execute ? await stage(run, chosen, pgRestore) : await context.progress.step(
      'Read the rows of the backup', () => stage(run, chosen, pgRestore),
    ); // prettier-ignore
    await context.checkpoint('rows.staged');
    const plan = execute
      ? await planRows(session, set)
      : await context.progress.step('Compare with the database', () => planRows(session, set));
    const triggers = await planTriggers(context, session, stagedOf(set).tables, request.firesTriggers);
    const done = execute ? await executePlan(run, set, plan, triggers, identity) : nothingDone;
    return {
      mode: execute ? 'execute' : 'preview',
      database,
      backup: {id: source.id, path: source.path, createdAt: source.createdAt.toISOString()},
      plan: plan.plan,
      tables: plan.tables,
      conflicts: plan.conflicts,
      conflictCount: plan.conflictCount,
      reasons: plan.reasons,
      triggers: triggers.plan,
      stagedBytes,
      notes: notesOf(plan, chosen),
      ...done,
      duration: elapsedMs(context.clock, startedMs),
    };
  };
  if (!execute) context.progress.plan(['Read the rows of the backup', 'Compare with the database']);
  return execute
    ? withAdvisoryLock(
        session,
        {purpose: 'change', database, waitMs: request.waitMs ?? 0, signal: context.signal},
        work,
      )
    : work();
}

type Done = Pick<RestoreRowsResult, 'undoPath' | 'undo' | 'sequences'>;
const nothingDone: Done = {undoPath: null, undo: null, sequences: []};

function originWarnings({backup}: RestoreSource, identity: DatabaseIdentity): string[] {
  const system = backup?.record?.source.systemIdentifier ?? null;
  if (!backup) return [];
  const isOtherServer =
    system !== null && identity.systemIdentifier !== null && system !== identity.systemIdentifier;
  if (backup.database === identity.database && !isOtherServer) return [];
  return [
    `The backup was taken from the database "${backup.database}"${isOtherServer ? ' of another server' : ''}; this is "${identity.database}".`,
  ];
}

/** Size of the rows to stage on the dumped server, in bytes; without metadata the size of the backup. */
async function estimate(source: RestoreSource, {wanted}: ChosenTables, keys: number): Promise<number> {
  const {backup, dump, path} = source;
  if (!backup?.record) return dump.remote?.sizeBytes ?? (await sizeOf(path));
  const {tables, source: whole} = backup.record;
  const names = new Set(wanted.flatMap(({sources}) => sources.map(qualifiedName)));
  const chosen = tables.filter((table) => names.has(qualifiedName(table)));
  const rowsOf = (list: typeof tables): number => list.reduce((sum, {rows}) => sum + (rows ?? 0), 0);
  // Tables that had never been vacuumed have no recorded size and get their share of the database's size.
  const unmeasured = rowsOf(chosen.filter(({sizeBytes = 0}) => sizeBytes === 0));
  const bytes =
    chosen.reduce((sum, {sizeBytes = 0}) => sum + sizeBytes, 0) +
    (unmeasured === 0 ? 0 : (whole.sizeBytes * unmeasured) / rowsOf(tables));
  const share = keys === 0 ? 1 : Math.min(1, keys / Math.max(1, rowsOf(chosen)));
  return Math.ceil(bytes * share);
}

/** Number of keys that choose the staged rows; 0 for all rows, because related rows are searched in whole tables. */
function stagedKeys({keys, withParents, withChildren}: RestoreRowsRequest): number {
  return withParents || withChildren ? 0 : keys.length;
}

async function stage(run: Run, chosen: ChosenTables, pgRestore: Tool | null): Promise<RowSet> {
  const {context, request, source, session} = run;
  const file: OrderFile = {
    kind: 'order-backup',
    words: rowWords,
    path: source.path,
    isFromOldScripts: false,
    timestamp: source.createdAt.toISOString(),
    database: undefined,
    roots: [],
    tables: [],
    relinked: [],
    notes: [],
    // The rows are read from the backup only once, into the staged tables.
    send: () => Promise.resolve(),
  };
  // A plain dump would have to be read again for its definitions.
  const definitions = pgRestore ? await readDumpDefinitions(source, pgRestore, context.signal) : [];
  // --where and --key also count the equal rows that they choose; without a key equal rows are counted together.
  const narrows = request.where !== undefined || request.keys.length > 0;
  const wanted = chosen.wanted.map((table, index) => ({
    ...table,
    ...((narrows && chosen.roles[index] === 'chosen') || keyOf(table.target).length === 0
      ? {}
      : {comparable: columnsInBackup(definitions, table.sources, table.target)}),
    sources: table.sources.map((each) => ({
      ...each,
      sameTypes: columnsOfSameType(definitions, each, table.target),
    })),
    ...(stagedKeys(request) === 0 ? {} : {onlyKeys: request.keys}),
  }));
  const staging = new BackupStage(session, file, wanted);
  const names = chosen.wanted.flatMap(({sources}) => sources);
  try {
    await staging.prepare();
    await staging.readLive();
    await readTableRows({
      source: {dump: source.dump, encoding: 'UTF8', tables: source.backup?.record?.tables ?? names},
      pgRestore,
      tables: names,
      takerOf: staging.takerOf,
      drain: () => staging.drain(),
      signal: context.signal,
    });
    const tables = await staging.finish();
    for (const [index, table] of tables.entries()) {
      const isKeyless = table.staged.key.length === 0;
      if (isKeyless && chosen.roles[index] === 'chosen' && (request.changed || request.keys.length > 0))
        throw new AppError(
          'NO_KEY',
          `${table.staged.file.table} has no key, so changed rows cannot be identified. Nothing was changed.`,
          {hint: 'Use --missing without --key, which compares whole rows.'},
        );
      const lost = table.staged.target.columns.find(
        ({number, name}) =>
          table.staged.key.includes(number) && !table.staged.shared.some(({field}) => field === name),
      );
      if (lost)
        throw new AppError(
          'NO_KEY',
          `The backup lacks the column ${lost.name} of the key of ${table.staged.file.table}. Nothing was changed.`,
          {hint: 'Restore the backup into a separate database, and copy the rows from there.'},
        );
      const absent = request.columns.find(
        (name) => index === 0 && !table.staged.shared.some(({field}) => field === name),
      );
      if (absent !== undefined)
        throw new AppError(
          'COLUMN_NOT_FOUND',
          `The backup has no column ${absent} of ${table.staged.file.table}. Nothing was changed.`,
        );
    }
    const [first] = tables;
    const lines =
      request.where === undefined || !first
        ? undefined
        : await chooseWhereLines(session, first, request.where);
    return {file, tables, roles: chosen.roles, lines, request, backupTime: source.createdAt};
  } catch (error) {
    await staging.abandon();
    throw error;
  }
}

function notesOf(plan: RowPlan, {otherChildren}: ChosenTables): string[] {
  const inserting = new Set(plan.tables.filter(({insert}) => insert > 0).map(({table}) => table));
  const children = otherChildren.filter(({parent}) => inserting.has(parent)).map(({child}) => child);
  const isOrphan = plan.reasons.some(({reason}) => reason.startsWith('parent gone'));
  return [
    ...(isOrphan ? ['To restore rows without parents, restore their parents too: --with-parents.'] : []),
    ...(children.length > 0
      ? [
          `ON DELETE may also have removed or unlinked rows of ${[...new Set(children)].sort().join(', ')}; --with-children includes them.`,
        ]
      : []),
    ...plan.tables.flatMap(({table, goneColumns, newColumns, insert}) => [
      ...(goneColumns.length > 0
        ? [`The backup contains ${goneColumns.join(', ')} of ${table}; the database no longer does.`]
        : []),
      ...(newColumns.length > 0 && insert > 0
        ? [`The backup lacks ${newColumns.join(', ')} of ${table}; inserted rows get the default.`]
        : []),
    ]),
    ...plan.unknownRules.map((rule) => `Only the server can check whether rows satisfy ${rule}.`),
  ];
}

async function executePlan(
  run: Run,
  set: RowSet,
  plan: RowPlan,
  triggers: FoundTriggers,
  identity: DatabaseIdentity,
): Promise<Done> {
  const {context, request, connection, encryption, source, session} = run;
  refuseOtherPlan(request.plan, plan);
  if (request.failOnConflicts && plan.conflictCount > 0)
    throw new AppError(
      'CONFLICTS',
      `${countOf(plan.conflictCount, 'row')} of the backup cannot be restored. Nothing was changed.`,
      {
        hint: 'Without --fail-on-conflicts, the run skips them and all rows that depend on them.',
        details: someOf(
          plan.conflicts.map(({table, key, reason}) => `${table} ${key}: ${reason}`),
          20,
          plan.conflictCount,
        ),
      },
    );
  if (plan.rows === 0) return nothingDone;
  await context.confirm({
    action: `Restore ${countOf(plan.rows, 'row')} from ${source.id}.`,
    host: connection.host,
    database: identity.database,
    isProduction: await isProductionDatabase(context, connection),
    plan: [
      ...originWarnings(source, identity),
      ...plan.tables.map(
        ({table, insert, update, conflicts, newer}) =>
          `${table}: ${formatCount(insert)} inserted, ${formatCount(update)} updated${newer.rows > 0 ? ` (${formatCount(newer.rows)} changed after the backup)` : ''}${conflicts > 0 ? `, ${formatCount(conflicts)} skipped` : ''}`,
      ),
      ...(triggers.plan.off.length > 0 ? [`off meanwhile: ${triggers.plan.off.join(', ')}`] : []),
      ...(triggers.plan.fire.length > 0 ? [`fire: ${triggers.plan.fire.join(', ')}`] : []),
    ],
  });
  let undoPath: string | undefined;
  let discard: (() => Promise<void>) | undefined;
  const staged = stagedOf(set);
  const options = {connection, firesTriggers: request.firesTriggers, lockWaitMs: request.lockWaitMs};
  const sequences = await writeInTransaction(
    context,
    session,
    staged.tables,
    triggers,
    options,
    async (signal) => {
      for (const each of staged.tables) await lockRows(session, each);
      refuseOtherPlan(plan.plan, await planAgain(session, set));
      const database = {identity, connection, backup: source.id};
      const file = await writeUndoFile(context, session, set, plan, database, signal);
      discard = file.discard;
      const plain = await file.publish();
      undoPath = plain;
      undoPath = await encryptOrders(context, plain, encryption, 'restore:rows');
      await context.checkpoint('rows.undo-named');
      if (!isMasked(source.backup?.record ?? null)) await removeMaskedTag(session, identity.database);
      return context.progress.step('Write the rows and compare them', (progress) => {
        let done = 0;
        const inserted = (_table: string, rows: number): void =>
          progress.advance((done += rows), plan.rows, 'rows');
        return putBackOrders(session, staged, plan.restored, {inserted}, triggers.mode);
      });
    },
    async (outcome) => {
      if (outcome === 'aborted') await removeUndo(undoPath, discard);
    },
  );
  context.record({restoredRows: plan.rows});
  await context.checkpoint('rows.committed');
  return {undoPath: undoPath ?? null, undo: undoCommand(run, undoPath), sequences};
}

/** Locks the rows to update against changes by other sessions. */
async function lockRows(session: Session, each: StagedTable): Promise<void> {
  if (each.key.length === 0) return;
  await session.query(
    `SELECT count(*) AS rows FROM (SELECT 1 FROM ${fromRelation(each.target)} t JOIN ${each.temp} s ON ${sameKey(each)}
        WHERE s.reason IS NULL AND s.changes IS NOT NULL FOR NO KEY UPDATE OF t) x`,
  );
}

/** @throws PLAN_CHANGED */
function refuseOtherPlan(expected: string | undefined, {plan}: RowPlan): void {
  if (expected === undefined || expected === plan) return;
  throw new AppError(
    'PLAN_CHANGED',
    `The rows have changed since plan ${expected}; the plan is ${plan} now. Nothing was changed.`,
    {hint: 'Check the new preview, and pass its plan with --plan.'},
  );
}

/** Removes the file of a run that changed nothing. A remaining file is harmless: an undo finds other rows and changes nothing. */
async function removeUndo(
  path: string | undefined,
  discard: (() => Promise<void>) | undefined,
): Promise<void> {
  await discard?.();
  if (path !== undefined) await rm(path, {force: true}).catch(() => undefined);
}

function undoCommand(run: Run, path: string | undefined): string | null {
  if (path === undefined) return null;
  const {to} = run.encryption;
  const isEncrypted = to !== undefined && path.endsWith(ageSuffix);
  const key = isEncrypted ? keyWordsFor(run.context.settings, 'recipients' in to) : [];
  return shellCommand([...run.command('restore:rows'), '--undo', path, ...key, '--execute']);
}
