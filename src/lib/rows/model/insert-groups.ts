/** The order in which tables are filled: parents first, tables that refer to one another together. */

/**
 * Strongly connected components of "refers to", parents first (Tarjan 1972: components come out in that order).
 * @param parentsOf the items that an item refers to; itself counts for nothing
 */
export function insertGroups<T>(items: readonly T[], parentsOf: (item: T) => readonly T[]): T[][] {
  const groups: T[][] = [];
  const order = new Map<T, number>();
  const lowest = new Map<T, number>();
  const path: T[] = [];
  const visit = (item: T): void => {
    const number = order.size;
    order.set(item, number);
    lowest.set(item, number);
    path.push(item);
    for (const parent of parentsOf(item)) {
      if (!order.has(parent)) visit(parent);
      else if (!path.includes(parent)) continue;
      lowest.set(item, Math.min(lowest.get(item) ?? number, lowest.get(parent) ?? number));
    }
    if (lowest.get(item) === number) groups.push(path.splice(path.indexOf(item)));
  };
  for (const item of items) if (!order.has(item)) visit(item);
  return groups;
}
