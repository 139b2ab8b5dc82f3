/** A condition of the user's on the rows of a backup: parsed by the server as one SELECT, refused where it is volatile. */
import {AppError, messageOf} from '../../base/errors.js';
import type {Session} from '../../postgres/client.js';
import {quoteIdentifier} from '../../postgres/quote.js';
import {withOwnSearchPath} from '../../postgres/search-path.js';
import {sendStatement} from '../../postgres/single-statement.js';
import {calledFunctions} from '../model/called-functions.js';
import type {BackupTable} from './stage-backup.js';

const viewName = 'destino_where';

/**
 * Makes a temporary view of the lines that the condition chooses. Nothing of it runs yet; names in it are found as the role's own
 * search_path has them.
 * @returns the quoted name of the view
 * @throws WHERE_INVALID, WHERE_VOLATILE
 */
export async function makeWhereView(session: Session, table: BackupTable, where: string): Promise<string> {
  const {target} = table.staged;
  const columns = target.columns.map(({number, name}) => `b.c${number} AS ${quoteIdentifier(name)}`);
  const view = `pg_temp.${quoteIdentifier(viewName)}`;
  const alias = quoteIdentifier(target.name);
  if (where.includes('\0')) throw invalid('it contains a NUL byte');
  await session.query('BEGIN');
  try {
    await withOwnSearchPath(session, async () => {
      // The condition ends on a line of its own, so that a comment in it does not reach further.
      const sql = `CREATE TEMPORARY VIEW ${view} AS SELECT ${alias}.destino_line FROM (SELECT ${['b.line AS destino_line', ...columns].join(', ')} FROM ${table.base} b) ${alias} WHERE (${where}\n)`;
      const statement = sendStatement(session, Buffer.from(sql), false);
      await statement.started;
      await statement.end();
    }).catch((error: unknown) => {
      throw invalid(messageOf(error));
    });
    const found = (await calledFunctions(session, view, 'everything')).find(({isVolatile}) => isVolatile);
    if (found)
      throw new AppError(
        'WHERE_VOLATILE',
        `The condition of --where calls ${found.name}, which is volatile. Nothing was changed.`,
        {hint: 'Write the value into the condition; stable functions such as now() are allowed.'},
      );
    await session.query('COMMIT');
    return view;
  } catch (error) {
    await session.query('ROLLBACK');
    throw error;
  }
}

function invalid(why: string): AppError {
  return new AppError(
    'WHERE_INVALID',
    `The server cannot read the condition of --where: ${why}. Nothing was changed.`,
    {
      hint: `Columns are named as in the table: --where "status = 'PAID'"; names with capital letters take double quotes.`,
    },
  );
}
