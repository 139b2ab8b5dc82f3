/** Fingerprints of a live database's tables, equal to those of a dump with the same rows. */
import {AppError} from '../base/errors.js';
import {qualifiedName} from '../base/qualified-name.js';
import {type Session, withSession, withTransaction} from '../postgres/client.js';
import type {Connection} from '../postgres/connect/connection.js';
import {copyOut} from '../postgres/copy-out.js';
import {readDumpedParts} from '../postgres/inspect/inspect-rows.js';
import {quoteIdentifier, quoteLiteral, quoteQualified} from '../postgres/quote.js';
import {type RowTaker, type RowTakerOf, takeRows} from '../postgres/take-rows.js';
import {largeObjectTable, type ObjectName} from './table-contents.js';
import {createRowHashSum, fingerprintText} from './row-hash.js';

export interface FingerprintedTable extends ObjectName {
  readonly rows: number;
  readonly fingerprint: string;
}

export interface TableToFingerprint extends ObjectName {
  /** In the order of the dump's COPY statement. */
  readonly columns: readonly string[];
}

export interface FingerprintOptions {
  /** Number of concurrent sessions; 2 by default. */
  readonly sessions?: number;
  readonly signal?: AbortSignal;
  /** Encoding of the rows: that of the dump to compare with; by default the database's own. */
  readonly encoding?: string;
  /** Another receiver of the tables' rows, apart from large objects. */
  readonly takerOf?: RowTakerOf;
  /** Called with the bytes of row text read so far, of all tables. */
  readonly onBytes?: (bytes: number) => void;
}

/** The settings of pg_dump, so that the same values have the same text (setup_connection in src/bin/pg_dump/pg_dump.c). */
const pinned = `SET LOCAL row_security = off; SET LOCAL synchronize_seqscans = off;`;

/**
 * Pins the text form of rows in the session's transaction.
 * @param encoding of the rows; by default the database's own
 */
export async function pinAsDump(session: Session, encoding?: string): Promise<PinnedCopy> {
  await session.client.query(pinned);
  const [row] = await session.query(`SELECT pg_catalog.current_setting('server_encoding') AS encoding`);
  const chosen = encoding ?? row?.['encoding'] ?? 'UTF8';
  return {
    encoding: chosen,
    copyOf: (source) => `COPY ${source} TO STDOUT (ENCODING ${quoteLiteral(chosen)})`,
  };
}

/** The source of a COPY statement for the rows of a table that pg_dump writes. @param parts see `readDumpedParts` */
export function dumpedRows(
  {schema, name, columns}: TableToFingerprint,
  parts: ReadonlyMap<string, string>,
): string {
  const source = quoteQualified(schema, name);
  const list = columns.map(quoteIdentifier).join(', ');
  const condition = parts.get(qualifiedName({schema, name}));
  if (condition !== undefined) return `(SELECT ${list} FROM ONLY ${source} ${condition})`;
  // COPY of a table without columns would be a syntax error with a list; the query writes an empty line for each row.
  return columns.length === 0 ? `(SELECT FROM ONLY ${source})` : `${source} (${list})`;
}

export interface PinnedCopy {
  /** Encoding of the rows. */
  readonly encoding: string;
  /** The COPY statement for a table or query. It sets the encoding of the rows; names in it use the session's. */
  readonly copyOf: (source: string) => string;
}

/**
 * Reads the tables in one snapshot, concurrently, and hashes their rows as `readDump` does.
 * @returns one result for each table, in the same order
 * @throws QUERY_FAILED when a table or column does not exist, PERMISSION_DENIED, ROW_SECURITY, CONNECTION_LOST, ...
 */
