/** Unique values that rows of the same run free: which row waits for which, and in which turn each is updated. */
import type {Session} from '../../postgres/client.js';
import {quoteIdentifier, quoteLiteral} from '../../postgres/quote.js';
import {compareSql} from '../model/operators.js';
import {allReferences, fromRelation, type TargetExclusive} from './restore-target.js';
import {aliased, keyNumbers, linkColumns, sameKey} from './staged-conditions.js';
import type {StagedTable} from './staged-table.js';

/** Rows in longer chains, or in circles, stay conflicts. */
const mostRounds = 100;

/** SQL: the parts of an index as columns, and its condition after a FROM clause. */
function indexed({parts, predicate}: TargetExclusive): {parts: string; where: string} {
  return {
    parts: parts.map(({expression}, index) => `${expression} AS destino_e${index}`).join(', '),
    where: predicate === null ? '' : ` WHERE (${predicate})`,
  };
}

/** SQL: whether two rows collide in the index. */
function collide(unique: TargetExclusive, left: string, right: string): string {
  return unique.parts
    .map(({operator}, index) => {
      const [a, b] = [`${left}.destino_e${index}`, `${right}.destino_e${index}`];
      return unique.areNullsEqual
        ? `(${compareSql(operator, a, b)} OR ${a} IS NULL AND ${b} IS NULL)`
        : compareSql(operator, a, b);
    })
    .join(' AND ');
}

/** SQL: the live rows with the parts of an index and their key, under the names of their columns. */
function liveParts({target}: StagedTable, unique: TargetExclusive, key: readonly number[]): string {
  const {parts, where} = indexed(unique);
  const names = target.columns
    .filter(({number}) => key.includes(number))
    .map(({name}) => `, ${quoteIdentifier(name)}`);
  return `SELECT ${parts}${names.join('')} FROM ${fromRelation(target)}${where}`;
}

/**
 * Finds the staged rows whose values in a unique index or exclusion constraint other live rows have. Those that will be updated to
 * other values first are waited for.
 */
export async function findSameUnique(
  session: Session,
  staged: StagedTable,
  unique: TargetExclusive,
): Promise<void> {
  const {temp, target, key, waits} = staged;
  const {parts, where} = indexed(unique);
  const columns = target.columns
    .map(({number, name}) => `r.c${number} AS ${quoteIdentifier(name)}`)
    .join(', ');
  const planned = `SELECT destino_line, ${parts} FROM (SELECT r.line AS destino_line, ${columns} FROM ${temp} r WHERE r.reason IS NULL) x${where}`;
  // A row that is to be updated has its own value already.
  const isOther = key.length === 0 ? '' : ` AND (s.changes IS NULL OR NOT (${sameKey(staged)}))`;
  const reason = quoteLiteral(`same unique value: another row has it (${unique.name})`);
  if (waits === undefined) {
    await session.query(
      `UPDATE ${temp} s SET reason = ${reason} FROM (${planned}) a, (${liveParts(staged, unique, key)}) t
        WHERE s.line = a.destino_line AND s.reason IS NULL AND ${collide(unique, 'a', 't')}${isOther}`,
    );
    return;
  }
  // Links are set after all rows are inserted, so a row that sets one cannot be updated before.
  const links = allReferences(target).flatMap((reference) => reference.columns);
  const isFreer =
    key.length === 0
      ? 'false'
      : `${aliased(staged, key, 'u')} AND u.reason IS NULL AND u.changes IS NOT NULL AND u.line <> s.line
          AND NOT (u.changes && '{${links.join(',')}}'::smallint[])`;
  await session.query(
    `INSERT INTO ${waits} (line, reason, freer)
     WITH destino_planned AS (${planned})
     SELECT s.line, ${reason}, CASE WHEN coalesce(${collide(unique, 'a', 'b')}, false) THEN NULL ELSE u.line END
       FROM ${temp} s JOIN destino_planned a ON a.destino_line = s.line
       JOIN (${liveParts(staged, unique, key)}) t ON ${collide(unique, 'a', 't')}
       LEFT JOIN ${temp} u ON ${isFreer} LEFT JOIN destino_planned b ON b.destino_line = u.line
      WHERE s.reason IS NULL${isOther}`,
  );
  await session.query(
    `UPDATE ${temp} s SET reason = w.reason FROM ${waits} w WHERE s.line = w.line AND s.reason IS NULL AND w.freer IS NULL`,
  );
}

