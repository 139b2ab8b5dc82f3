/** Compares the rows of a backup with the database: which ones a restore would write, and why it skips the others. */
import {hash} from 'node:crypto';
import {z} from 'zod';
import {AppError} from '../../base/errors.js';
import {type Session, withTransaction} from '../../postgres/client.js';
import {parseRows, pgCount} from '../../postgres/inspect/inspect-database.js';
import {quoteIdentifier, quoteLiteral} from '../../postgres/quote.js';
import {hasSqlState} from '../../postgres/sql-state.js';
import type {OrderFile} from '../../rows/file/order-file.js';
import {rowJsonExpression, rowJsonQuery} from '../../rows/model/row-json.js';
import {
  addLostChildren,
  addMissingParents,
  analyzeChosen,
  chooseRows,
  comparedColumns,
  type ComparedCounts,
  dropIdleParents,
} from '../../rows/staging/compare-with-live.js';
import {countReasons, listConflicts, type RestoreConflict} from '../../rows/staging/count-staged.js';
import {findConflicts} from '../../rows/staging/find-conflicts.js';
import {findRuleConflicts} from '../../rows/staging/find-rule-conflicts.js';
import {allReferences, fromRelation} from '../../rows/staging/restore-target.js';
import type {BackupTable} from '../../rows/staging/stage-backup.js';
import type {StagedOrders} from '../../rows/staging/stage-orders.js';
import {sameKey} from '../../rows/staging/staged-conditions.js';
import {keyText, type StagedTable} from '../../rows/staging/staged-table.js';
import {sumOf} from '../../rows/staging/verify-rows.js';
import type {TableRole} from './choose-tables.js';
import type {RestoreRowsRequest} from './request.js';

export interface ChangedValue {
  readonly column: string;
  /** Texts of at most 80 characters. */
  readonly old: string | null;
  readonly new: string | null;
}

export interface RowSample {
  readonly key: string;
  /** All values of a row to insert; the differing ones of a row to update. */
  readonly action: 'insert' | 'update';
  readonly values: readonly ChangedValue[];
}

export interface RowTablePlan {
  /** "schema.name" */
  readonly table: string;
  readonly role: TableRole;
  /** Columns that identify a row; empty if whole rows are compared. */
  readonly key: readonly string[];
  /** Counts of the backup's rows that the flags choose, compared with the database; null for related tables. */
  readonly compared: (ComparedCounts & {readonly equal: number}) | null;
  readonly insert: number;
  readonly update: number;
  readonly conflicts: number;
  /** Number of rows to update that contain a time after the backup, and the newest of these times. */
  readonly newer: {readonly rows: number; readonly newest: string | null};
  /** Columns that exist only in the database. */
  readonly newColumns: readonly string[];
  /** Columns that exist only in the backup. */
  readonly goneColumns: readonly string[];
  readonly samples: readonly RowSample[];
  /** All keys, only with --details. */
  readonly keys?: {readonly insert: readonly string[]; readonly update: readonly string[]};
}

export interface RowPlan {
  readonly plan: string;
  readonly tables: readonly RowTablePlan[];
  readonly conflicts: readonly RestoreConflict[];
  readonly reasons: readonly {readonly table: string; readonly reason: string; readonly rows: number}[];
  readonly conflictCount: number;
  readonly rows: number;
  /** Number of rows to write, by staged table. */
  readonly restored: ReadonlyMap<StagedTable, number>;
  /** Checks that could not be evaluated beforehand. */
  readonly unknownRules: readonly string[];
}

/** The staged rows with the request. */
export interface RowSet {
  readonly file: OrderFile;
  readonly tables: readonly BackupTable[];
  readonly roles: readonly TableRole[];
  /** Quoted name of a table with the lines that --where chooses. */
  readonly lines: string | undefined;
  readonly request: RestoreRowsRequest;
  readonly backupTime: Date;
}

/** Maximum number of listed conflicts; the rest is counted. */
const conflictsListed = 1000;
const samplesOfEach = 3;

/**
 * Compares in one snapshot; the transaction can write only to temporary tables.
 * @throws KEY_NOT_FOUND, PLAN_CHANGED if a column or a table is dropped meanwhile
 */
