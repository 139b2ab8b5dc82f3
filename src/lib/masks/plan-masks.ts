/** Plans the masks of a restored database: how each table is filled again, refused beforehand where a mask does not fit its column. */
import {AppError, type ErrorCode} from '../base/errors.js';
import {qualifiedName} from '../base/qualified-name.js';
import type {Session} from '../postgres/client.js';
import {parseOnlyRow, pgCount} from '../postgres/inspect/inspect-database.js';
import {type NamedTable, quoteIdentifier, quoteQualified} from '../postgres/quote.js';
import {makeUserView, type UserSql} from '../rows/model/user-view.js';
import type {ColumnMask} from '../settings/mask-config.js';
import {columnName} from '../settings/column-name.js';
import {z} from 'zod';
import type {ColumnRule, MaskRules} from './mask-rules.js';
import {type HashOf, keyedHash, maskSql} from './mask-sql.js';
import {type Column, type Link, readLinks, readTables, type Table} from './read-tables.js';

export interface MaskPlan {
  /** Tables with masks, in the order of their names. */
  readonly tables: readonly MaskedTable[];
  /** Tables that lose all rows, by one TRUNCATE. */
  readonly emptied: readonly (NamedTable & {readonly hasParts: boolean})[];
  /** Columns that a rule keeps as they are. */
  readonly kept: readonly {readonly column: string; readonly reason: string}[];
  /** Everything in the database, for the scans of the check. */
  readonly all: readonly Table[];
  readonly links: readonly Link[];
}

export interface MaskedTable extends NamedTable {
  readonly oid: string;
  readonly columns: readonly MaskedColumn[];
  readonly table: Table;
  /**
   * The INSERT with the masked rows; it reads the key from a temporary table of the session.
   * @param from the table with the rows before, as SQL
   * @param where a condition for these
   */
  readonly insert: (from: string, where: string) => string;
}

export interface MaskedColumn {
  readonly name: string;
  readonly mask: ColumnMask;
  readonly column: Column;
}

/** How a statement names a table without the rows of tables that inherit from it. */
export function fromTable(table: NamedTable & {readonly hasParts: boolean}): string {
  return `${table.hasParts ? '' : 'ONLY '}${quoteQualified(table.schema, table.name)}`;
}

interface Chosen {
  readonly table: Table;
  readonly column: Column;
  readonly rule: ColumnRule;
}

/** The tables with the keys that they have or will have. */
export interface DatabaseTables {
  readonly all: readonly Table[];
  readonly links: readonly Link[];
}

/** @param without a schema to leave out */
export async function readDatabaseTables(session: Session, without?: string): Promise<DatabaseTables> {
  return {all: await readTables(session, without), links: await readLinks(session)};
}

/**
 * Only reads, apart from temporary views that are rolled back.
 * @param session in the restored database, outside a transaction
 * @throws TABLE_NOT_FOUND, COLUMN_NOT_FOUND, GENERATED_COLUMN, MASK_REFUSED, EXPRESSION_REFUSED
 */
export async function planMasks(
  session: Session,
  rules: MaskRules,
  {all, links}: DatabaseTables,
): Promise<MaskPlan> {
  const {chosen, masked, emptied, misfits} = fitRules(rules, {all, links});
  for (const each of masked)
    await refuseExpression(session, each).catch((error: unknown) => misfits.push(misfitOf(error)));
  refuseMisfits(misfits);
  const isEmptied = new Set(emptied.map(qualifiedName));
  return {
    tables: all.flatMap((table) => {
      const own = masked.filter((each) => each.table === table);
      return own.length === 0 || isEmptied.has(qualifiedName(table)) ? [] : [maskedTable(table, own)];
    }),
    emptied,
    kept: chosen.flatMap(({table, column, rule: {mask}}) =>
      mask.mask === 'keep' ? [{column: labelOf(table, column), reason: mask.reason}] : [],
    ),
    all,
    links,
  };
}

interface Fitted {
  readonly chosen: readonly Chosen[];
  /** Those of `chosen` that change values. */
  readonly masked: readonly Chosen[];
  readonly emptied: MaskPlan['emptied'];
  /** An error for each rule that does not fit. */
  readonly misfits: AppError[];
}

