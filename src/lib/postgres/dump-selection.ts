/** Which tables a dump with the given patterns holds, and why others are left out. */
import {z} from 'zod';
import {AppError} from '../errors.js';
import type {Session} from './client.js';
import {
  inspectHiddenTables,
  inspectTables,
  parseRows,
  pgBoolean,
  type TableSize,
} from './inspect-database.js';
import {isVisibleSql, searchedSchemas} from './search-path.js';
import {matchesPattern, type NamedRelation, parseNamePattern} from './table-pattern.js';

export interface SelectionPatterns {
  readonly includeTables: readonly string[];
  readonly excludeTables: readonly string[];
  readonly includeSchemas: readonly string[];
  readonly excludeSchemas: readonly string[];
}

export interface DumpSelection {
  /** Tables whose rows the dump should hold, largest first. */
  readonly tables: readonly TableSize[];
  /** Tables that it does not hold, with the reason. */
  readonly leftOut: readonly {table: string; reason: string}[];
}

const relationRow = z.object({schema: z.string(), name: z.string(), visible: pgBoolean});
const schemaRow = z.object({name: z.string()});

/**
 * Compares the patterns with the catalog.
 * @throws PATTERN_MATCHES_NOTHING; ROW_SECURITY or PERMISSION_DENIED when a chosen table cannot be read whole
 */
export async function selectForDump(session: Session, patterns: SelectionPatterns): Promise<DumpSelection> {
  const relations: NamedRelation[] = parseRows(
    relationRow,
    await session.query(
      `
      SELECT n.nspname AS schema, c.relname AS name, ${isVisibleSql('$1::text[]')} AS visible
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind IN ('r', 'p', 'S', 'v', 'm', 'f') AND c.relpersistence <> 't'`,
      [await searchedSchemas(session)],
    ),
  ).map((row) => ({schema: row.schema, name: row.name, isVisible: row.visible}));
  const schemas = parseRows(
    schemaRow,
    await session.query('SELECT nspname AS name FROM pg_catalog.pg_namespace'),
  );
  requireMatches(
    patterns,
    relations,
    schemas.map((row) => row.name),
  );

  const chosen: TableSize[] = [];
  const leftOut: {table: string; reason: string}[] = [];
  for (const table of await inspectTables(session)) {
    const reason = whyLeftOut(table, patterns);
    if (reason === undefined) chosen.push(table);
    else leftOut.push({table: `${table.schema}.${table.name}`, reason});
  }
  await refuseHidden(session, chosen);
  return {tables: chosen.filter((table) => !table.isPartitioned), leftOut};
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
  const missing = [
    ...tableFlags.flatMap(([flag, values]) =>
      values
        .filter((value) => !relations.some((relation) => matchesPattern(parseNamePattern(value), relation)))
        .map((value) => `${flag} ${value}`),
    ),
    ...schemaFlags.flatMap(([flag, values]) =>
      values
        .filter((value) => !schemas.some((name) => matchesSchema(value, name)))
        .map((value) => `${flag} ${value}`),
    ),
  ];
  if (missing.length === 0) return;
  throw new AppError(
    'PATTERN_MATCHES_NOTHING',
    `Nothing in the database matches ${missing.join(', ')}; no backup was made.`,
    {
      hint: 'A table outside the search path needs its schema (shop.orders); capital letters need double quotes (\'"Orders"\').',
    },
  );
}

function matchesSchema(pattern: string, schema: string): boolean {
  return parseNamePattern(pattern).name.test(schema);
}

function whyLeftOut(table: TableSize, patterns: SelectionPatterns): string | undefined {
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

async function refuseHidden(session: Session, chosen: readonly TableSize[]): Promise<void> {
  const keyOf = ({schema, name}: {schema: string; name: string}): string => JSON.stringify([schema, name]);
  const wanted = new Set(chosen.map(keyOf));
  const hidden = (await inspectHiddenTables(session)).filter((table) => wanted.has(keyOf(table)));
  const [first] = hidden;
  if (!first) return;
  const names = hidden.map((table) => `${table.schema}.${table.name} (${table.why})`);
  const byPolicy = hidden.some((table) => table.why === 'row security');
  throw new AppError(
    byPolicy ? 'ROW_SECURITY' : 'PERMISSION_DENIED',
    `This role cannot read every row of ${names.length === 1 ? 'a table' : `${names.length} tables`}; no backup was made.`,
    {
      details: names,
      hint: "Connect as the tables' owner or a role with BYPASSRLS, or leave them out with --exclude-table or --exclude-schema.",
    },
  );
}
