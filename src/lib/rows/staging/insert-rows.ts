/** Inserts and updates the planned rows, in the running transaction, and verifies them before it may commit. */
import {AppError} from '../../base/errors.js';
import type {Session} from '../../postgres/client.js';
import {setTriggers} from '../../postgres/silence-triggers.js';
import {quoteIdentifier, quoteLiteral, quoteQualified} from '../../postgres/quote.js';
import {withOwnSearchPath} from '../../postgres/search-path.js';
import {insertGroups} from '../model/insert-groups.js';
import {proveRows, type RestoredCounts} from './verify-rows.js';
import type {OrderFile} from '../file/order-file.js';
import {
  allReferences,
  fromRelation,
  type PartitionReference,
  type TargetReference,
} from './restore-target.js';
import {advanceSequences} from './sequences.js';
import {different} from './row-differences.js';
import type {StagedOrders} from './stage-orders.js';
import type {StagedTable} from './staged-table.js';
import {
  keyNumbers,
  linkColumns,
  matches,
  referencesInside,
  sameKey,
  stillUnlinked,
} from './staged-conditions.js';
import {turnsOf} from './unique-turns.js';
import {withoutUserTriggers} from './user-triggers.js';

export interface PutBackProgress {
  /** A table's rows are in. */
  inserted(table: string, rows: number): void;
}

/**
 * Inserts, updates, links, checks, and brings sequences forward. Returns the sequences that were moved.
 * @param triggers whether user triggers fire; else tables (by oid) of other roles whose triggers, foreign keys among them, are kept
 *   from firing, so that foreign keys are checked here
 * @throws the failure of the file's words when what was written is not what the source contains; the caller's transaction must roll back
 */
export async function putBackOrders(
  session: Session,
  staged: StagedOrders,
  restored: RestoredCounts,
  progress: PutBackProgress,
  triggers: 'fire' | ReadonlySet<string> = new Set(),
): Promise<string[]> {
  const touched = [...staged.tables, ...staged.links].map(({target}) => target.oid);
  const silenced = triggers === 'fire' ? [] : [...new Set(touched)];
  return withoutUserTriggers(session, silenced, staged.file.words.failure, async () => {
    await session.query('SET CONSTRAINTS ALL DEFERRED');
    await session.query(`SET LOCAL work_mem = '64MB'`); // for the sorts
    for (const each of staged.tables)
      await updateFreers(session, staged.file, each, triggers !== 'fire' && triggers.has(each.target.oid));
    for (const group of groupsOf(staged.tables)) {
      const silent = group.filter(({target}) => triggers !== 'fire' && triggers.has(target.oid));
      await whileSilent(session, staged, silent, () => insertGroup(session, group, staged));
      for (const each of group) progress.inserted(each.file.table, restored.get(each) ?? 0);
    }
    for (const each of staged.tables) {
      const isSilent = triggers !== 'fire' && triggers.has(each.target.oid);
      await whileSilent(session, staged, isSilent ? [each] : [], () =>
        updateRows(session, staged.file, each, each.key),
      );
    }
    for (const each of staged.links) await setLinks(session, staged.file, each, restored.get(each) ?? 0);
    await withOwnSearchPath(session, () => session.query('SET CONSTRAINTS ALL IMMEDIATE'));
    await proveRows(session, staged, restored);
    for (const each of staged.links) await proveLinks(session, staged.file, each, restored.get(each) ?? 0);
    const moved: string[] = [];
    for (const each of staged.tables) moved.push(...(await advanceSequences(session, each)));
    return moved;
  });
}

/**
 * Runs `work`, which writes rows of the silent tables, without any trigger; then checks their foreign keys, whose parents are locked
 * where the role may do that.
 */
