/** SQL conditions by which staged rows meet the rows of the database and one another. */
import {quoteIdentifier} from '../../postgres/quote.js';
import {builtInEquality, compareSql} from '../model/operators.js';
import type {PartitionReference, TargetReference, TargetTable} from './restore-target.js';
import type {StagedOrders} from './stage-orders.js';
import type {StagedTable} from './staged-table.js';

/** Columns of the staged rows `s` and of the target's rows `t` that identify a row. */
export function sameKey(staged: StagedTable, key: readonly number[] = staged.key): string {
  const primary = staged.target.exclusives.find((each) => each.isPrimary);
  const operators =
    key === staged.target.primaryKey ? primary?.parts.map((part) => part.operator) : undefined;
  return key
    .map((number, index) => {
      const column = staged.target.columns.find((each) => each.number === number);
      const operator = operators?.[index] ?? column?.equality ?? builtInEquality;
      return compareSql(operator, `t.${quoteIdentifier(column?.name ?? '')}`, `s.c${number}`);
    })
    .join(' AND ');
}

/** `sameKey` with the staged rows under another alias. */
export function aliased(each: StagedTable, key: readonly number[], alias: string): string {
  return sameKey(each, key).replaceAll(/\bs\.c(\d+)\b/g, `${alias}.c$1`);
}

/** Numbers of the key's columns as the file names them. */
export function keyNumbers(staged: StagedTable): readonly number[] {
  const numbers = staged.file.key.flatMap((name) =>
    staged.target.columns.filter((column) => column.name === name),
  );
  const result = numbers.map((column) => column.number);
  const {primaryKey} = staged.target;
  // The same list object lets `sameKey` use the primary key's own operators.
  return result.length === primaryKey.length && result.every((number, index) => number === primaryKey[index])
    ? primaryKey
    : result;
}

/** The references of `child` to tables of the file. */
export function referencesInside(
  staged: StagedOrders,
  child: StagedTable,
): {reference: TargetReference; parent: StagedTable}[] {
  return child.target.references.flatMap((reference) => {
    const parent = staged.tables.find(({target}) => target.oid === reference.parentTop);
    return parent ? [{reference, parent}] : [];
  });
}

/** The parent's columns equal those of the staged child `s`: in the staged parent `p` or in the real one, `t`. */
export function matches(
  {columns, parentColumns, operators, isSoft}: TargetReference,
  where: 'staged' | 'target',
): string {
  return columns
    .map((number, index) => {
      const parent = parentColumns[index];
      const column =
        where === 'staged' ? `p.c${parent?.number ?? 0}` : `t.${quoteIdentifier(parent?.name ?? '')}`;
      // The two ends of a soft link may differ in type.
      return isSoft
        ? `${column}::pg_catalog.text = s.c${number}::pg_catalog.text`
        : compareSql(operators[index] ?? builtInEquality, column, `s.c${number}`);
    })
    .join(' AND ');
}

/** SQL: `matches`, for a row `s` of the table that has the key: of a partition's own key only rows that the partition takes. */
export function refers(
  reference: TargetReference | PartitionReference,
  table: TargetTable,
  where: 'staged' | 'target',
): string {
  return `${hasReference(reference, table)} AND ${matches(reference, where)}`;
}

/** SQL: whether the row `s` of the table has the key at all. */
export function hasReference(
  reference: TargetReference | PartitionReference,
  {columns}: TargetTable,
): string {
  if (!('bound' in reference) || reference.bound === null) return 'true';
  // The bound names the columns as the table does.
  const values = columns.map(({number, name}) => `s.c${number} AS ${quoteIdentifier(name)}`);
  return `EXISTS (SELECT FROM (SELECT ${values.join(', ')}) destino_row WHERE ${reference.bound})`;
}

/** Columns that the values of links set. */
export function linkColumns(staged: StagedTable): readonly StagedTable['shared'][number][] {
  return staged.shared.filter(({column}) => !staged.file.key.includes(column.name));
}

/** SQL: whether the links of the target's row `t` are still as unlinking left them: NULL, the default, or set to the same. */
export function stillUnlinked(staged: StagedTable): string {
  const {target} = staged;
  const links = new Set(target.references.flatMap((reference) => reference.columns));
  const conditions = linkColumns(staged)
    .filter(({column}) => links.has(column.number))
    .map(({column}) => {
      const live = `t.${quoteIdentifier(column.name)}`;
      const isDefault =
        column.default !== null &&
        target.references.some((each) => each.onDelete === 'd' && each.columns.includes(column.number))
          ? ` OR ${live}::text = (${column.default})::text`
          : '';
      return `(${live} IS NULL OR ${live}::text = s.c${column.number}::text${isDefault})`;
    });
  return conditions.length === 0 ? 'true' : conditions.join(' AND ');
}
