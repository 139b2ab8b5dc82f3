/** Compares the rows of a restored database with the dump. */
import {qualifiedName} from '../../../base/qualified-name.js';
import type {DumpedTable} from '../../../fingerprint/table-contents.js';
import {fingerprintDatabase, type FingerprintOptions} from '../../../fingerprint/fingerprint.js';
import {withSession} from '../../../postgres/client.js';
import type {Connection} from '../../../postgres/connect/connection.js';
import {findMissingColumns, findMissingTables} from '../../../postgres/inspect/inspect-rows.js';

export interface RestoredTable {
  /** "schema.name" */
  readonly table: string;
  readonly rows: number;
  readonly fingerprint: string | null;
}

/**
 * Reads every table once and compares count and fingerprint.
 * @returns the present state of the tables, and a line for each one that differs
 */
export async function compareRestored(
  target: Connection,
  expected: readonly DumpedTable[],
  options: Pick<FingerprintOptions, 'encoding' | 'signal' | 'takerOf' | 'onBytes'>,
): Promise<{tables: RestoredTable[]; differences: string[]}> {
  const {missing, lacking} = await withSession(
    target,
    async (session) => {
      const missing = await findMissingTables(session, expected);
      const columns = await findMissingColumns(
        session,
        expected.filter((table) => !missing.includes(table)),
      );
      return {missing, lacking: columns};
    },
    {...(options.signal ? {signal: options.signal} : {})},
  );
  const there = expected.filter((table) => !missing.includes(table));
  const present = there.filter((_table, index) => lacking[index]?.length === 0);
  const found = await fingerprintDatabase(target, present, options);
  const differences = [
    ...missing.map((table) => `${qualifiedName(table)}: missing`),
    ...there.flatMap((table, index) => {
      const columns = lacking[index] ?? [];
      return columns.length === 0
        ? []
        : [`${qualifiedName(table)}: the columns ${columns.join(', ')} are missing`];
    }),
  ];
  const tables = expected
    .filter((table) => !present.includes(table))
    .map((table) => ({table: qualifiedName(table), rows: 0, fingerprint: null as string | null}));
  present.forEach((table, index) => {
    const {rows = 0, fingerprint = null} = found[index] ?? {};
    tables.push({table: qualifiedName(table), rows, fingerprint});
    if (rows !== table.rows)
      differences.push(`${qualifiedName(table)}: ${rows} rows instead of ${table.rows}`);
    else if (table.fingerprint !== null && fingerprint !== table.fingerprint) {
      differences.push(`${qualifiedName(table)}: same number of rows, but different values`);
    }
  });
  return {tables, differences};
}
