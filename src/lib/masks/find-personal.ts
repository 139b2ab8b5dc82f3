/** Finds columns that look personal and have no rule: by their names and by their values, of which only counts leave it. */
import {qualifiedName} from '../base/qualified-name.js';
import type {DumpDefinition} from '../dump/dump-definitions.js';
import {decodeFields, RowShortener} from '../dump/sql/copy-rows.js';
import type {NamedTable} from '../postgres/quote.js';
import type {RowTakerOf} from '../postgres/take-rows.js';
import {columnName} from '../settings/column-name.js';
import {type DumpedColumn, readDumpedTables} from './dumped-columns.js';
import {FieldsContaining} from './fields-containing.js';
import {type MaskRules, ruledColumns} from './mask-rules.js';
import {anyMember, hasValidCheckDigit, kindByName, type PersonalKind, valueSigns} from './personal-kinds.js';

export interface PersonalColumn {
  /** "schema.table"; the topmost table of a partition. */
  readonly table: string;
  readonly column: string;
  /** As the config names it. */
  readonly key: string;
  /** The kinds that its name or its values show; `matches` counts rows, and is 0 where only the name shows the kind. */
  readonly kinds: readonly {readonly kind: PersonalKind; readonly matches: number}[];
  /** Rows whose values were looked at. */
  readonly rowsLooked: number;
}

export interface PersonalFindings {
  readonly columns: readonly PersonalColumn[];
  /** Columns and objects that were not looked at, each with the reason. */
  readonly notLooked: readonly {readonly of: string; readonly reason: string}[];
}

/** Counts for one column, of all its partitions. */
interface ColumnCount {
  readonly schema: string;
  readonly table: string;
  readonly column: string;
  readonly byName: PersonalKind | undefined;
  readonly matches: Map<PersonalKind, number>;
}

/** The rows of a COPY statement. */
interface SeenRows {
  /** "schema.table", for a partition its own. */
  readonly label: string;
  readonly top: string;
  readonly columns: readonly string[];
  /** Whether values of a column are searched. */
  readonly isSearched: boolean;
  readonly fields: FieldsContaining;
  rows: number;
}

interface SearchedColumn {
  readonly count: ColumnCount;
  readonly isJson: boolean;
}

const notText = 'bytea is not text';
const elsewhere = 'its rows are in another database';

/** Looks through rows as they are read, from a dump or a database. */
export interface PersonalFinder {
  readonly takerOf: RowTakerOf;
  readonly found: () => PersonalFindings;
  /** Whether it got the rows of the table, or of the partition, with these columns. */
  readonly hasSeen: (table: NamedTable, columns: readonly string[]) => boolean;
  /** Whether it got a row with the character @, of the table or its partitions. */
  readonly hasSeenAt: (table: NamedTable) => boolean;
}

/** Rows of each table that are searched for signs that cost more than to read the row. */
const firstRows = 10_000;

/**
 * @param definitions of the dump
 * @param mostRows how many rows of each table are looked at; all without it
 */
