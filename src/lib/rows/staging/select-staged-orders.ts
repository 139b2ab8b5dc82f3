/** Narrows a restore to single orders and what hangs on them. */
import {AppError} from '../../base/errors.js';
import type {Session} from '../../postgres/client.js';
import {someOf} from '../../base/some-of.js';
import type {StagedOrders} from './stage-orders.js';
import {matches, referencesInside} from './staged-conditions.js';

/**
 * Leaves only the rows of the given orders, with everything in the file that refers to them.
 * @throws USAGE naming the ids of no order in the file
 */
export async function selectOrders(
  session: Session,
  staged: StagedOrders,
  ids: readonly string[],
): Promise<void> {
  const every = [...staged.tables, ...staged.links];
  const found = new Set<string>();
  for (const {root, id} of rootIds(staged)) {
    const rows = await session.query(
      `UPDATE ${root.temp} s SET selected = true WHERE pg_catalog.lower(${id}) = ANY ($1::text[]) RETURNING pg_catalog.lower(${id}) AS id`,
      [ids.map((each) => each.toLowerCase())],
    );
    for (const {id: each} of rows) if (each !== null && each !== undefined) found.add(each);
  }
  const unknown = ids.filter((id) => !found.has(id.toLowerCase()));
  if (unknown.length > 0) {
    throw new AppError('USAGE', `No order of the file has the id ${unknown.join(', ')} (--only-order).`, {
      hint: 'An order is named by its primary key. Without --only-order all orders of the file are restored.',
      details: await idsInFile(session, staged),
    });
  }
  const pairs = every.flatMap((child) =>
    referencesInside(staged, child).map((inside) => ({child, ...inside})),
  );
  for (let isGrowing = true; isGrowing;) {
    isGrowing = false;
    for (const {child, reference, parent} of pairs) {
      const count = await session.execute(
        `UPDATE ${child.temp} s SET selected = true FROM ${parent.temp} p
          WHERE s.selected IS NULL AND p.selected AND ${matches(reference, 'staged')}`,
      );
      isGrowing ||= count > 0;
    }
  }
  for (const {temp} of every) {
    await session.query(`DELETE FROM ${temp} WHERE selected IS NULL`);
    await session.query(`ANALYZE ${temp}`);
  }
}

/** The tables that orders are in, each with the expression for an order's id in the alias "s". */
function rootIds({tables, file: {roots}}: StagedOrders) {
  return tables
    .filter(({file, key}) => roots.includes(file.table) && key.length > 0)
    .map((root) => {
      const key = root.key.map((number) => `s.c${number}::text`);
      return {root, id: key.length === 1 ? (key[0] ?? '') : `pg_catalog.concat_ws(',', ${key.join(', ')})`};
    });
}

const listedIds = 5;

/** "public.orders: 1, 2, 3, and 171 more", a line for each table that orders are in. */
async function idsInFile(session: Session, staged: StagedOrders): Promise<string[]> {
  const lines: string[] = [];
  for (const {root, id} of rootIds(staged)) {
    const rows = await session.query(
      `SELECT ${id} AS id, pg_catalog.count(*) OVER () AS count FROM ${root.temp} s ORDER BY s.line LIMIT ${listedIds}`,
    );
    const ids = rows.map((row) => row['id'] ?? '');
    lines.push(`${root.file.table}: ${someOf(ids, listedIds, Number(rows[0]?.['count'] ?? 0)).join(', ')}`);
  }
  return lines;
}
