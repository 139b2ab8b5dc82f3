/** Compares a masked database with the values that it contained before. */
import {z} from 'zod';
import {qualifiedName} from '../base/qualified-name.js';
import type {Session} from '../postgres/client.js';
import {inSessions, type Workers} from '../postgres/in-sessions.js';
import {parseOnlyRow, pgCount} from '../postgres/inspect/inspect-database.js';
import {type NamedTable, quoteIdentifier, quoteLiteral} from '../postgres/quote.js';
import type {Step} from '../progress/progress.js';
import {columnName} from '../settings/column-name.js';
import {
  type Comparison,
  compareValues,
  countBefore,
  isScanned,
  outcomesOf,
  readAfter,
  scansOf,
} from './compare-values.js';
import {sqlJsonPath} from './json-path.js';
import {isNotEmpty, looksMasked, plainText, textOfColumn} from './mask-sql.js';
import {
  addressTable,
  hashOf,
  isUnread,
  originalOf,
  type Originals,
  recordAddresses,
  requireOriginals,
} from './originals.js';
import {prepareSession} from './work-sessions.js';
import {fromTable, type MaskedColumn, type MaskPlan} from './plan-masks.js';
import {type Column, type Link, readTables, type Table} from './read-tables.js';
import {addressesIn, canContainText, rowAlias, textsOf} from './text-columns.js';

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

/** Bytes from which a masked text is compared with those of all rows; a shorter one can be the same as a value of another row. */
const longText = 12;

interface Compared {
  readonly table: Table;
  readonly comparisons: readonly Comparison[];
  /** Columns whose values are all the same: a condition for a wrong one. */
  readonly constants: readonly {readonly of: string; readonly wrong: string}[];
  readonly notCompared: MaskProof['notCompared'];
}

const countsRow = z.object({compared: pgCount, failed: pgCount});

/**
 * Call it after `applyMasks`, once the database is complete.
 * @param withoutAt tables that had no @ before the masks; those without masks need no second search
 * @throws CONNECTION_LOST after a crash of the server
 */
