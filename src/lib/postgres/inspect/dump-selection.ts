/** Finds the tables that a dump with the given patterns contains, and why others are left out. */
import {z} from 'zod';
import {isWithoutRows, withoutRowsReason} from '../../base/left-out-rows.js';
import {qualifiedName} from '../../base/qualified-name.js';
import {AppError} from '../../base/errors.js';
import type {Session} from '../client.js';
import {
  type HiddenTable,
  inspectHiddenTables,
  inspectTables,
  parseRows,
  type TableSize,
} from './inspect-database.js';
import {inspectOwnership, type Ownership} from './platform-objects.js';
import {quoteQualified} from '../quote.js';
import {rowSecurityHint} from '../row-security.js';
import {matchesPattern, type NamedRelation, parseNamePattern} from './table-pattern.js';
import {unknownName} from '../../base/unknown-name.js';

export interface SelectionPatterns {
  readonly includeTables: readonly string[];
  readonly excludeTables: readonly string[];
  readonly excludeTableData?: readonly string[];
  readonly includeSchemas: readonly string[];
  readonly excludeSchemas: readonly string[];
}

export interface DumpSelection {
  /** The objects of the hosting service. */
  readonly ownership: Ownership;
  /** Tables whose rows are in the dump, largest first. */
  readonly tables: readonly TableSize[];
  /** Tables that are not in the dump, or without their rows, with the reason. */
  readonly leftOut: readonly {table: string; reason: string}[];
  /** Tables and sequences of the platform that this role may not read; the tables are also in `leftOut`. */
  readonly unreadable: readonly {table: string; reason: string}[];
  /** Extensions that the chosen schemas use; pg_dump includes extensions only in a complete dump. */
  readonly extensions: readonly string[];
  /** Tables whose rows are not in the dump and that chosen tables refer to by foreign keys. */
  readonly referenced: readonly string[];
  /** The same as patterns for pg_dump: tables that it may not lock, and tables of which it may read only the definition. */
  readonly excluded: {readonly relations: readonly string[]; readonly rows: readonly string[]};
}

const schemaRow = z.object({name: z.string()});

const hiddenBy = {
  rights: 'this role may not read it',
  'row security': 'row security hides rows from this role',
};

/**
 * Compares the patterns with the catalog. Platform tables that the role may not read are left out by name; a user table
 * that cannot be read completely is an error.
 * @throws PATTERN_MATCHES_NOTHING; ROW_SECURITY or PERMISSION_DENIED if a chosen table cannot be read completely
 */
