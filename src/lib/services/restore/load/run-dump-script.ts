/** Runs the SQL of a dump in one session, statement by statement. Rows are sent only after the server accepted their COPY, never as SQL. */
import {entryName, qualifiedName} from '../../../base/qualified-name.js';
import {type DumpStatement, dumpStatements} from '../../../dump/dump-statements.js';
import type {DumpSection} from '../../../dump/plain-dump-filter.js';
import {readCopyStatement} from '../../../dump/sql/sql-names.js';
import {textOf} from '../../../postgres/client-encoding.js';
import {unsafe} from '../../../dump/sql/unsafe-dump-errors.js';
import {AppError, systemErrorCode} from '../../../base/errors.js';
import type {Session} from '../../../postgres/client.js';
import {explainDatabaseError} from '../../../postgres/explain-failure.js';
import {sendStatement} from '../../../postgres/single-statement.js';

export interface SkippedStatement {
  /** "TABLE public.orders"; the beginning of the statement if it has no heading. */
  readonly object: string;
  /** The server's message. */
  readonly message: string;
}

export interface OrElse {
  readonly sqlState: string;
  /** Like the result of `edit`. */
  readonly instead: () => string | null;
}

export interface DumpScriptRun {
  readonly session: Session;
  /** An unpacked plain dump, or the output of `pg_restore --file=-`. */
  readonly sql: AsyncIterable<Buffer>;
  /** The statement to run instead, with one character for each byte like `DumpStatement.sql`; null leaves it out, with its rows. */
  readonly edit?: (statement: DumpStatement) => string | null | Promise<string | null>;
  /**
   * Whether failed statements are skipped and recorded; if not, the first failure ends the run. In an open transaction each statement
   * has a savepoint, otherwise each is its own transaction.
   */
  readonly skipsErrors: boolean;
  /** The statement to run instead of one that the server refuses with this SQLSTATE; null leaves it out. */
  readonly orElse?: (statement: DumpStatement) => OrElse | undefined;
  /** Called with "schema.table" before its rows. */
  readonly onRows?: (table: string) => void;
  readonly signal?: AbortSignal;
}

const utf8 = Buffer.from("SET client_encoding = 'UTF8'");
const savepoint = Buffer.from('SAVEPOINT destino_statement');
const release = Buffer.from('RELEASE SAVEPOINT destino_statement');
const rollBack = Buffer.from('ROLLBACK TO SAVEPOINT destino_statement');

/**
 * In an open transaction, the BEGIN and COMMIT that pg_dump writes around large objects are left out, and a dump that ends the
 * transaction is refused.
 * @returns the failed statements, with `skipsErrors`
 * @throws RESTORE_FAILED for a statement that the server refuses, or the code for its SQLSTATE; UNSAFE_DUMP, VERIFY_FAILED
 */
export async function runDumpScript(run: DumpScriptRun): Promise<SkippedStatement[]> {
  const {session, signal} = run;
  const isInTransaction = inTransaction(session);
  const skipped: SkippedStatement[] = [];
  for await (const statement of dumpStatements(run.sql)) {
    signal?.throwIfAborted();
    if (isInTransaction && /^(?:BEGIN|COMMIT);$/.test(statement.sql)) continue;
    const sql = run.edit ? await run.edit(statement) : statement.sql;
    if (sql === null) continue;
    const orElse = run.orElse?.(statement);
    const hasSavepoint = isInTransaction && (run.skipsErrors || orElse !== undefined);
    if (hasSavepoint) await send(session, savepoint, null);
    try {
      if (statement.rows && run.onRows) run.onRows(tableOf(statement));
      await send(session, Buffer.from(sql, 'latin1'), statement.rows);
      if (hasSavepoint) await send(session, release, null);
    } catch (error) {
      signal?.throwIfAborted();
      if (!isRefusal(error)) throw explained(error, statement);
      if (orElse && systemErrorCode(error) === orElse.sqlState) {
        if (hasSavepoint) {
          await send(session, rollBack, null);
          await send(session, release, null);
        }
        const instead = orElse.instead();
        if (instead !== null) await send(session, Buffer.from(instead, 'latin1'), null);
        continue;
      }
      if (!run.skipsErrors) throw explained(error, statement);
      skipped.push({object: objectOf(statement), message: error.message});
      if (hasSavepoint) await send(session, rollBack, null);
    }
    if (isInTransaction && !inTransaction(session))
      throw unsafe(`a statement that ends the transaction: ${sql.slice(0, 60)}`);
  }
  // The dump sets its own encoding, but the driver uses UTF8.
  await send(session, utf8, null);
  return skipped;
}

async function send(session: Session, sql: Buffer, rows: DumpStatement['rows']): Promise<void> {
  const running = sendStatement(session, sql, rows !== null);
  const accepted = await running.started;
  if (!accepted || !rows) return;
  try {
    for await (const chunk of rows) await accepted.write(chunk);
  } catch (error) {
    await running.abandon();
    throw error;
  }
  await running.end();
}

/** Whether the server refused only this statement, not for lack of resources or because of an operator (SQLSTATE classes 53 and 57). */
function isRefusal(error: unknown): error is Error {
  const state = systemErrorCode(error);
  return (
    error instanceof Error && 'severity' in error && error.severity !== 'FATAL' && !/^5[37]/.test(state ?? '')
  );
}

/** Resource limits, cancelled statements and lost connections keep their own codes. */
function explained(error: unknown, statement: DumpStatement): unknown {
  if (!(error instanceof Error) || error instanceof AppError) return error;
  const failure = explainDatabaseError(error, `Restoring ${objectOf(statement)}`);
  if (failure.code !== 'QUERY_FAILED') return failure;
  return new AppError('RESTORE_FAILED', failure.message, {details: failure.details, cause: error});
}

/** The driver's type definitions lack `getTransactionStatus`. */
function inTransaction(session: Session): boolean {
  return (session.client as {getTransactionStatus?: () => string | null}).getTransactionStatus?.() === 'T';
}

function objectOf({section, sql, encoding}: DumpStatement): string {
  return section ? nameOf(section) : textOf(sql.slice(0, 60), encoding).replaceAll(/\s+/g, ' ');
}

/** "TABLE public.orders" */
export function nameOf(section: DumpSection): string {
  return `${section.type} ${entryName(section)}`;
}

function tableOf({sql, encoding}: DumpStatement): string {
  const copy = readCopyStatement(textOf(sql, encoding));
  return copy ? qualifiedName(copy) : '';
}
