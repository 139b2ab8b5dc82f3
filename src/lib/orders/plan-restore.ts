/** Decides, row by row and on the server, what a restore of orders would put back, and why not the rest. */
import {z} from 'zod';
import {AppError} from '../errors.js';
import type {Session} from '../postgres/client.js';
import {parseRows, pgCount} from '../postgres/inspect-database.js';
import {quoteIdentifier, quoteLiteral} from '../postgres/quote.js';
import {fromRelation, type TargetExclusive, type TargetReference} from './restore-target.js';
import {hashOf, type StagedOrders, type StagedTable} from './stage-orders.js';

/** The one reason that keeps nothing else back: the same row is there. */
export const alreadyThere = 'already there';

/** Columns of the staged rows `s` and of the target's rows `t` that tell rows apart. */
export function sameKey(staged: StagedTable, key: readonly number[] = staged.key): string {
  const primary = staged.target.exclusives.find((each) => each.isPrimary);
  const operators =
    key === staged.target.primaryKey ? primary?.parts.map((part) => part.operator) : undefined;
  return key
    .map((number, index) => `t.${nameOf(staged, number)} ${operators?.[index] ?? '='} s.c${number}`)
    .join(' AND ');
}

function nameOf(staged: StagedTable, number: number): string {
  return quoteIdentifier(staged.target.columns.find((column) => column.number === number)?.name ?? '');
}

/**
 * Leaves only the rows of the given orders, with everything in the file that refers to them.
 * @throws USAGE naming the ids that are no order's in the file
 */
export async function selectOrders(
  session: Session,
  staged: StagedOrders,
  ids: readonly string[],
): Promise<void> {
  const every = [...staged.tables, ...staged.links];
  for (const {temp} of every) await session.query(`UPDATE ${temp} SET selected = false`);
  const found = new Set<string>();
  for (const root of staged.tables.filter(({file}) => staged.file.roots.includes(file.table))) {
    const key = root.key.map((number) => `s.c${number}::text`);
    if (key.length === 0) continue;
    const id = key.length === 1 ? (key[0] ?? '') : `pg_catalog.concat_ws(',', ${key.join(', ')})`;
    const rows = await session.query(
      `UPDATE ${root.temp} s SET selected = true WHERE pg_catalog.lower(${id}) = ANY ($1::text[]) RETURNING pg_catalog.lower(${id}) AS id`,
      [ids.map((each) => each.toLowerCase())],
    );
    for (const {id: each} of rows) if (each !== null && each !== undefined) found.add(each);
  }
  const unknown = ids.filter((id) => !found.has(id.toLowerCase()));
  if (unknown.length > 0) {
    throw new AppError('USAGE', `No order of the file has the id ${unknown.join(', ')} (--only-order).`, {
      hint: 'Without --only-order, the preview lists what is in the file.',
    });
  }
  const pairs = every.flatMap((child) =>
    referencesInside(staged, child).map((inside) => ({child, ...inside})),
  );
  for (let isGrowing = true; isGrowing;) {
    isGrowing = false;
    for (const {child, reference, parent} of pairs) {
      const count = await session.execute(
        `UPDATE ${child.temp} s SET selected = true FROM ${parent.temp} p
          WHERE NOT s.selected AND p.selected AND ${matches(reference, 'staged')}`,
      );
      isGrowing ||= count > 0;
    }
  }
  for (const {temp} of every) {
    await session.query(`DELETE FROM ${temp} WHERE NOT selected`);
    await session.query(`ANALYZE ${temp}`);
  }
}

/** The references of `child` to tables of the file. */
function referencesInside(
  staged: StagedOrders,
  child: StagedTable,
): {reference: TargetReference; parent: StagedTable}[] {
  return child.target.references.flatMap((reference) => {
    const parent = staged.tables.find(({target}) => target.oid === reference.parentTop);
    return parent ? [{reference, parent}] : [];
  });
}