export async function proveMasks(
  workers: Workers,
  plan: MaskPlan,
  originals: Originals,
  step: Step,
  withoutAt: ReadonlySet<string> = new Set(),
): Promise<MaskProof> {
  const rowsOf = (table: NamedTable): number => originals.rows.get(qualifiedName(table)) ?? 0;
  // Those that take longest first.
  const compared = comparedTables(plan).sort((one, other) => rowsOf(other.table) - rowsOf(one.table));
  const emptied = new Set(plan.emptied.map(qualifiedName));
  let all: readonly Table[] = [];
  let others: MaskProof['notCompared'] = [];
  await inSessions(workers, [
    async (session) => {
      all = await readTables(session, originals.schema);
      others = await otherContents(session, all);
    },
  ]);
  // A scan of a partitioned table reads its partitions.
  const scanned: ScannedTable[] = all
    .filter(({kind}) => kind === 'table' || kind === 'view')
    .sort((one, other) => rowsOf(other) - rowsOf(one))
    .map((table) => ({table, columns: table.columns.filter(canContainText), rows: 0, found: 0}));
  const touched = new Set([...plan.tables, ...plan.emptied].map(qualifiedName));
  const comparing = (table: Table, comparison: Comparison): Comparing => ({
    of: comparison.of,
    run: async (session) => [
      {kind: 'values', of: comparison.of, ...(await compareValues(session, originals, table, comparison))},
    ],
  });
  const scans = compared.flatMap(({table, comparisons}) => scansOf(table, comparisons));
  const reading = (each: ScannedTable): Comparing[] => {
    const {table, columns} = each;
    const of = qualifiedName(table);
    const isKnown = table.kind === 'table' && withoutAt.has(of) && !touched.has(of);
    const own = scans.filter((scan) => qualifiedName(scan.table) === of);
    const task = (work: (session: Session) => Promise<void>): Comparing => ({
      of,
      run: async (session) => {
        await work(session);
        return [];
      },
    });
    const [first, ...more] = own;
    return [
      task(async (session) => {
        const now = await readAfter(session, first ?? {table, comparisons: []}, isKnown ? [] : columns);
        each.rows = now.rows;
        each.found = now.found;
        if (first) first.after = now.looks;
      }),
      ...more.map((scan) =>
        task(async (session) => {
          scan.after = (await readAfter(session, scan, [])).looks;
        }),
      ),
      ...own
        .filter(({comparisons}) => comparisons.length > 0)
        .map((scan) =>
          task(async (session) => {
            scan.before = await countBefore(session, originals, scan);
          }),
        ),
    ];
  };
  const masked = new Set(plan.tables.map(qualifiedName));
  const isMaskedTable = ({table}: ScannedTable): boolean => masked.has(qualifiedName(table));
  const work: Comparing[] = [
    ...scanned.filter(isMaskedTable).flatMap(reading),
    ...compared.flatMap(({table, comparisons}) =>
      comparisons.filter((one) => !isScanned(one)).map((one) => comparing(table, one)),
    ),
    ...compared.flatMap(({table, constants}) =>
      constants.map((constant) => ({
        of: constant.of,
        run: (session: Session) => compareConstant(session, table, constant),
      })),
    ),
    ...plan.links.map((link) => ({
      of: link.name,
      run: (session: Session) => checkLink(session, link, plan.all, touched),
    })),
    ...scanned.filter((each) => !isMaskedTable(each)).flatMap(reading),
  ]; // prettier-ignore
  const runAll = async (each: readonly Comparing[]): Promise<readonly MaskCheck[]> => {
    const results: (readonly MaskCheck[])[] = [];
    const tasks = each.map(({of, run}, index) => async (session: Session) => {
      step.working(of);
      results[index] = await run(session);
    });
    if (tasks.length > 0) await inSessions(workers, tasks, prepareSession);
    return results.flat();
  };
  const first = await runAll(work);
  const outcomes = scans.flatMap((scan) => outcomesOf(scan).map((outcome) => ({table: scan.table, outcome})));
  const ofScans = outcomes.flatMap(({outcome}): MaskCheck[] =>
    'value' in outcome ? [] : [{kind: 'values', ...outcome}],
  );
  const undecided = await runAll(
    outcomes.flatMap(({table, outcome}) => ('value' in outcome ? [comparing(table, outcome)] : [])),
  );
  const rows = scanned
    .filter(({table}) => table.kind === 'table')
    .map((each) => compareRows(each, emptied.has(qualifiedName(each.table)) ? 0 : originals.rows.get(qualifiedName(each.table)))); // prettier-ignore
  const addresses = await compareAddresses(workers, plan, originals, scanned);
  await inSessions(workers, [(session) => requireOriginals(session, originals)]);
  // The columns come first, in an order that no value changes.
  const columns = compared.flatMap(({comparisons}) =>
    comparisons.map(({of}): MaskCheck => ({kind: 'values', of, compared: 0, failed: 0})),
  );
  const checks = joinByColumn([...columns, ...first, ...rows, ...ofScans, ...undecided, ...addresses]);
  return {
    passed: checks.every(({failed}) => failed === 0),
    checks,
    notCompared: [
      ...plan.kept.map(({column, reason}) => ({of: column, reason: `kept by a rule: ${reason}`})),
      ...compared.flatMap((each) => each.notCompared),
      ...others,
    ],
  };
}

interface Comparing {
  /** A column, table or key. */
  readonly of: string;
  readonly run: (session: Session) => Promise<readonly MaskCheck[]>;
}

/** Comparisons of one column are one check. */
function joinByColumn(checks: readonly MaskCheck[]): MaskCheck[] {
  const joined = new Map<string, MaskCheck>();
  for (const check of checks) {
    const key = `${check.kind} ${check.of}`;
    const known = joined.get(key) ?? {...check, compared: 0, failed: 0};
    joined.set(key, {...known, compared: known.compared + check.compared, failed: known.failed + check.failed}); // prettier-ignore
  }
  return [...joined.values()];
}

function compareRows({table, rows: compared}: ScannedTable, expected: number | undefined): MaskCheck {
  const failed = compared === expected ? 0 : Math.abs(compared - (expected ?? 0)) || 1;
  return {kind: 'rows', of: qualifiedName(table), compared, failed};
}

function comparedTables(plan: MaskPlan): Compared[] {
  return plan.tables.map((masked) => {
    const {table} = masked;
    const comparisons: Comparison[] = [];
    const constants: Compared['constants'][number][] = [];
    const notCompared: MaskProof['notCompared'][number][] = [];
    const isMasked = new Set(masked.columns.map(({name}) => name));
    const hasKey = table.key.length > 0 && !table.key.some((name) => isMasked.has(name));
    for (const column of masked.columns) {
      const of = columnName(table.schema, table.name, column.name);
      const wrong = wrongConstant(column);
      if (wrong !== undefined) constants.push({of, wrong});
      else for (const values of wholeValues(column)) comparisons.push({of, ...values});
      const hasTexts = column.mask.mask === 'text' || textPaths(column).length > 0;
      if (!hasTexts && !isComparedInRow(column)) continue;
      if (hasKey) for (const values of valuesOfRow(table, column)) comparisons.push({of, ...values});
      else
        notCompared.push({
          of,
          reason: hasTexts
            ? `texts of less than ${longText} bytes, because the table has no primary key that stays`
            : 'the table has no primary key that stays, and shifted values can be those of other rows',
        });
    }
    return {table, comparisons, constants, notCompared};
  });
}