export async function whileSilent(
  session: Session,
  {file}: StagedOrders,
  silent: readonly StagedTable[],
  work: () => Promise<void>,
): Promise<void> {
  if (silent.length === 0) return work();
  for (const {temp, target} of silent) {
    // Of a partition's own key also parents of rows in other partitions: locks of rows that stay do no harm.
    for (const reference of allReferences(target).filter(({isSoft}) => !isSoft))
      await lockWhereAllowed(
        session,
        `SELECT count(*) AS rows FROM (SELECT 1 FROM ${fromRelation(reference.parent)} t
          WHERE EXISTS (SELECT FROM ${temp} s WHERE s.reason IS NULL AND ${matches(reference, 'target')}) FOR KEY SHARE OF t) x`,
      );
  }
  await setTriggers(session, 'replica');
  await work();
  await setTriggers(session, 'DEFAULT');
  for (const each of silent) {
    for (const reference of allReferences(each.target).filter(({isSoft}) => !isSoft)) {
      const isSet = reference.columns.map((number) => `s.c${number} IS NOT NULL`).join(' AND ');
      const [row] = await session.query(
        `SELECT count(*) AS rows FROM ${each.temp} s WHERE s.reason IS NULL AND ${isSet} AND ${isStoredIn(reference, each)}
            AND NOT EXISTS (SELECT FROM ${fromRelation(reference.parent)} t WHERE ${matches(reference, 'target')})`,
      );
      if (row?.['rows'] !== '0') throw different(file, each, `Parents (${reference.name})`, []);
    }
  }
}

/** SQL: whether a written row `s` has the key: every row, or those of the partition. Without a key of the table all rows count. */
function isStoredIn(reference: TargetReference | PartitionReference, each: StagedTable): string {
  if (!('partition' in reference) || each.key.length === 0) return 'true';
  return `EXISTS (SELECT FROM ${fromRelation(reference.partition)} t WHERE ${sameKey(each)})`;
}

async function lockWhereAllowed(session: Session, sql: string): Promise<void> {
  await session.query('SAVEPOINT destino_lock');
  try {
    await session.query(sql);
    await session.query('RELEASE SAVEPOINT destino_lock');
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'PERMISSION_DENIED') throw error;
    await session.query('ROLLBACK TO SAVEPOINT destino_lock');
  }
}

/** Tables in the order in which they are filled: parents first, those that refer to one another together. */
export function groupsOf(tables: readonly StagedTable[]): StagedTable[][] {
  return insertGroups(tables, (child) =>
    allReferences(child.target).flatMap(({parentTop}) =>
      tables.filter((table) => table !== child && table.target.oid === parentTop),
    ),
  );
}

/**
 * One statement for tables that refer to one another: foreign keys are checked at its end (manual, 7.8.4 and 39.1),
 * so neither the order of rows nor that of the tables matters inside it.
 */
async function insertGroup(
  session: Session,
  group: readonly StagedTable[],
  staged: StagedOrders,
): Promise<void> {
  const inserts = group.map((each) => {
    const {target, temp, shared} = each;
    const columns = shared.map(({column}) => column).filter((column) => !column.generated);
    // Rows of one parent together: the checks of the foreign key and its index then go from one page to the next, which
    // took a tenth off the CPU time of inserting 900,000 rows.
    const inside = referencesInside(staged, each).find(
      ({reference, parent}) => !reference.isSoft && parent !== each,
    );
    const order = inside?.reference.columns.map((number) => `s.c${number}`) ?? [];
    return `INSERT INTO ${quoteQualified(target.schema, target.name)} (${columns.map(({name}) => quoteIdentifier(name)).join(', ')})
      OVERRIDING SYSTEM VALUE SELECT ${columns.map(({number}) => `s.c${number}`).join(', ')} FROM ${temp} s WHERE s.reason IS NULL AND s.changes IS NULL
      ${order.length > 0 ? `ORDER BY ${order.join(', ')}` : ''}`;
  });
  const [last = '', ...others] = inserts.toReversed();
  const before = others.map((insert, index) => `destino_i${index} AS (${insert})`);
  await withOwnSearchPath(session, () =>
    session.query(before.length === 0 ? last : `WITH ${before.join(', ')} ${last}`),
  );
}

