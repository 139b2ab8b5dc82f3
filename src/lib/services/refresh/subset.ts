/** Reduces a restored database to chosen rows, the rows that these refer to, and the rows that belong to them, by its foreign keys. */
import {z} from 'zod';
import {AppError, messageOf} from '../../base/errors.js';
import {qualifiedName} from '../../base/qualified-name.js';
import {type Session, withTransaction} from '../../postgres/client.js';
import {parseOnlyRow, pgCount} from '../../postgres/inspect/inspect-database.js';
import {quoteIdentifier, quoteQualified} from '../../postgres/quote.js';
import {hasSqlState} from '../../postgres/sql-state.js';
import type {Step} from '../../progress/progress.js';
import {builtInEquality, compareSql} from '../../rows/model/operators.js';
import type {Catalog, ForeignKey, Table} from '../../rows/model/read-schema.js';
import {makeUserView, type UserSql} from '../../rows/model/user-view.js';
import {withoutUserTriggers} from '../../rows/staging/user-triggers.js';
import {columnNameParts} from '../../settings/column-name.js';
import type {OrdersProfile} from '../orders/rules/profile.js';

export interface ReducedTable {
  readonly table: string;
  /** Rows that are left, of those in the backup. */
  readonly rows: number;
  readonly before: number;
}

/** The tables of one subset, by oid of the topmost table. */
interface Parts {
  /** Tables with a condition. */
  readonly chosen: ReadonlyMap<string, string>;
  readonly emptied: ReadonlySet<string>;
  /** Tables whose rows belong to chosen rows. */
  readonly children: ReadonlySet<string>;
  /** All tables that keep only rows that are chosen, belong to these, or are referred to. */
  readonly reduced: ReadonlySet<string>;
  /** Other tables that refer to reduced ones, or to one another: they lose the rows whose parents are gone. */
  readonly beside: ReadonlySet<string>;
}

/**
 * Removes all other rows, in one transaction. The server checks every foreign key that exists.
 * @param catalog of the database with its foreign keys, which need not exist yet
 * @param subset conditions, "none" and "all" by "schema.table"
 * @param session outside a transaction, in a database that nobody else uses
 * @throws CONFIG_INVALID, WHERE_INVALID, WHERE_VOLATILE, EXPRESSION_REFUSED
 */
export async function reduceToSubset(
  session: Session,
  catalog: Catalog,
  subset: Readonly<Record<string, string>>,
  step: Step,
): Promise<ReducedTable[]> {
  const parts = divide(catalog, subset);
  const tables = [...parts.reduced, ...parts.beside].map((oid) => tableOf(catalog, oid));
  for (const table of tables)
    await session.query(
      `CREATE TEMPORARY TABLE ${kept(table)} (part oid, line tid, round int, PRIMARY KEY (part, line))`,
    );
  for (const [oid, condition] of parts.chosen) await choose(session, tableOf(catalog, oid), condition);
  await addChildren(session, catalog, parts);
  await addParents(session, catalog, parts);
  for (const oid of parts.beside) await addBeside(session, catalog, parts, tableOf(catalog, oid));
  await dropUnanchored(session, catalog, parts);
  await requireParents(session, catalog, parts);
  const reduced: ReducedTable[] = [];
  for (const table of tables) {
    const count = async (from: string): Promise<number> =>
      parseOnlyRow(z.object({rows: pgCount}), await session.query(`SELECT count(*) AS rows FROM ${from}`))
        .rows;
    reduced.push({table: table.label, rows: await count(kept(table)), before: await count(rowsOf(table))});
    step.advance(reduced.length, tables.length, 'tables');
  }
  await rewrite(session, tables);
  return reduced.sort((a, b) => (a.table < b.table ? -1 : 1));
}

/**
 * The catalog with the soft links of the profile as keys without operators. Links of tables that the database lacks are left out: the
 * profile may be of another one.
 * @throws CONFIG_INVALID for a column or a root that does not exist
 */
