/** Finds columns that look personal and have no rule: by their names and by their values, of which only counts leave it. */
import {AppError} from '../base/errors.js';
import {countOf} from '../base/format.js';
import {qualifiedName} from '../base/qualified-name.js';
import type {DumpDefinition} from '../dump/dump-definitions.js';
import {decodeFields, RowShortener} from '../dump/sql/copy-rows.js';
import type {RowTakerOf} from '../dump/sql/copy-stream.js';
import type {Session} from '../postgres/client.js';
import {inSessions, type Task, type Workers} from '../postgres/in-sessions.js';
import {pgCount} from '../postgres/inspect/inspect-database.js';
import {type NamedTable, quoteIdentifier, quoteLiteral, quoteQualified} from '../postgres/quote.js';
import {columnName} from '../settings/column-name.js';
import {type DumpedColumn, readDumpedTables} from './dumped-columns.js';
import {type MaskRules, ruledColumns} from './mask-rules.js';
import {
  anyDelimited,
  anyMember,
  familyOf,
  hasValidCheckDigit,
  isDelimited,
  kindByName,
  type PersonalKind,
  type ValueSign,
  valueSigns,
} from './personal-kinds.js';
import {fromTable} from './plan-masks.js';
import {type Column, readTables, type Table} from './read-tables.js';
import {piecesOf, prepareSession} from './work-sessions.js';
import {canContainText} from './text-columns.js';

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
  rows: number;
}

const notText = 'bytea is not text';
const elsewhere = 'its rows are in another database';

/** The findings of the counts, by the names of the columns. */
function findingsOf(
  counts: readonly ColumnCount[],
  notLooked: PersonalFindings['notLooked'],
): PersonalFindings {
  const columns = counts.flatMap(({schema, table, column, byName, matches, rows}): PersonalColumn[] => {
    const all = new Map([...(byName === undefined ? [] : [[byName, 0] as const]), ...matches]);
    const kinds = [...all].map(([kind, found]) => ({kind, matches: found}));
    if (kinds.length === 0) return [];
    return [
      {
        table: qualifiedName({schema, name: table}),
        column,
        key: columnName(schema, table, column),
        kinds,
        rowsLooked: rows,
      },
    ];
  });
  return {columns: columns.sort((one, other) => (one.key < other.key ? -1 : 1)), notLooked};
}

/** @throws PERSONAL_DATA if there are columns without a rule; the list names counts, no values */
export function refusePersonal({columns}: PersonalFindings, state: string): void {
  if (columns.length === 0) return;
  throw new AppError(
    'PERSONAL_DATA',
    `${columns.length === 1 ? 'A column looks' : `${columns.length} columns look`} personal and ${columns.length === 1 ? 'has' : 'have'} no mask. ${state}`,
    {
      details: columns.map(
        ({key, kinds}) =>
          `${key}: ${kinds.map(({kind, matches}) => (matches === 0 ? `${kind}, by its name` : `${kind} in ${countOf(matches, 'row')}`)).join('; ')}`,
      ),
      hint: `Add a rule for each under "masks" in the config file, such as "${columns[0]?.key ?? ''}": {"mask": "text"}, or {"mask": "keep", "reason": "..."}.`,
    },
  );
}

/** Looks through the rows of a dump as they are read. */
export interface PersonalFinder {
  /** The receivers of rows for a `CopyStream`. */
  readonly takerOf: RowTakerOf;
  readonly found: () => PersonalFindings;
}

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
  const cut = new Set<string>();
  const countOf = (table: NamedTable, {name, family}: DumpedColumn): ColumnCount => {
    const key = JSON.stringify([table.schema, table.name, name]);
    const known = counts.get(key);
    if (known) return known;
    const {schema} = table;
    const byName = kindByName(table.name, name, family);
    const made = {schema, table: table.name, column: name, byName, matches: new Map(), rows: 0};
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
      const table = topOf(qualifiedName(copy));
      const known = columnsOf.get(qualifiedName(copy)) ?? [];
      const looked = copy.columns.flatMap((name, index) => {
        const column = known.find((each) => each.name === name) ?? {
          name,
          family: 'text' as const,
          isBytea: false,
        };
        const hasText = column.family === 'text' || column.family === 'json';
        return isRuled(table, name)
          ? []
          : [{index, hasText, isJson: column.family === 'json', count: countOf(table, column)}];
      });
      if (looked.length === 0) return undefined;
      let rows = 0;
      const shortener = new RowShortener((row) => {
        const fields = decodeFields(row, encoding);
        for (const {index, hasText, isJson, count} of looked) {
          count.rows++;
          const value = fields[index];
          if (hasText && value !== null && value !== undefined) look(value, isJson, count);
        }
      });
      return {
        add: (buffer, start, end) => {
          if (rows < mostRows) shortener.add(buffer, start, end);
          else cut.add(qualifiedName(copy));
          rows++;
        },
        append: (buffer, start, end) => {
          if (rows < mostRows) shortener.append(buffer, start, end);
        },
      };
    },
    found: () =>
      findingsOf(
        [...counts.values()],
        [
          ...[...cut].sort().map((of) => ({of, reason: `rows after the first ${mostRows}`})),
          ...[...unreadable].map(([of, reason]) => ({of, reason})),
        ],
      ),
  };
}

