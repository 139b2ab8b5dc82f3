/** Reverts the changes in an undo file: removes inserted rows, and gives overwritten columns their old values. */
import {z} from 'zod';
import {AppError} from '../../base/errors.js';
import type {Session} from '../../postgres/client.js';
import {parseOnlyRow, pgCount} from '../../postgres/inspect/inspect-database.js';
import {quoteIdentifier, quoteLiteral} from '../../postgres/quote.js';
import {setTriggers} from '../../postgres/silence-triggers.js';
import {withOwnSearchPath} from '../../postgres/search-path.js';
import {compareSql} from '../model/operators.js';
import {rowJsonExpression} from '../model/row-json.js';
import {aliased, keyNumbers, linkColumns, sameKey} from './staged-conditions.js';
import {findWaiting} from './unique-turns.js';
import {groupsOf, proveLinks, updateRows, whileSilent} from './insert-rows.js';
import {allReferences, fromRelation, type TargetTable} from './restore-target.js';
import {different} from './row-differences.js';
import {mark} from './skip-reasons.js';
import type {StagedOrders} from './stage-orders.js';
import type {StagedTable} from './staged-table.js';
import {withoutUserTriggers} from './user-triggers.js';

/** Records for every staged row why it cannot be reverted, and whether it was updated or inserted. */
export async function findChangesSince(
  session: Session,
  staged: StagedOrders,
  children: readonly TargetTable[],
): Promise<void> {
  for (const link of staged.links) {
    const numbers = linkColumns(link).map(({column}) => column.number);
    await session.query(`UPDATE ${link.temp} SET reason = NULL, changes = '{${numbers.join(',')}}'`);
  }
  for (const each of staged.tables) {
    await session.query(`UPDATE ${each.temp} SET reason = NULL, changes = NULL`);
    const link = staged.links.find(({target}) => target.oid === each.target.oid);
    if (link) {
      const key = each.key.map((number) => `l.c${number}::pg_catalog.text = s.c${number}::pg_catalog.text`);
      await session.query(
        `UPDATE ${each.temp} s SET changes = '{}' FROM ${link.temp} l WHERE ${key.join(' AND ')}`,
      );
    }
    const {target, json, key} = each;
    const isSame = `${rowJsonExpression('t', json.target)} = ${rowJsonExpression('s', json.staged)}`;
    const isThere = key.length === 0 ? isSame : sameKey(each);
    await mark(
      session,
      each,
      quoteLiteral('it is gone'),
      `NOT EXISTS (SELECT FROM ${fromRelation(target)} t WHERE ${isThere})`,
    );
    if (key.length > 0)
      await mark(
        session,
        each,
        quoteLiteral('it has changed since'),
        `NOT EXISTS (SELECT FROM ${fromRelation(target)} t WHERE ${isThere} AND ${isSame})`,
      );
    // The file does not contain what columns that the backup lacked got; a row whose version is a later one may have others.
    const {transaction} = staged.file;
    if (key.length > 0 && transaction !== undefined && each.added.some(({generated}) => !generated))
      await mark(
        session,
        each,
        quoteLiteral('it has changed since'),
        `s.changes IS NULL AND EXISTS (SELECT FROM ${fromRelation(target)} t WHERE ${isThere}
            AND t.xmin <> (${quoteLiteral(transaction)}::bigint % 4294967296)::text::xid)`,
      );
  }
  for (const child of children) await findReferring(session, staged, child);
}

/** Rows that came since and refer to rows that would go: a cascade would take them. */
async function findReferring(session: Session, staged: StagedOrders, child: TargetTable): Promise<void> {
  for (const reference of allReferences(child)) {
    const parent = staged.tables.find(({target}) => target.oid === reference.parentTop);
    if (!parent) continue;
    const refers = reference.columns
      .map((number, index) => {
        const name = child.columns.find((column) => column.number === number)?.name ?? '';
        const operator = reference.operators[index];
        const parentColumn = `s.c${reference.parentColumns[index]?.number ?? 0}`;
        return operator
          ? compareSql(operator, parentColumn, `t.${quoteIdentifier(name)}`)
          : `${parentColumn} = t.${quoteIdentifier(name)}`;
      })
      .join(' AND ');
    const own = staged.tables.find(({target}) => target.oid === child.oid);
    const goes =
      own && own.key.length > 0
        ? ` AND NOT EXISTS (SELECT FROM ${own.temp} o WHERE o.changes IS NULL AND ${aliased(own, own.key, 'o')})`
        : '';
    const link = staged.links.find(({target}) => target.oid === child.oid);
    const isUnlinked =
      link && linkColumns(link).some(({column}) => reference.columns.includes(column.number))
        ? ` AND NOT EXISTS (SELECT FROM ${link.temp} o WHERE ${aliased(link, keyNumbers(link), 'o')})`
        : '';
    await mark(
      session,
      parent,
      quoteLiteral(`rows of ${child.schema}.${child.name} refer to it (${reference.name})`),
      `s.changes IS NULL AND EXISTS (SELECT FROM ${fromRelation('partition' in reference ? reference.partition : child)} t WHERE ${refers}${goes}${isUnlinked})`,
    );
  }
}

const counted = z.object({inserted: pgCount, updated: pgCount, kept: pgCount});
export type TakenBack = z.infer<typeof counted>;

