/** How a table of an order backup and the table of the database go together. */
import {quoteIdentifier} from '../../postgres/quote.js';
import type {ColumnForm} from './copy-text.js';
import type {FileTable, OrderFile} from '../file/order-file.js';
import type {SoftLink} from '../model/read-schema.js';
import {allReferences, type TargetColumn, type TargetTable} from './restore-target.js';
import type {RowColumn} from '../model/row-json.js';
import {snakeCase} from './snake-case.js';

/** A column that both the file and the table have. */
export interface SharedColumn {
  /** Member of the JSON. */
  readonly field: string;
  readonly asText: boolean;
  readonly column: TargetColumn;
}

/** A value in the lines of the file, and the column that takes it when it is staged. */
export interface StagedField {
  readonly name: string;
  /** c1, c2, ... by the target's column numbers; g0, g1, ..., of type text, for what the table has no column for. */
  readonly column: string;
  readonly form: ColumnForm;
}

/**
 * Rows of one table of the file, staged.
 * Columns of the temporary table: line, reason (why the row is skipped; null when it is to be restored), selected (only
 * while single orders are looked for), changes (numbers of the columns to update; null where the row is to be inserted), and
 * those of the fields.
 */
export interface StagedTable {
  readonly file: FileTable;
  readonly target: TargetTable;
  /** Quoted name of the temporary table. */
  readonly temp: string;
  /** Fields of a row of the file, in its order; for a link, of its values. */
  readonly fields: readonly StagedField[];
  /** Fields of a link's key. */
  readonly keyFields: readonly StagedField[];
  readonly shared: readonly SharedColumn[];
  /** Fields of the file that the table no longer has. */
  readonly gone: readonly StagedField[];
  /** Columns of the table that the file does not have. */
  readonly added: readonly TargetColumn[];
  /** The row's JSON as it must read after the restore: from the target's row `t`, and from the staged row `s`. */
  readonly json: {readonly target: readonly RowColumn[]; readonly staged: readonly RowColumn[]};
  /** Whether the JSON of a restored row must be the text in the file. */
  readonly isExact: boolean;
  /** Numbers of the columns that identify a row; empty if none do. */
  readonly key: readonly number[];
  /**
   * Quoted name of a temporary table: which rows (`line`) need a unique value that another row of the database has, why they are
   * skipped then (`reason`), the staged row that frees it if one does (`freer`), and the turn in which that one is updated (`round`).
   */
  readonly waits?: string;
}

/** A soft link counts as a reference between tables of the file. */
export function addSoftLink(staged: readonly (StagedTable | undefined)[], link: SoftLink): void {
  const child = staged.find((each) => each?.target.schema === link.schema && each.target.name === link.table);
  const parent = staged.find(
    (each) =>
      each &&
      [each.target.name, each.file.table].includes(link.root) &&
      each.file.key.length === link.columns.length,
  );
  const columns = child?.target.columns.filter(({name}) => link.columns.includes(name)) ?? [];
  if (!child || !parent || columns.length !== link.columns.length) return;
  child.target.references.push({
    name: `${link.table}(${link.columns.join(', ')})`,
    columns: columns
      .toSorted((a, b) => link.columns.indexOf(a.name) - link.columns.indexOf(b.name))
      .map(({number}) => number),
    parent: parent.target,
    parentTop: parent.target.oid,
    parentColumns: parent.file.key.map((name) => ({
      name,
      number: parent.target.columns.find((column) => column.name === name)?.number ?? 0,
    })),
    operators: [], // their texts are compared
    onDelete: 'a',
    isSoft: true,
  });
}