export async function selectForDump(session: Session, patterns: SelectionPatterns): Promise<DumpSelection> {
  const [ownership, schemas, hiddenNow, allTables] = await Promise.all([
    inspectOwnership(session),
    session.query('SELECT nspname AS name FROM pg_catalog.pg_namespace'),
    inspectHiddenTables(session),
    inspectTables(session),
  ]);
  const {relations, isManaged} = ownership;
  requireMatches(
    patterns,
    relations,
    parseRows(schemaRow, schemas).map((row) => row.name),
  );
  const platform = new Set(
    relations.flatMap((relation) => (isManaged && relation.party === 'platform' ? [keyOf(relation)] : [])),
  );
  const hidden = new Map(hiddenNow.map((table) => [keyOf(table), table.why]));

  const chosen: TableSize[] = [];
  const leftOut: {table: string; reason: string}[] = [];
  const hiddenTables: HiddenTable[] = [];
  for (const table of allTables) {
    const why = platform.has(keyOf(table)) ? hidden.get(keyOf(table)) : undefined;
    const reason =
      whyLeftOut(table, patterns) ??
      (table.isWithoutRows ? unloggedOnStandby : undefined) ??
      // pg_dump locks a table whose rows it leaves out, so it still needs the right to read it.
      (hidden.get(keyOf(table)) === 'rights' ? undefined : whyWithoutRows(table, patterns));
    if (reason === undefined && why !== undefined) hiddenTables.push({...table, why});
    else if (reason === undefined) chosen.push(table);
    if (reason !== undefined || why !== undefined)
      leftOut.push({table: qualifiedName(table), reason: reason ?? hiddenBy[why ?? 'rights']});
  }
  const hiddenSequences = relations.filter(
    (relation) =>
      relation.kind === 'S' &&
      relation.isDumped &&
      !relation.isReadable &&
      platform.has(keyOf(relation)) &&
      whyLeftOut({...relation, extension: null}, patterns) === undefined,
  );
  refuseHidden(
    chosen.flatMap((table) => {
      const why = hidden.get(keyOf(table));
      return why === undefined ? [] : [{...table, why}];
    }),
  );
  const withoutRows = leftOut.flatMap(({table, reason}) => (isWithoutRows(reason) ? [table] : []));
  const used =
    patterns.includeTables.length > 0 ? {extensions: [], referenced: []} : usedByChosen(ownership, patterns);
  const describe = ({schema, name, why}: HiddenTable) => ({
    table: qualifiedName({schema, name}),
    reason: hiddenBy[why],
  });
  const patternOf = ({schema, name}: {schema: string; name: string}): string => quoteQualified(schema, name);
  return {
    ownership,
    tables: chosen.filter((table) => !table.isPartitioned),
    leftOut,
    unreadable: [...hiddenTables, ...hiddenSequences.map((one) => ({...one, why: 'rights' as const}))].map(
      describe,
    ),
    extensions: used.extensions,
    referenced: [...used.referenced, ...(await findReferenced(session, chosen, withoutRows))],
    excluded: {
      relations: hiddenTables.filter(({why}) => why === 'rights').map(patternOf),
      // pg_dump includes a sequence with its owning table even if it is excluded, but not its value.
      rows: [...hiddenTables.filter(({why}) => why === 'row security'), ...hiddenSequences].map(patternOf),
    },
  };
}

/** Objects outside the chosen schemas that these use; every database has plpgsql. */
function usedByChosen(
  {extensions, relations}: Ownership,
  {includeSchemas}: SelectionPatterns,
): Pick<DumpSelection, 'extensions' | 'referenced'> {
  const isChosen = (schema: string): boolean => includeSchemas.some((value) => matchesSchema(value, schema));
  return {
    extensions: extensions.flatMap(({name, usedIn}) =>
      name !== 'plpgsql' && usedIn.some(isChosen) ? [name] : [],
    ),
    referenced: relations.flatMap(({schema, name, referencedFrom}) =>
      !isChosen(schema) && referencedFrom.some(isChosen) ? [qualifiedName({schema, name})] : [],
    ),
  };
}

const keyRow = z.object({
  schema: z.string(),
  name: z.string(),
  from_schema: z.string(),
  from_name: z.string(),
});

/** Those of the tables without rows that the others refer to by foreign keys. */
async function findReferenced(
  session: Session,
  chosen: readonly TableSize[],
  withoutRows: readonly string[],
): Promise<string[]> {
  if (withoutRows.length === 0) return [];
  const keys = parseRows(
    keyRow,
    await session.query(
      `SELECT DISTINCT n.nspname AS schema, c.relname AS name, fn.nspname AS from_schema, f.relname AS from_name
         FROM pg_catalog.pg_constraint k
         JOIN pg_catalog.pg_class c ON c.oid = k.confrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_catalog.pg_class f ON f.oid = k.conrelid JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace
        WHERE k.contype = 'f' ORDER BY 1, 2`,
    ),
  );
  const from = new Set(chosen.map(keyOf));
  const referenced = keys.flatMap((key) =>
    from.has(keyOf({schema: key.from_schema, name: key.from_name})) ? [qualifiedName(key)] : [],
  );
  return withoutRows.filter((table) => referenced.includes(table));
}

/** Why the rows of an unlogged table are not in a backup from a standby. */
export const unloggedOnStandby = 'unlogged: its rows are not on a standby';

function keyOf({schema, name}: {schema: string; name: string}): string {
  return JSON.stringify([schema, name]);
}

