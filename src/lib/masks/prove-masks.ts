/** Compares a masked database with the values that it contained before. */
import {randomBytes} from 'node:crypto';
import {z} from 'zod';
import {qualifiedName} from '../base/qualified-name.js';
import {type Session, withTransaction} from '../postgres/client.js';
import {parseOnlyRow, parseRows, pgCount} from '../postgres/inspect/inspect-database.js';
import {quoteIdentifier, quoteLiteral} from '../postgres/quote.js';
import type {Step} from '../progress/progress.js';
import {columnName} from '../settings/column-name.js';
import {sqlJsonPath} from './json-path.js';
import {textOfColumn} from './mask-sql.js';
import {fromTable, type MaskedColumn, type MaskPlan} from './plan-masks.js';
import type {Column, Link, Table} from './read-tables.js';
import {addressesIn, canContainText, joinedText} from './text-columns.js';

/** Facts about the unmasked database; its values are hashes in temporary tables of the session. */
export interface UnmaskedRecord {
  /** Rows by "schema.table". */
  readonly rows: ReadonlyMap<string, number>;
  /** Makes the hashes of this run comparable with no others. */
  readonly seed: string;
}

export interface MaskCheck {
  readonly kind: 'values' | 'addresses' | 'rows' | 'foreign keys';
  /** "schema.table.column", "schema.table" or the name of a foreign key. */
  readonly of: string;
  /** How many values, addresses, rows or keys were compared. */
  readonly compared: number;
  /** How many are those of the backup, or differ from it; 0 if the check passed. */
  readonly failed: number;
}

export interface MaskProof {
  readonly passed: boolean;
  readonly checks: readonly MaskCheck[];
  /** Columns and objects that were not compared, each with the reason. */
  readonly notCompared: readonly {readonly of: string; readonly reason: string}[];
}

const valuesTable = 'pg_temp.destino_mask_values';
const addressesTable = 'pg_temp.destino_mask_addresses';

/** Sorts and joins of hashes would otherwise go through files of the server. */
const roomForHashes = `SET LOCAL work_mem = '64MB'`;

/** Shorter masked texts can be the same as a short value of another row. */
const longText = 12;

/** A set of values that must have nothing in common before and after. */
interface Comparison {
  readonly number: number;
  readonly of: string;
  /** A query with the column "v"; it refers to the row. */
  readonly values: string;
}

interface Compared {
  readonly table: Table;
  readonly comparisons: readonly Comparison[];
  /** Columns whose values are all the same: a condition for a wrong one. */
  readonly constants: readonly {readonly of: string; readonly wrong: string}[];
  readonly notCompared: MaskProof['notCompared'];
}

/**
 * Call it before `applyMasks`, in the same session.
 * @param isSearched whether `findPersonalInDatabase` found no address in columns without a rule, so that they need not be read again
 */
export async function recordUnmasked(
  session: Session,
  plan: MaskPlan,
  step: Step,
  isSearched = false,
): Promise<UnmaskedRecord> {
  const seed = randomBytes(8).readBigInt64BE().toString();
  const rows = new Map<string, number>();
  await session.query(`CREATE TEMPORARY TABLE destino_mask_values (of smallint, hash bigint)`);
  await session.query(`CREATE TEMPORARY TABLE destino_mask_addresses (hash bigint)`);
  const compared = new Map(comparedTables(plan).map((each) => [each.table, each]));
  const kept = new Set(plan.kept.map(({column}) => column));
  const emptied = new Set(plan.emptied.map(qualifiedName));
  const masked = new Set(
    plan.tables.flatMap(({schema, name, columns}) =>
      columns.map((column) => columnName(schema, name, column.name)),
    ),
  );
  const tables = scanned(plan.all);
  await withTransaction(session, '', async () => {
    await session.query('SET LOCAL row_security = off');
    await session.query(roomForHashes);
    for (const [index, table] of tables.entries()) {
      step.working(qualifiedName(table));
      if (table.kind === 'table') rows.set(qualifiedName(table), await countRows(session, table));
      const {comparisons = []} = compared.get(table) ?? {};
      if (comparisons.length > 0)
        await session.query(
          `INSERT INTO ${valuesTable} (of, hash) SELECT DISTINCT u.of, ${hashOf('u.v', seed)} AS hash ${valuesOf(table, comparisons)}`,
        );
      const isEmptied = emptied.has(qualifiedName(table));
      const columns = table.columns.filter((column) => {
        const of = columnName(table.schema, table.name, column.name);
        const isRead = !isSearched || isEmptied || column.generated || masked.has(of);
        return canContainText(column) && !kept.has(of) && isRead;
      });
      if (columns.length > 0 && table.kind === 'table')
        await session.query(
          `INSERT INTO ${addressesTable} (hash) SELECT DISTINCT ${hashOf('found.address', seed)} AS hash FROM ${addressesOf(table, columns)}`,
        );
      step.advance(index + 1, tables.length, 'tables');
    }
  });
  for (const made of [valuesTable, addressesTable]) await session.query(`ANALYZE ${made}`);
  return {rows, seed};
}