export function withSoftLinks(
  catalog: Catalog,
  {roots, softLinks}: Pick<OrdersProfile, 'roots' | 'softLinks'>,
): Catalog {
  const find = (schema: string, name: string): Table | undefined =>
    [...catalog.tables.values()].find((one) => one.schema === schema && one.name === name);
  const links = softLinks.flatMap((link): ForeignKey[] => {
    const root = roots.find(({schema, table}) => [table, `${schema}.${table}`].includes(link.root));
    const child = find(link.schema, link.table);
    const parent = root && find(root.schema, root.table);
    if (!child || (root && !parent)) return [];
    const hasColumns = (table: Table, wanted: readonly string[]): boolean =>
      wanted.every((column) => table.columns.some(({name}) => name === column));
    if (
      !root ||
      !parent ||
      root.key.length !== link.columns.length ||
      !hasColumns(child, link.columns) ||
      !hasColumns(parent, root.key)
    )
      throw new AppError(
        'CONFIG_INVALID',
        `The soft link of ${child.label} (${link.columns.join(', ')}) does not lead to the key of "${link.root}".`,
        {
          hint: 'Correct softLinks in the orders profile of the config file; refresh follows them in a subset.',
        },
      );
    const ends = {
      childOid: child.oid,
      childColumns: link.columns,
      parentOid: parent.oid,
      parentColumns: root.key,
    };
    const name = `${child.name}(${link.columns.join(', ')})`;
    return [{name, ...ends, operators: [], action: 'no action', changedColumns: [], hasIndex: true}];
  });
  return {...catalog, foreignKeys: [...catalog.foreignKeys, ...links]};
}

/** A soft link has no operators: its ends may differ in type, and rows may refer to a row that never existed. */
const isSoft = ({operators}: ForeignKey): boolean => operators.length === 0;

function invalid(message: string, hint: string): AppError {
  return new AppError('CONFIG_INVALID', `The config's "subset" ${message}.`, {hint});
}

function tableOf({tables}: Catalog, oid: string): Table {
  const table = tables.get(oid);
  if (!table) throw new AppError('UNEXPECTED', `The catalog has no table ${oid}.`);
  return table;
}

const topOf = (catalog: Catalog, oid: string): string => tableOf(catalog, oid).topOid;

function divide(catalog: Catalog, subset: Readonly<Record<string, string>>): Parts {
  const chosen = new Map<string, string>();
  const emptied = new Set<string>();
  const whole = new Set<string>();
  const tops = [...catalog.tables.values()].filter(({oid, topOid}) => oid === topOid);
  for (const [name, rule] of Object.entries(subset)) {
    const [schema = '', bare = ''] = columnNameParts(name) ?? [];
    const table = tops.find((one) => one.schema === schema && one.name === bare);
    if (!table)
      throw invalid(
        `names ${name}, which is not a table of the backup`,
        'Tables are named "schema.table"; a partition by its topmost table.',
      );
    if (rule === 'none') emptied.add(table.oid);
    else if (rule === 'all') whole.add(table.oid);
    else chosen.set(table.oid, rule);
  }
  const isNamed = (oid: string): boolean => chosen.has(oid) || emptied.has(oid) || whole.has(oid);
  const links = catalog.foreignKeys.flatMap((key) => {
    const [child, parent] = [topOf(catalog, key.childOid), topOf(catalog, key.parentOid)];
    return isSoft(key) && whole.has(child) ? [] : [{child, parent}];
  });
  const children = reach(chosen.keys(), (oid) =>
    links.flatMap(({child, parent}) => (parent === oid && !isNamed(child) ? [child] : [])),
  );
  const reduced = reach([...chosen.keys(), ...children], (oid) =>
    links.flatMap(({child, parent}) => (child === oid && !whole.has(parent) ? [parent] : [])),
  );
  for (const oid of emptied) reduced.add(oid);
  const around = reach(reduced, (oid) =>
    links.flatMap(({child, parent}) => (parent === oid && !reduced.has(child) ? [child] : [])),
  );
  const beside = new Set([...around].filter((oid) => !reduced.has(oid)));
  const torn = [...beside].find((oid) => whole.has(oid));
  if (torn !== undefined)
    throw invalid(
      `keeps all rows of ${tableOf(catalog, torn).label}, which refer to rows that are left out`,
      'Leave this table out, or keep all rows of the tables that it refers to.',
    );
  return {
    chosen,
    emptied,
    children: new Set([...children].filter((oid) => !chosen.has(oid))),
    reduced,
    beside,
  };
}

