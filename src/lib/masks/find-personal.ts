/** Finds columns that look personal and have no rule: by their names and by their values, of which only counts leave it. */
import {formatBytes} from '../base/format.js';
import {qualifiedName} from '../base/qualified-name.js';
import type {DumpDefinition} from '../dump/dump-definitions.js';
import {decodeFields, RowShortener, shortenedIn} from '../dump/sql/copy-rows.js';
import type {NamedTable} from '../postgres/quote.js';
import type {RowTaker, RowTakerOf} from '../postgres/take-rows.js';
import {columnName} from '../settings/column-name.js';
import {type DumpedColumn, readDumpedTables} from './dumped-columns.js';
import {FieldsContaining} from './fields-containing.js';
import {type MaskRules, ruledColumns} from './mask-rules.js';
import {
  anyMember,
  hasValidCheckDigit,
  kindByName,
  type PersonalKind,
  type TypeFamily,
  valueSigns,
} from './personal-kinds.js';

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

/** The rows of a table and its partitions that came so far. */
interface SeenTable {
  /** Columns by "schema.table" of the table or partition whose rows came. */
  readonly columns: Map<string, readonly string[]>;
  rows: number;
  /** Rows that were not looked at because there were enough. */
  rowsLeft: number;
  hasAt: boolean;
  hasSearchedColumns: boolean;
  hasLongValues: boolean;
}

interface SearchedColumn {
  readonly count: ColumnCount;
  readonly isJson: boolean;
}

const notText = 'bytea is not text';
const elsewhere = 'its rows are in another database';

const hasText = (family: TypeFamily): boolean => family === 'text' || family === 'json';

/** Looks through rows as they are read, from a dump or a database. */
export interface PersonalFinder {
  readonly takerOf: RowTakerOf;
  /** The same for a table that the dump may not describe, by the families of its columns. */
  readonly takerOfTable: (
    table: NamedTable,
    columns: ReadonlyMap<string, TypeFamily>,
    encoding: string,
  ) => RowTaker;
  /** Whether values of the table need a search; it is false if all its text has rules. */
  readonly needsRows: (table: NamedTable) => boolean;
  readonly found: () => PersonalFindings;
  /** Whether it got the rows of the table, or of the partition, with these columns. */
  readonly hasSeen: (table: NamedTable, columns: readonly string[]) => boolean;
  /** Whether it got a row with the character @ of the table, or of a table that it is a partition of. */
  readonly hasSeenAt: (table: NamedTable) => boolean;
}

/** Rows of each table that are searched for signs that cost more than to read the row. */
const firstRows = 10_000;
/** Longer values are not searched for these, in bytes. */
const longestValue = 250_000;

/**
 * @param definitions of the dump
 * @param mostRows how many rows of each table are looked at; all without it
 */
export function findPersonalByDump(
  definitions: readonly DumpDefinition[],
  rules: MaskRules,
  mostRows = Infinity,
): PersonalFinder {
  const {columnsOf, isWhole, topOf} = readDumpedTables(definitions);
  const isRuled = ruledColumns(rules);
  const counts = new Map<string, ColumnCount>();
  const seen = new Map<string, SeenTable>();
  const seenOf = (table: NamedTable): SeenTable => {
    const known = seen.get(qualifiedName(table));
    if (known) return known;
    const made = {columns: new Map(), rows: 0, rowsLeft: 0, hasAt: false, hasSearchedColumns: false, hasLongValues: false}; // prettier-ignore
    seen.set(qualifiedName(table), made);
    return made;
  };
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
  const search: PersonalFinder['takerOfTable'] = (table, columns, encoding) => {
    const label = qualifiedName(table);
    const top = topOf(label);
    const searched = [...columns].map(([name, family]): SearchedColumn | undefined => {
      if (isRuled(top, name)) return undefined;
      const count = countOf(top, {name, family});
      return hasText(family) ? {count, isJson: family === 'json'} : undefined;
    });
    const own = seenOf(top);
    own.columns.set(label, [...columns.keys()]);
    own.hasSearchedColumns ||= searched.some((each) => each !== undefined);
    return new TableSearch(own, searched, encoding, mostRows);
  };
  return {
    takerOf: (copy, encoding) => {
      const known = columnsOf.get(qualifiedName(copy)) ?? [];
      const columns = copy.columns.map((name): [string, TypeFamily] => {
        // A name or default with line breaks can look like a column of the same name.
        const [column, ...more] = known.filter((each) => each.name === name);
        return [name, column && more.length === 0 ? column.family : 'text'];
      });
      return search(copy, new Map(columns), encoding);
    },
    takerOfTable: search,
    needsRows: (table) => {
      const label = qualifiedName(table);
      const top = topOf(label);
      const columns = columnsOf.get(label) ?? [];
      return !isWhole(label) || columns.some(({name, family}) => hasText(family) && !isRuled(top, name));
    },
    found: () => {
      const of = (isMeant: (table: SeenTable) => boolean): string[] =>
        [...seen]
          .filter(([, table]) => table.hasSearchedColumns && isMeant(table))
          .map(([name]) => name)
          .sort();
      const others = 'signs other than addresses, tokens and password hashes';
      return findingsOf([...counts.values()], seen, [
        ...of(({rowsLeft}) => rowsLeft > 0).map((each) => ({
          of: each,
          reason: `rows after the first ${mostRows}`,
        })),
        ...of(({rows}) => rows > firstRows).map((each) => ({
          of: each,
          reason: `${others} in rows after the first ${firstRows}`,
        })),
        ...of(({hasLongValues}) => hasLongValues).map((each) => ({
          of: each,
          reason: `${others} in values of more than ${formatBytes(longestValue)}`,
        })),
        ...[...unreadable].map(([each, reason]) => ({of: each, reason})),
      ]);
    },
    hasSeen: (table, columns) => {
      const own = seen.get(qualifiedName(topOf(qualifiedName(table))))?.columns.get(qualifiedName(table));
      return own !== undefined && columns.every((name) => own.includes(name));
    },
    hasSeenAt: (table) => seen.get(qualifiedName(topOf(qualifiedName(table))))?.hasAt === true,
  };
}

