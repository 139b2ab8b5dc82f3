/** Compares rows of a backup with the database and chooses those to insert and to update. */
import {z} from 'zod';
import type {Session} from '../../postgres/client.js';
import {parseOnlyRow, pgCount} from '../../postgres/inspect/inspect-database.js';
import {quoteIdentifier} from '../../postgres/quote.js';
import {rowJsonExpression, type RowColumn} from '../model/row-json.js';
import {
  allReferences,
  fromRelation,
  type PartitionReference,
  type TargetReference,
} from './restore-target.js';
import type {BackupTable} from './stage-backup.js';
import {matches, refers, sameKey} from './staged-conditions.js';
import {keyText, lookupColumns, type SharedColumn} from './staged-table.js';

export interface RowChoice {
  readonly missing: boolean;
  readonly changed: boolean;
  /** Columns that changed rows get back; all without it. */
  readonly columns: readonly string[] | undefined;
  /** Quoted name of a table with the lines that a condition chooses. */
  readonly lines: string | undefined;
  /** Keys to choose, as text; every row when empty. */
  readonly keys: readonly string[];
}

const countsRow = z.object({rows: pgCount, missing: pgCount, changed: pgCount});
/** Rows of the backup that the choice is about, by how they compare with the database. */
export type ComparedCounts = z.infer<typeof countsRow>;

/** Columns in which rows are compared: those of the backup, which never has generated ones. */
export function comparedColumns(
  {staged}: BackupTable,
  only: readonly string[] | undefined,
): readonly SharedColumn[] {
  return staged.shared.filter(
    ({column}) => !staged.key.includes(column.number) && (only === undefined || only.includes(column.name)),
  );
}

/** SQL: the text of a column's value, exact for every type. */
function textOf(column: string, asText: boolean): string {
  return asText ? `${column}::pg_catalog.text` : `pg_catalog.to_json(${column})::pg_catalog.text`;
}

/** SQL: numbers of the columns in which the live row `t` and the staged row `s` differ. */
function differences(columns: readonly SharedColumn[]): string {
  const each = columns.map(({column: {number, name}, asText}) => {
    const [live, staged] = [`t.${quoteIdentifier(name)}`, `s.c${number}`];
    return `CASE WHEN ${textOf(live, asText)} IS DISTINCT FROM ${textOf(staged, asText)} THEN ${number} END`;
  });
  if (each.length === 0) return `'{}'::smallint[]`;
  // Most rows are the same byte for byte, which is found out in a fraction of the time.
  const [live, staged] = [
    columns.map(({column: {name}}) => `t.${quoteIdentifier(name)}`),
    columns.map(({column: {number}}) => `s.c${number}`),
  ];
  return `CASE WHEN pg_catalog.record_image_eq(ROW(${live.join(', ')}), ROW(${staged.join(', ')})) THEN '{}'::smallint[]
    ELSE pg_catalog.array_remove(ARRAY[${each.join(', ')}]::smallint[], NULL) END`;
}

/** Columns of the temporary tables that contain values. */
function valueColumns({staged: {target, gone}}: BackupTable): string[] {
  return [...target.columns.map(({number}) => `c${number}`), ...gone.map(({column}) => column)];
}

/**
 * Fills the table of chosen rows, which is empty.
 * @param isAgain whether only rows are looked at that were planned before
 */