/** The parent's columns equal those of the staged child `s`: in the staged parent `p` or in the real one, `t`. */
function matches(
  {columns, parentColumns, operators, isSoft}: TargetReference,
  where: 'staged' | 'target',
): string {
  return columns
    .map((number, index) => {
      const parent = parentColumns[index];
      const column =
        where === 'staged' ? `p.c${parent?.number ?? 0}` : `t.${quoteIdentifier(parent?.name ?? '')}`;
      // The two ends of a soft link may differ in type.
      return isSoft
        ? `${column}::text = s.c${number}::text`
        : `${column} ${operators[index] ?? '='} s.c${number}`;
    })
    .join(' AND ');
}

/** Writes the reason into every staged row that would be skipped. Reads only, beside the temporary tables. */
export async function findConflicts(session: Session, staged: StagedOrders): Promise<void> {
  await findGoneColumns(session, staged);
  for (const each of staged.tables) {
    await findColumnConflicts(session, each);
    await findSameKeys(session, each);
    for (const unique of each.target.exclusives) await findSameUnique(session, each, unique);
  }
  // A row that is skipped keeps back what hangs on it, so this goes on until nothing new is found.
  for (let isGrowing = true; isGrowing;) {
    isGrowing = false;
    for (const each of staged.tables) {
      for (const reference of each.target.references) {
        const count = await findMissingParents(session, staged, each, reference);
        isGrowing ||= count > 0;
      }
    }
  }
  for (const each of staged.links) await findLinkConflicts(session, staged, each);
}

async function mark(
  session: Session,
  staged: StagedTable,
  reason: string,
  condition: string,
): Promise<number> {
  return session.execute(
    `UPDATE ${staged.temp} s SET reason = ${reason} WHERE s.reason IS NULL AND ${condition}`,
  );
}

async function findColumnConflicts(session: Session, staged: StagedTable): Promise<void> {
  for (const {name, notNull, fillsItself} of staged.added) {
    if (!notNull || fillsItself) continue;
    await mark(
      session,
      staged,
      quoteLiteral(`column new: "${name}" needs a value that the file does not have`),
      'true',
    );
  }
  for (const {column} of staged.shared) {
    if (!column.notNull || column.generated) continue;
    await mark(
      session,
      staged,
      quoteLiteral(`column "${column.name}" may no longer be empty`),
      `s.c${column.number} IS NULL`,
    );
  }
}

/** Rows whose value of a column that is gone would be lost; only the file's text still has it. */
async function findGoneColumns(session: Session, staged: StagedOrders): Promise<void> {
  for (const each of staged.tables) {
    const input = `pg_temp.destino_in_${staged.file.tables.indexOf(each.file)}`;
    for (const field of each.gone) {
      await mark(
        session,
        each,
        quoteLiteral(`column gone: the table no longer has "${field}"`),
        `EXISTS (SELECT FROM ${input} i WHERE i.line = s.line AND i.doc ->> ${quoteLiteral(field)} IS NOT NULL)`,
      );
    }
  }
}

async function findSameKeys(session: Session, staged: StagedTable): Promise<void> {
  const {temp, target, key} = staged;
  const isSame = `${hashOf(staged.rowJson)} = s.hash`;
  // Without a key only a row that is the same altogether can be recognized.
  const condition = key.length === 0 ? isSame : sameKey(staged);
  await session.query(
    `UPDATE ${temp} s SET reason = CASE WHEN ${isSame} THEN ${quoteLiteral(alreadyThere)} ELSE 'same key: another row has it' END
       FROM ${fromRelation(target)} t WHERE s.reason IS NULL AND ${condition}`,
  );
}

