/** Checks the criteria of a cleaning: dates, time zone and ids from flags and config. */
import {AppError} from '../../../base/errors.js';
import type {Session} from '../../../postgres/client.js';
import {quoteIdentifier} from '../../../postgres/quote.js';
import type {OrdersConfig} from '../../../settings/orders-config.js';
import {isTimeZone} from '../../../base/time-zone.js';
import {hasSqlState} from '../../../postgres/sql-state.js';
import type {Root} from './resolve-root.js';
import {compareSql} from '../../../rows/model/operators.js';
import {type Criteria, keyTextSql} from './order-conditions.js';
import {columnType, equalityOf, relationSql} from './relation-sql.js';

/** The flags that select orders. */
export interface SelectionFlags {
  readonly testEmailsOnly: boolean;
  readonly includeOld: boolean;
  readonly includeCustomers: boolean;
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly excludeIds: readonly string[];
  /** Allowed triggers and rules, whose effects need not be counted: "schema.table.name". */
  readonly allowTriggers?: readonly string[];
}

/** @throws USAGE with the flag, CONFIG_INVALID for the time zone */
export function parseCriteria(flags: SelectionFlags, config: OrdersConfig): Criteria {
  const from = parseDay(flags.from, '--from');
  const to = parseDay(flags.to, '--to');
  if (from !== null && to !== null && from > to) {
    throw new AppError('USAGE', `--from ${from} is after --to ${to}.`, {hint: 'Swap the two days.'});
  }
  const timeZone = config.timeZone ?? 'UTC';
  if (!isTimeZone(timeZone)) {
    throw new AppError('CONFIG_INVALID', `The time zone "${timeZone}" (orders.timeZone) is unknown.`, {
      hint: 'Use a name such as "America/Los_Angeles" or "UTC".',
    });
  }
  return {
    testEmailsOnly: flags.testEmailsOnly,
    includeOld: flags.includeOld,
    includeCustomers: flags.includeCustomers,
    from,
    to,
    timeZone,
    excludedIds: [],
  };
}

function parseDay(text: string | undefined, flag: string): string | null {
  if (text === undefined) return null;
  const isDay = /^\d{4}-\d{2}-\d{2}$/.test(text);
  const time = isDay ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
  // Date.parse reads 31 February as 3 March.
  if (!Number.isNaN(time) && new Date(time).toISOString().startsWith(text)) return text;
  throw new AppError('USAGE', `${flag} "${text}" is not a date.`, {
    hint: `Write it as YYYY-MM-DD: ${flag} 2026-03-31.`,
  });
}

/**
 * The ids in the server's notation ("{A0EE...}" is the same uuid as "a0ee...").
 * @param onUnknown receives the ids that no order has
 * @throws USAGE or CONFIG_INVALID for an id that no order could have
 */
export async function resolveExcludedIds(
  session: Session,
  roots: readonly Root[],
  ids: readonly string[],
  config: OrdersConfig,
  onUnknown: (id: string) => void,
): Promise<string[]> {
  const resolved = new Set<string>();
  const given = [
    ...ids.map((id) => ({id, isFlag: true})),
    ...(config.excludedIds ?? []).map((id) => ({id, isFlag: false})),
  ];
  for (const {id, isFlag} of given) {
    let isFound = false;
    const types: string[] = [];
    let isPossible = false;
    for (const {table, profile} of roots) {
      const [column, ...others] = profile.key;
      if (column === undefined || others.length > 0) {
        isPossible = true; // the columns of a composite key are compared as text
        resolved.add(id);
        const [row] = await session.query(
          `SELECT EXISTS (SELECT 1 FROM ${relationSql(table)} t WHERE ${keyTextSql('t', profile.key)} = $1) AS found`,
          [id],
        );
        if (row?.['found'] === 't') isFound = true;
        continue;
      }
      const type = columnType(table, column);
      types.push(type);
      try {
        // Equal keys may have several notations (7 and 7.0 as numeric), and the guard compares the order's own text.
        const rows = await session.query(
          `SELECT CAST($1::text AS ${type})::text AS id, false AS found
           UNION ALL SELECT ${quoteIdentifier(column)}::text, true
             FROM ${relationSql(table)} WHERE ${compareSql(equalityOf(table, column), quoteIdentifier(column), `CAST($1::text AS ${type})`)}`,
          [id],
        );
        isPossible = true;
        if (rows.some((row) => row['found'] === 't')) isFound = true;
        for (const row of rows) resolved.add(row['id'] ?? id);
      } catch (error) {
        if (!hasSqlState(error, '22')) throw error; // for example text that is not a uuid
      }
    }
    if (!isPossible) {
      throw new AppError(
        isFlag ? 'USAGE' : 'CONFIG_INVALID',
        `${isFlag ? '--exclude-id' : 'orders.excludedIds'} "${id}" cannot be the id of an order (${[...new Set(types)].join(', ')}).`,
        {hint: 'Copy the id from the order, or omit it.'},
      );
    }
    if (!isFound) onUnknown(id);
  }
  return [...resolved];
}
