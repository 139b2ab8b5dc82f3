/** Verifies that restored rows read like those of the order backup, before the commit. */
import {createRowHashSum} from '../../fingerprint/row-hash.js';
import {BinaryRows} from '../../postgres/binary-rows.js';
import type {Session} from '../../postgres/client.js';
import {copyOut} from '../../postgres/copy-out.js';
import {chosenLines} from './chosen-lines.js';
import {fromRelation} from './restore-target.js';
import {refuseDifference} from './row-differences.js';
import {rowJsonQuery} from '../model/row-json.js';
import type {StagedOrders} from './stage-orders.js';
import {sameKey} from './staged-conditions.js';
import type {StagedTable} from './staged-table.js';

/** Number of rows that each staged table restores. */
export type RestoredCounts = ReadonlyMap<StagedTable, number>;

/**
 * The server writes what this transaction stored as JSON again; its sum must be that of the file's rows.
 * @throws the failure of the file's words, naming the first rows that differ
 */
export async function proveRows(
  session: Session,
  staged: StagedOrders,
  restored: RestoredCounts,
): Promise<void> {
  const tables = staged.tables.filter((each) => (restored.get(each) ?? 0) > 0);
  const expected = await expectedSums(session, staged, tables, restored);
  for (const each of tables) {
    const count = restored.get(each) ?? 0;
    const stored = await sumOf(session, await storedRows(session, staged, each, count));
    if (stored !== expected.get(each)) await refuseDifference(session, staged.file, each, count);
  }
}

/** The sum over the rows to restore: the file's own, that of some of its lines, or that of what the server made of them. */
async function expectedSums(
  session: Session,
  {file}: StagedOrders,
  tables: readonly StagedTable[],
  restored: RestoredCounts,
): Promise<Map<StagedTable, string>> {
  const sums = new Map<StagedTable, string>();
  const parts: StagedTable[] = [];
  for (const each of tables) {
    const {rows, checksum} = each.file;
    if (!each.isExact) {
      const from = `FROM ${each.temp} s WHERE s.reason IS NULL`;
      sums.set(each, await sumOf(session, rowJsonQuery('s', each.json.staged, from)));
    } else if (checksum !== undefined && restored.get(each) === rows) {
      sums.set(each, `${rows} ${checksum}`);
    } else {
      parts.push(each);
    }
  }
  if (parts.length === 0) return sums;
  const isChosen = await chosenLines(session, parts);
  const running = new Map(
    parts.map((each) => [file.tables.indexOf(each.file), {each, sum: createRowHashSum()}]),
  );
  await file.send({
    row: (table, line, json, start, end, isLast) => {
      const sum = isChosen(line) ? running.get(table)?.sum : undefined;
      sum?.append(json, start, end);
      if (isLast) sum?.endRow();
      return end;
    },
    link: (_table, _line, _json, _start, end) => end,
    drain: () => Promise.resolve(),
  });
  for (const {each, sum} of running.values()) sums.set(each, `${sum.rows} ${sum.digest()}`);
  return sums;
}

/** SQL: the JSON of the rows that this transaction stored in the table. */
async function storedRows(
  session: Session,
  {links}: StagedOrders,
  each: StagedTable,
  count: number,
): Promise<string> {
  const {target, temp, json, key} = each;
  const [row] = await session.query(
    `SELECT pg_catalog.txid_current() % 4294967296 AS xid,
            (SELECT sum(pg_catalog.pg_relation_size(tree.oid))
               FROM (SELECT relid::pg_catalog.oid AS oid FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid)
                     UNION SELECT $1::pg_catalog.oid) tree) / pg_catalog.current_setting('block_size')::int AS pages`,
    [target.oid],
  );
  // A look-up reads about four pages: the way down the key's index, and the row's.
  const isCheapByKey = 4 * count < Number(row?.['pages']);
  // Rows whose links were set are of this transaction too, although it did not restore them.
  const hasLinks = links.some((link) => link.target.oid === target.oid);
  const from = fromRelation(target);
  return rowJsonQuery(
    't',
    json.target,
    key.length > 0 && (isCheapByKey || hasLinks)
      ? `FROM ${temp} s JOIN ${from} t ON ${sameKey(each)} WHERE s.reason IS NULL`
      : `FROM ${from} t WHERE t.xmin = '${row?.['xid'] ?? ''}'::pg_catalog.xid`,
  );
}

/** Number and sum of the texts that the query gives, as text. */
export async function sumOf(session: Session, query: string): Promise<string> {
  const sum = createRowHashSum();
  const reader = new BinaryRows({
    part: (chunk, start, end) => sum.append(chunk, start, end),
    endRow: () => sum.endRow(),
  });
  await copyOut(session, `COPY (${query}) TO STDOUT (FORMAT binary)`, (chunk) => reader.take(chunk));
  return `${sum.rows} ${sum.digest()}`;
}