/** How many rows of a staged table go, get their old values, or have changed since. */
export async function countTakenBack(session: Session, {temp}: StagedTable): Promise<TakenBack> {
  return parseOnlyRow(
    counted,
    await session.query(
      `SELECT count(*) FILTER (WHERE reason IS NULL AND changes IS NULL) AS inserted,
              count(*) FILTER (WHERE reason IS NULL AND changes IS NOT NULL) AS updated,
              count(*) FILTER (WHERE reason IS NOT NULL) AS kept FROM ${temp}`,
    ),
  );
}

/** Locks the rows that the file names, so that nobody changes them any more. */
export async function lockStagedRows(session: Session, each: StagedTable): Promise<void> {
  if (each.key.length === 0) return;
  await session.query(
    `SELECT count(*) AS rows FROM (SELECT 1 FROM ${fromRelation(each.target)} t JOIN ${each.temp} s ON ${sameKey(each)} FOR UPDATE OF t) x`,
  );
}

/**
 * Old values first, so that no row that stays refers to one that goes; then rows go, children before parents.
 * @throws ROWS_RESTORE_FAILED when the database is not as it was; the caller's transaction must roll back
 */
export async function takeBack(
  session: Session,
  staged: StagedOrders,
  triggers: 'fire' | ReadonlySet<string>,
): Promise<void> {
  const {words} = staged.file;
  const touched = triggers === 'fire' ? [] : staged.tables.map(({target}) => target.oid);
  const isSilent = ({target}: StagedTable): boolean => triggers !== 'fire' && triggers.has(target.oid);
  await withoutUserTriggers(session, touched, words.failure, async () => {
    await session.query('SET CONSTRAINTS ALL DEFERRED');
    const giveBack = async (link: StagedTable): Promise<number> => {
      let waiting = 0;
      await whileSilent(session, staged, isSilent(link) ? [link] : [], async () => {
        waiting = await updateInTurns(session, staged, link);
      });
      return waiting;
    };
    const waiting: StagedTable[] = [];
    for (const link of staged.links) if ((await giveBack(link)) > 0) waiting.push(link);
    for (const group of groupsOf(staged.tables).toReversed()) {
      // Nothing refers to the rows, which are locked, so that no foreign key has to be looked at.
      const isQuiet = group.some(isSilent);
      if (isQuiet) await setTriggers(session, 'replica');
      await deleteGroup(session, group);
      if (isQuiet) await setTriggers(session, 'DEFAULT');
    }
    for (const link of waiting)
      if ((await giveBack(link)) > 0) throw different(staged.file, link, 'Unique values', []);
    await withOwnSearchPath(session, () => session.query('SET CONSTRAINTS ALL IMMEDIATE'));
    for (const link of staged.links) await proveLinks(session, staged.file, link, link.file.rows);
    for (const each of staged.tables) {
      if (each.key.length === 0) continue;
      const [row] = await session.query(
        `SELECT count(*) AS rows FROM ${each.temp} s JOIN ${fromRelation(each.target)} t ON ${sameKey(each)} WHERE s.changes IS NULL`,
      );
      if (row?.['rows'] !== '0')
        throw new AppError(
          words.failure,
          `Rows of ${each.file.table} are still there after they were deleted; everything was rolled back, nothing was changed.`,
        );
    }
  });
}

/** Old values, each as soon as no other row has it. @returns how many rows wait for rows that go */
async function updateInTurns(session: Session, {file}: StagedOrders, link: StagedTable): Promise<number> {
  const isNext = 's.selected IS NULL';
  for (;;) {
    const waiting = await findWaiting(session, link);
    await updateRows(session, file, link, keyNumbers(link), isNext);
    const done = await session.execute(
      `UPDATE ${link.temp} s SET changes = '{}' WHERE s.changes <> '{}' AND ${isNext}`,
    );
    if (waiting === 0 || done === 0) return waiting;
  }
}

/** One statement for tables that refer to one another, as the checks of foreign keys come at its end. */
async function deleteGroup(session: Session, group: readonly StagedTable[]): Promise<void> {
  const deletes = group.map((each) => {
    const live = fromRelation(each.target);
    if (each.key.length > 0)
      return `DELETE FROM ${live} t USING ${each.temp} s WHERE s.reason IS NULL AND s.changes IS NULL AND ${sameKey(each)}`;
    // Without a key as many of equal rows go as were inserted.
    const texts = `SELECT t.ctid AS destino_ctid, t.tableoid AS destino_oid, ${rowJsonExpression('t', each.json.target)} AS doc FROM ${live} t`;
    const wanted = `SELECT w.doc, pg_catalog.count(*) AS rows FROM (SELECT ${rowJsonExpression('s', each.json.staged)} AS doc FROM ${each.temp} s) w GROUP BY w.doc`;
    return `DELETE FROM ${live} t USING (
        SELECT y.destino_ctid, y.destino_oid FROM (SELECT x.*, pg_catalog.row_number() OVER (PARTITION BY x.doc) AS number FROM (${texts}) x) y
          JOIN (${wanted}) w ON w.doc OPERATOR(pg_catalog.=) y.doc WHERE y.number OPERATOR(pg_catalog.<=) w.rows) g
      WHERE t.ctid OPERATOR(pg_catalog.=) g.destino_ctid AND t.tableoid OPERATOR(pg_catalog.=) g.destino_oid`;
  });
  const [last = '', ...others] = deletes;
  const before = others.map((statement, index) => `destino_d${index} AS (${statement})`);
  await withOwnSearchPath(session, () =>
    session.query(before.length === 0 ? last : `WITH ${before.join(', ')} ${last}`),
  );
}