function fitRules(rules: MaskRules, {all, links}: DatabaseTables): Fitted {
  const tables = new Map(all.map((table) => [qualifiedName(table), table]));
  const misfits: AppError[] = [];
  const refusedColumns = new Set<string>();
  const chosen = rules.columns.flatMap((rule) => {
    try {
      return choose(rule, tables);
    } catch (error) {
      misfits.push(misfitOf(error));
      refusedColumns.add(labelOf(rule.table, {name: rule.column}));
      return [];
    }
  });
  const masked = chosen.filter(({rule}) => rule.mask.mask !== 'keep');
  misfits.push(...unfitLinks(masked, refusedColumns, links, all));
  const {emptied, refused: unfit} = chooseEmptied(rules, tables, links, all);
  return {chosen, masked, emptied, misfits: [...misfits, ...unfit]};
}

/** The errors that `planMasks` would throw for the same tables, apart from those of expressions. */
export function findMisfits(rules: MaskRules, tables: DatabaseTables): readonly AppError[] {
  return fitRules(rules, tables).misfits;
}

/** @throws the only error, or one with a line for each */
export function refuseMisfits(misfits: readonly AppError[]): void {
  const [first, ...others] = misfits;
  if (!first) return;
  if (others.length === 0) throw first;
  const code = others.every((other) => other.code === first.code) ? first.code : 'MASK_REFUSED';
  const state = / Nothing was (?:masked|changed)\.$/;
  throw new AppError(code, `${misfits.length} rules of the masks do not fit. Nothing was masked.`, {
    hint: 'Correct these rules under "masks" in the config file.',
    details: misfits.map(({message, hint}) => [message.replace(state, ''), ...(hint === undefined ? [] : [hint])].join(' ')),
  });
} // prettier-ignore

/** @throws the error itself if it is not about a rule, such as a lost connection */
function misfitOf(error: unknown): AppError {
  const codes = ['TABLE_NOT_FOUND', 'COLUMN_NOT_FOUND', 'GENERATED_COLUMN', 'MASK_REFUSED', 'EXPRESSION_REFUSED']; // prettier-ignore
  if (error instanceof AppError && codes.includes(error.code)) return error;
  throw error;
}

/**
 * An INSERT or TRUNCATE of a partitioned table reaches its foreign partitions, whose rows are on another server.
 * @throws MASK_REFUSED
 */
export function refuseForeignPartitions({all}: Pick<DatabaseTables, 'all'>): void {
  const part = all.find(
    ({kind, top, ...table}) => kind === 'foreign' && qualifiedName(top) !== qualifiedName(table),
  );
  if (!part) return;
  throw new AppError(
    'MASK_REFUSED',
    `${qualifiedName(part)} is a partition of ${qualifiedName(part.top)} with its rows on another server, where masks would change them. Nothing was masked.`,
    {hint: 'Detach this partition before the backup.'},
  );
}

/** Columns that a query can have (manual, appendix K). */
const mostColumns = 1664;

function maskedTable(table: Table, own: readonly Chosen[]): MaskedTable {
  const alias = quoteIdentifier(table.name);
  // Computed once for each row, below the masks that use parts of them.
  const hashes = new Map<string, string>();
  const hashOf: HashOf = (kind, text) => {
    const sql = keyedHash(kind, text);
    const name = hashes.get(sql) ?? `destino_hash_${hashes.size}`;
    if (!hashes.has(sql) && table.columns.length + hashes.size >= mostColumns) return sql;
    hashes.set(sql, name);
    return `${alias}.${name}`;
  };
  const written = table.columns.filter(({generated}) => !generated);
  const values = written.map((column) => {
    const chosen = own.find((each) => each.column === column);
    return chosen ? expressionOf(chosen, hashOf) : `${alias}.${quoteIdentifier(column.name)}`;
  });
  const below = [`${alias}.*`, ...[...hashes].map(([sql, name]) => `${sql} AS ${name}`)].join(', ');
  const names = written.map(({name}) => quoteIdentifier(name)).join(', ');
  return {
    schema: table.schema,
    name: table.name,
    oid: table.oid,
    table,
    columns: own.map(({column, rule: {mask}}) => ({name: column.name, mask, column})),
    insert: (from, where) =>
      `INSERT INTO ${quoteQualified(table.schema, table.name)} (${names}) OVERRIDING SYSTEM VALUE SELECT ${values.join(', ')} FROM (SELECT ${below} FROM ${from} AS ${alias} WHERE ${where} OFFSET 0) AS ${alias}`,
  };
}