const countsRow = z.object({compared: pgCount, failed: pgCount});
const comparisonRow = countsRow.extend({of: pgCount});

/** Call it after `applyMasks`, in the session of `recordUnmasked`, whose tables it drops. */
export async function proveMasks(
  session: Session,
  plan: MaskPlan,
  before: UnmaskedRecord,
  step: Step,
): Promise<MaskProof> {
  const checks: MaskCheck[] = [];
  const compared = comparedTables(plan);
  const byTable = new Map(compared.map((each) => [each.table, each]));
  const emptied = new Set(plan.emptied.map(qualifiedName));
  const tables = scanned(plan.all);
  await withTransaction(session, '', async () => {
    await session.query('SET LOCAL row_security = off');
    await session.query(roomForHashes);
    for (const [index, table] of tables.entries()) {
      const of = qualifiedName(table);
      step.working(of);
      if (table.kind === 'table') {
        const rows = await countRows(session, table);
        const expected = emptied.has(of) ? 0 : before.rows.get(of);
        checks.push({kind: 'rows', of, compared: rows, failed: rows === expected ? 0 : Math.abs(rows - (expected ?? 0)) || 1}); // prettier-ignore
      }
      const own = byTable.get(table);
      if (own) checks.push(...(await compareValues(session, own, before.seed)));
      checks.push(...(await findAddresses(session, table, before.seed)));
      step.advance(index + 1, tables.length, 'tables');
    }
    const touched = new Set([...plan.tables, ...plan.emptied].map(qualifiedName));
    for (const link of plan.links) checks.push(...(await checkLink(session, link, plan.all, touched)));
  });
  await session.query(`DROP TABLE ${valuesTable}, ${addressesTable}`);
  return {
    passed: checks.every(({failed}) => failed === 0),
    checks,
    notCompared: [
      ...plan.kept.map(({column, reason}) => ({of: column, reason: `kept by a rule: ${reason}`})),
      ...compared.flatMap((each) => each.notCompared),
      ...(await otherContents(session, plan.all)),
    ],
  };
}

/** A scan of a partitioned table reads its partitions. */
function scanned(all: readonly Table[]): readonly Table[] {
  return all.filter(({kind}) => kind === 'table' || kind === 'view');
}

async function countRows(session: Session, table: Table): Promise<number> {
  const row = z.object({rows: pgCount});
  return parseOnlyRow(row, await session.query(`SELECT count(*) AS rows FROM ${fromTable(table)}`)).rows;
}

const hashOf = (text: string, seed: string): string =>
  `hashtextextended(${text} COLLATE "C", ${quoteLiteral(seed)}::bigint)`;

/** The values of a table's comparisons, one a row. */
function valuesOf(table: Table, comparisons: readonly Comparison[]): string {
  const queries = comparisons.map(
    ({number, values}) => `SELECT ${number}::smallint AS of, x.v FROM (${values}) x(v)`,
  );
  return `FROM ${fromTable(table)} AS ${rowAlias} CROSS JOIN LATERAL (${queries.join(' UNION ALL ')}) u(of, v) WHERE u.v <> ''`;
}

const rowAlias = 'destino_row';

function addressesOf(table: Table, columns: Table['columns']): string {
  return addressesIn(
    `SELECT ${joinedText(columns, rowAlias)} AS text FROM ${fromTable(table)} AS ${rowAlias}`,
  );
}

