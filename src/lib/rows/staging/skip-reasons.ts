/** Writes into staged rows why they are skipped. */
import type {Session} from '../../postgres/client.js';
import {quoteLiteral} from '../../postgres/quote.js';
import {fromRelation, type PartitionReference, type TargetReference} from './restore-target.js';
import type {StagedOrders} from './stage-orders.js';
import type {StagedTable} from './staged-table.js';
import {hasReference, matches, refers} from './staged-conditions.js';

/** The one reason that keeps nothing else back: the same row is there. */
export const alreadyThere = 'already there';

export async function mark(
  session: Session,
  staged: StagedTable,
  reason: string,
  condition: string,
): Promise<number> {
  return session.execute(
    `UPDATE ${staged.temp} s SET reason = ${reason} WHERE s.reason IS NULL AND ${condition}`,
  );
}

/** Returns how many rows were marked. */
export async function findMissingParents(
  session: Session,
  staged: StagedOrders,
  child: StagedTable,
  reference: TargetReference | PartitionReference,
): Promise<number> {
  const parent = staged.tables.find(({target}) => target.oid === reference.parentTop);
  const name = `${reference.parent.schema}.${reference.parent.name}`;
  let count = 0;
  if (parent) {
    count += await session.execute(
      `UPDATE ${child.temp} s SET reason = ${quoteLiteral(`parent skipped: it hangs on a row of ${name} that is skipped`)}
         FROM ${parent.temp} p
        WHERE s.reason IS NULL AND p.reason IS NOT NULL AND p.reason <> ${quoteLiteral(alreadyThere)} AND p.changes IS NULL AND ${refers(reference, child.target, 'staged')}`,
    );
  }
  if (reference.isSoft) return count;
  const isSet = reference.columns.map((number) => `s.c${number} IS NOT NULL`).join(' AND ');
  const inFile = parent
    ? ` AND NOT EXISTS (SELECT FROM ${parent.temp} p WHERE p.reason IS NULL AND ${matches(reference, 'staged')})`
    : '';
  return (
    count +
    (await mark(
      session,
      child,
      quoteLiteral(`parent gone: ${name} no longer has the row (${reference.name})`),
      `${isSet} AND ${hasReference(reference, child.target)} AND NOT EXISTS (SELECT FROM ${fromRelation(reference.parent)} t WHERE ${matches(reference, 'target')})${inFile}`,
    ))
  );
}