const labelOf = (table: NamedTable, column: {readonly name: string}): string =>
  columnName(table.schema, table.name, column.name);

/** @throws MASK_REFUSED */
function expressionOf({table, column, rule}: Chosen, hashOf = keyedHash): string {
  const columnSql = `${quoteIdentifier(table.name)}.${quoteIdentifier(column.name)}`;
  const made = maskSql(rule.mask, column, table, columnSql, hashOf);
  if (typeof made === 'string') return made;
  throw refused(labelOf(table, column), rule.mask.mask, made.why, made.hint);
}

function refused(of: string, mask: string, why: string, hint?: string): AppError {
  return new AppError(
    'MASK_REFUSED',
    `The mask "${mask}" of ${of} does not fit: ${why}. Nothing was masked.`,
    hint === undefined ? {} : {hint},
  );
}

function missing(code: ErrorCode, of: string, what: string): AppError {
  return new AppError(
    code,
    `The masks name ${of}, but the database has no such ${what}. Nothing was masked.`,
    {
      hint: 'Correct the name under "masks" in the config file, or remove the rule.',
    },
  );
}

/** The column of a rule; none for a built-in rule whose column does not exist. */
function choose(rule: ColumnRule, tables: ReadonlyMap<string, Table>): Chosen[] {
  const {isBuiltIn, mask} = rule;
  const table = tables.get(qualifiedName(rule.table));
  const of = labelOf(rule.table, {name: rule.column});
  if (!table) {
    if (isBuiltIn) return [];
    throw missing('TABLE_NOT_FOUND', of, 'table');
  }
  const column = table.columns.find(({name}) => name === rule.column);
  if (!column) {
    if (isBuiltIn) return [];
    throw missing('COLUMN_NOT_FOUND', of, 'column');
  }
  const chosen = {table, column, rule};
  if (mask.mask === 'keep') return [chosen];
  if (table.kind === 'partition')
    throw refused(
      of,
      mask.mask,
      'the table is a partition',
      `Name the column of ${qualifiedName(table.top)}.`,
    );
  if (table.kind !== 'table')
    throw refused(of, mask.mask, `it is a ${table.kind === 'view' ? 'materialized view, which is refreshed after its tables are masked' : 'foreign table'}`); // prettier-ignore
  if (column.generated) {
    if (isBuiltIn) return [];
    throw new AppError(
      'GENERATED_COLUMN',
      `The server computes ${of}, so it cannot be masked. Nothing was masked.`,
      {
        hint: 'Mask the columns that it is computed from.',
      },
    );
  }
  if (column.isAlwaysIdentity)
    throw refused(of, mask.mask, 'the server gives the values of an identity column');
  if (column.isPartitionKey) throw refused(of, mask.mask, 'the column decides the partition of a row');
  expressionOf(chosen);
  return [chosen];
}

/** Masks that give equal results for equal values; those of a program are checked afterwards. */
const joinable = ['hash', 'email', 'name', 'phone', 'address', 'program'];

/** @returns an error for each foreign key whose two sides would no longer match; `refusedColumns` have one already */
function unfitLinks(
  masked: readonly Chosen[],
  refusedColumns: ReadonlySet<string>,
  links: readonly Link[],
  all: readonly Table[],
): AppError[] {
  const unfit: AppError[] = [];
  const byOid = new Map(all.map((table) => [table.oid, table]));
  const isRefused = (oid: string, name: string): boolean => {
    const top = byOid.get(oid)?.top;
    return top !== undefined && refusedColumns.has(labelOf(top, {name}));
  };
  const maskOf = (oid: string, name: string): Chosen | undefined => {
    const top = byOid.get(oid)?.top;
    return (
      top &&
      masked.find(({table, column}) => qualifiedName(table) === qualifiedName(top) && column.name === name)
    );
  };
  const placeholder = (each: Chosen): string => {
    const made = maskSql(each.rule.mask, {...each.column, isUnique: false}, each.table, 'v');
    return typeof made === 'string' ? made : '';
  };
  for (const link of links) {
    for (const [index, name] of link.childColumns.entries()) {
      const child = maskOf(link.child, name);
      const parentName = link.parentColumns[index] ?? '';
      const parent = maskOf(link.parent, parentName);
      if (!child && !parent) continue;
      if (isRefused(link.child, name) || isRefused(link.parent, parentName)) continue;
      if (child?.rule.mask.mask === 'null') continue;
      const isSame =
        child &&
        parent &&
        joinable.includes(child.rule.mask.mask) &&
        placeholder(child) === placeholder(parent);
      if (isSame) continue;
      const one = child ?? parent;
      if (!one) continue;
      unfit.push(
        refused(
          labelOf(one.table, one.column),
          one.rule.mask.mask,
          `the foreign key "${link.name}" needs the same values on both sides`,
          `Give both columns of the key the same mask (${joinable.join(', ')}) and the same type.`,
        ),
      );
    }
  }
  return unfit;
}