export async function chooseRows(
  session: Session,
  table: BackupTable,
  choice: RowChoice,
  isAgain: boolean,
): Promise<ComparedCounts> {
  const {staged, base} = table;
  const conditions = [
    ...(choice.lines === undefined ? [] : [`s.line IN (SELECT w.line FROM ${choice.lines} w)`]),
    ...(choice.keys.length === 0 ? [] : [`${keyText(staged.key)} = ANY ($1::text[])`]),
    // Without a key equal rows are counted together.
    ...(isAgain && staged.key.length > 0 ? [`s.line IN (SELECT p.line FROM ${table.planned} p)`] : []),
  ];
  const where = conditions.length === 0 ? 'true' : conditions.join(' AND ');
  const values = choice.keys.length === 0 ? [] : [choice.keys];
  const compared =
    staged.key.length === 0
      ? wholeRows(table, where)
      : `SELECT s.*, CASE WHEN t.ctid IS NOT NULL THEN ${differences(comparedColumns(table, choice.columns))} END AS destino_changes
           FROM ${base} s LEFT JOIN ${fromRelation(staged.target)} t ON ${sameKey(staged)} WHERE ${where}`;
  const columns = valueColumns(table);
  // Comparing takes long, so what is not wanted is thrown away once it is counted. OFFSET keeps the planner from moving the comparison
  // into the condition, where it would run twice for each row.
  await session.query(
    `INSERT INTO ${staged.temp} (${['line', 'changes', ...columns].join(', ')})
     SELECT ${['x.line', 'x.destino_changes', ...columns.map((column) => `x.${column}`)].join(', ')}
       FROM (${compared} OFFSET 0) x WHERE x.destino_changes IS NULL OR x.destino_changes <> '{}'`,
    values,
  );
  // The second time nobody asks how many were compared.
  const rows = isAgain ? '0' : `${table.equal} + (SELECT count(*) FROM ${base} s WHERE ${where})`;
  const counts = parseOnlyRow(
    countsRow,
    await session.query(
      `SELECT ${rows} AS rows, count(*) FILTER (WHERE w.changes IS NULL) AS missing,
              count(*) FILTER (WHERE w.changes IS NOT NULL) AS changed FROM ${staged.temp} w`,
      isAgain ? [] : values,
    ),
  );
  if (!choice.missing && counts.missing > 0)
    await session.query(`DELETE FROM ${staged.temp} WHERE changes IS NULL`);
  if (!choice.changed && counts.changed > 0)
    await session.query(`DELETE FROM ${staged.temp} WHERE changes IS NOT NULL`);
  if (choice.columns !== undefined) await keepOtherColumns(session, table);
  return counts;
}

/** SQL: without a key, rows that are the same altogether count as often as each side has them. */
function wholeRows({staged, base}: BackupTable, where: string): string {
  const {target, json} = staged;
  const doc = (alias: string, columns: readonly RowColumn[]): string => rowJsonExpression(alias, columns);
  return `SELECT y.*, CASE WHEN y.destino_number <= coalesce(l.destino_count, 0) THEN '{}'::smallint[] END AS destino_changes
      FROM (SELECT d.*, pg_catalog.row_number() OVER (PARTITION BY d.destino_doc ORDER BY d.line) AS destino_number
              FROM (SELECT s.*, ${doc('s', json.staged)} AS destino_doc FROM ${base} s WHERE ${where}) d) y
      LEFT JOIN (SELECT e.destino_doc, count(*) AS destino_count
                   FROM (SELECT ${doc('t', json.target)} AS destino_doc FROM ${fromRelation(target)} t) e
                  GROUP BY e.destino_doc) l ON l.destino_doc = y.destino_doc`;
}

/** Columns that are not restored keep their values, which may be part of a key or a check. */
async function keepOtherColumns(session: Session, {staged}: BackupTable): Promise<void> {
  const {target, temp} = staged;
  const list = target.columns
    .filter(({number}) => !staged.key.includes(number))
    .map(({number, name}) => {
      const live = `t.${quoteIdentifier(name)}`;
      return `c${number} = CASE WHEN ${number} = ANY (s.changes) THEN s.c${number} ELSE ${live} END`;
    });
  if (list.length === 0) return;
  await session.query(
    `UPDATE ${temp} s SET ${list.join(', ')} FROM ${fromRelation(target)} t
      WHERE s.changes IS NOT NULL AND ${sameKey(staged)}`,
  );
}

/**
 * Adds rows of `parent` to which chosen rows of `child` refer and which the database lacks.
 * @returns how many were added
 */
export async function addMissingParents(
  session: Session,
  child: BackupTable,
  reference: TargetReference | PartitionReference,
  parent: BackupTable,
): Promise<number> {
  const columns = valueColumns(parent);
  return session.execute(
    `INSERT INTO ${parent.staged.temp} (${['line', 'as_parent', ...columns].join(', ')})
     SELECT ${['p.line', 'true', ...columns.map((column) => `p.${column}`)].join(', ')} FROM ${parent.base} p
      WHERE EXISTS (SELECT FROM ${child.staged.temp} s WHERE s.reason IS NULL AND ${refers(reference, child.staged.target, 'staged')}
                       AND NOT EXISTS (SELECT FROM ${fromRelation(reference.parent)} t WHERE ${matches(reference, 'target')}))
        AND NOT EXISTS (SELECT FROM ${parent.staged.temp} w WHERE w.line = p.line)
      ORDER BY p.line`,
  );
}

