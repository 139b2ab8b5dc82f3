/** Decides, row by row and on the server, what a restore of rows would write, and why not the rest. */
import type {Session} from '../../postgres/client.js';
import {quoteLiteral} from '../../postgres/quote.js';
import {findLinkConflicts} from './find-link-conflicts.js';
import {alreadyThere, findMissingParents, mark} from './skip-reasons.js';
import {allReferences, fromRelation} from './restore-target.js';
import {rowJsonExpression} from '../model/row-json.js';
import type {StagedOrders} from './stage-orders.js';
import type {StagedTable} from './staged-table.js';
import {sameKey} from './staged-conditions.js';
import {findHeldValues, findSameUnique, takeTurns} from './unique-turns.js';

/**
 * Writes the reason into every staged row that would be skipped. Reads only, beside the temporary tables.
 * @param isCompared whether the staged rows are known to be missing or to differ
 */
export async function findConflicts(
  session: Session,
  staged: StagedOrders,
  isCompared = false,
): Promise<void> {
  const waiting: StagedTable[] = [];
  for (const each of staged.tables) {
    await findGoneColumns(session, each);
    await findColumnConflicts(session, each);
    if (!isCompared) await findSameKeys(session, each);
    for (const unique of each.target.exclusives) {
      if (!(unique.isPrimary && each.key === each.target.primaryKey))
        await findSameUnique(session, each, unique);
    }
    if (await takeTurns(session, each)) waiting.push(each);
  }
  // A row that is skipped keeps back what hangs on it, so this goes on until nothing new is found.
  for (let isGrowing = true; isGrowing;) {
    isGrowing = false;
    for (const each of waiting) isGrowing = (await findHeldValues(session, each)) > 0 || isGrowing;
    for (const each of staged.tables) {
      for (const reference of allReferences(each.target)) {
        const count = await findMissingParents(session, staged, each, reference);
        isGrowing ||= count > 0;
      }
    }
  }
  for (const each of staged.links) await findLinkConflicts(session, staged, each);
}

async function findColumnConflicts(session: Session, staged: StagedTable): Promise<void> {
  for (const {name, notNull, fillsItself} of staged.added) {
    if (!notNull || fillsItself) continue;
    await mark(
      session,
      staged,
      quoteLiteral(`column new: "${name}" needs a value that the file does not have`),
      's.changes IS NULL',
    );
  }
  const needed = staged.shared
    .filter(({column}) => column.notNull && !column.generated)
    .map(({column}) => ({
      isEmpty: `s.c${column.number} IS NULL`,
      reason: quoteLiteral(`column "${column.name}" may no longer be empty`),
    }));
  if (needed.length === 0) return;
  await mark(
    session,
    staged,
    `CASE ${needed.map(({isEmpty, reason}) => `WHEN ${isEmpty} THEN ${reason}`).join(' ')} END`,
    `(${needed.map(({isEmpty}) => isEmpty).join(' OR ')})`,
  );
}

/** Rows whose value of a column that is gone would be lost. */
async function findGoneColumns(session: Session, staged: StagedTable): Promise<void> {
  for (const {name, column} of staged.gone) {
    await mark(
      session,
      staged,
      quoteLiteral(`column gone: the table no longer has "${name}"`),
      `s.${column} IS NOT NULL AND s.changes IS NULL`,
    );
  }
}

async function findSameKeys(session: Session, staged: StagedTable): Promise<void> {
  const {temp, target, key, json} = staged;
  const isSame = `${rowJsonExpression('t', json.target)} = ${rowJsonExpression('s', json.staged)}`;
  // Without a key only a row that is the same altogether can be recognized.
  const condition = key.length === 0 ? isSame : sameKey(staged);
  const from = `${fromRelation(target)} t WHERE s.reason IS NULL AND ${condition}`;
  // As a rule there is none, and looking for keys alone is quicker by far than carrying whole rows along.
  const [found] = await session.query(`SELECT count(*) AS rows FROM ${temp} s, ${from}`);
  if (found?.['rows'] === '0') return;
  await session.query(
    `UPDATE ${temp} s SET reason = CASE WHEN ${isSame} THEN ${quoteLiteral(alreadyThere)} ELSE 'same key: another row has it' END
       FROM ${from}`,
  );
}