function chooseEmptied(
  rules: MaskRules,
  tables: ReadonlyMap<string, Table>,
  links: readonly Link[],
  all: readonly Table[],
): {readonly emptied: MaskPlan['emptied']; readonly refused: readonly AppError[]} {
  const unfit: AppError[] = [];
  const chosen = rules.emptied.flatMap(({table: named, isBuiltIn}) => {
    const table = tables.get(qualifiedName(named));
    if (table && table.kind !== 'view' && table.kind !== 'foreign') return [table];
    if (!isBuiltIn) unfit.push(missing('TABLE_NOT_FOUND', qualifiedName(named), 'table'));
    return [];
  });
  const byOid = new Map(all.map((table) => [table.oid, table]));
  const isChosen = (oid: string): boolean => {
    const table = byOid.get(oid);
    return chosen.some(
      (each) => table && [table.top, table].some((other) => qualifiedName(other) === qualifiedName(each)),
    );
  };
  for (const bad of links.filter((link) => isChosen(link.parent) && !isChosen(link.child))) {
    const [parent, child] = [bad.parent, bad.child].map((oid) => {
      const table = byOid.get(oid);
      return table ? qualifiedName(table) : oid;
    });
    unfit.push(
      new AppError(
        'MASK_REFUSED',
        `${String(parent)} cannot lose its rows, because ${String(child)} refers to it by the foreign key "${bad.name}". Nothing was masked.`,
        {hint: `Add {"rows": "none"} for ${String(child)} too, or mask the columns of ${String(parent)}.`},
      ),
    );
  }
  return {emptied: chosen.map(({schema, name, hasParts}) => ({schema, name, hasParts})), refused: unfit};
}

const view = 'pg_temp.destino_mask_view';

/** @throws MASK_REFUSED, EXPRESSION_REFUSED */
async function refuseExpression(session: Session, {table, column, rule}: Chosen): Promise<void> {
  const {mask} = rule;
  if (mask.mask !== 'sql') return;
  const of = labelOf(table, column);
  const alias = quoteIdentifier(table.name);
  await session.query('BEGIN');
  try {
    const text = `CREATE TEMPORARY VIEW destino_mask_view AS SELECT ${expressionOf({table, column, rule})} AS destino_value FROM ${fromTable(table)} AS ${alias}`;
    await makeUserView(session, view, text, expressionOfMask(of));
    const {columns} = parseOnlyRow(
      z.object({columns: pgCount}),
      await session.query(
        `SELECT count(*) AS columns FROM pg_catalog.pg_attribute a WHERE a.attrelid = $1::pg_catalog.regclass AND a.attnum > 0`,
        [view],
      ),
    );
    // A second expression would be the value of another column.
    if (columns !== 1) throw expressionOfMask(of).more();
  } finally {
    await session.query('ROLLBACK');
  }
}

function expressionOfMask(of: string): UserSql {
  return {
    kind: 'values',
    invalid: (why) =>
      new AppError(
        'MASK_REFUSED',
        `The server cannot read the expression for ${of}: ${why}. Nothing was masked.`,
        {
          hint: 'Columns are named as in the table. Functions, operators and types outside pg_catalog take their schema.',
        },
      ),
    refused: (why, _hint, isVolatile) =>
      new AppError('EXPRESSION_REFUSED', `The expression for ${of} ${why}. Nothing was masked.`, {
        hint: isVolatile
          ? 'Built-in functions that are stable or immutable are allowed.'
          : 'Use built-in functions.',
      }),
    more: () =>
      new AppError(
        'EXPRESSION_REFUSED',
        `The expression for ${of} is more than an expression over one row. Nothing was masked.`,
        {
          hint: 'Leave out subqueries and casts to domains.',
        },
      ),
  };
}