/** The oids and those that `next` leads to from them. */
function reach(from: Iterable<string>, next: (oid: string) => readonly string[]): Set<string> {
  const seen = new Set(from);
  for (const oid of seen) for (const other of next(oid)) seen.add(other);
  return seen;
}

/** The temporary table of the rows that stay, by their physical position. */
const kept = ({topOid}: Table): string => `pg_temp.${quoteIdentifier(`destino_kept_${topOid}`)}`;

/** The rows of the table, with its partitions and without tables that inherit from it. */
function rowsOf(table: Table): string {
  return `${table.isPartitioned ? '' : 'ONLY '}${quoteQualified(table.schema, table.name)}`;
}

const view = `pg_temp.${quoteIdentifier('destino_subset')}`;

async function choose(session: Session, table: Table, condition: string): Promise<void> {
  const columns = table.columns.map(({name}) => `x.${quoteIdentifier(name)}`);
  const alias = quoteIdentifier(table.name);
  await withTransaction(session, '', async () => {
    // The condition ends on a line of its own, so that a comment in it does not reach further.
    const text = `CREATE TEMPORARY VIEW ${view} AS SELECT ${alias}.destino_part, ${alias}.destino_line FROM (SELECT ${['x.tableoid AS destino_part', 'x.ctid AS destino_line', ...columns].join(', ')} FROM ${rowsOf(table)} x) ${alias} WHERE (${condition}\n)`;
    await makeUserView(session, view, text, conditionOf(table));
  });
  // Nothing but temporary tables can be written while it runs.
  await withTransaction(session, 'READ ONLY', async () => {
    await session
      .query(`INSERT INTO ${kept(table)} SELECT v.destino_part, v.destino_line, 0 FROM ${view} v`)
      .catch((error: unknown) => {
        throw hasSqlState(error, '2', '3', '42', 'P0')
          ? conditionOf(table).invalid(messageOf(error.cause))
          : error;
      });
  });
  await session.query(`DROP VIEW ${view}`);
}

function conditionOf({label}: Table): UserSql {
  const whose = `The condition of "subset" for ${label}`;
  return {
    kind: 'condition',
    invalid: (why) =>
      new AppError(
        'WHERE_INVALID',
        `The server cannot evaluate the condition of "subset" for ${label}: ${why}.`,
        {
          hint: 'Columns are named as in the table; names with capital letters take double quotes.',
        },
      ),
    refused: (why, hint, isVolatile) =>
      new AppError(isVolatile ? 'WHERE_VOLATILE' : 'EXPRESSION_REFUSED', `${whose} ${why}.`, {hint}),
    more: () =>
      new AppError('EXPRESSION_REFUSED', `${whose} is more than an expression over one row.`, {
        hint: 'Leave out subqueries and casts to domains.',
      }),
  };
}

/** SQL: whether the rows "c" and "p" are child and parent by the key. */
function matches({operators, parentColumns, childColumns}: ForeignKey): string {
  return childColumns
    .map((name, index) => {
      const [parent, child] = [
        `p.${quoteIdentifier(parentColumns[index] ?? '')}`,
        `c.${quoteIdentifier(name)}`,
      ];
      const operator = operators[index];
      return operator
        ? compareSql(operator, parent, child)
        : compareSql(builtInEquality, `${parent}::pg_catalog.text`, `${child}::pg_catalog.text`);
    })
    .join(' AND ');
}