/** Gives rows that others wait for their turns. @returns whether there are any */
export async function takeTurns(session: Session, {waits}: StagedTable): Promise<boolean> {
  if (waits === undefined) return false;
  const [row] = await session.query(`SELECT count(*) AS rows FROM ${waits} w WHERE w.freer IS NOT NULL`);
  if (row?.['rows'] === '0') return false;
  for (let round = 1; round <= mostRounds; round += 1) {
    const found = await session.execute(
      `UPDATE ${waits} w SET round = ${round} WHERE w.round IS NULL AND w.freer IS NOT NULL
          AND NOT EXISTS (SELECT FROM ${waits} x WHERE x.line = w.freer AND x.round IS NULL)`,
    );
    if (found === 0) break;
  }
  return true;
}

/** Skips rows that wait for one that is skipped or has no turn. @returns their number */
export async function findHeldValues(session: Session, {temp, waits}: StagedTable): Promise<number> {
  if (waits === undefined) return 0;
  return session.execute(
    `UPDATE ${temp} s SET reason = w.reason FROM ${waits} w JOIN ${temp} u ON u.line = w.freer
      WHERE s.line = w.line AND s.reason IS NULL AND (w.round IS NULL OR u.reason IS NOT NULL)`,
  );
}

/** SQL conditions on the staged rows `s` that are updated before others, turn by turn. */
export async function turnsOf(session: Session, {waits}: StagedTable): Promise<string[]> {
  if (waits === undefined) return [];
  const rows = await session.query(
    `SELECT DISTINCT w.round AS round FROM ${waits} w WHERE w.round IS NOT NULL ORDER BY 1`,
  );
  return rows.map(
    ({round}) =>
      `s.line OPERATOR(pg_catalog.=) ANY (SELECT w.freer FROM ${waits} w WHERE w.round OPERATOR(pg_catalog.=) ${Number(round)})`,
  );
}

/**
 * Notes in `selected` which rows would get a unique value that another row has at the moment; those that were updated are left out.
 * @returns how many these are
 */
export async function findWaiting(session: Session, link: StagedTable): Promise<number> {
  const {temp, target} = link;
  const key = keyNumbers(link);
  const set = linkColumns(link).map(({column}) => column);
  // An expression may be of any column.
  const touched = target.exclusives.filter(
    ({parts, predicate}) =>
      predicate !== null ||
      parts.some(({expression}) => {
        const column = target.columns.find(
          ({name}) => expression === name || expression === quoteIdentifier(name),
        );
        return column === undefined || set.includes(column);
      }),
  );
  if (touched.length === 0) return 0;
  await session.query(`UPDATE ${temp} SET selected = NULL`);
  const columns = target.columns.map(
    (column) =>
      `${set.includes(column) ? `r.c${column.number}` : `t.${quoteIdentifier(column.name)}`} AS ${quoteIdentifier(column.name)}`,
  );
  let waiting = 0;
  for (const unique of touched) {
    const {parts, where} = indexed(unique);
    waiting += await session.execute(
      `UPDATE ${temp} s SET selected = true
         FROM (SELECT destino_line, ${parts} FROM (SELECT ${['r.line AS destino_line', ...columns].join(', ')} FROM ${temp} r
                 JOIN ${fromRelation(target)} t ON ${aliased(link, key, 'r')} WHERE r.changes <> '{}') x${where}) a,
              (${liveParts(link, unique, key)}) t
        WHERE s.line = a.destino_line AND s.selected IS NULL AND ${collide(unique, 'a', 't')} AND NOT (${sameKey(link, key)})`,
    );
  }
  return waiting;
}