/** Searches the rows of a COPY statement. */
class TableSearch implements RowTaker {
  /** Columns and kinds that were found in the present row. */
  private readonly found = new Set<string>();
  private readonly shortener: RowShortener;
  private readonly fields: FieldsContaining;
  private rows = 0;

  constructor(
    private readonly table: SeenTable,
    private readonly columns: readonly (SearchedColumn | undefined)[],
    private readonly encoding: string,
    private readonly mostRows: number,
  ) {
    this.shortener = new RowShortener((row) => this.lookAtRow(row), longestValue);
    this.fields = new FieldsContaining(
      characters,
      columns.map((column) => column !== undefined),
      (field, column) => this.look(decodeFields(field, encoding)[0] ?? '', column, true),
      () => {
        // To clear an empty set allocates too, which for each row costs as much as the rest of the search.
        if (this.found.size > 0) this.found.clear();
      },
    );
  }

  add(buffer: Buffer, start: number, end: number): void {
    const {table} = this;
    if (this.rows >= this.mostRows) {
      table.rowsLeft++;
      return;
    }
    if (this.isFirst) this.shortener.add(buffer, start, end);
    if (this.isSearched) this.fields.add(buffer, start, end);
    table.hasAt ||= this.fields.hasFirst;
    table.rows++;
    this.rows++;
  }

  append(buffer: Buffer, start: number, end: number): void {
    if (this.rows >= this.mostRows) return;
    if (this.isFirst) this.shortener.append(buffer, start, end);
    if (this.isSearched) this.fields.append(buffer, start, end);
  }

  private get isFirst(): boolean {
    return this.table.hasSearchedColumns && this.table.rows < firstRows;
  }

  private get isSearched(): boolean {
    return this.table.hasSearchedColumns || !this.fields.hasFirst;
  }

  private lookAtRow(row: Buffer): void {
    if (shortenedIn(row).some((column) => this.columns[column])) this.table.hasLongValues = true;
    for (const [column, value] of decodeFields(row, this.encoding).entries())
      if (value !== null) this.look(value, column, false);
  }

  private look(value: string, column: number, isCheap: boolean): void {
    const of = this.columns[column];
    if (!of) return;
    const {matches} = of.count;
    for (const kind of kindsIn(value, of.isJson, isCheap)) {
      const key = `${column} ${kind}`;
      if (this.found.has(key)) continue;
      this.found.add(key);
      matches.set(kind, (matches.get(kind) ?? 0) + 1);
    }
  }
}

/** The findings of the counts, by the names of the columns. */
function findingsOf(
  counts: readonly ColumnCount[],
  seen: ReadonlyMap<string, SeenTable>,
  notLooked: PersonalFindings['notLooked'],
): PersonalFindings {
  const columns = counts.flatMap(({schema, table: name, column, byName, matches}): PersonalColumn[] => {
    const all = new Map([...(byName === undefined ? [] : [[byName, 0] as const]), ...matches]);
    const kinds = [...all].map(([kind, found]) => ({kind, matches: found}));
    if (kinds.length === 0) return [];
    const table = qualifiedName({schema, name});
    return [
      {table, column, key: columnName(schema, name, column), kinds, rowsLooked: seen.get(table)?.rows ?? 0},
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

/** The value, and again with the quotes of JSON that is an element of an array or a string in JSON. */
function withInnerJson(value: string): string {
  return value.includes('\\"') ? `${value}\n${value.replace(/\\+"/g, '"')}` : value;
}

/** The kinds whose signs the value has. @param isCheap whether it is searched for those of all rows, or for the others */
function kindsIn(value: string, isJson: boolean, isCheap: boolean): ReadonlySet<PersonalKind> {
  const found = new Set<PersonalKind>();
  const text = isJson && !isCheap ? withInnerJson(value) : value;
  const hasMember = isJson && !isCheap && members.test(text);
  for (const {kind, contains, regExp, hasCheckDigit, onlyJson, ...sign} of signs) {
    if ((sign.isCheap === true) !== isCheap || found.has(kind)) continue;
    if ((onlyJson === true && !hasMember) || !text.includes(contains)) continue;
    regExp.lastIndex = 0;
    for (let match = regExp.exec(text); match; match = regExp.exec(text)) {
      if (hasCheckDigit === true && !hasValidCheckDigit(match[0])) continue;
      found.add(kind);
      break;
    }
  }
  return found;
}