function comparedTables(plan: MaskPlan): Compared[] {
  let number = 0;
  return plan.tables.flatMap((masked) => {
    const table = plan.all.find(({oid}) => oid === masked.oid);
    if (!table) return [];
    const comparisons: Comparison[] = [];
    const constants: Compared['constants'][number][] = [];
    const notCompared: MaskProof['notCompared'][number][] = [];
    const isMasked = new Set(masked.columns.map(({name}) => name));
    const hasKey = table.key.length > 0 && !table.key.some((name) => isMasked.has(name));
    for (const column of masked.columns) {
      const of = columnName(table.schema, table.name, column.name);
      const add = (values: string): void => void comparisons.push({number: ++number, of, values});
      const wrong = wrongConstant(column);
      if (wrong !== undefined) constants.push({of, wrong});
      else for (const values of wholeValues(column)) add(values);
      if (!['date', 'number', 'text'].includes(column.mask.mask)) continue;
      if (hasKey) add(valueOfRow(table, column));
      else
        notCompared.push({
          of,
          reason:
            column.mask.mask === 'text'
              ? `texts of less than ${longText} characters, because the table has no primary key that stays`
              : 'the table has no primary key that stays, and shifted values can be those of other rows',
        });
    }
    return [{table, comparisons, constants, notCompared}];
  });
}

const inRow = (name: string): string => `${rowAlias}.${quoteIdentifier(name)}`;

/** A condition for a value that is not the declared one. */
function wrongConstant({name, mask, column}: MaskedColumn): string | undefined {
  if (mask.mask === 'null') return `${inRow(name)} IS NOT NULL`;
  if (mask.mask !== 'constant') return undefined;
  const type = column.isArray ? `${column.base}[]` : column.base;
  return `${textOfColumn(inRow(name))} <> concat(${quoteLiteral(String(mask.value))}::${type}) AND ${inRow(name)} IS NOT NULL`;
}

/** Queries for values that no other row of the masked column may have. */
function wholeValues({name, mask, column}: MaskedColumn): string[] {
  const value = inRow(name);
  if (mask.mask === 'json')
    return Object.entries(mask.paths)
      .filter(([, inner]) => inner !== 'keep')
      .map(
        ([path]) =>
          `SELECT q.v #>> '{}' FROM jsonb_path_query(${value}::jsonb, ${quoteLiteral(sqlJsonPath(path))}::jsonpath) q(v)`,
      );
  if (mask.mask === 'date' || mask.mask === 'number') return [];
  const text = mask.mask === 'text' ? (of: string) => `SELECT CASE WHEN char_length(concat(${of})) >= ${longText} THEN concat(${of}) END` : (of: string) => `SELECT concat(${of})`; // prettier-ignore
  if (column.isArray && mask.mask !== 'sql') return [`${text('e.v')} FROM unnest(${value}) e(v)`];
  return [text(wholeText(column, value))];
}

/** Trailing blanks of char(n) are not part of the value. */
function wholeText({baseName}: Column, value: string): string {
  return baseName === 'bpchar' ? `rtrim(concat(${value}))` : `concat(${value})`;
}

/** The value together with the row's key: it may be the value of another row. */
function valueOfRow(table: Table, {name, mask, column}: MaskedColumn): string {
  const value = inRow(name);
  // Longer texts are compared whole, with those of all rows; an array can contain short ones.
  const isWhole = mask.mask === 'text' && !column.isArray;
  const isShort = isWhole ? ` AND char_length(${wholeText(column, value)}) < ${longText}` : '';
  const isFinite = ['date', 'timestamp', 'timestamptz'].includes(column.baseName) && !column.isArray ? `isfinite(${value})` : `concat(${value}) NOT IN ('', 'NaN', 'Infinity', '-Infinity', '{}')`; // prettier-ignore
  return `SELECT CASE WHEN ${isFinite}${isShort} THEN concat_ws('|', ${[...table.key.map(inRow), value].join(', ')}) END`;
}

async function compareValues(session: Session, own: Compared, seed: string): Promise<MaskCheck[]> {
  const {table, comparisons, constants} = own;
  const checks: MaskCheck[] = [];
  if (comparisons.length > 0) {
    const rows = parseRows(
      comparisonRow,
      await session.query(
        `SELECT u.of, count(*) AS compared, count(b.hash) AS failed
           FROM (SELECT u.of, ${hashOf('u.v', seed)} AS hash ${valuesOf(table, comparisons)} OFFSET 0) u
           LEFT JOIN ${valuesTable} b ON b.of = u.of AND b.hash = u.hash GROUP BY u.of`,
      ),
    );
    const byNumber = new Map(rows.map((row) => [row.of, row]));
    const byColumn = new Map<string, MaskCheck>();
    for (const {number, of} of comparisons) {
      const {compared = 0, failed = 0} = byNumber.get(number) ?? {};
      const known = byColumn.get(of) ?? {kind: 'values', of, compared: 0, failed: 0};
      byColumn.set(of, {...known, compared: known.compared + compared, failed: known.failed + failed});
    }
    checks.push(...byColumn.values());
  }
  for (const {of, wrong} of constants) {
    const counts = await session.query(
      `SELECT count(*) AS compared, count(*) FILTER (WHERE ${wrong}) AS failed FROM ${fromTable(table)} AS ${rowAlias}`,
    );
    checks.push({kind: 'values', of, ...parseOnlyRow(countsRow, counts)});
  }
  return checks;
}

