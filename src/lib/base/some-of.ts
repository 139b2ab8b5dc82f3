/** Shortens long lists in messages and says how many items are left out. */

/** The first `most` items of a list of `total`, and how many more there are. */
export function someOf(items: readonly string[], most: number, total = items.length): string[] {
  const shown = items.slice(0, most);
  const more = total - shown.length;
  return more > 0 ? [...shown, `and ${more} more`] : shown;
}