export async function fingerprintDatabase(
  connection: Connection,
  tables: readonly TableToFingerprint[],
  options: FingerprintOptions = {},
): Promise<FingerprintedTable[]> {
  const results: FingerprintedTable[] = [];
  if (tables.length === 0) return results;
  const queue = tables.map((table, index) => ({table, index}));
  const sessionOptions = options.signal ? {signal: options.signal} : {};
  let bytes = 0;
  const count = (chunk: Buffer): void => {
    bytes += chunk.length;
    options.onBytes?.(bytes);
  };
  let parts: ReadonlyMap<string, string> = new Map();
  const work = async (session: Session): Promise<void> => {
    const {copyOf, encoding} = await pinAsDump(session, options.encoding);
    for (let next = queue.shift(); next; next = queue.shift()) {
      results[next.index] = isLargeObjects(next.table)
        ? await fingerprintLargeObjects(session, copyOf, count)
        : await fingerprintTable(
            session,
            next.table,
            copyOf(dumpedRows(next.table, parts)),
            count,
            options.takerOf?.(next.table, encoding),
          );
    }
  };
  const mode = 'ISOLATION LEVEL REPEATABLE READ, READ ONLY';
  await withSession(
    connection,
    (leader) =>
      withTransaction(leader, mode, async () => {
        parts = await readDumpedParts(leader);
        const followers = Math.min(options.sessions ?? 2, tables.length) - 1;
        const [row] = followers > 0 ? await leader.query('SELECT pg_catalog.pg_export_snapshot() AS id') : [];
        const follow = (): Promise<void> =>
          withSession(
            connection,
            (session) =>
              withTransaction(session, mode, async () => {
                await session.query(`SET TRANSACTION SNAPSHOT ${quoteLiteral(row?.['id'] ?? '')}`);
                await work(session);
              }),
            sessionOptions,
          );
        // The snapshot lasts as long as the leader's transaction, so the followers must end first.
        const all = [work(leader), ...Array.from({length: Math.max(0, followers)}, follow)];
        const outcomes = await Promise.allSettled(
          all.map((part) =>
            part.catch((error: unknown) => {
              queue.length = 0;
              throw error;
            }),
          ),
        );
        const failed = outcomes.find((outcome) => outcome.status === 'rejected');
        if (failed) throw failed.reason;
      }),
    sessionOptions,
  );
  return results;
}

function isLargeObjects(table: ObjectName): boolean {
  return table.schema === largeObjectTable.schema && table.name === largeObjectTable.name;
}

async function fingerprintTable(
  session: Session,
  table: TableToFingerprint,
  statement: string,
  count: (chunk: Buffer) => void,
  taker: RowTaker | undefined,
): Promise<FingerprintedTable> {
  const sum = createRowHashSum();
  await copyOut(session, statement, (chunk) => {
    count(chunk);
    takeRows(chunk, sum);
    if (taker) takeRows(chunk, taker);
  });
  return {schema: table.schema, name: table.name, rows: sum.rows, fingerprint: fingerprintText(sum)};
}

/** Bytes of a large object that are read in one query. */
const pieceBytes = 262_144;

/** pg_largeobject is readable by superusers only; lo_get needs the privilege to read the object, as pg_dump does. */
const largeObjects = `(
    SELECT m.oid, p.n, pg_catalog.lo_get(m.oid, p.n * ${pieceBytes}, ${pieceBytes})
      FROM pg_catalog.pg_largeobject_metadata m,
           LATERAL (SELECT pg_catalog.lo_lseek64(fd, 0, 2) + pg_catalog.lo_close(fd) AS size
                      FROM pg_catalog.lo_open(m.oid, 262144) AS fd) s,
           LATERAL pg_catalog.generate_series(0, greatest((s.size - 1) / ${pieceBytes}, 0)) AS p(n)
  )`;

/** Joins the pieces of each object into the row `loid TAB \\x<hex>`, as COPY would write (loid, lo_get(loid)). */
async function fingerprintLargeObjects(
  session: Session,
  copyOf: (source: string) => string,
  count: (chunk: Buffer) => void,
): Promise<FingerprintedTable> {
  const sum = createRowHashSum();
  let previous = {oid: '', piece: 0};
  let rest: Buffer[] = [];
  const takeLine = (line: Buffer): void => {
    const [, oid = '', number = ''] = /^(\d+)\t(\d+)\t/.exec(line.toString('latin1', 0, 32)) ?? [];
    const piece = Number(number);
    const isNext = oid === previous.oid ? piece === previous.piece + 1 : piece === 0;
    if (!isNext) throw new AppError('UNEXPECTED', `The pieces of large object ${oid} came out of order.`);
    const value = oid.length + number.length + 2;
    if (piece === 0) {
      if (previous.oid !== '') sum.endRow();
      sum.append(line, 0, oid.length + 1);
      sum.append(line, value, line.length);
    } else sum.append(line, value + 3, line.length); // the first piece contained "\\x"
    previous = {oid, piece};
  };
  await copyOut(session, copyOf(largeObjects), (chunk) => {
    count(chunk);
    let position = 0;
    for (;;) {
      const end = chunk.indexOf(0x0a, position);
      if (end === -1) break;
      const line = chunk.subarray(position, end);
      takeLine(rest.length === 0 ? line : Buffer.concat([...rest, line]));
      rest = [];
      position = end + 1;
    }
    if (position < chunk.length) rest.push(Buffer.from(chunk.subarray(position)));
  });
  if (previous.oid !== '') sum.endRow();
  return {...largeObjectTable, rows: sum.rows, fingerprint: fingerprintText(sum)};
}
