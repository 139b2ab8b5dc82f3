/** Puts the planned rows back, in the running transaction, and proves them before it may commit. */
import {AppError} from '../errors.js';
import type {Session} from '../postgres/client.js';
import {quoteIdentifier, quoteQualified} from '../postgres/quote.js';
import {insertGroups} from './insert-groups.js';
import {countRows} from './count-staged.js';
import {fromRelation} from './restore-target.js';
import {advanceSequences} from './sequences.js';
import {hashOf, type StagedOrders} from './stage-orders.js';
import type {StagedTable} from './staged-table.js';
import {keyNumbers, linkColumns, sameKey, stillUnlinked} from './staged-conditions.js';
import {withoutUserTriggers} from './user-triggers.js';

export interface PutBackProgress {
  /** A table's rows are in. */
  inserted(table: string, rows: number): void;
}

/**
 * Inserts, links, checks, and brings sequences forward. Returns the sequences that were moved.
 * @throws ORDERS_RESTORE_FAILED when what was put back is not what the file holds; the caller's transaction must roll back
 */
export async function putBackOrders(
  session: Session,
  staged: StagedOrders,
  progress: PutBackProgress,
): Promise<string[]> {
  const touched = [...staged.tables, ...staged.links].map(({target}) => target.oid);
  return withoutUserTriggers(session, [...new Set(touched)], async () => {
    await session.query('SET CONSTRAINTS ALL DEFERRED');
    for (const group of groupsOf(staged.tables)) {
      await insertGroup(session, group);
      for (const each of group) progress.inserted(each.file.table, (await countRows(session, each)).restored);
    }
    for (const each of staged.links) await setLinks(session, each);
    await session.query('SET CONSTRAINTS ALL IMMEDIATE');
    for (const each of staged.tables) await proveRows(session, each);
    for (const each of staged.links) await proveLinks(session, each);
    const moved: string[] = [];
    for (const each of staged.tables) moved.push(...(await advanceSequences(session, each)));
    return moved;
  });
}

function groupsOf(tables: readonly StagedTable[]): StagedTable[][] {
  return insertGroups(tables, (child) =>
    child.target.references.flatMap(({parentTop}) =>
      tables.filter((table) => table !== child && table.target.oid === parentTop),
    ),
  );
}

/**
 * One statement for tables that refer to one another: foreign keys are checked at its end (manual, 7.8.4 and 39.1),
 * so neither the order of rows nor that of the tables matters inside it.
 */
async function insertGroup(session: Session, group: readonly StagedTable[]): Promise<void> {
  const inserts = group.map(({target, temp, shared}) => {
    const columns = shared.map(({column}) => column).filter((column) => !column.generated);
    return `INSERT INTO ${quoteQualified(target.schema, target.name)} (${columns.map(({name}) => quoteIdentifier(name)).join(', ')})
      OVERRIDING SYSTEM VALUE SELECT ${columns.map(({number}) => `s.c${number}`).join(', ')} FROM ${temp} s WHERE s.reason IS NULL`;
  });
  const [last = '', ...others] = inserts.toReversed();
  const before = others.map((insert, index) => `destino_i${index} AS (${insert})`);
  await session.query(before.length === 0 ? last : `WITH ${before.join(', ')} ${last}`);
}

/** Only where nobody has set the link since: the condition of the plan, once more. */
async function setLinks(session: Session, staged: StagedTable): Promise<void> {
  const set = linkColumns(staged).filter(({column}) => !column.generated);
  if (set.length === 0) return;
  await session.query(
    `UPDATE ${fromRelation(staged.target)} t SET ${set.map(({column}) => `${quoteIdentifier(column.name)} = s.c${column.number}`).join(', ')}
       FROM ${staged.temp} s
      WHERE s.reason IS NULL AND ${sameKey(staged, keyNumbers(staged))} AND ${stillUnlinked(staged)}`,
  );
}

/** Every row that was put back reads like the file's, by SHA-256 of its JSON text; else the first few are named. */
async function proveRows(session: Session, staged: StagedTable): Promise<void> {
  const {restored} = await countRows(session, staged);
  const same = `${hashOf(staged.rowJson)} = s.hash`;
  const from = fromRelation(staged.target);
  if (staged.key.length === 0) {
    // None was there before (such rows are skipped), so as many as were put back must be there now.
    const [row] = await session.query(
      `SELECT count(*) AS found FROM ${from} t WHERE ${hashOf(staged.rowJson)} IN (SELECT s.hash FROM ${staged.temp} s WHERE s.reason IS NULL)`,
    );
    refuseDifference(staged, restored, Number(row?.['found']), []);
    return;
  }
  const [row] = await session.query(
    `SELECT count(*) AS found FROM ${staged.temp} s JOIN ${from} t ON ${sameKey(staged)} WHERE s.reason IS NULL AND ${same}`,
  );
  const found = Number(row?.['found']);
  if (found === restored) return;
  const examples = await session.query(
    `SELECT coalesce(${staged.rowJson}, 'no row') AS now, s.line FROM ${staged.temp} s LEFT JOIN ${from} t ON ${sameKey(staged)}
      WHERE s.reason IS NULL AND (${same}) IS NOT TRUE ORDER BY s.line LIMIT 3`,
  );
  refuseDifference(
    staged,
    restored,
    found,
    examples.map(
      (example) => `line ${example['line'] ?? ''} would read ${(example['now'] ?? '').slice(0, 400)}`,
    ),
  );
}

async function proveLinks(session: Session, staged: StagedTable): Promise<void> {
  const {restored} = await countRows(session, staged);
  const same = linkColumns(staged).map(
    ({column}) => `t.${quoteIdentifier(column.name)}::text IS NOT DISTINCT FROM s.c${column.number}::text`,
  );
  const [row] = await session.query(
    `SELECT count(*) AS found FROM ${staged.temp} s JOIN ${fromRelation(staged.target)} t
         ON ${[sameKey(staged, keyNumbers(staged)), ...same].join(' AND ')} WHERE s.reason IS NULL`,
  );
  refuseDifference(staged, restored, Number(row?.['found']), []);
}

function refuseDifference(
  staged: StagedTable,
  expected: number,
  found: number,
  details: readonly string[],
): void {
  if (found === expected) return;
  throw new AppError(
    'ORDERS_RESTORE_FAILED',
    `${expected - found} of ${expected} rows of ${staged.file.table} came back different from the order backup; everything was rolled back, nothing was changed.`,
    {
      hint: 'A trigger, a default or a column type has probably changed since; the preview names columns that did.',
      details,
    },
  );
}
