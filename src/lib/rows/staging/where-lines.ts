/** A condition of the user's on the rows of a backup: judged by what the server reads in it, then run once. */
import {AppError, messageOf} from '../../base/errors.js';
import type {Session} from '../../postgres/client.js';
import {quoteIdentifier} from '../../postgres/quote.js';
import {hasSqlState} from '../../postgres/sql-state.js';
import {makeUserView, type UserSql} from '../model/user-view.js';
import type {BackupTable} from './stage-backup.js';

const view = `pg_temp.${quoteIdentifier('destino_where')}`;
const lines = `pg_temp.${quoteIdentifier('destino_where_lines')}`;

/**
 * Makes a temporary table of the lines that the condition chooses. It runs in a transaction that can write to temporary tables only.
 * @returns the quoted name of the table
 * @throws WHERE_INVALID, WHERE_VOLATILE, EXPRESSION_REFUSED
 */
export async function chooseWhereLines(session: Session, table: BackupTable, where: string): Promise<string> {
  const {target} = table.staged;
  const columns = target.columns.map(({number, name}) => `b.c${number} AS ${quoteIdentifier(name)}`);
  const alias = quoteIdentifier(target.name);
  await session.query('BEGIN');
  try {
    // The condition ends on a line of its own, so that a comment in it does not reach further.
    const text = `CREATE TEMPORARY VIEW ${view} AS SELECT ${alias}.destino_line FROM (SELECT ${['b.line AS destino_line', ...columns].join(', ')} FROM ${table.base} b) ${alias} WHERE (${where}\n)`;
    await makeUserView(session, view, text, condition);
    await session.query(`CREATE TEMPORARY TABLE ${lines} (line bigint)`);
    await session.query('COMMIT');
    await session.query('BEGIN READ ONLY');
    await session
      .query(`INSERT INTO ${lines} SELECT v.destino_line FROM ${view} v`)
      .catch((error: unknown) => {
        // Values that it cannot take, and functions of the user's that fail.
        throw hasSqlState(error, '2', '3', '42', 'P0') ? condition.invalid(messageOf(error.cause)) : error;
      });
    await session.query(`ANALYZE ${lines}`);
    await session.query('COMMIT');
    return lines;
  } catch (error) {
    await session.query('ROLLBACK');
    throw error;
  }
}

const condition: UserSql = {
  kind: 'condition',
  invalid: (why) =>
    new AppError(
      'WHERE_INVALID',
      `The server cannot evaluate the condition of --where: ${why}. Nothing was changed.`,
      {
        hint: `Columns are named as in the table: --where "status = 'PAID'"; names with capital letters take double quotes. Functions, operators and types outside pg_catalog take their schema: extensions.similarity(name, 'x'), mail OPERATOR(extensions.=) 'x'.`,
      },
    ),
  refused: (why, hint, isVolatile) =>
    new AppError(
      isVolatile ? 'WHERE_VOLATILE' : 'EXPRESSION_REFUSED',
      `The condition of --where ${why}. Nothing was changed.`,
      {
        hint: isVolatile
          ? 'Write the value into the condition; stable functions such as now() are allowed.'
          : hint,
      },
    ),
  more: () =>
    new AppError(
      'EXPRESSION_REFUSED',
      'The condition of --where is more than an expression over one row. Nothing was changed.',
      {hint: 'Leave out subqueries and casts to domains; --key names rows one by one.'},
    ),
};