/** @param temp name for the temporary table */
export function describeStaged(
  file: OrderFile,
  table: FileTable,
  target: TargetTable,
  temp: string,
): StagedTable {
  const isLink = file.relinked.includes(table);
  const shared: SharedColumn[] = [];
  const gone: StagedField[] = [];
  const fieldOf = (name: string, number: string, column: TargetColumn | undefined, asText: boolean) => ({
    name,
    column: column ? `c${column.number}` : `g${number}`,
    form: column && !asText ? formOf(column) : ('text' as const),
  });
  const fields = table.columns.map(({name, asText}, index) => {
    const column = findColumn(target, name, file.isFromOldScripts);
    // A link's key is taken from its own part of the line.
    const isKey = isLink && table.key.includes(name);
    const field = fieldOf(name, String(index), isKey ? undefined : column, asText);
    if (column) shared.push({field: name, asText, column});
    else gone.push(field);
    return field;
  });
  const keyFields = (isLink ? table.key : []).map((name, index) => {
    const column = target.columns.find((each) => each.name === name);
    return fieldOf(name, `k${index}`, column, true);
  });
  const added = target.columns.filter((column) => !shared.some((each) => each.column === column));
  const json = shared.map(({column, asText}) => ({
    name: column.name,
    asText: file.isFromOldScripts ? column.asText : asText,
    number: column.number,
  }));
  return {
    file: table,
    target,
    temp: `pg_temp.${quoteIdentifier(temp)}`,
    fields,
    keyFields,
    shared,
    gone,
    added,
    json: {
      target: json,
      staged: json.map((column) => ({...column, sql: `s.c${column.number}`})),
    },
    isExact: table.checksum !== undefined && gone.length === 0,
    key: keyOf(target),
  };
}

/** Numbers of the columns that identify a row of the table: of the primary key, or of a unique index that is never null. */
export function keyOf(target: TargetTable): readonly number[] {
  if (target.primaryKey.length > 0) return target.primaryKey;
  const unique = target.exclusives.find(
    ({parts, predicate}) =>
      predicate === null &&
      parts.every(
        ({expression, operator}) => operator.name === '=' && numberOf(target, expression) !== undefined,
      ),
  );
  return unique?.parts.map(({expression}) => numberOf(target, expression) ?? 0) ?? [];
}

/**
 * SQL: the key of a staged row as text, as --key takes it: several columns with commas between them.
 * @param row the row's alias and a dot, or nothing
 */
export function keyText(key: readonly number[], row = 's.'): string {
  const parts = key.map((number) => `${row}c${number}::pg_catalog.text`);
  return parts.length === 1 ? (parts[0] ?? '') : `pg_catalog.concat_ws(',', ${parts.join(', ')})`;
}

function formOf({type}: TargetColumn): ColumnForm {
  if (type === 'json' || type === 'jsonb') return 'json';
  return type.endsWith('[]') ? 'array' : 'text';
}

/** The number of the column that an index part names, where it cannot be null. */
function numberOf(target: TargetTable, expression: string): number | undefined {
  return target.columns.find(
    ({name, notNull}) => notNull && (expression === name || expression === quoteIdentifier(name)),
  )?.number;
}

/** Old files name columns as the model does: as the column itself, or in camel case for a snake_case column. */
function findColumn(target: TargetTable, field: string, isFromOldScripts: boolean): TargetColumn | undefined {
  const find = (name: string): TargetColumn | undefined =>
    target.columns.find((column) => column.name === name);
  return find(field) ?? (isFromOldScripts ? find(snakeCase(field)) : undefined);
}

/** Columns of the file whose type is another one now; the file's names of types may lack their schema. */
export function changedTypes({file, shared}: StagedTable): {name: string; before: string; now: string}[] {
  return shared.flatMap(({field, column}) => {
    const before = file.columns.find(({name}) => name === field)?.type;
    const isSame = before === undefined || before === column.type || column.type.endsWith(`.${before}`);
    return isSame ? [] : [{name: field, before, now: column.type}];
  });
}

/** Numbers of the columns by which rows are looked up: keys and references. */
export function lookupColumns({target, key}: StagedTable): number[] {
  return [...new Set([...key, ...allReferences(target).flatMap((reference) => reference.columns)])];
}