/** SQL: whether the row "c" refers to a row by the key. */
function refers({childColumns}: ForeignKey): string {
  return childColumns.map((name) => `c.${quoteIdentifier(name)} IS NOT NULL`).join(' AND ');
}

/** Adds the rows that belong to chosen ones, and the rows that belong to these, until there are no more. */
async function addChildren(session: Session, catalog: Catalog, {chosen, children}: Parts): Promise<void> {
  let found = new Set(chosen.keys());
  for (let round = 1; found.size > 0; round += 1) {
    const next = new Set<string>();
    for (const key of catalog.foreignKeys) {
      const [child, parent] = [tableOf(catalog, key.childOid), tableOf(catalog, key.parentOid)];
      if (!found.has(parent.topOid) || !children.has(child.topOid)) continue;
      const added = await session.execute(
        `INSERT INTO ${kept(child)} (part, line, round) SELECT c.tableoid, c.ctid, $1::int FROM ${kept(parent)} k JOIN ${rowsOf(parent)} p ON p.tableoid = k.part AND p.ctid = k.line JOIN ${rowsOf(child)} c ON ${matches(key)} WHERE k.round = $1::int - 1 ON CONFLICT DO NOTHING`,
        [round],
      );
      if (added > 0) next.add(child.topOid);
    }
    found = next;
  }
}

/** Adds the rows that kept rows refer to, until there are no more. */
async function addParents(session: Session, catalog: Catalog, {reduced, emptied}: Parts): Promise<void> {
  for (let isMore = true; isMore;) {
    isMore = false;
    for (const key of catalog.foreignKeys) {
      const [child, parent] = [tableOf(catalog, key.childOid), tableOf(catalog, key.parentOid)];
      const isReduced = reduced.has(child.topOid) && reduced.has(parent.topOid);
      if (!isReduced || emptied.has(child.topOid) || emptied.has(parent.topOid)) continue;
      const added = await session.execute(
        `INSERT INTO ${kept(parent)} (part, line, round) SELECT p.tableoid, p.ctid, -1 FROM ${kept(child)} k JOIN ${rowsOf(child)} c ON c.tableoid = k.part AND c.ctid = k.line JOIN ${rowsOf(parent)} p ON ${matches(key)} ON CONFLICT DO NOTHING`,
      );
      if (added > 0) isMore = true;
    }
  }
}

/** SQL: whether the row "c" refers by the key to a row that does not stay. */
function isTorn(parent: Table, key: ForeignKey): string {
  if (isSoft(key))
    return `(${refers(key)} AND EXISTS (SELECT 1 FROM ${rowsOf(parent)} p WHERE ${matches(key)} AND NOT EXISTS (SELECT 1 FROM ${kept(parent)} kp WHERE kp.part = p.tableoid AND kp.line = p.ctid)))`;
  return `(${refers(key)} AND NOT EXISTS (SELECT 1 FROM ${rowsOf(parent)} p JOIN ${kept(parent)} kp ON kp.part = p.tableoid AND kp.line = p.ctid WHERE ${matches(key)}))`;
}

/** Adds the rows of a table beside the subset whose parents in it all stay. */
async function addBeside(session: Session, catalog: Catalog, {reduced}: Parts, table: Table): Promise<void> {
  const torn = catalog.foreignKeys.flatMap((key) => {
    const [child, parent] = [tableOf(catalog, key.childOid), tableOf(catalog, key.parentOid)];
    if (child.topOid !== table.oid || !reduced.has(parent.topOid)) return [];
    // A key that only a partition has concerns its rows alone.
    const isOfPart = child.oid === table.oid ? '' : `c.tableoid = ${child.oid}::oid AND `;
    return [`NOT (${isOfPart}${isTorn(parent, key)})`];
  });
  await session.query(
    `INSERT INTO ${kept(table)} (part, line, round) SELECT c.tableoid, c.ctid, 0 FROM ${rowsOf(table)} c WHERE ${['true', ...torn].join(' AND ')}`,
  );
}