function requireMatches(
  patterns: SelectionPatterns,
  relations: readonly (NamedRelation & {readonly kind: string})[],
  schemas: readonly string[],
): void {
  const withRows = relations.filter(({kind}) => kind === 'r' || kind === 'm');
  const tableFlags = [
    ['--include-table', patterns.includeTables, relations],
    ['--exclude-table', patterns.excludeTables, relations],
    ['--exclude-table-data', patterns.excludeTableData ?? [], withRows],
  ] as const;
  const schemaFlags = [
    ['--include-schema', patterns.includeSchemas],
    ['--exclude-schema', patterns.excludeSchemas],
  ] as const;
  const missing = [
    ...tableFlags.flatMap(([flag, values, known]) =>
      values
        .filter((value) => !known.some((relation) => matchesPattern(parseNamePattern(value), relation)))
        .map((value) => ({flag, value, names: known.map(qualifiedName)})),
    ),
    ...schemaFlags.flatMap(([flag, values]) =>
      values
        .filter((value) => !schemas.some((name) => matchesSchema(value, name)))
        .map((value) => ({flag, value, names: schemas})),
    ),
  ];
  const [first] = missing;
  if (!first) return;
  const isPartitioned = relations.some(
    (relation) => relation.kind === 'p' && matchesPattern(parseNamePattern(first.value), relation),
  );
  throw unknownName(
    'PATTERN_MATCHES_NOTHING',
    `Nothing in the database matches ${missing.map(({flag, value}) => `${flag} ${value}`).join(', ')}. No backup was made.`,
    first.value,
    first.names,
    first.flag === '--exclude-table-data' && isPartitioned
      ? `The rows of the partitioned table ${first.value} are in its partitions: name these.`
      : 'A table outside the search path needs its schema (shop.orders); capital letters need double quotes (\'"Orders"\').',
  );
}

function matchesSchema(pattern: string, schema: string): boolean {
  return parseNamePattern(pattern).name.test(schema);
}

function whyLeftOut(
  table: NamedRelation & {readonly extension: string | null},
  patterns: SelectionPatterns,
): string | undefined {
  const matches = (value: string): boolean => matchesPattern(parseNamePattern(value), table);
  const isInSchema = (value: string): boolean => matchesSchema(value, table.schema);
  const excludedBy = patterns.excludeTables.find(matches);
  if (excludedBy !== undefined) return `--exclude-table ${excludedBy}`;
  // If tables are chosen, pg_dump ignores --schema and --exclude-schema (selectDumpableTable in pg_dump.c).
  if (patterns.includeTables.length > 0) {
    if (!patterns.includeTables.some(matches)) return 'not in --include-table';
  } else {
    const excludedSchema = patterns.excludeSchemas.find(isInSchema);
    if (excludedSchema !== undefined) return `--exclude-schema ${excludedSchema}`;
    if (patterns.includeSchemas.length > 0 && !patterns.includeSchemas.some(isInSchema))
      return 'not in --include-schema';
  }
  return table.extension === null ? undefined : `belongs to the extension ${table.extension}`;
}

/** A partitioned table has no rows itself, and pg_dump does not apply the pattern to its partitions. */
function whyWithoutRows(
  table: NamedRelation & {readonly isPartitioned: boolean},
  {excludeTableData = []}: SelectionPatterns,
): string | undefined {
  if (table.isPartitioned) return undefined;
  const pattern = excludeTableData.find((value) => matchesPattern(parseNamePattern(value), table));
  return pattern === undefined ? undefined : withoutRowsReason(pattern);
}

/** @throws ROW_SECURITY or PERMISSION_DENIED naming the tables, if there are any */
function refuseHidden(hidden: readonly HiddenTable[]): void {
  const [first] = hidden;
  if (!first) return;
  const names = hidden.map((table) => `${qualifiedName(table)} (${table.why})`);
  const byPolicy = hidden.some((table) => table.why === 'row security');
  throw new AppError(
    byPolicy ? 'ROW_SECURITY' : 'PERMISSION_DENIED',
    `This role cannot read every row of ${names.length === 1 ? 'a table' : `${names.length} tables`}. No backup was made.`,
    {
      details: names,
      hint: `${byPolicy ? rowSecurityHint : "Connect as the tables' owner."} Or exclude them with --exclude-table or --exclude-schema.`,
    },
  );
}