/** Any unique index or exclusion constraint: its key parts and its condition are evaluated on both sides. */
async function findSameUnique(session: Session, staged: StagedTable, unique: TargetExclusive): Promise<void> {
  const {temp, target} = staged;
  const where = unique.predicate === null ? '' : ` WHERE (${unique.predicate})`;
  const parts = unique.parts.map(({expression}, index) => `${expression} AS destino_e${index}`).join(', ');
  const columns = target.columns
    .map(({number, name}) => `r.c${number} AS ${quoteIdentifier(name)}`)
    .join(', ');
  const collide = unique.parts
    .map(({operator}, index) => {
      const [a, b] = [`a.destino_e${index}`, `b.destino_e${index}`];
      return unique.areNullsEqual
        ? `(${a} ${operator} ${b} OR ${a} IS NULL AND ${b} IS NULL)`
        : `${a} ${operator} ${b}`;
    })
    .join(' AND ');
  await session.query(
    `UPDATE ${temp} s SET reason = ${quoteLiteral(`same unique value: another row has it (${unique.name})`)}
       FROM (SELECT destino_line, ${parts} FROM (SELECT r.line AS destino_line, ${columns} FROM ${temp} r WHERE r.reason IS NULL) x${where}) a,
            (SELECT ${parts} FROM ${fromRelation(target)}${where}) b
      WHERE s.line = a.destino_line AND s.reason IS NULL AND ${collide}`,
  );
}

/** Returns how many rows were marked. */
async function findMissingParents(
  session: Session,
  staged: StagedOrders,
  child: StagedTable,
  reference: TargetReference,
): Promise<number> {
  const parent = staged.tables.find(({target}) => target.oid === reference.parentTop);
  const name = `${reference.parent.schema}.${reference.parent.name}`;
  let count = 0;
  if (parent) {
    count += await session.execute(
      `UPDATE ${child.temp} s SET reason = ${quoteLiteral(`parent skipped: it hangs on a row of ${name} that is skipped`)}
         FROM ${parent.temp} p
        WHERE s.reason IS NULL AND p.reason IS NOT NULL AND p.reason <> ${quoteLiteral(alreadyThere)} AND ${matches(reference, 'staged')}`,
    );
  }
  if (reference.isSoft) return count;
  const isSet = reference.columns.map((number) => `s.c${number} IS NOT NULL`).join(' AND ');
  const inFile = parent
    ? ` AND NOT EXISTS (SELECT FROM ${parent.temp} p WHERE p.reason IS NULL AND ${matches(reference, 'staged')})`
    : '';
  return (
    count +
    (await mark(
      session,
      child,
      quoteLiteral(`parent gone: ${name} no longer has the row (${reference.name})`),
      `${isSet} AND NOT EXISTS (SELECT FROM ${fromRelation(reference.parent)} t WHERE ${matches(reference, 'target')})${inFile}`,
    ))
  );
}

/** Columns that the values of links set. */
export function linkColumns(staged: StagedTable): readonly StagedTable['shared'][number][] {
  return staged.shared.filter(({column}) => !staged.file.key.includes(column.name));
}

/** SQL: whether the links of the target's row `t` are still as unlinking left them: NULL, the default, or set to the same. */
export function stillUnlinked(staged: StagedTable): string {
  const {target} = staged;
  const links = new Set(target.references.flatMap((reference) => reference.columns));
  const conditions = linkColumns(staged)
    .filter(({column}) => links.has(column.number))
    .map(({column}) => {
      const live = `t.${quoteIdentifier(column.name)}`;
      const isDefault =
        column.default !== null &&
        target.references.some((each) => each.setsDefault && each.columns.includes(column.number))
          ? ` OR ${live}::text = (${column.default})::text`
          : '';
      return `(${live} IS NULL OR ${live}::text = s.c${column.number}::text${isDefault})`;
    });
  return conditions.length === 0 ? 'true' : conditions.join(' AND ');
}