const inRow = (name: string): string => `${rowAlias}.${quoteIdentifier(name)}`;

/** A condition for a value that is not the declared one. */
function wrongConstant({name, mask, column}: MaskedColumn): string | undefined {
  if (mask.mask === 'null') return `${inRow(name)} IS NOT NULL`;
  if (mask.mask !== 'constant') return undefined;
  const type = column.isArray ? `${column.base}[]` : column.base;
  return `${textOfColumn(inRow(name))} COLLATE "C" <> concat(${quoteLiteral(String(mask.value))}::${type}) AND ${inRow(name)} IS NOT NULL`;
}

const shiftedTypes = [
  'date',
  'timestamp',
  'timestamptz',
  'int2',
  'int4',
  'int8',
  'numeric',
  'float4',
  'float8',
];

/** Shifted values can be those of other rows. */
function isComparedInRow({mask, column}: MaskedColumn): boolean {
  if (mask.mask === 'date' || mask.mask === 'number') return true;
  return mask.mask === 'program' && !column.isArray && shiftedTypes.includes(column.baseName);
}

/** Values that no other row of the masked column may have. */
function wholeValues({name, mask, column}: MaskedColumn): Omit<Comparison, 'of'>[] {
  const value = inRow(name);
  if (mask.mask === 'json')
    return Object.entries(mask.paths)
      .filter(([, inner]) => inner !== 'keep')
      .map(([path, inner]) => ({
        value: inner === 'text' ? longOnly('x.v') : 'x.v',
        looksMasked: looksMasked(inner, {baseName: 'text', length: null}),
        lateral: atPath(value, path),
      }));
  if (isComparedInRow({name, mask, column})) return [];
  const text = mask.mask === 'text' ? longOnly : (of: string) => of;
  const shape = looksMasked(mask.mask, column);
  if (column.isArray && mask.mask !== 'sql')
    return [{value: text('x.v'), lateral: elements(column, value), looksMasked: shape}];
  return [{value: text(wholeText(column, value)), looksMasked: shape}];
}

const longOnly = (text: string): string => `CASE WHEN octet_length(${text}) >= ${longText} THEN ${text} END`;

const isShort = (text: string): string => `octet_length(${text}) BETWEEN 1 AND ${longText - 1}`;

/** A query with the values at the path as the columns "v" and "n", their number in the row. */
function atPath(value: string, path: string): string {
  return `SELECT q.v #>> '{}', q.n FROM jsonb_path_query(${value}::jsonb, ${quoteLiteral(sqlJsonPath(path))}::jsonpath) WITH ORDINALITY q(v, n)`;
}

/** Paths of JSON with the mask "text". */
function textPaths({mask}: MaskedColumn): string[] {
  return mask.mask !== 'json'
    ? []
    : Object.entries(mask.paths).flatMap(([path, inner]) => (inner === 'text' ? [path] : []));
}

/** A query with the elements of an array as the column "v". */
function elements(column: Column, value: string): string {
  return `SELECT ${wholeText({...column, isArray: false}, 'e.v')} AS v FROM unnest(${value}) e(v)`;
}

/** Trailing blanks of char(n) are not part of the value. */
function wholeText(column: Column, value: string): string {
  return column.baseName === 'bpchar' ? `rtrim(concat(${value}))` : plainText(value, column);
}

/** Values together with the row's key: they may be those of other rows. */
function valuesOfRow(table: Table, masked: MaskedColumn): Omit<Comparison, 'of'>[] {
  const {name, mask} = masked;
  const value = inRow(name);
  const withKey = (isCompared: string, ...values: string[]): string =>
    `CASE WHEN ${isCompared} THEN concat_ws('|', ${[...table.key.map(inRow), ...values].join(', ')}) END`;
  if (mask.mask === 'json')
    return textPaths(masked).map((path) => ({
      value: withKey(isShort('x.v'), 'x.n', 'x.v'),
      lateral: atPath(value, path),
    }));
  return [{value: withKey(isComparable(masked, value), value)}];
}

