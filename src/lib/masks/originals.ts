/** The rows before the masks: kept in a schema of their own until the masks are checked. */
import {randomBytes} from 'node:crypto';
import {z} from 'zod';
import {qualifiedName} from '../base/qualified-name.js';
import type {Session} from '../postgres/client.js';
import {inSessions, type Workers} from '../postgres/in-sessions.js';
import {parseOnlyRow, pgCount} from '../postgres/inspect/inspect-database.js';
import {quoteIdentifier, quoteLiteral, quoteQualified} from '../postgres/quote.js';
import type {Step} from '../progress/progress.js';
import {columnName} from '../settings/column-name.js';
import {fromTable, type MaskPlan} from './plan-masks.js';
import type {Column, Table} from './read-tables.js';
import {prepareSession} from './work-sessions.js';
import {addressesIn, canContainText, textsOf} from './text-columns.js';

export interface Originals {
  /** The schema; nobody but the role that made it can use it. */
  readonly schema: string;
  /** Rows by "schema.table". */
  readonly rows: ReadonlyMap<string, number>;
  /** Makes the hashes of this run comparable with no others. */
  readonly seed: string;
}

/** The table with the rows of a masked table before. */
export function originalOf({schema}: Pick<Originals, 'schema'>, {oid}: Pick<Table, 'oid'>): string {
  return quoteQualified(schema, `table_${oid}`);
}

/** Copies the rows of the masked tables, and counts those of all others. */
export async function keepOriginals(workers: Workers, plan: MaskPlan, step: Step): Promise<Originals> {
  const rows = new Map<string, number>();
  const seed = randomBytes(8).readBigInt64BE().toString();
  const originals = {schema: `destino_masks_${randomBytes(6).toString('hex')}`, rows, seed};
  const isMasked = new Map(plan.tables.map(({table}) => [table.oid, table]));
  const isEmptied = new Set(plan.emptied.map(qualifiedName));
  const others = plan.all.filter(({kind, oid}) => kind === 'table' && !isMasked.has(oid));
  await inSessions(workers, [
    async (session) => {
      await session.query(`CREATE SCHEMA ${quoteIdentifier(originals.schema)}`);
      await session.query(`CREATE UNLOGGED TABLE ${addressTable(originals)} (hash bigint)`);
    },
  ]);
  await inSessions(
    workers,
    [
      ...[...isMasked.values()].map((table) => async (session: Session) => {
        step.working(qualifiedName(table));
        const columns = table.columns.map(({name}) => quoteIdentifier(name)).join(', ');
        const copied = await session.execute(
          `CREATE UNLOGGED TABLE ${originalOf(originals, table)} AS SELECT ${columns} FROM ${fromTable(table)}`,
        );
        rows.set(qualifiedName(table), copied);
      }),
      ...others.map((table) => async (session: Session) => {
        rows.set(qualifiedName(table), await countRows(session, table));
        // No address is in the other columns: a search for personal data has read them.
        const unread = table.columns.filter(
          (column) =>
            canContainText(column) && (isEmptied.has(qualifiedName(table)) || isUnread(plan, table, column)),
        );
        await recordAddresses(session, originals, fromTable(table), unread);
      }),
    ],
    prepareSession,
  );
  return originals;
}

/** Whether the search for personal data has not read the column: the server computes it, from columns that can have a rule, and it has none. */
export function isUnread({kept}: MaskPlan, {schema, name}: Table, column: Column): boolean {
  const label = columnName(schema, name, column.name);
  return column.generated && !kept.some((one) => one.column === label);
}

/** The hashes of e-mail addresses before the masks. */
export function addressTable({schema}: Originals): string {
  return quoteQualified(schema, 'addresses');
}

export function hashOf(text: string, {seed}: Originals): string {
  return `hashtextextended(${text} COLLATE "C", ${quoteLiteral(seed)}::bigint)`;
}

/** Adds the addresses in the columns to those before the masks. */
export async function recordAddresses(
  session: Session,
  originals: Originals,
  from: string,
  columns: readonly Column[],
): Promise<void> {
  if (columns.length > 0)
    await session.query(
      `INSERT INTO ${addressTable(originals)} (hash) SELECT DISTINCT ${hashOf('found.address', originals)} FROM ${addressesIn(textsOf(from, columns))}`,
    );
}

export async function countRows(session: Session, table: Table): Promise<number> {
  const row = z.object({rows: pgCount});
  return parseOnlyRow(row, await session.query(`SELECT count(*) AS rows FROM ${fromTable(table)}`)).rows;
}

export async function dropOriginals(workers: Workers, {schema}: Originals): Promise<void> {
  await inSessions(workers, [
    async (session) => {
      await session.query(`DROP SCHEMA ${quoteIdentifier(schema)} CASCADE`);
    },
  ]);
}
