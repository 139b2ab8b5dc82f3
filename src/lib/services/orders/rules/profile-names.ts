/** Finds the tables and columns of a profile in the catalog, or refuses them with the nearest name. */
import {AppError} from '../../../base/errors.js';
import {nearest} from '../../../base/nearest.js';
import {qualifiedName} from '../../../base/qualified-name.js';
import type {Catalog, Table} from '../../../rows/model/read-schema.js';
import type {OrdersProfile} from './profile.js';

export const profileHint = 'Describe your tables under orders.profile in destino-db.config.json.';

/** @throws CONFIG_INVALID */
export function findTable(catalog: Catalog, profile: OrdersProfile, schema: string, name: string): Table {
  const label = qualifiedName({schema, name});
  const labels = [...catalog.tables.values()].map((table) => table.label);
  const found = [...catalog.tables.values()].find((table) => table.schema === schema && table.name === name);
  if (found) return found;
  throw new AppError(
    'CONFIG_INVALID',
    `The profile "${profile.name}" names the table ${label}, which the database does not have${suggest(label, labels)}.`,
    {hint: `${profileHint} Views and foreign tables cannot be used.`},
  );
}

/** @throws CONFIG_INVALID with the columns that the table does not have */
export function checkColumns(table: Table, profile: OrdersProfile, columns: readonly string[]): void {
  const known = table.columns.map((column) => column.name);
  const missing = columns.filter((column) => !known.includes(column));
  if (missing.length === 0) return;
  throw new AppError(
    'CONFIG_INVALID',
    `The profile "${profile.name}" names columns that ${table.label} does not have: ` +
      `${missing.map((column) => `"${column}"${suggest(column, known)}`).join(', ')}.`,
    {hint: profileHint},
  );
}

/** A suggestion of the nearest known word, to append to a sentence. */
export function suggest(word: string, known: readonly string[]): string {
  const guess = nearest(word, known);
  return guess === undefined ? '' : ` (did you mean "${guess}"?)`;
}