export async function planRows(session: Session, set: RowSet): Promise<RowPlan> {
  return withTransaction(session, 'ISOLATION LEVEL REPEATABLE READ, READ ONLY', async () => {
    await session.query(plannerSettings);
    const plan = await findPlan(session, set, false);
    for (const {staged, planned} of set.tables) {
      await session.query(`INSERT INTO ${planned} SELECT w.line FROM ${staged.temp} w`);
      await session.query(`ANALYZE ${planned}`);
    }
    return plan;
  }).catch((error: unknown) => {
    throw hasSqlState(error, '42703', '42P01', '3F000') ? alteredMeanwhile(error) : error;
  });
}

/** The error for a table that was altered while it was compared. */
export function alteredMeanwhile(cause: AppError): AppError {
  return new AppError(
    'PLAN_CHANGED',
    'The tables were altered while they were compared with the backup. Nothing was changed.',
    {hint: 'Run it again.', details: [cause.message], cause},
  );
}

// The table has just been read, so that its pages are in memory as a rule; looking rows up by key then takes less than reading it again.
const plannerSettings = `SET LOCAL default_statistics_target = 10; SET LOCAL work_mem = '64MB'; SET LOCAL random_page_cost = 1.1`;

/** Calculates the plan again in the current transaction, for the rows that were planned before. */
export async function planAgain(session: Session, set: RowSet): Promise<RowPlan> {
  await session.query(plannerSettings);
  for (const {staged} of set.tables)
    for (const table of [staged.temp, ...(staged.waits === undefined ? [] : [staged.waits])])
      await session.query(`DELETE FROM ${table}`);
  return findPlan(session, set, true);
}

/** The staged tables in the form that `rows/staging` expects. */
export function stagedOf({file, tables}: RowSet): StagedOrders {
  return {file, tables: tables.map(({staged}) => staged), gone: [], links: [], goneLinks: []};
}

async function findPlan(session: Session, set: RowSet, isAgain: boolean): Promise<RowPlan> {
  const {request, tables, roles} = set;
  const compared = new Map<BackupTable, ComparedCounts>();
  for (const [index, table] of tables.entries()) {
    if (roles[index] !== 'chosen') continue;
    const choice = {
      missing: request.missing,
      changed: request.changed,
      columns: request.columns.length === 0 ? undefined : request.columns,
      lines: set.lines,
      keys: request.keys,
    };
    if (!isAgain) await requireKeys(session, table, request.keys);
    compared.set(table, await chooseRows(session, table, choice, isAgain));
  }
  await addRelated(session, set);
  const unknownRules: string[] = [];
  for (const table of tables) {
    await analyzeChosen(session, table);
    unknownRules.push(...(await findRuleConflicts(session, table)));
  }
  await findConflicts(session, stagedOf(set), true);
  if (request.withParents) await dropIdleParents(session, tables);
  return summarize(session, set, compared, unknownRules, isAgain);
}

/** @throws KEY_NOT_FOUND naming the keys that no row of the backup has */
async function requireKeys(session: Session, table: BackupTable, keys: readonly string[]): Promise<void> {
  if (keys.length === 0) return;
  const found = await session.query(
    `SELECT k.key FROM pg_catalog.unnest($1::text[]) k(key)
      WHERE NOT EXISTS (SELECT FROM ${table.base} s WHERE ${keyText(table.staged.key)} = k.key)`,
    [keys],
  );
  if (found.length === 0) return;
  throw new AppError(
    'KEY_NOT_FOUND',
    `The backup contains no row of ${table.staged.file.table} with the key ${found.map(({key}) => key ?? '').join(', ')}. Nothing was changed.`,
    {
      hint: `A key is what PostgreSQL prints for ${table.staged.file.key.join(', ')}, with commas between several values.`,
    },
  );
}

/** Parents and children lead to one another, so this goes on until no row is added. */
async function addRelated(session: Session, {tables, request}: RowSet): Promise<void> {
  for (let isGrowing = request.withParents || request.withChildren; isGrowing;) {
    isGrowing = false;
    for (const child of tables) {
      for (const reference of allReferences(child.staged.target)) {
        const parent = tables.find(({staged}) => staged.target.oid === reference.parentTop);
        if (!parent) continue;
        if (request.withParents && parent.staged.key.length > 0)
          isGrowing ||= (await addMissingParents(session, child, reference, parent)) > 0;
        if (
          request.withChildren &&
          child.staged.key.length > 0 &&
          ['c', 'n', 'd'].includes(reference.onDelete)
        )
          isGrowing = (await addLostChildren(session, child, reference, parent)) > 0 || isGrowing;
      }
    }
  }
}

