/** Compares a restored database with what the dump held. */
import type {DumpedTable} from '../archive/dump-contents.js';
import {withSession} from '../postgres/client.js';
import type {Connection} from '../postgres/connection.js';
import {countRows} from '../postgres/inspect-rows.js';

export interface RestoredTable {
  /** "schema.name" */
  readonly table: string;
  readonly rows: number;
  readonly fingerprint: string | null;
}

/**
 * Counts every table.
 * @returns the tables as they are now, and a line for each that differs
 */
export async function compareRestored(
  target: Connection,
  expected: readonly DumpedTable[],
  signal: AbortSignal,
  onTable: (done: number) => void,
): Promise<{tables: RestoredTable[]; differences: string[]}> {
  return withSession(
    target,
    async (session) => {
      const tables: RestoredTable[] = [];
      const differences: string[] = [];
      for (const table of expected) {
        const name = `${table.schema}.${table.name}`;
        const rows = await countRows(session, table);
        if (rows === null) differences.push(`${name}: not there`);
        else if (rows !== table.rows) differences.push(`${name}: ${rows} rows instead of ${table.rows}`);
        tables.push({table: name, rows: rows ?? 0, fingerprint: table.fingerprint});
        onTable(tables.length);
      }
      return {tables, differences};
    },
    {signal},
  );
}
