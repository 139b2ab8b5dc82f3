/** Decides, row by row and on the server, what a restore of rows would write, and why not the rest. */
import type {Session} from '../../postgres/client.js';
import {quoteIdentifier, quoteLiteral} from '../../postgres/quote.js';
import {findLinkConflicts} from './find-link-conflicts.js';
import {alreadyThere, findMissingParents, mark} from './skip-reasons.js';
import {compareSql} from '../model/operators.js';
import {fromRelation, type TargetExclusive} from './restore-target.js';
import {rowJsonExpression} from '../model/row-json.js';
import type {StagedOrders} from './stage-orders.js';
import type {StagedTable} from './staged-table.js';
import {sameKey} from './staged-conditions.js';

/**
 * Writes the reason into every staged row that would be skipped. Reads only, beside the temporary tables.
 * @param isCompared whether the staged rows are known to be missing or to differ
 */
export async function findConflicts(
  session: Session,
  staged: StagedOrders,
  isCompared = false,
): Promise<void> {
  for (const each of staged.tables) {
    await findGoneColumns(session, each);
    await findColumnConflicts(session, each);
    if (!isCompared) await findSameKeys(session, each);
    for (const unique of each.target.exclusives) {
      if (!(unique.isPrimary && each.key === each.target.primaryKey))
        await findSameUnique(session, each, unique);
    }
  }
  // A row that is skipped keeps back what hangs on it, so this goes on until nothing new is found.
  for (let isGrowing = true; isGrowing;) {
    isGrowing = false;
    for (const each of staged.tables) {
      for (const reference of each.target.references) {
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

/** Any unique index or exclusion constraint: its key parts and its condition are evaluated on both sides. */
async function findSameUnique(session: Session, staged: StagedTable, unique: TargetExclusive): Promise<void> {
  const {temp, target} = staged;
  const where = unique.predicate === null ? '' : ` WHERE (${unique.predicate})`;
  const parts = unique.parts.map(({expression}, index) => `${expression} AS destino_e${index}`).join(', ');
  const columns = target.columns
    .map(({number, name}) => `r.c${number} AS ${quoteIdentifier(name)}`)
    .join(', ');
  const collide = unique.parts
    .map(({operator}, index) => {
      const [a, b] = [`a.destino_e${index}`, `t.destino_e${index}`];
      return unique.areNullsEqual
        ? `(${compareSql(operator, a, b)} OR ${a} IS NULL AND ${b} IS NULL)`
        : compareSql(operator, a, b);
    })
    .join(' AND ');
  // A row that is to be updated has its own value already.
  const key = target.columns
    .filter(({number}) => staged.key.includes(number))
    .map(({name}) => `, ${quoteIdentifier(name)}`);
  const isOther = staged.key.length === 0 ? '' : ` AND (s.changes IS NULL OR NOT (${sameKey(staged)}))`;
  await session.query(
    `UPDATE ${temp} s SET reason = ${quoteLiteral(`same unique value: another row has it (${unique.name})`)}
       FROM (SELECT destino_line, ${parts} FROM (SELECT r.line AS destino_line, ${columns} FROM ${temp} r WHERE r.reason IS NULL) x${where}) a,
            (SELECT ${parts}${key.join('')} FROM ${fromRelation(target)}${where}) t
      WHERE s.line = a.destino_line AND s.reason IS NULL AND ${collide}${isOther}`,
  );
}