const tableCounts = z.object({insert: pgCount, update: pgCount, conflicts: pgCount});

async function summarize(
  session: Session,
  set: RowSet,
  compared: ReadonlyMap<BackupTable, ComparedCounts>,
  unknownRules: readonly string[],
  isAgain: boolean,
): Promise<RowPlan> {
  const plans: RowTablePlan[] = [];
  const conflicts: RestoreConflict[] = [];
  const reasons: {table: string; reason: string; rows: number}[] = [];
  const restored = new Map<StagedTable, number>();
  const sums: unknown[] = [];
  for (const [index, table] of set.tables.entries()) {
    const {staged} = table;
    const role = set.roles[index] ?? 'chosen';
    const [counts = {insert: 0, update: 0, conflicts: 0}] = parseRows(
      tableCounts,
      await session.query(
        `SELECT count(*) FILTER (WHERE reason IS NULL AND changes IS NULL) AS insert,
                count(*) FILTER (WHERE reason IS NULL AND changes IS NOT NULL) AS update,
                count(*) FILTER (WHERE reason IS NOT NULL) AS conflicts FROM ${staged.temp}`,
      ),
    );
    restored.set(staged, counts.insert + counts.update);
    sums.push([
      staged.file.table,
      counts,
      ...(await sumsOf(session, table, counts, role === 'chosen' ? set.request.columns : [])),
    ]);
    const found = compared.get(table);
    if (counts.conflicts > 0) {
      for (const reason of await countReasons(session, staged))
        reasons.push({table: staged.file.table, ...reason});
      const room = conflictsListed - conflicts.length;
      if (room > 0) conflicts.push(...(await listConflicts(session, staged, staged.key, room)));
    }
    if (role !== 'chosen' && counts.insert + counts.update + counts.conflicts === 0) continue;
    plans.push({
      table: staged.file.table,
      role,
      key: staged.target.columns.filter(({number}) => staged.key.includes(number)).map(({name}) => name),
      compared: found ? {...found, equal: found.rows - found.missing - found.changed} : null,
      ...counts,
      newer: isAgain ? noneNewer : await findNewer(session, table, set.backupTime),
      newColumns: staged.added.filter(({generated}) => !generated).map(({name}) => name),
      goneColumns: staged.gone.map(({name}) => name),
      samples: isAgain ? [] : await sample(session, table),
      ...(set.request.details && !isAgain ? {keys: await listKeys(session, table)} : {}),
    });
  }
  return {
    plan: hash('sha256', JSON.stringify(sums)).slice(0, 16),
    tables: plans,
    conflicts,
    reasons,
    conflictCount: reasons.reduce((sum, {rows}) => sum + rows, 0),
    rows: [...restored.values()].reduce((sum, rows) => sum + rows, 0),
    restored,
    unknownRules,
  };
}

/** Sums over the rows to insert, and over old and new values of the rows to update, for the plan hash. */
async function sumsOf(
  session: Session,
  table: BackupTable,
  counts: z.infer<typeof tableCounts>,
  only: readonly string[],
): Promise<string[]> {
  const {staged} = table;
  const {temp, json, target} = staged;
  // Other columns are not written, so they may change meanwhile.
  const names = new Set([
    ...comparedColumns(table, only.length === 0 ? undefined : only).map(({column}) => column.name),
    ...target.columns.filter(({number}) => staged.key.includes(number)).map(({name}) => name),
  ]);
  const [old, wanted] = [json.target, json.staged].map((columns) =>
    columns.filter(({name}) => names.has(name)),
  );
  const inserts = `FROM ${temp} s WHERE s.reason IS NULL AND s.changes IS NULL`;
  const updates = `SELECT s.changes::pg_catalog.text || ${rowJsonExpression('s', wanted ?? [])} || ${rowJsonExpression('t', old ?? [])}
      FROM ${temp} s JOIN ${fromRelation(target)} t ON ${sameKey(staged)} WHERE s.reason IS NULL AND s.changes IS NOT NULL`;
  return [
    counts.insert === 0 ? '' : await sumOf(session, rowJsonQuery('s', json.staged, inserts)),
    counts.update === 0 ? '' : await sumOf(session, updates),
  ];
}