const signs = valueSigns.map((sign) => ({...sign, regExp: new RegExp(sign.pattern, 'g')}));

function look(value: string, isJson: boolean, {matches}: ColumnCount): void {
  const found = new Set<string>();
  for (const {kind, contains, regExp, hasCheckDigit, onlyJson} of signs) {
    if (found.has(kind) || (onlyJson === true && !isJson) || !value.includes(contains)) continue;
    regExp.lastIndex = 0;
    for (let match = regExp.exec(value); match; match = regExp.exec(value)) {
      if (hasCheckDigit === true && !hasValidCheckDigit(match[0])) continue;
      found.add(kind);
      matches.set(kind, (matches.get(kind) ?? 0) + 1);
      break;
    }
  }
}

/** More columns would exceed the limit of a query's results. */
const mostColumns = 60;

/** The outcome of a search of all rows. */
export interface SearchedDatabase extends PersonalFindings {
  /** "schema.table" of each table without the character @ in any text. */
  readonly withoutAt: ReadonlySet<string>;
}

/** Searches in several sessions. @throws ROW_SECURITY where a policy hides rows */
export async function findPersonalInDatabase(workers: Workers, rules: MaskRules): Promise<SearchedDatabase> {
  const isRuled = ruledColumns(rules);
  const searches: {readonly table: Table; readonly columns: Column[]; readonly all: Search[]}[] = [];
  const tasks: Task[] = [];
  const notLooked: PersonalFindings['notLooked'][number][] = [];
  await inSessions(workers, [
    async (session) => {
      for (const table of await readTables(session)) {
        if (table.kind === 'foreign') notLooked.push({of: qualifiedName(table), reason: elsewhere}); // prettier-ignore
        if (table.kind !== 'table') continue;
        const columns = table.columns.filter((column) => !column.generated && !isRuled(table, column.name));
        const all: Search[] = [];
        for (let first = 0; first < columns.length; first += mostColumns)
          all.push(searchOf(table, columns.slice(first, first + mostColumns)));
        searches.push({table, columns, all});
        const pieces =
          columns.length > 0 ? await piecesOf(session, quoteQualified(table.schema, table.name)) : [];
        for (const search of all)
          tasks.push(
            (each) => countSigns(each, table, search, {most: firstRows}),
            ...pieces.map((where) => (each: Session) => countSigns(each, table, search, {where})),
          );
      }
    },
  ]);
  await inSessions(workers, tasks, prepareSession);
  for (const {table, columns, all} of searches) {
    // The first rows are among all rows.
    for (const {count, first} of all.flatMap(({texts}) => texts))
      for (const [kind, found] of first)
        count.matches.set(kind, Math.max(found, count.matches.get(kind) ?? 0));
    if (all.some(({rows}) => rows > firstRows))
      notLooked.push({
        of: qualifiedName(table),
        reason: `signs other than addresses, tokens and password hashes in rows after the first ${firstRows}`,
      });
    notLooked.push(
      ...columns
        .filter(({baseName}) => baseName === 'bytea')
        .map(({name}) => ({of: columnName(table.schema, table.name, name), reason: notText})),
    );
  }
  const counts = searches.flatMap(({all}) =>
    all.flatMap((search) => search.counts.map((count) => ({...count, rows: search.rows}))),
  );
  const withoutAt = searches.filter(
    ({table, columns, all}) =>
      all.every((search) => search.withAt === 0) &&
      table.columns.every((column) => !canContainText(column) || columns.includes(column)),
  );
  return {
    ...findingsOf(counts, notLooked),
    withoutAt: new Set(withoutAt.map(({table}) => qualifiedName(table))),
  };
}

/** Rows of each table in which the server searches for signs that cost it more than the rows themselves. */
const firstRows = 10_000;

/** A search of some columns of a table. */
interface Search {
  readonly counts: readonly ColumnCount[];
  /** The columns that can contain text. */
  readonly texts: readonly {
    readonly count: ColumnCount;
    /** Matches of costly signs in the first rows. */
    readonly first: Map<PersonalKind, number>;
    readonly isJson: boolean;
    readonly sql: string;
  }[];
  rows: number;
  /** Rows with the character @. */
  withAt: number;
}