/** SQL: whether the mask changes the value of a row, which can still be that of another row. */
function isComparable({mask, column}: MaskedColumn, value: string): string {
  // One without any text stays as it is; others can contain short ones.
  if (column.isArray)
    return `EXISTS (SELECT FROM (${elements(column, value)}) element WHERE ${isNotEmpty('element.v')})`;
  if (mask.mask === 'text') return isShort(wholeText(column, value));
  return ['date', 'timestamp', 'timestamptz'].includes(column.baseName)
    ? `isfinite(${value})`
    : `concat(${value}) NOT IN ('', 'NaN', 'Infinity', '-Infinity')`;
}

async function compareConstant(
  session: Session,
  table: Table,
  {of, wrong}: Compared['constants'][number],
): Promise<MaskCheck[]> {
  const counts = await session.query(
    `SELECT count(*) AS compared, count(*) FILTER (WHERE ${wrong}) AS failed FROM ${fromTable(table)} AS ${rowAlias}`,
  );
  return [{kind: 'values', of, ...parseOnlyRow(countsRow, counts)}];
}

interface ScannedTable {
  readonly table: Table;
  /** Those that can contain text. */
  readonly columns: Table['columns'];
  rows: number;
  /** Rows with an address. */
  found: number;
}

/** Addresses of the unmasked database in any text. Those of masked columns are only read if there are any now. */
async function compareAddresses(
  workers: Workers,
  plan: MaskPlan,
  originals: Originals,
  searched: readonly ScannedTable[],
): Promise<MaskCheck[]> {
  const some = searched.filter(({found}) => found > 0);
  if (some.length > 0)
    await inSessions(
      workers,
      plan.tables.map(({table, columns}) => async (session: Session) => {
        const isMasked = new Set(columns.map(({name}) => name));
        const read = table.columns.filter(
          (column) => canContainText(column) && (isMasked.has(column.name) || isUnread(plan, table, column)),
        );
        await recordAddresses(session, originals, originalOf(originals, table), read);
      }),
      prepareSession,
    );
  const results: (readonly MaskCheck[])[] = [];
  await inSessions(
    workers,
    searched.map((each, index) => async (session: Session) => {
      results[index] = await findAddresses(session, originals, each);
    }),
    prepareSession,
  );
  return results.flat();
}

/** By column only where there are any. */
async function findAddresses(
  session: Session,
  originals: Originals,
  {table, columns, found}: ScannedTable,
): Promise<MaskCheck[]> {
  if (columns.length === 0) return [];
  const counts = async (of: Table['columns']): Promise<z.infer<typeof countsRow>> =>
    parseOnlyRow(
      countsRow,
      await session.query(
        `SELECT count(*) AS compared, count(b.hash) AS failed FROM (SELECT ${hashOf('found.address', originals)} AS hash FROM ${addressesIn(textsOf(fromTable(table), of))} OFFSET 0) f
           LEFT JOIN (SELECT DISTINCT a.hash FROM ${addressTable(originals)} a) b ON b.hash = f.hash`,
      ),
    );
  const whole = found === 0 ? {compared: 0, failed: 0} : await counts(columns);
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
  // As the key compares them.
  const collate = (name = ''): string => {
    const collation = parent.columns.find((column) => column.name === name)?.collation ?? null;
    return collation === null ? '' : ` COLLATE ${collation}`;
  };
  const notNull = link.childColumns.map((name) => `c.${quoteIdentifier(name)} IS NOT NULL`).join(' AND ');
  const equal = link.childColumns
    .slice(0, link.isTemporal ? -1 : undefined)
    .map(
      (name, index) =>
        `${side(parent, 'p', link.parentColumns[index] ?? '')} = ${side(child, 'c', name)}${collate(link.parentColumns[index])}`,
    )
    .join(' AND ');
  const column = (alias: string, names: readonly string[]): string =>
    `${alias}.${quoteIdentifier(names.at(-1) ?? '')}`;
  const hasParent = link.isTemporal
    ? `coalesce((SELECT ${column('c', link.childColumns)} <@ range_agg(${column('p', link.parentColumns)}) FROM ${fromTable(parent)} p WHERE ${equal}), false)`
    : `EXISTS (SELECT 1 FROM ${fromTable(parent)} p WHERE ${equal})`;
  const counts = await session.query(
    `SELECT (SELECT count(*) FROM ${fromTable(child)} c WHERE ${notNull}) AS compared,
            (SELECT count(*) FROM ${fromTable(child)} c WHERE ${notNull} AND NOT ${hasParent}) AS failed`,
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
