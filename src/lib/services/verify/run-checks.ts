/** Runs the data checks of the config file in a database, read-only and within a time limit. */
import {elapsedMs} from '../../base/clock.js';
import {AppError, messageOf, systemErrorCode} from '../../base/errors.js';
import {countOf} from '../../base/format.js';
import {type Session, type TextRow, withSession, withTransaction} from '../../postgres/client.js';
import {sendStatement} from '../../postgres/single-statement.js';
import type {Connection} from '../../postgres/connect/connection.js';
import type {DataCheck} from '../../run/data-checks.js';
import type {RunContext} from '../../run/run-context.js';
import type {DataCheckConfig} from '../../settings/checks-config.js';
import type {Settings} from '../../settings/settings.js';

export interface CheckedDatabase {
  /** Where the checks run. */
  readonly connection: Connection;
  /** Name of the database in the config file; a scratch database has another one. */
  readonly database: string;
  /** The value of destino.backup_time. */
  readonly backupTime: Date;
}

const defaultTimeoutSeconds = 60;
/** More rows than these are not fetched, because their number is enough for the message. */
const mostRows = 100;

/** The checks of the config file for the database. */
export function checksFor({config}: Settings, database: string): DataCheckConfig[] {
  return (config.verify?.checks ?? []).filter(({databases}) => databases?.includes(database) ?? true);
}

/** Runs the checks one after another, each in its own session, so that none depends on another. @throws INTERRUPTED */
export async function runChecks(context: RunContext, target: CheckedDatabase): Promise<DataCheck[]> {
  const checks = checksFor(context.settings, target.database);
  if (checks.length === 0) return [];
  return context.progress.step('Run the checks of the config file', async (step) => {
    const results: DataCheck[] = [];
    for (const check of checks) {
      results.push(await runCheck(context, target, check));
      step.advance(results.length, checks.length);
    }
    step.note(countOf(checks.length, 'check'));
    return results;
  });
}

async function runCheck(
  {settings, signal, clock}: RunContext,
  {connection, backupTime}: CheckedDatabase,
  {name, sql, expect}: DataCheckConfig,
): Promise<DataCheck> {
  const seconds = settings.config.verify?.checkTimeoutSeconds ?? defaultTimeoutSeconds;
  const startedMs = clock.now().getTime();
  let outcome: Pick<DataCheck, 'outcome' | 'message'>;
  try {
    outcome = await withSession(
      connection,
      (session) =>
        withTransaction(session, 'READ ONLY', async () => {
          await session.query(
            `SELECT pg_catalog.set_config('statement_timeout', $1, true),
                    pg_catalog.set_config('lock_timeout', $1, true),
                    pg_catalog.set_config('destino.backup_time', $2, true)`,
            [`${seconds}s`, backupTime.toISOString()],
          );
          return evaluate(session, sql, expect);
        }),
      {signal},
    );
  } catch (error) {
    signal.throwIfAborted();
    outcome = {outcome: 'not-run', message: whyNotRun(error, seconds)};
  }
  return {name, ...outcome, duration: elapsedMs(clock, startedMs)};
}

/** A cursor accepts nothing but a query, and limits the rows that are sent. */
async function evaluate(
  session: Session,
  sql: string,
  expect: DataCheckConfig['expect'],
): Promise<Pick<DataCheck, 'outcome' | 'message'>> {
  const cursor = `DECLARE destino_check NO SCROLL CURSOR FOR ${sql}`;
  await sendStatement(session, Buffer.from(cursor), false).end();
  const rows = await session.query(`FETCH FORWARD ${mostRows + 1} FROM destino_check`);
  const found = rows.length > mostRows ? `more than ${mostRows} rows` : countOf(rows.length, 'row');
  if (expect === 'no rows') {
    return rows.length === 0 ? passed : failed(`it returned ${found} instead of none`);
  }
  if (rows.length === 0) return failed('it returned no row');
  const value = onlyValue(rows, found);
  if (expect === 'true') {
    if (value === 't') return passed;
    if (value === 'f' || value === null) return failed(`it returned ${value === null ? 'null' : 'false'}`);
    throw new CheckUnfit('it did not return a boolean');
  }
  if (value === null) return failed('it returned null');
  // The server compares, because JavaScript numbers are not exact.
  if (!/^[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?$/i.test(value))
    throw new CheckUnfit('it did not return a number');
  const [row] = await session.query(
    'SELECT $1::pg_catalog.numeric OPERATOR(pg_catalog.>=) $2::pg_catalog.numeric AS ok',
    [value, String(expect.atLeast)],
  );
  return row?.['ok'] === 't' ? passed : failed(`it returned ${value}, expected at least ${expect.atLeast}`);
}

const passed = {outcome: 'passed', message: null} as const;
const failed = (message: string): Pick<DataCheck, 'outcome' | 'message'> => ({outcome: 'failed', message});

/** The query ran, but its result does not fit the expectation. */
class CheckUnfit extends Error {}

/** @throws CheckUnfit */
function onlyValue(rows: readonly TextRow[], found: string): string | null {
  const values = Object.values(rows[0] ?? {});
  const [value] = values;
  if (rows.length > 1) throw new CheckUnfit(`it returned ${found} instead of one`);
  if (value === undefined || values.length > 1)
    throw new CheckUnfit(`it returned ${countOf(values.length, 'column')} instead of one`);
  return value;
}

/** Classes of errors whose messages quote the query; others can quote rows, which must not be written into metadata. */
const aboutQuery = /^(?:0A|25|3F|42|54)/;

function whyNotRun(error: unknown, seconds: number): string {
  if (error instanceof CheckUnfit) return error.message;
  if (!(error instanceof AppError)) throw error;
  const state = systemErrorCode(error.cause) ?? '';
  if (error.code === 'LOCK_TIMEOUT') return `it waited for a lock for longer than ${seconds} s`;
  if (state === '57014') return `it took longer than ${seconds} s`;
  if (!/^[0-9A-Z]{5}$/.test(state)) return error.message.replace(/\.$/, '');
  if (!aboutQuery.test(state)) return `the server refused it with SQLSTATE ${state}`;
  const isUnknown = ['3F000', '42P01', '42883', '42704'].includes(state);
  return `${messageOf(error.cause)}${isUnknown ? ' (name tables, functions and types with their schema)' : ''}`;
}