function searchOf(table: Table, columns: readonly Column[]): Search {
  const texts: Search['texts'][number][] = [];
  const counts = columns.map((column): ColumnCount => {
    const family = familyOf(column.baseName === 'citext' ? 'text' : column.base);
    const byName = column.isEnum ? undefined : kindByName(table.name, column.name, family);
    const count: ColumnCount = {
      schema: table.schema,
      table: table.name,
      column: column.name,
      byName,
      matches: new Map(),
      rows: 0,
    };
    const sql = `concat(r.${quoteIdentifier(column.name)})`;
    if (canContainText(column)) texts.push({count, first: new Map(), isJson: family === 'json', sql});
    return count;
  });
  return {counts, texts, rows: 0, withAt: 0};
}

/** Counts the rows with cheap signs among those that meet the condition, or the rows with the other signs among the first ones. */
async function countSigns(
  session: Session,
  table: Table,
  search: Search,
  rowsOf: {readonly where: string} | {readonly most: number},
): Promise<void> {
  const isCheap = 'where' in rowsOf;
  if (!isCheap && search.texts.length === 0) return;
  const asked = search.texts.flatMap(({count, first, isJson}, index) => {
    const signs = signsFor(isCheap, isJson);
    return [...new Set(signs.map(({kind}) => kind))].map((kind) => ({
      count,
      first,
      kind,
      sql: signs
        .filter((sign) => sign.kind === kind)
        .map((sign) => `${conditionOf(sign, index)}${matchOf(sign, `t.v${index}`)}`)
        .join(' OR '),
    }));
  });
  const filters = asked.map(({sql}, index) => `count(*) FILTER (WHERE ${sql}) AS m${index}`);
  const at = search.texts.map((_, index) => `strpos(t.v${index}, '@') > 0`);
  const values = search.texts.map(({sql}, index) => `${sql} AS v${index}`);
  // Most values have none of these signs, which one expression for several shows.
  const any = (isAsked: boolean, index: number, pattern: string): string =>
    isAsked && !isCheap ? `t.v${index} ~ ${quoteLiteral(pattern).trim()}` : 'false';
  const members = search.texts.flatMap(({isJson}, index) => [
    `${any(isJson, index, anyMember)} AS j${index}`,
    `${any(true, index, anyDelimited)} AS d${index}`,
  ]);
  const rows = `SELECT ${values.join(', ')} FROM ${fromTable(table)} AS r ${isCheap ? `WHERE ${rowsOf.where} OFFSET 0` : `LIMIT ${rowsOf.most}`}`;
  const [row] = await session.query(
    `SELECT ${['count(*) AS rows', `count(*) FILTER (WHERE ${['false', ...at].join(' OR ')}) AS with_at`, ...filters].join(', ')} FROM (SELECT ${['t.*', ...members].join(', ')} FROM (${rows}) t OFFSET 0) t`,
  );
  for (const [index, {count, first, kind}] of asked.entries()) {
    const found = pgCount.parse(row?.[`m${index}`]);
    const into = isCheap ? count.matches : first;
    if (found > 0) into.set(kind, (into.get(kind) ?? 0) + found);
  }
  if (!isCheap) return;
  search.rows += pgCount.parse(row?.['rows']);
  search.withAt += pgCount.parse(row?.['with_at']);
}

const signsFor = (isCheap: boolean, isJson: boolean): ValueSign[] =>
  valueSigns.filter((sign) => (sign.isCheap === true) === isCheap && (isJson || sign.onlyJson !== true));

/** SQL: what excludes most values before they are searched for the sign. */
function conditionOf(sign: ValueSign, index: number): string {
  if (sign.onlyJson === true) return `t.j${index} AND `;
  return isDelimited(sign) ? `t.d${index} AND ` : '';
}

/** SQL: the value has the sign. AND and OR evaluate from the left, the cheap condition first. */
function matchOf({contains, pattern, hasCheckDigit}: ValueSign, text: string): string {
  const regExp = quoteLiteral(pattern).trim();
  const prefilter = contains === '' ? '' : `strpos(${text}, ${quoteLiteral(contains)}) > 0 AND `;
  if (hasCheckDigit !== true) return `${prefilter}${text} ~ ${regExp}`;
  // Every second digit from the right counts double, and 9 less if it has two digits then.
  return `${text} ~ ${regExp} AND EXISTS (
    SELECT 1 FROM regexp_matches(${text}, ${quoteLiteral(`(${pattern})`).trim()}, 'g') m(match)
     CROSS JOIN LATERAL (SELECT reverse(regexp_replace(m.match[1], '[^0-9]', '', 'g')) AS digits) d
     WHERE length(d.digits) >= 13 AND (SELECT sum(CASE WHEN i % 2 = 1 THEN n.digit WHEN n.digit > 4 THEN n.digit * 2 - 9 ELSE n.digit * 2 END)
       FROM generate_series(1, length(d.digits)) i CROSS JOIN LATERAL (SELECT substr(d.digits, i, 1)::int AS digit) n) % 10 = 0)`;
}
