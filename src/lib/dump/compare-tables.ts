/** Compares the tables in a dump with the expected ones. */
import type {DumpedTable, ObjectName} from '../fingerprint/table-contents.js';

export interface ExpectedTable extends ObjectName {
  /** Null if the dump was not read back. */
  readonly rows: number | null;
  readonly fingerprint: string | null;
}

/**
 * A line for each table that differs; counts and fingerprints are compared if both sides have them.
 * @param source origin of the expected tables, for the lines: "the metadata"
 */
export function compareTables(
  expected: readonly ExpectedTable[],
  found: readonly DumpedTable[],
  source: string,
): string[] {
  const read = new Map(found.map((table) => [JSON.stringify([table.schema, table.name]), table]));
  const findings: string[] = [];
  for (const {schema, name, rows, fingerprint} of expected) {
    const key = JSON.stringify([schema, name]);
    const table = read.get(key);
    read.delete(key);
    if (!table) findings.push(`${schema}.${name} is not in the dump.`);
    else if (rows !== null && table.rows !== rows) {
      findings.push(`${schema}.${name} has ${table.rows} rows in the dump, ${rows} in ${source}.`);
    } else if (fingerprint !== null && table.fingerprint !== null && table.fingerprint !== fingerprint) {
      findings.push(`${schema}.${name} has different rows in the dump and in ${source}.`);
    }
  }
  for (const {schema, name} of read.values())
    findings.push(`${schema}.${name} is in the dump but not in ${source}.`);
  return findings;
}
