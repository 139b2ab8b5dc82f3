/** Which tables a dump with the given patterns holds, and why others are left out. */
import {z} from 'zod';
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
  readonly includeSchemas: readonly string[];
  readonly excludeSchemas: readonly string[];
}

export interface DumpSelection {
  /** What belongs to the service that runs the server. */
  readonly ownership: Ownership;
  /** Tables whose rows the dump should hold, largest first. */
  readonly tables: readonly TableSize[];
  /** Tables that it does not hold, with the reason. */
  readonly leftOut: readonly {table: string; reason: string}[];
  /** Tables and sequences of the platform that this role may not read; `leftOut` has the tables too. */
  readonly unreadable: readonly {table: string; reason: string}[];
  /** Extensions that chosen schemas use, which pg_dump brings with a whole database alone. */
  readonly extensions: readonly string[];
  /** Tables of other schemas whose rows chosen schemas refer to by foreign keys. */
  readonly referenced: readonly string[];
  /** The same as patterns for pg_dump: what it may not even lock, and what it may read the definition of. */
  readonly excluded: {readonly relations: readonly string[]; readonly rows: readonly string[]};
}

const schemaRow = z.object({name: z.string()});

const hiddenBy = {
  rights: 'this role may not read it',
  'row security': 'row security hides rows from this role',
};

/**
 * Compares the patterns with the catalog. What the platform keeps from the role is left out by name; a table of the
 * user's that cannot be read whole is an error.
 * @throws PATTERN_MATCHES_NOTHING; ROW_SECURITY or PERMISSION_DENIED when a chosen table cannot be read whole
 */
export async function selectForDump(session: Session, patterns: SelectionPatterns): Promise<DumpSelection> {
  const ownership = await inspectOwnership(session);
  const {relations, isManaged} = ownership;
  const schemas = parseRows(
    schemaRow,
    await session.query('SELECT nspname AS name FROM pg_catalog.pg_namespace'),
  );
  requireMatches(
    patterns,
    relations,
    schemas.map((row) => row.name),
  );
  const platform = new Set(
    relations.flatMap((relation) => (isManaged && relation.party === 'platform' ? [keyOf(relation)] : [])),
  );
  const hidden = new Map((await inspectHiddenTables(session)).map((table) => [keyOf(table), table.why]));

  const chosen: TableSize[] = [];
  const leftOut: {table: string; reason: string}[] = [];
  const hiddenTables: HiddenTable[] = [];
  for (const table of await inspectTables(session)) {
    const why = platform.has(keyOf(table)) ? hidden.get(keyOf(table)) : undefined;
    const reason = whyLeftOut(table, patterns) ?? (table.isWithoutRows ? unloggedOnStandby : undefined);
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
    ...(patterns.includeTables.length > 0
      ? {extensions: [], referenced: []}
      : usedByChosen(ownership, patterns)),
    excluded: {
      relations: hiddenTables.filter(({why}) => why === 'rights').map(patternOf),
      // A sequence comes along with the table that owns it, whether it is excluded or not; its value does not.
      rows: [...hiddenTables.filter(({why}) => why === 'row security'), ...hiddenSequences].map(patternOf),
    },
  };
}

/** What chosen schemas use of the rest of the database; every one has plpgsql. */
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

/** Why the rows of an unlogged table are not in a backup from a standby. */
export const unloggedOnStandby = 'unlogged: a standby has no rows of it';

function keyOf({schema, name}: {schema: string; name: string}): string {
  return JSON.stringify([schema, name]);
}

function requireMatches(
  patterns: SelectionPatterns,
  relations: readonly NamedRelation[],
  schemas: readonly string[],
): void {
  const tableFlags = [
    ['--include-table', patterns.includeTables],
    ['--exclude-table', patterns.excludeTables],
  ] as const;
  const schemaFlags = [
    ['--include-schema', patterns.includeSchemas],
    ['--exclude-schema', patterns.excludeSchemas],
  ] as const;
  const tables = relations.map(qualifiedName);
  const missing = [
    ...tableFlags.flatMap(([flag, values]) =>
      values
        .filter((value) => !relations.some((relation) => matchesPattern(parseNamePattern(value), relation)))
        .map((value) => ({flag, value, names: tables})),
    ),
    ...schemaFlags.flatMap(([flag, values]) =>
      values
        .filter((value) => !schemas.some((name) => matchesSchema(value, name)))
        .map((value) => ({flag, value, names: schemas})),
    ),
  ];
  const [first] = missing;
  if (!first) return;
  throw unknownName(
    'PATTERN_MATCHES_NOTHING',
    `Nothing in the database matches ${missing.map(({flag, value}) => `${flag} ${value}`).join(', ')}; no backup was made.`,
    first.value,
    first.names,
    'A table outside the search path needs its schema (shop.orders); capital letters need double quotes (\'"Orders"\').',
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
  // Where tables are named, pg_dump looks neither at --schema nor at --exclude-schema (selectDumpableTable in pg_dump.c).
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

/** @throws ROW_SECURITY or PERMISSION_DENIED naming the tables, if there are any */
function refuseHidden(hidden: readonly HiddenTable[]): void {
  const [first] = hidden;
  if (!first) return;
  const names = hidden.map((table) => `${qualifiedName(table)} (${table.why})`);
  const byPolicy = hidden.some((table) => table.why === 'row security');
  throw new AppError(
    byPolicy ? 'ROW_SECURITY' : 'PERMISSION_DENIED',
    `This role cannot read every row of ${names.length === 1 ? 'a table' : `${names.length} tables`}; no backup was made.`,
    {
      details: names,
      hint: `${byPolicy ? rowSecurityHint : "Connect as the tables' owner."} Or leave them out with --exclude-table or --exclude-schema.`,
    },
  );
}
