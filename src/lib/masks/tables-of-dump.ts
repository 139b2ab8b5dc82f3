/** The tables of a backup as its definitions describe them, to compare the masks with them before anything is restored. */
import {qualifiedName} from '../base/qualified-name.js';
import type {DumpDefinition} from '../dump/dump-definitions.js';
import {readIdentifier, readQualifiedName} from '../dump/sql/sql-names.js';
import {
  type ColumnLine,
  columnLines,
  describesWhole,
  type DumpedTypes,
  readDumpedTables,
  readDumpedTypes,
  typeBelow,
} from './dumped-columns.js';
import {type KeyStatement, keyStatements} from './future-keys.js';
import type {DatabaseTables} from './plan-masks.js';
import type {Column, Link, Table} from './read-tables.js';

/** Names of the catalog for types that format_type writes otherwise. */
const namesOfTypes: Readonly<Record<string, string>> = {
  smallint: 'int2',
  integer: 'int4',
  bigint: 'int8',
  real: 'float4',
  'double precision': 'float8',
  boolean: 'bool',
  character: 'bpchar',
  'character varying': 'varchar',
  'timestamp without time zone': 'timestamp',
  'timestamp with time zone': 'timestamptz',
};

/** Tables that the definitions do not describe whole are missing, such as those that inherit columns; the restored database decides about them. */
export function tablesOfDump(definitions: readonly DumpDefinition[]): DatabaseTables {
  const {topOf} = readDumpedTables(definitions);
  const types = readDumpedTypes(definitions);
  const keys = keyStatements(definitions);
  const unique = uniqueColumns(keys);
  const identities = identityColumns(definitions);
  const all = definitions.flatMap(({type, statements}): Table[] =>
    type !== 'TABLE'
      ? []
      : statements.flatMap((statement): Table[] => {
          const start = /^CREATE (?:UNLOGGED )?TABLE /.exec(statement)?.[0].length;
          const named = start === undefined ? undefined : readQualifiedName(statement, start);
          const body = named && statement.slice(named.end);
          if (!named || !body || !describesWhole(body)) return [];
          const label = qualifiedName(named);
          const top = topOf(label);
          const partitioned = /\n\)\s*PARTITION BY \w+ \(/.exec(body);
          const parts = partitioned ? (namesAt(body, partitioned.index + partitioned[0].length - 1) ?? []) : [];
          const columns = columnLines(body).map((line, index): Column => {
            const of = keyOf(named, line.name);
            return {
              ...columnOf(line, index, types),
              isUnique: unique.has(of),
              isAlwaysIdentity: identities.has(of),
              isPartitionKey: parts.includes(line.name),
            };
          });
          return [
            {
              oid: label,
              schema: named.schema,
              name: named.name,
              kind: qualifiedName(top) === label ? 'table' : 'partition',
              top,
              hasParts: partitioned !== null,
              isOfExtension: false,
              key: [],
              columns,
            },
          ];
        }),
  ); // prettier-ignore
  const described = new Set(all.map(qualifiedName));
  const links = linksOf(keys).filter(({child, parent}) => described.has(child) && described.has(parent));
  return {all, links};
}

const keyOf = (table: {readonly schema: string; readonly name: string}, column: string): string =>
  JSON.stringify([table.schema, table.name, column]);

function columnOf({name, type, isGenerated, isNotNull}: ColumnLine, index: number, types: DumpedTypes): Column {
  const {base, isArray, isDomain, isNotNull: domainNotNull} = typeBelow(type, types);
  const modifiers = /\((\d+)(?:,(-?\d+))?\)/.exec(base);
  const plain = base.replace(/\([^)]*\)/, '');
  const isCitext = types.hasCitext && /^[^."]+\.citext$/.test(plain);
  const baseName = isCitext ? 'citext' : (namesOfTypes[plain] ?? plain);
  const hasLength = ['varchar', 'bpchar', 'numeric'].includes(baseName);
  return {
    name,
    number: index + 1,
    declared: type,
    base,
    baseName,
    length: hasLength && modifiers ? Number(modifiers[1]) : null,
    decimals: baseName === 'numeric' && modifiers ? Number(modifiers[2] ?? 0) : null,
    isArray,
    isEnum: types.enums.has(base),
    isDomain,
    isKnown: isCitext || !base.includes('.'),
    notNull: isNotNull || domainNotNull,
    generated: isGenerated,
    isAlwaysIdentity: false,
    isUnique: false,
    isPartitionKey: false,
    collation: null,
  };
} // prettier-ignore

/** The names in a list in parentheses at `start`; undefined if it contains something else. */
function namesAt(text: string, start: number): string[] | undefined {
  const names: string[] = [];
  let position = start - 1;
  do {
    const name = readIdentifier(text, position + 2);
    if (!name) return undefined;
    names.push(name.name);
    position = name.end;
  } while (text.startsWith(', ', position));
  return text[position] === ')' ? names : undefined;
}

/** Columns that a unique index has alone. */
function uniqueColumns(keys: readonly KeyStatement[]): ReadonlySet<string> {
  return new Set(
    keys.flatMap(({sql, table}) => {
      const start = / (?:PRIMARY KEY|UNIQUE(?: NULLS NOT DISTINCT)?|USING \w+) \(/.exec(sql);
      const names = start ? namesAt(sql, start.index + start[0].length - 1) : undefined;
      return table && names?.length === 1 ? [keyOf(table, names[0] ?? '')] : [];
    }),
  );
}

function linksOf(keys: readonly KeyStatement[]): Link[] {
  return keys.flatMap(({sql, name, table, parent}): Link[] => {
    const from = / FOREIGN KEY \(/.exec(sql);
    const child = from ? namesAt(sql, from.index + from[0].length - 1) : undefined;
    const refers = / REFERENCES /.exec(sql);
    const named = refers ? readQualifiedName(sql, refers.index + refers[0].length) : undefined;
    const columns = named && sql[named.end] === '(' ? namesAt(sql, named.end) : undefined;
    if (!table || !parent || !child || !columns) return [];
    return [
      {
        name,
        child: qualifiedName(table),
        parent: qualifiedName(parent),
        childColumns: child,
        parentColumns: columns,
        isEnforced: true,
        isTemporal: false,
      },
    ];
  });
}

function identityColumns(definitions: readonly DumpDefinition[]): ReadonlySet<string> {
  return new Set(
    definitions.flatMap(({statements}) =>
      statements.flatMap((statement) => {
        const start = /^ALTER TABLE (?:ONLY )?/.exec(statement)?.[0].length;
        const table = start === undefined ? undefined : readQualifiedName(statement, start);
        const alters = / ALTER COLUMN /y;
        alters.lastIndex = table?.end ?? 0;
        if (!table || !alters.test(statement)) return [];
        const column = readIdentifier(statement, alters.lastIndex);
        return column && /^ ADD GENERATED ALWAYS AS IDENTITY/.test(statement.slice(column.end))
          ? [keyOf(table, column.name)]
          : [];
      }),
    ),
  );
}
