/** The tables that depend on orders, and the order in which their rows can be deleted and restored. */
import {AppError} from '../../../base/errors.js';
import {insertGroups} from '../../../rows/model/insert-groups.js';
import type {Operator} from '../../../rows/model/operators.js';
import type {Session} from '../../../postgres/client.js';
import {checkColumns, findTable, suggest, profileHint} from './profile-names.js';
import type {OrdersProfile, RootProfile} from './profile.js';
import {resolveRoot, type Root} from './resolve-root.js';
import {
  type Catalog,
  type DeleteAction,
  type ForeignKey,
  readCatalog,
  type Table,
} from '../../../rows/model/read-schema.js';

/** A reference from a row to the row it belongs to. */
export interface Link {
  /** The constraint's name, or the soft link's columns. */
  readonly name: string;
  readonly isSoft: boolean;
  /** The whole table; for a partition its topmost parent. */
  readonly child: Table;
  /** The table with the declaration: the child itself or one of its partitions. */
  readonly childRelation: Table;
  readonly childColumns: readonly string[];
  readonly parent: Table;
  readonly parentRelation: Table;
  readonly parentColumns: readonly string[];
  /** Parent column on the left, child column on the right; empty for a soft link. */
  readonly operators: readonly Operator[];
  readonly action: DeleteAction;
  readonly changedColumns: readonly string[];
  readonly hasIndex: boolean;
}

export interface OrderGraph {
  readonly profile: OrdersProfile;
  readonly roots: readonly Root[];
  /** Every table that rows are deleted from, in insert order: parents first. */
  readonly tables: readonly Table[];
  /** The same tables in the order of deletion; tables that refer to one another share a group, which one statement deletes. */
  readonly deleteGroups: readonly (readonly Table[])[];
  /** Links whose child row is deleted with its parent. */
  readonly links: readonly Link[];
  /** Links whose child row is kept and loses the link. */
  readonly unlinks: readonly Link[];
}

/**
 * Follows every foreign key that leads to a root, directly or through other tables.
 * @param isInTransaction whether the session is in one, which may write
 * @throws CONFIG_INVALID for missing tables and columns of the profile, NOT_SUPPORTED_HERE for rows that would lose their link and could not
 *   be found again, and the errors of `resolveRoot`
 */
export async function readOrderGraph(
  session: Session,
  profile: OrdersProfile,
  isInTransaction = false,
): Promise<OrderGraph> {
  const catalog = await readCatalog(session);
  const roots: Root[] = [];
  for (const root of profile.roots)
    roots.push(await resolveRoot(session, catalog, profile, root, isInTransaction));
  return buildOrderGraph(catalog, profile, roots);
}

/** Tables from which values of orders are read. */
export function joinedTables({roots}: Pick<OrderGraph, 'roots'>): Table[] {
  return [...new Set(roots.flatMap(({joined}) => joined))];
}

function buildOrderGraph(catalog: Catalog, profile: OrdersProfile, roots: readonly Root[]): OrderGraph {
  checkStatuses(profile, roots);
  const all = [...foreignLinks(catalog), ...softLinks(catalog, profile, roots)];
  const policy = setNullPolicy(catalog, profile, all);
  const staysLinked = (link: Link): boolean =>
    (link.action === 'set null' || link.action === 'set default') && policy(link.child) === 'keep';

  const tables = new Set(roots.map((root) => root.table));
  for (const table of tables) {
    for (const link of all) if (link.parent === table && !staysLinked(link)) tables.add(link.child);
  }
  const reaching = all.filter((link) => tables.has(link.parent));
  const unlinks = reaching.filter(staysLinked);
  for (const link of unlinks) refuseUnnamedRows(link);
  return {
    profile,
    roots,
    links: reaching.filter((link) => !staysLinked(link)),
    unlinks,
    ...arrange([...tables], reaching),
  };
}

/** A status that is not in the enum would silently match nothing. */
function checkStatuses(profile: OrdersProfile, roots: readonly Root[]): void {
  const check = (values: readonly string[], columnOf: (root: RootProfile) => string | undefined): void => {
    const labels = roots.flatMap(({columns, profile: root}) => {
      const column = columns.find((candidate) => candidate.name === columnOf(root));
      return column === undefined ? [] : [column.labels];
    });
    if (labels.length === 0 || labels.includes(null)) return;
    const known = labels.flatMap((list) => list ?? []);
    const wrong = values.find((value) => !known.includes(value));
    if (wrong === undefined) return;
    throw new AppError(
      'CONFIG_INVALID',
      `The profile "${profile.name}" names the status "${wrong}", which no order can have${suggest(wrong, known)}.`,
      {hint: profileHint},
    );
  };
  check(profile.failedPayments, (root) => root.paymentStatus);
  check(profile.paidPayments, (root) => root.paymentStatus);
  check(profile.cancelledStatuses, (root) => root.status);
}