/** Rows first that have a unique value which others get; none of them sets a foreign key, so silent ones need no check. */
async function updateFreers(
  session: Session,
  file: OrderFile,
  each: StagedTable,
  isSilent: boolean,
): Promise<void> {
  for (const turn of await turnsOf(session, each)) {
    if (isSilent) await setTriggers(session, 'replica');
    await updateRows(session, file, each, each.key, turn);
    if (isSilent) await setTriggers(session, 'DEFAULT');
    await session.query(`UPDATE ${each.temp} s SET changes = '{}' WHERE s.changes IS NOT NULL AND ${turn}`);
  }
}

/**
 * Sets in each row the columns that differ, and no others, so that triggers and rights of other columns are left alone.
 * @param key numbers of the columns by which the rows are found
 * @param only SQL condition on the staged rows `s`
 */
export async function updateRows(
  session: Session,
  {words}: Pick<OrderFile, 'words'>,
  each: StagedTable,
  key: readonly number[],
  only = 'true',
): Promise<void> {
  const kinds = await session.query(
    `SELECT s.changes::pg_catalog.text AS changes, count(*) AS rows FROM ${each.temp} s
      WHERE s.reason IS NULL AND s.changes <> '{}' AND ${only} GROUP BY 1 ORDER BY 1`,
  );
  for (const {changes, rows} of kinds) {
    const numbers = new Set((changes ?? '').replace(/[{}]/g, '').split(',').map(Number));
    const set = each.target.columns.filter(({number}) => numbers.has(number));
    const updated = await withOwnSearchPath(session, () =>
      session.execute(
        `UPDATE ${fromRelation(each.target)} t SET (${set.map(({name}) => quoteIdentifier(name)).join(', ')}) = ROW(${set.map(({number}) => `s.c${number}`).join(', ')})
           FROM ${each.temp} s WHERE s.reason IS NULL
            AND s.changes OPERATOR(pg_catalog.=) ${quoteLiteral(changes ?? '')}::pg_catalog.int2[] AND ${sameKey(each, key)} AND ${only}`,
      ),
    );
    if (updated !== Number(rows)) throw different({words}, each, 'Rows', []);
  }
}

/** Only where nobody has set the link since: the condition of the plan is tested again, and then the row is locked. */
async function setLinks(
  session: Session,
  file: OrderFile,
  staged: StagedTable,
  restored: number,
): Promise<void> {
  const set = linkColumns(staged).filter(({column}) => !column.generated);
  if (set.length === 0) return;
  const key = sameKey(staged, keyNumbers(staged));
  // Apart from the UPDATE, which runs under the role's own search_path: the condition contains expressions of defaults.
  const [row] = await session.query(
    `SELECT count(*) AS found FROM (SELECT 1 FROM ${fromRelation(staged.target)} t JOIN ${staged.temp} s ON ${key}
        WHERE s.reason IS NULL AND ${stillUnlinked(staged)} FOR NO KEY UPDATE OF t) x`,
  );
  if (Number(row?.['found']) !== restored) throw different(file, staged, 'Links', []);
  await withOwnSearchPath(session, () =>
    session.query(
      `UPDATE ${fromRelation(staged.target)} t SET (${set.map(({column}) => quoteIdentifier(column.name)).join(', ')}) = ROW(${set.map(({column}) => `s.c${column.number}`).join(', ')})
         FROM ${staged.temp} s WHERE s.reason IS NULL AND ${key}`,
    ),
  );
}

/** @throws the failure of the words when a row does not have the values that the source gives it */
export async function proveLinks(
  session: Session,
  file: OrderFile,
  staged: StagedTable,
  restored: number,
): Promise<void> {
  const same = linkColumns(staged).map(
    ({column}) => `t.${quoteIdentifier(column.name)}::text IS NOT DISTINCT FROM s.c${column.number}::text`,
  );
  const [row] = await session.query(
    `SELECT count(*) AS found FROM ${staged.temp} s JOIN ${fromRelation(staged.target)} t
         ON ${[sameKey(staged, keyNumbers(staged)), ...same].join(' AND ')} WHERE s.reason IS NULL`,
  );
  if (Number(row?.['found']) !== restored) throw different(file, staged, 'Links', []);
}
