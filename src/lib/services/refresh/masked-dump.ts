/** Writes a plain dump with the definitions of a backup and the rows of its masked copy. */
import {once} from 'node:events';
import {createGzip} from 'node:zlib';
import {qualifiedName} from '../../base/qualified-name.js';
import {isStatistics} from '../../dump/dump-definitions.js';
import {type DumpStatement, dumpStatements} from '../../dump/dump-statements.js';
import {openPlainDump} from '../../dump/open-plain-dump.js';
import type {DumpSection} from '../../dump/plain-dump-filter.js';
import {closingComment} from '../../dump/sql/copy-stream.js';
import {readCopyStatement} from '../../dump/sql/sql-names.js';
import {textOf} from '../../postgres/client-encoding.js';
import {type Session, withSession} from '../../postgres/client.js';
import type {Connection} from '../../postgres/connect/connection.js';
import {copyOut} from '../../postgres/copy-out.js';
import {quoteLiteral} from '../../postgres/quote.js';
import {streamArchive} from '../../postgres/tools/pg-restore.js';
import type {RunContext} from '../../run/run-context.js';
import {localPlace} from '../../storage/local-place.js';
import type {RestorePlan} from '../restore/plan.js';
import {readingOptions} from '../restore/source.js';

/**
 * Tables that the copy lacks get no rows. Nothing of the backup's own rows is written.
 * @param copy the masked database
 * @throws the errors of reading the backup, of the session and of the file
 */
export async function writeMaskedDump(
  {signal}: RunContext,
  {source, load}: Pick<RestorePlan, 'source' | 'load'>,
  copy: Connection,
  {folder, name}: {readonly folder: string; readonly name: string},
): Promise<void> {
  await withSession(
    copy,
    async (session) => {
      // A policy that hides rows is an error then.
      await session.query('SET row_security = off');
      const gzip = createGzip({level: 1});
      const written = localPlace(folder).write(name, gzip, {signal});
      const put = async (bytes: Buffer): Promise<void> => {
        signal.throwIfAborted();
        if (!gzip.write(bytes)) await Promise.race([once(gzip, 'drain'), written]);
      };
      const isLeftOut = (section: DumpSection): boolean =>
        isStatistics(section) ||
        (section.type === 'MATERIALIZED VIEW DATA' && load.leftOut.why(section) !== undefined);
      const read = async (sql: AsyncIterable<Buffer>): Promise<void> => {
        for await (const bytes of withRowsOf(session, sql, put, isLeftOut)) await put(bytes);
        gzip.end();
      };
      try {
        if (load.pgRestore) await streamArchive(load.pgRestore, source.dump, readingOptions, read, signal);
        else await read(openPlainDump(source.dump) as AsyncIterable<Buffer>);
      } catch (error) {
        gzip.destroy(error instanceof Error ? error : undefined);
        await written.catch(() => undefined);
        throw error;
      }
      await written;
    },
    {signal},
  );
}

/** The SQL of the dump with its headings; `put` receives the rows. */
async function* withRowsOf(
  session: Session,
  sql: AsyncIterable<Buffer>,
  put: (bytes: Buffer) => Promise<void>,
  isLeftOut: (section: DumpSection) => boolean,
): AsyncGenerator<Buffer> {
  const there = new Set(
    (
      await session.query(
        `SELECT n.nspname AS schema, c.relname AS name FROM pg_catalog.pg_class c
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p')`,
      )
    ).map(({schema, name}) => qualifiedName({schema: schema ?? '', name: name ?? ''})),
  );
  let section: DumpSection | null = null;
  let encoding = 'UTF8';
  for await (const statement of dumpStatements(sql)) {
    const copied = statement.rows && readCopyStatement(textOf(statement.sql, statement.encoding));
    // Unread rows are skipped.
    if (statement.rows && !(copied && there.has(qualifiedName(copied)))) continue;
    if (statement.section && isLeftOut(statement.section)) continue;
    if (statement.section && statement.section !== section) yield headingOf(statement);
    section = statement.section;
    yield Buffer.from(`${statement.sql}\n`, 'latin1');
    if (!copied) continue;
    if (encoding !== statement.encoding) {
      encoding = statement.encoding;
      await session.query(`SET client_encoding = ${quoteLiteral(encoding)}`);
    }
    const command = textOf(statement.sql, encoding).replace(/FROM stdin;$/, 'TO STDOUT');
    await copyOut(session, command, put);
    yield Buffer.from('\\.\n');
  }
  yield Buffer.from(`\n${closingComment}\n`);
}

/** As pg_dump writes it, for the readers of dumps. */
function headingOf({section, encoding}: DumpStatement): Buffer {
  if (!section) return Buffer.alloc(0);
  const {type, schema, name, owner, tablespace} = section;
  const text = `\n-- Name: ${name}; Type: ${type}; Schema: ${schema}; Owner: ${owner === '' ? '-' : owner}${tablespace === undefined ? '' : `; Tablespace: ${tablespace}`}\n`;
  return Buffer.from(text, encoding === 'LATIN1' ? 'latin1' : 'utf8');
}