function foreignLinks(catalog: Catalog): Link[] {
  return catalog.foreignKeys.flatMap((key: ForeignKey) => {
    const childRelation = catalog.tables.get(key.childOid);
    const parentRelation = catalog.tables.get(key.parentOid);
    const child = catalog.tables.get(childRelation?.topOid ?? '');
    const parent = catalog.tables.get(parentRelation?.topOid ?? '');
    if (!childRelation || !parentRelation || !child || !parent) return []; // system tables
    const {name, childColumns, parentColumns, operators, action, changedColumns, hasIndex} = key;
    const ends = {child, childRelation, childColumns, parent, parentRelation, parentColumns, operators};
    return [{name, isSoft: false, ...ends, action, changedColumns, hasIndex}];
  });
}

function softLinks(catalog: Catalog, profile: OrdersProfile, roots: readonly Root[]): Link[] {
  return profile.softLinks.map((link) => {
    const child = findTable(catalog, profile, link.schema, link.table);
    checkColumns(child, profile, link.columns);
    const names = roots.map((candidate) => candidate.table.name);
    const root = roots.find((candidate) => [candidate.table.name, candidate.table.label].includes(link.root));
    if (root?.profile.key.length !== link.columns.length) {
      throw new AppError(
        'CONFIG_INVALID',
        root === undefined
          ? `The soft link of ${child.label} names the root "${link.root}", which the profile does not have${suggest(link.root, names)}.`
          : `The soft link of ${child.label} has ${link.columns.length} columns, but the key of ${root.table.label} has ${root.profile.key.length}.`,
        {hint: profileHint},
      );
    }
    return {
      name: `${child.name}(${link.columns.join(', ')})`,
      isSoft: true,
      child,
      childRelation: child,
      childColumns: link.columns,
      parent: root.table,
      parentRelation: root.table,
      parentColumns: root.profile.key,
      operators: [],
      action: 'no action' as const,
      changedColumns: [],
      hasIndex: true,
    };
  });
}

/** @throws CONFIG_INVALID if the config's profile names a table without such a link */
function setNullPolicy(
  catalog: Catalog,
  profile: OrdersProfile,
  links: readonly Link[],
): (table: Table) => 'delete' | 'keep' {
  const isNamed = (table: Table, name: string): boolean => [table.name, table.label].includes(name);
  const nullable = links.filter((link) => ['set null', 'set default'].includes(link.action));
  for (const name of Object.keys(profile.setNull)) {
    if (profile.isBuiltIn || nullable.some((link) => isNamed(link.child, name))) continue;
    const known = nullable.map((link) => link.child.name);
    const exists = [...catalog.tables.values()].some((table) => isNamed(table, name));
    throw new AppError(
      'CONFIG_INVALID',
      exists
        ? `The profile "${profile.name}" has a setNull rule for ${name}, which has no foreign key with ON DELETE SET NULL or SET DEFAULT.`
        : `The profile "${profile.name}" has a setNull rule for the table ${name}, which the database does not have${suggest(name, known)}.`,
      {hint: profileHint},
    );
  }
  return (table) => Object.entries(profile.setNull).find(([name]) => isNamed(table, name))?.[1] ?? 'keep';
}

/** A row that is kept can be found again only by its key. */
function refuseUnnamedRows(link: Link): void {
  const {child} = link;
  const isKeyChanged = link.changedColumns.some((column) => child.key.includes(column));
  if (child.key.length > 0 && !isKeyChanged) return;
  throw new AppError(
    'NOT_SUPPORTED_HERE',
    child.key.length === 0
      ? `Rows of ${child.label} would lose their link to ${link.parent.label} (${link.name}), and without a primary key it could not be restored.`
      : `Rows of ${child.label} would lose a part of their primary key (${link.name}), so the link could not be restored.`,
    {hint: `Delete the rows too: "setNull": {"${child.label}": "delete"} in orders.profile.`},
  );
}

function arrange(
  tables: readonly Table[],
  links: readonly Link[],
): Pick<OrderGraph, 'tables' | 'deleteGroups'> {
  const groups = insertGroups(tables, (table) =>
    links.filter((link) => link.child === table).map((link) => link.parent),
  );
  return {tables: groups.flat(), deleteGroups: groups.toReversed()};
}
