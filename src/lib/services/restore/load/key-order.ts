/** Plans the order in which rows alone are loaded to satisfy foreign keys of the target, and the triggers and keys that are off meanwhile. */
import {AppError} from '../../../base/errors.js';
import {countOf} from '../../../base/format.js';
import {insertGroups} from '../../../rows/model/insert-groups.js';
import {listFiringTriggers, withoutUserTriggers} from '../../../rows/staging/user-triggers.js';
import type {NamedTable} from '../../../postgres/quote.js';
import type {Session} from '../../../postgres/client.js';
import type {RoleRights} from '../../../postgres/inspect/inspect-target.js';
import {withOwnSearchPath} from '../../../postgres/search-path.js';
import {findTopTables, readTableKeys, type TableKey} from '../../../postgres/inspect/table-keys.js';
import type {RunContext} from '../../../run/run-context.js';

export interface KeyOrder {
  /** The topmost parent table of each loaded table, by `keyOf`. */
  readonly tops: ReadonlyMap<string, string>;
  /** Topmost tables that must be loaded before a table. */
  readonly parents: ReadonlyMap<string, ReadonlySet<string>>;
  /** Whether deferrable keys are checked after all rows are loaded. */
  readonly isDeferred: boolean;
  /** Whether a superuser loads without checks. */
  readonly isUnchecked: boolean;
  /** Whether the stock tools' order works too. */
  readonly isAnyOrder: boolean;
  /** Differences from a plain load, a line each. */
  readonly notes: readonly string[];
}

const keyOf = ({schema, name}: NamedTable): string => JSON.stringify([schema, name]);
const nameOf = ({child_label, name, parent_label}: TableKey): string =>
  `${child_label} -> ${parent_label} (${name})`;

/** @param tables the tables to load @throws KEY_CIRCLE */
export async function planKeyOrder(
  {warn}: RunContext,
  session: Session,
  tables: readonly NamedTable[],
  {isSuperuser}: RoleRights,
): Promise<KeyOrder> {
  const found = await findTopTables(session, tables);
  const tops = new Map<string, string>();
  const parts = new Map<string, number>();
  for (const [index, table] of tables.entries()) {
    const top = found[index];
    if (top === undefined) continue;
    tops.set(keyOf(table), top);
    parts.set(top, (parts.get(top) ?? 0) + 1);
  }
  const all = await readTableKeys(session, [...parts.keys()]);
  // Rows of one COPY may refer to one another, because keys are checked at its end.
  const keys = all.filter(
    ({child, parent}) => parts.has(parent) && (child !== parent || (parts.get(child) ?? 0) > 1),
  );
  const immediate = keys.filter((key) => !key.is_deferrable);
  const isDeferred = inCircle(keys).length > 0;
  const circle = isDeferred ? inCircle(immediate) : [];
  if (circle.length > 0 && !isSuperuser) throw circleError(circle);
  // The rows of the backup may violate NOT VALID keys too.
  const notValid = isSuperuser ? all.filter((key) => !key.is_valid) : [];
  const isUnchecked = circle.length + notValid.length > 0;
  const triggers = await listFiringTriggers(session, [...parts.keys()]);
  if (triggers.foreign.length > 0)
    warn(
      `These triggers fire for each row, because this role does not own their tables: ${triggers.foreign.join(', ')}. Rows that they change or add differ from the backup.`,
    );
  const outside = all.filter(({parent}) => !parts.has(parent));
  const parents = new Map<string, Set<string>>();
  for (const {child, parent} of isUnchecked ? [] : isDeferred ? immediate : keys)
    parents.set(child, (parents.get(child) ?? new Set()).add(parent));
  return {
    tops,
    parents,
    isDeferred: isDeferred && !isUnchecked,
    isUnchecked,
    isAnyOrder: keys.length + triggers.ours.length === 0 && !isUnchecked,
    notes: [
      ...(parents.size > 0 ? ['tables are loaded in the order of their foreign keys'] : []),
      ...(isDeferred && !isUnchecked
        ? [
            `circular foreign keys are checked after all rows are loaded: ${listed(inCircle(keys).filter((key) => key.is_deferrable))}`,
          ]
        : []),
      ...(circle.length > 0
        ? [`foreign keys are not checked, because these are circular: ${listed(circle)}`]
        : []),
      ...(notValid.length > 0
        ? [`foreign keys are not checked, because these are NOT VALID: ${listed(notValid)}`]
        : []),
      ...(outside.length > 0
        ? [`the target must already contain the rows that these keys refer to: ${listed(outside)}`]
        : []),
      ...(triggers.ours.length > 0 ? [`off meanwhile: ${triggers.ours.join(', ')}`] : []),
    ],
  };
}