/** Removes rows beside the subset whose parents do not stay either, until there are no more. */
async function dropUnanchored(session: Session, catalog: Catalog, {beside}: Parts): Promise<void> {
  for (let isMore = true; isMore;) {
    isMore = false;
    for (const key of catalog.foreignKeys) {
      const [child, parent] = [tableOf(catalog, key.childOid), tableOf(catalog, key.parentOid)];
      if (!beside.has(child.topOid) || !beside.has(parent.topOid)) continue;
      const removed = await session.execute(
        `DELETE FROM ${kept(child)} k USING ${rowsOf(child)} c WHERE k.part = c.tableoid AND k.line = c.ctid AND ${isTorn(parent, key)}`,
      );
      if (removed > 0) isMore = true;
    }
  }
}

/** @throws CONFIG_INVALID if rows of the subset refer to a table without rows */
async function requireParents(session: Session, catalog: Catalog, {reduced, emptied}: Parts): Promise<void> {
  for (const key of catalog.foreignKeys) {
    const [child, parent] = [tableOf(catalog, key.childOid), tableOf(catalog, key.parentOid)];
    if (isSoft(key) || !reduced.has(child.topOid) || !emptied.has(parent.topOid)) continue;
    const [row] = await session.query(
      `SELECT 1 FROM ${kept(child)} k JOIN ${rowsOf(child)} c ON c.tableoid = k.part AND c.ctid = k.line WHERE ${refers(key)} LIMIT 1`,
    );
    if (row)
      throw invalid(
        `leaves ${parent.label} without rows, but rows of ${child.label} that stay refer to it`,
        `Leave out "${qualifiedName(parent)}": "none", or choose other rows.`,
      );
  }
}

/** Empties the tables, which also removes the old rows from the data files, and inserts the rows that stay in one statement, after which the server checks the foreign keys. */
async function rewrite(session: Session, tables: readonly Table[]): Promise<void> {
  if (tables.length === 0) return;
  const copyOf = ({topOid}: Table): string => `pg_temp.${quoteIdentifier(`destino_subset_${topOid}`)}`;
  const columnsOf = ({columns}: Table, prefix = ''): string =>
    columns.flatMap(({name, generated}) => (generated ? [] : [prefix + quoteIdentifier(name)])).join(', ');
  const filled = tables.filter(({columns}) => columns.some(({generated}) => !generated));
  for (const table of filled)
    await session.query(
      `CREATE TEMPORARY TABLE ${quoteIdentifier(`destino_subset_${table.topOid}`)} AS SELECT ${columnsOf(table, 'c.')} FROM ${kept(table)} k JOIN ${rowsOf(table)} c ON c.tableoid = k.part AND c.ctid = k.line`,
    );
  const oids = tables.map(({oid}) => oid);
  await withTransaction(session, '', () =>
    withoutUserTriggers(session, oids, 'RESTORE_FAILED', async () => {
      await session.query(`TRUNCATE ${tables.map(rowsOf).join(', ')}`);
      const inserts = filled.map(
        (table, index) =>
          `i${index} AS (INSERT INTO ${quoteQualified(table.schema, table.name)} (${columnsOf(table)}) OVERRIDING SYSTEM VALUE SELECT ${columnsOf(table, 'b.')} FROM ${copyOf(table)} b)`,
      );
      if (inserts.length > 0) await session.query(`WITH ${inserts.join(', ')} SELECT 1`);
      // Checks that wait for the COMMIT would prevent the triggers from being enabled.
      await session.query('SET CONSTRAINTS ALL IMMEDIATE');
    }),
  );
  for (const table of tables) await session.query(`DROP TABLE ${kept(table)}`);
  for (const table of filled) await session.query(`DROP TABLE ${copyOf(table)}`);
}