const noneNewer = {rows: 0, newest: null};
const newerRow = z.object({rows: pgCount, newest: z.string().nullable()});

async function findNewer(
  session: Session,
  {staged, rules}: BackupTable,
  backupTime: Date,
): Promise<RowTablePlan['newer']> {
  const times = staged.target.columns.filter(({number}) => rules.times.includes(number));
  if (times.length === 0) return noneNewer;
  // Times without a zone count as UTC.
  const newest = `greatest(${times.map(({name}) => `t.${quoteIdentifier(name)}::pg_catalog.timestamptz`).join(', ')})`;
  const [row = noneNewer] = parseRows(
    newerRow,
    await session.query(
      `SELECT count(*) AS rows, pg_catalog.max(x.newest)::pg_catalog.text AS newest
         FROM (SELECT ${newest} AS newest FROM ${staged.temp} s JOIN ${fromRelation(staged.target)} t ON ${sameKeyOf(staged)}
                WHERE s.reason IS NULL AND s.changes IS NOT NULL) x
        WHERE x.newest > $1::pg_catalog.timestamptz AND x.newest < 'infinity'`,
      [backupTime.toISOString()],
    ),
  );
  return row;
}

/** False for tables without a key, which have no rows to update. */
function sameKeyOf(staged: StagedTable): string {
  return staged.key.length === 0 ? 'false' : sameKey(staged);
}

function keyOf(table: BackupTable): string {
  return table.staged.key.length === 0 ? `'line ' || s.line` : keyText(table.staged.key);
}

const sampleRow = z.object({
  key: z.string().nullable(),
  is_update: z.enum(['t', 'f']),
  values: z
    .string()
    .transform((text) =>
      z
        .array(z.object({column: z.string(), old: z.string().nullable(), new: z.string().nullable()}))
        .parse(JSON.parse(text)),
    ),
});

async function sample(session: Session, table: BackupTable): Promise<RowSample[]> {
  const {staged} = table;
  const values = staged.shared.map(
    ({column: {name, number}}) =>
      `${number}, ${quoteLiteral(name)}, pg_catalog.left(t.${quoteIdentifier(name)}::pg_catalog.text, 80), pg_catalog.left(s.c${number}::pg_catalog.text, 80)`,
  );
  if (values.length === 0) return [];
  const query = (isUpdate: boolean): string =>
    `SELECT ${keyOf(table)} AS key, ${isUpdate} AS is_update,
            (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('column', v.name, 'old', v.old, 'new', v.new)), '[]')
               FROM (VALUES (${values.join('), (')})) v(number, name, old, new)
              WHERE ${isUpdate ? 'v.number = ANY (s.changes)' : 'v.new IS NOT NULL'})::pg_catalog.text AS values
       FROM (SELECT * FROM ${staged.temp} r WHERE r.reason IS NULL AND r.changes IS ${isUpdate ? 'NOT NULL' : 'NULL'} ORDER BY r.line LIMIT ${samplesOfEach}) s
       LEFT JOIN ${fromRelation(staged.target)} t ON s.changes IS NOT NULL AND ${sameKeyOf(staged)} ORDER BY s.line`;
  const rows = [...(await session.query(query(false))), ...(await session.query(query(true)))];
  return parseRows(sampleRow, rows).map(({key, is_update, values: found}) => ({
    key: key ?? 'null',
    action: is_update === 't' ? 'update' : 'insert',
    values: found,
  }));
}

async function listKeys(session: Session, table: BackupTable): Promise<{insert: string[]; update: string[]}> {
  const list = async (condition: string): Promise<string[]> => {
    const rows = await session.query(
      `SELECT ${keyOf(table)} AS key FROM ${table.staged.temp} s WHERE s.reason IS NULL AND s.changes IS ${condition} ORDER BY s.line`,
    );
    return rows.map(({key}) => key ?? 'null');
  };
  return {insert: await list('NULL'), update: await list('NOT NULL')};
}