async function findLinkConflicts(session: Session, staged: StagedOrders, each: StagedTable): Promise<void> {
  const {temp, target} = each;
  const from = fromRelation(target);
  const set = linkColumns(each);
  const key = sameKey(each, keyNumbers(each));
  const missingKey = each.file.key.find((name) => !target.columns.some((column) => column.name === name));
  if (missingKey !== undefined) {
    await mark(session, each, quoteLiteral(`column gone: the table no longer has "${missingKey}"`), 'true');
    return;
  }
  await mark(
    session,
    each,
    quoteLiteral('row gone: it cannot be linked again'),
    `NOT EXISTS (SELECT FROM ${from} t WHERE ${key})`,
  );
  const isSame = set.map(
    ({column}) => `t.${quoteIdentifier(column.name)}::text IS NOT DISTINCT FROM s.c${column.number}::text`,
  );
  await mark(
    session,
    each,
    quoteLiteral(alreadyThere),
    `EXISTS (SELECT FROM ${from} t WHERE ${[key, ...isSame].join(' AND ')})`,
  );
  await mark(
    session,
    each,
    quoteLiteral('link taken: the row has another value now'),
    `NOT EXISTS (SELECT FROM ${from} t WHERE ${key} AND ${stillUnlinked(each)})`,
  );
  // What the file does not set stays as it is, and may be a part of a reference.
  const others = target.columns.filter(
    (column) => !set.some((shared) => shared.column === column) && !keyNumbers(each).includes(column.number),
  );
  if (others.length > 0) {
    const list = others.map(({number, name}) => `c${number} = t.${quoteIdentifier(name)}`);
    await session.query(
      `UPDATE ${temp} s SET ${list.join(', ')} FROM ${from} t WHERE s.reason IS NULL AND ${key}`,
    );
  }
  for (const reference of target.references) await findMissingParents(session, staged, each, reference);
}

/** Numbers of the key's columns as the file names them. */
export function keyNumbers(staged: StagedTable): readonly number[] {
  const numbers = staged.file.key.flatMap((name) =>
    staged.target.columns.filter((column) => column.name === name),
  );
  const result = numbers.map((column) => column.number);
  const {primaryKey} = staged.target;
  // The same list object lets `sameKey` use the primary key's own operators.
  return result.length === primaryKey.length && result.every((number, index) => number === primaryKey[index])
    ? primaryKey
    : result;
}

export interface RestoreConflict {
  readonly table: string;
  /** The key's value; several columns as "a=1, b=2"; the line of the file where there is no key. */
  readonly key: string;
  readonly reason: string;
}

export interface TableCounts {
  /** Rows of the file (of the chosen orders). */
  readonly rows: number;
  readonly restored: number;
  readonly skipped: number;
}

const countsRow = z.object({rows: pgCount, restored: pgCount});
const conflictRow = z.object({key: z.string(), reason: z.string()});
const reasonRow = z.object({reason: z.string(), rows: pgCount});

export async function countRows(session: Session, {temp}: StagedTable): Promise<TableCounts> {
  const [row] = parseRows(
    countsRow,
    await session.query(
      `SELECT count(*) AS rows, count(*) FILTER (WHERE reason IS NULL) AS restored FROM ${temp}`,
    ),
  );
  const {rows, restored} = row ?? {rows: 0, restored: 0};
  return {rows, restored, skipped: rows - restored};
}

/** Skipped rows by reason. */
export async function countReasons(
  session: Session,
  {temp}: StagedTable,
): Promise<{reason: string; rows: number}[]> {
  return parseRows(
    reasonRow,
    await session.query(
      `SELECT reason, count(*) AS rows FROM ${temp} WHERE reason IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1`,
    ),
  );
}

/** The first `limit` skipped rows, in the order of the file. */
export async function listConflicts(
  session: Session,
  staged: StagedTable,
  key: readonly number[],
  limit: number,
): Promise<RestoreConflict[]> {
  const parts = key.map((number) => {
    const name = staged.target.columns.find((column) => column.number === number)?.name ?? '';
    return `${quoteLiteral(`${name}=`)} || coalesce(s.c${number}::text, 'null')`;
  });
  const text =
    key.length === 0
      ? `'line ' || s.line`
      : key.length === 1
        ? `coalesce(s.c${key[0] ?? 0}::text, 'null')`
        : `pg_catalog.concat_ws(', ', ${parts.join(', ')})`;
  const rows = parseRows(
    conflictRow,
    await session.query(
      `SELECT ${text} AS key, s.reason FROM ${staged.temp} s WHERE s.reason IS NOT NULL ORDER BY s.line LIMIT $1`,
      [limit],
    ),
  );
  return rows.map((row) => ({table: staged.file.table, ...row}));
}