const listed = (keys: readonly TableKey[]): string => keys.map(nameOf).join(', ');

/** The keys that are part of a circle of tables. */
function inCircle(keys: readonly TableKey[]): TableKey[] {
  const parents = new Map<string, string[]>();
  for (const {child, parent} of keys) {
    parents.set(child, [...(parents.get(child) ?? []), parent]);
    if (!parents.has(parent)) parents.set(parent, []);
  }
  const groupOf = new Map<string, readonly string[]>();
  for (const group of insertGroups([...parents.keys()], (top) => parents.get(top) ?? []))
    for (const top of group) groupOf.set(top, group);
  return keys.filter(({child, parent}) => groupOf.get(child)?.includes(parent));
}

function circleError(circle: readonly TableKey[]): AppError {
  const tables = [...new Set(circle.map(({child_label}) => child_label))];
  return new AppError(
    'KEY_CIRCLE',
    `The rows of ${tables.join(', ')} refer to one another by ${countOf(circle.length, 'foreign key')} that the server checks immediately, so no order can load them. Nothing was changed.`,
    {
      hint: 'Make these keys deferrable (ALTER TABLE ... ALTER CONSTRAINT ... DEFERRABLE, as the owner; NOT DEFERRABLE afterwards), restore as a superuser, or restore definitions and rows together.',
      details: circle.map(nameOf),
    },
  );
}

/** Decides for each table whether its rows are loaded in the current pass through the dump. */
export interface LoadQueue {
  /** @param table null for other statements than rows, which run in the first pass */
  allows(table: NamedTable | null): boolean;
  /** Starts another pass. @returns false if none is needed */
  next(): boolean;
}

/** Creates a queue for the first pass. */
export function startQueue({tops, parents}: KeyOrder): LoadQueue {
  const left = new Map<string, number>();
  for (const top of tops.values()) left.set(top, (left.get(top) ?? 0) + 1);
  const before = new Set<string>();
  let now = new Set<string>();
  let isFirst = true;
  let isLeft = false;
  return {
    allows(table) {
      const key = table ? keyOf(table) : '';
      const top = tops.get(key);
      if (top === undefined) return isFirst;
      if (now.has(key) || before.has(key)) return now.has(key);
      if ([...(parents.get(top) ?? [])].some((parent) => parent !== top && (left.get(parent) ?? 0) > 0)) {
        isLeft = true;
        return false;
      }
      now.add(key);
      left.set(top, (left.get(top) ?? 0) - 1);
      return true;
    },
    next() {
      const isAnother = isLeft && now.size > 0;
      for (const key of now) before.add(key);
      now = new Set();
      isFirst = isLeft = false;
      return isAnother;
    },
  };
}

/** Runs `work`, which loads the rows in an open transaction, with triggers and keys switched off as planned. @throws QUERY_FAILED for a violated deferred key */
export async function inKeyOrder(
  session: Session,
  order: KeyOrder,
  work: () => Promise<void>,
): Promise<void> {
  await withoutUserTriggers(session, [...new Set(order.tops.values())], 'RESTORE_FAILED', async () => {
    if (order.isUnchecked) await session.query(`SET LOCAL session_replication_role = 'replica'`);
    if (order.isDeferred) await session.query('SET CONSTRAINTS ALL DEFERRED');
    await work();
    if (order.isDeferred)
      await withOwnSearchPath(session, () => session.query('SET CONSTRAINTS ALL IMMEDIATE'));
  });
}