/**
 * Adds rows of `child` that went with the chosen rows of `parent` which are to be inserted: ON DELETE CASCADE took those that
 * are missing, SET NULL and SET DEFAULT the link of those that stayed.
 * @returns how many were added
 */
export async function addLostChildren(
  session: Session,
  child: BackupTable,
  reference: TargetReference | PartitionReference,
  parent: BackupTable,
): Promise<number> {
  const {staged, base} = child;
  const columns = valueColumns(child);
  const isOfParent = `EXISTS (SELECT FROM ${parent.staged.temp} p
      WHERE p.reason IS NULL AND p.changes IS NULL AND ${refers(reference, staged.target, 'staged')})
    AND NOT EXISTS (SELECT FROM ${staged.temp} w WHERE w.line = s.line)`;
  const live = fromRelation(staged.target);
  const insert = `INSERT INTO ${staged.temp} (${['line', 'changes', ...columns].join(', ')})`;
  if (reference.onDelete === 'c') {
    // A row that came as a parent as well does not depend on its children any more.
    await session.query(
      `UPDATE ${staged.temp} s SET as_parent = NULL WHERE s.as_parent AND EXISTS (SELECT FROM ${parent.staged.temp} p
          WHERE p.reason IS NULL AND p.changes IS NULL AND p.as_parent IS NULL AND ${refers(reference, staged.target, 'staged')})`,
    );
    return session.execute(
      `${insert} SELECT ${['s.line', 'NULL', ...columns.map((column) => `s.${column}`)].join(', ')} FROM ${base} s
        WHERE ${isOfParent} AND NOT EXISTS (SELECT FROM ${live} t WHERE ${sameKey(staged)}) ORDER BY s.line`,
    );
  }
  const links = staged.target.columns.filter(({number}) => reference.columns.includes(number));
  const isUnlinked = links.map(({name, default: value}) => {
    const column = `t.${quoteIdentifier(name)}`;
    const isDefault =
      reference.onDelete === 'd' && value !== null ? ` OR ${column}::text = (${value})::text` : '';
    return `(${column} IS NULL${isDefault})`;
  });
  const values = staged.target.columns.map(({number, name}) =>
    reference.columns.includes(number) ? `s.c${number}` : `t.${quoteIdentifier(name)}`,
  );
  return session.execute(
    `${insert} SELECT ${['s.line', `'{${reference.columns.join(',')}}'`, ...values, ...staged.gone.map(() => 'NULL')].join(', ')}
       FROM ${base} s JOIN ${live} t ON ${sameKey(staged)}
      WHERE ${isOfParent} AND ${isUnlinked.join(' AND ')} ORDER BY s.line`,
  );
}

/** Removes rows that came as parents alone, where every row that refers to them is skipped. */
export async function dropIdleParents(session: Session, tables: readonly BackupTable[]): Promise<void> {
  for (let isShrinking = true; isShrinking;) {
    isShrinking = false;
    for (const {staged: parent} of tables) {
      const referring = tables.flatMap(({staged: child}) =>
        allReferences(child.target)
          .filter(({parentTop}) => parentTop === parent.target.oid)
          .map(
            (reference) =>
              `EXISTS (SELECT FROM ${child.temp} s WHERE s.reason IS NULL AND ${refers(reference, child.target, 'staged')}${child === parent ? ' AND s.line <> p.line' : ''})`,
          ),
      );
      if (referring.length === 0) continue;
      const dropped = await session.execute(
        `DELETE FROM ${parent.temp} p WHERE p.as_parent AND p.reason IS NULL AND NOT (${referring.join(' OR ')})`,
      );
      isShrinking ||= dropped > 0;
    }
  }
}

/** Gives the planner statistics of the chosen rows. */
export async function analyzeChosen(session: Session, {staged}: BackupTable): Promise<void> {
  const columns = ['line', 'reason', ...lookupColumns(staged).map((number) => `c${number}`)];
  await session.query(`ANALYZE ${staged.temp} (${columns.join(', ')})`);
}