export function findPersonalByDump(
  definitions: readonly DumpDefinition[],
  rules: MaskRules,
  mostRows = Infinity,
): PersonalFinder {
  const {columnsOf, topOf} = readDumpedTables(definitions);
  const isRuled = ruledColumns(rules);
  const counts = new Map<string, ColumnCount>();
  const seen: SeenRows[] = [];
  const countOf = (table: NamedTable, {name, family}: Omit<DumpedColumn, 'isBytea'>): ColumnCount => {
    const key = JSON.stringify([table.schema, table.name, name]);
    const known = counts.get(key);
    if (known) return known;
    const {schema} = table;
    const byName = kindByName(table.name, name, family);
    const made = {schema, table: table.name, column: name, byName, matches: new Map()};
    counts.set(key, made);
    return made;
  };
  const unreadable = new Map<string, string>();
  for (const [label, columns] of columnsOf) {
    const table = topOf(label);
    for (const column of columns) {
      if (isRuled(table, column.name)) continue;
      countOf(table, column);
      if (column.isBytea) unreadable.set(columnName(table.schema, table.name, column.name), notText);
    }
  }
  for (const definition of definitions) {
    if (definition.type === 'FOREIGN TABLE') unreadable.set(qualifiedName(definition), elsewhere);
  }
  return {
    takerOf: (copy, encoding) => {
      const label = qualifiedName(copy);
      const table = topOf(label);
      const known = columnsOf.get(label) ?? [];
      const searched = copy.columns.map((name): SearchedColumn | undefined => {
        if (isRuled(table, name)) return undefined;
        const {family} = known.find((each) => each.name === name) ?? {family: 'text' as const};
        const count = countOf(table, {name, family});
        return family === 'text' || family === 'json' ? {count, isJson: family === 'json'} : undefined;
      });
      const isSearched = searched.some((each) => each !== undefined);
      const found = new Set<string>();
      const look = (value: string, column: number, isCheap: boolean): void => {
        const of = searched[column];
        if (!of) return;
        for (const kind of kindsIn(value, of.isJson, isCheap)) {
          const key = `${column} ${kind}`;
          if (found.has(key)) continue;
          found.add(key);
          of.count.matches.set(kind, (of.count.matches.get(kind) ?? 0) + 1);
        }
      };
      const shortened = new RowShortener((row) => {
        for (const [column, value] of decodeFields(row, encoding).entries())
          if (value !== null) look(value, column, false);
      });
      const fields = new FieldsContaining(
        characters,
        searched.map((each) => each !== undefined),
        (field, column) => look(decodeFields(field, encoding)[0] ?? '', column, true),
        () => found.clear(),
      );
      const own: SeenRows = {label, top: qualifiedName(table), columns: copy.columns, isSearched, fields, rows: 0}; // prettier-ignore
      seen.push(own);
      const isWanted = (): boolean => own.rows < mostRows && (isSearched || !fields.hasFirst);
      const isFirst = (): boolean => isSearched && own.rows < firstRows;
      return {
        add: (buffer, start, end) => {
          if (isWanted()) {
            if (isFirst()) shortened.add(buffer, start, end);
            fields.add(buffer, start, end);
          }
          own.rows++;
        },
        append: (buffer, start, end) => {
          if (!isWanted()) return;
          if (isFirst()) shortened.append(buffer, start, end);
          fields.append(buffer, start, end);
        },
      };
    },
    found: () => {
      const after = (count: number): string[] =>
        seen
          .filter((each) => each.isSearched && each.rows > count)
          .map(({label}) => label)
          .sort();
      return findingsOf([...counts.values()], seen, mostRows, [
        ...after(mostRows).map((of) => ({of, reason: `rows after the first ${mostRows}`})),
        ...(mostRows > firstRows
          ? after(firstRows).map((of) => ({
              of,
              reason: `signs other than addresses, tokens and password hashes in rows after the first ${firstRows}`,
            }))
          : []),
        ...[...unreadable].map(([of, reason]) => ({of, reason})),
      ]);
    },
    hasSeen: (table, columns) => {
      const of = qualifiedName(table);
      return seen.some(
        ({label, columns: own}) => label === of && columns.every((name) => own.includes(name)),
      );
    },
    hasSeenAt: (table) => {
      const of = qualifiedName(table);
      return seen.some(({top, fields}) => top === of && fields.hasFirst);
    },
  };
}

/** The findings of the counts, by the names of the columns. */
function findingsOf(
  counts: readonly ColumnCount[],
  seen: readonly SeenRows[],
  mostRows: number,
  notLooked: PersonalFindings['notLooked'],
): PersonalFindings {
  const rowsOf = new Map<string, number>();
  for (const {top, rows} of seen) rowsOf.set(top, (rowsOf.get(top) ?? 0) + Math.min(rows, mostRows));
  const columns = counts.flatMap(({schema, table: name, column, byName, matches}): PersonalColumn[] => {
    const all = new Map([...(byName === undefined ? [] : [[byName, 0] as const]), ...matches]);
    const kinds = [...all].map(([kind, found]) => ({kind, matches: found}));
    if (kinds.length === 0) return [];
    const table = qualifiedName({schema, name});
    return [
      {table, column, key: columnName(schema, name, column), kinds, rowsLooked: rowsOf.get(table) ?? 0},
    ];
  });
  return {columns: columns.sort((one, other) => (one.key < other.key ? -1 : 1)), notLooked};
}

const signs = valueSigns.map((sign) => ({...sign, regExp: new RegExp(sign.pattern, 'g')}));

/** Each cheap sign contains one; that of addresses is the first. */
const characters = signs.flatMap(({isCheap, contains}) =>
  isCheap === true ? [contains.charCodeAt(contains.length - 1)] : [],
);

const members = new RegExp(anyMember);

/** The kinds whose signs the value has. @param isCheap whether it is searched for those of all rows, or for the others */
function kindsIn(value: string, isJson: boolean, isCheap: boolean): ReadonlySet<PersonalKind> {
  const found = new Set<PersonalKind>();
  const hasMember = isJson && !isCheap && members.test(value);
  for (const {kind, contains, regExp, hasCheckDigit, onlyJson, ...sign} of signs) {
    if ((sign.isCheap === true) !== isCheap || found.has(kind)) continue;
    if ((onlyJson === true && !hasMember) || !value.includes(contains)) continue;
    regExp.lastIndex = 0;
    for (let match = regExp.exec(value); match; match = regExp.exec(value)) {
      if (hasCheckDigit === true && !hasValidCheckDigit(match[0])) continue;
      found.add(kind);
      break;
    }
  }
  return found;
}
