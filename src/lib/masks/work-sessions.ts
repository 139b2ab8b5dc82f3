/** How the sessions of a masked copy divide its rows among each other. */
import {z} from 'zod';
import type {Session} from '../postgres/client.js';
import {parseOnlyRow, pgCount} from '../postgres/inspect/inspect-database.js';
import {quoteLiteral} from '../postgres/quote.js';

/**
 * Statements that read rows fail where a policy hides some. The database is dropped after a crash, so no statement needs to reach the disk at
 * once. Several sessions work at the same time; the server's own workers would sort what one hash table takes, because without statistics it
 * expects few different values.
 */
export async function prepareSession(session: Session): Promise<void> {
  await session.query(
    `SET row_security = off; SET synchronous_commit = off; SET work_mem = '64MB'; SET max_parallel_workers_per_gather = 0`,
  );
  // The masks hash the bytes of a text as a client gets them, and without an encoding they may be no text in the client's.
  await session.query(
    `SELECT pg_catalog.set_config('client_encoding', 'SQL_ASCII', false) WHERE pg_catalog.current_setting('server_encoding') = 'SQL_ASCII'`,
  );
}

/** Rows that one statement reads, in the server's pages of 8 KB. */
const pagesAtOnce = 1024;

/** Conditions for the parts of a table that different sessions can read. Servers before 14 would read a whole table for a part. */
export async function piecesOf(session: Session, table: string): Promise<string[]> {
  const row = z.object({pages: pgCount, version: pgCount});
  const {pages, version} = parseOnlyRow(
    row,
    await session.query(
      `SELECT pg_catalog.pg_relation_size(${quoteLiteral(table)}::pg_catalog.regclass) / pg_catalog.current_setting('block_size')::bigint AS pages,
              pg_catalog.current_setting('server_version_num') AS version`,
    ),
  );
  // A partitioned table has no pages of its own.
  if (version < 140_000 || pages <= pagesAtOnce) return ['true'];
  return Array.from(
    {length: Math.ceil(pages / pagesAtOnce)},
    (_, index) => `ctid >= '(${index * pagesAtOnce},0)' AND ctid < '(${(index + 1) * pagesAtOnce},0)'`,
  );
}