/** Addresses of the unmasked database in any text; by column only where there are any. */
async function findAddresses(session: Session, table: Table, seed: string): Promise<MaskCheck[]> {
  const columns = table.columns.filter(canContainText);
  if (columns.length === 0) return [];
  const counts = async (some: Table['columns']): Promise<z.infer<typeof countsRow>> =>
    parseOnlyRow(
      countsRow,
      await session.query(
        `SELECT count(*) AS compared, count(b.hash) AS failed FROM (SELECT ${hashOf('found.address', seed)} AS hash FROM ${addressesOf(table, some)} OFFSET 0) f
           LEFT JOIN (SELECT DISTINCT a.hash FROM ${addressesTable} a) b ON b.hash = f.hash`,
      ),
    );
  const whole = await counts(columns);
  if (whole.failed === 0) return [{kind: 'addresses', of: qualifiedName(table), ...whole}];
  const checks: MaskCheck[] = [];
  for (const column of columns) {
    const own = await counts([column]);
    if (own.compared > 0)
      checks.push({kind: 'addresses', of: columnName(table.schema, table.name, column.name), ...own});
  }
  return checks;
}

/** A key whose tables no mask touched is as valid as the restore left it. */
async function checkLink(
  session: Session,
  link: Link,
  all: readonly Table[],
  touched: ReadonlySet<string>,
): Promise<MaskCheck[]> {
  const child = all.find(({oid}) => oid === link.child);
  const parent = all.find(({oid}) => oid === link.parent);
  if (!child || !parent || !link.isEnforced) return [];
  if (![child, parent].some(({top}) => touched.has(qualifiedName(top)))) return [];
  const side = (table: Table, alias: string, name: string): string => {
    const isCitext = table.columns.some((column) => column.name === name && column.baseName === 'citext');
    const column = `${alias}.${quoteIdentifier(name)}`;
    return isCitext ? `lower(concat(${column}))` : column;
  };
  const notNull = link.childColumns.map((name) => `c.${quoteIdentifier(name)} IS NOT NULL`).join(' AND ');
  const equal = link.childColumns
    .map((name, index) => `${side(parent, 'p', link.parentColumns[index] ?? '')} = ${side(child, 'c', name)}`)
    .join(' AND ');
  const counts = await session.query(
    `SELECT (SELECT count(*) FROM ${fromTable(child)} c WHERE ${notNull}) AS compared,
            (SELECT count(*) FROM ${fromTable(child)} c WHERE ${notNull} AND NOT EXISTS (SELECT 1 FROM ${fromTable(parent)} p WHERE ${equal})) AS failed`,
  );
  return [
    {kind: 'foreign keys', of: `${qualifiedName(child)}: ${link.name}`, ...parseOnlyRow(countsRow, counts)},
  ];
}

/** Contents that no statement of the check reads. */
async function otherContents(
  session: Session,
  all: readonly Table[],
): Promise<MaskProof['notCompared'][number][]> {
  const objects = parseOnlyRow(
    z.object({objects: pgCount}),
    await session.query('SELECT count(*) AS objects FROM pg_catalog.pg_largeobject_metadata'),
  ).objects;
  const bytes = all
    .filter(({kind}) => kind === 'table')
    .flatMap((table) =>
      table.columns
        .filter(({baseName}) => baseName === 'bytea')
        .map((column) => columnName(table.schema, table.name, column.name)),
    );
  return [
    ...(objects > 0 ? [{of: 'large objects', reason: `${objects} in the database are not text`}] : []),
    ...bytes.map((of) => ({of, reason: 'no addresses are searched in bytea'})),
    ...all.flatMap((table) =>
      table.kind === 'foreign'
        ? [{of: qualifiedName(table), reason: 'its rows are in another database'}]
        : [],
    ),
  ];
}
