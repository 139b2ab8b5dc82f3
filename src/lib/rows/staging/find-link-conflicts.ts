/** Decides which links of rows that stayed can be set again. */
import type {Session} from '../../postgres/client.js';
import {quoteIdentifier, quoteLiteral} from '../../postgres/quote.js';
import {alreadyThere, findMissingParents, mark} from './skip-reasons.js';
import {allReferences, fromRelation} from './restore-target.js';
import type {StagedOrders} from './stage-orders.js';
import type {StagedTable} from './staged-table.js';
import {keyNumbers, linkColumns, sameKey, stillUnlinked} from './staged-conditions.js';

export async function findLinkConflicts(
  session: Session,
  staged: StagedOrders,
  each: StagedTable,
): Promise<void> {
  const {temp, target} = each;
  const from = fromRelation(target);
  const set = linkColumns(each);
  const key = sameKey(each, keyNumbers(each));
  const missingKey = each.file.key.find((name) => !target.columns.some((column) => column.name === name));
  if (missingKey !== undefined) {
    await mark(session, each, quoteLiteral(`column gone: the table no longer has "${missingKey}"`), 'true');
    return;
  }
  await mark(
    session,
    each,
    quoteLiteral('row gone: it cannot be linked again'),
    `NOT EXISTS (SELECT FROM ${from} t WHERE ${key})`,
  );
  const isSame = set.map(
    ({column}) => `t.${quoteIdentifier(column.name)}::text IS NOT DISTINCT FROM s.c${column.number}::text`,
  );
  await mark(
    session,
    each,
    quoteLiteral(alreadyThere),
    `EXISTS (SELECT FROM ${from} t WHERE ${[key, ...isSame].join(' AND ')})`,
  );
  await mark(
    session,
    each,
    quoteLiteral('link taken: the row has another value now'),
    `NOT EXISTS (SELECT FROM ${from} t WHERE ${key} AND ${stillUnlinked(each)})`,
  );
  // Columns that the file does not set keep their values, which may be part of a reference.
  const others = target.columns.filter(
    (column) => !set.some((shared) => shared.column === column) && !keyNumbers(each).includes(column.number),
  );
  if (others.length > 0) {
    const list = others.map(({number, name}) => `c${number} = t.${quoteIdentifier(name)}`);
    await session.query(
      `UPDATE ${temp} s SET ${list.join(', ')} FROM ${from} t WHERE s.reason IS NULL AND ${key}`,
    );
  }
  for (const reference of allReferences(target)) await findMissingParents(session, staged, each, reference);
}
