/** Finds chosen rows that a check constraint would refuse, or that no partition takes. */
import {AppError} from '../../base/errors.js';
import type {Session} from '../../postgres/client.js';
import {quoteIdentifier, quoteLiteral} from '../../postgres/quote.js';
import type {BackupTable} from './stage-backup.js';

/** @returns constraints that could not be evaluated here, "schema.table: name" */
export async function findRuleConflicts(session: Session, table: BackupTable): Promise<string[]> {
  const {staged, rules} = table;
  const unknown: string[] = [];
  for (const {name, expression} of rules.checks) {
    const reason = `check refuses it: ${name}`;
    if (!(await markWhere(session, table, reason, `NOT (${expression})`)))
      unknown.push(`${staged.file.table}: ${name}`);
  }
  const bounds = rules.bounds.filter((bound) => bound !== null);
  if (rules.bounds.length > 0 && bounds.length === rules.bounds.length) {
    const accepted = bounds.map((bound) => `coalesce((${bound}), false)`).join(' OR ');
    if (!(await markWhere(session, table, 'no partition takes it', `NOT (${accepted})`)))
      unknown.push(`${staged.file.table}: bounds of partitions`);
  }
  return unknown;
}

/** The rows stand under the names of their columns, as the catalog's expressions have them. @returns whether the server could evaluate it */
async function markWhere(
  session: Session,
  {staged: {temp, target}}: BackupTable,
  reason: string,
  condition: string,
): Promise<boolean> {
  const columns = target.columns.map(({number, name}) => `r.c${number} AS ${quoteIdentifier(name)}`);
  await session.query('SAVEPOINT destino_rule');
  try {
    await session.query(
      `UPDATE ${temp} s SET reason = ${quoteLiteral(reason)}
         FROM (SELECT x.destino_line FROM (SELECT ${['r.line AS destino_line', ...columns].join(', ')} FROM ${temp} r WHERE r.reason IS NULL) x
                WHERE ${condition}) bad
        WHERE s.line = bad.destino_line AND s.reason IS NULL`,
    );
    await session.query('RELEASE SAVEPOINT destino_rule');
    return true;
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'QUERY_FAILED') throw error;
    await session.query('ROLLBACK TO SAVEPOINT destino_rule');
    return false;
  }
}
