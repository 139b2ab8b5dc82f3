/** Finds the known word nearest to a mistyped one. */
import {closest, distance} from 'fastest-levenshtein';

/** The nearest of `known`; undefined if more than a third of the letters differ. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined;
  const candidate = closest(word, [...known]);
  return distance(word, candidate) <= Math.max(1, Math.ceil(candidate.length / 3)) ? candidate : undefined;
}

/** Table names, the nearest to `word` first. A word without a schema is compared with unqualified names. */
export function nearestFirst(word: string, names: readonly string[]): string[] {
  const far = new Map(names.map((name) => [name, distance(word, comparable(word, name))]));
  return [...names].sort((a, b) => (far.get(a) ?? 0) - (far.get(b) ?? 0));
}

/** ` Did you mean "shop.orders"?`, or an empty string if no name is near enough. */
export function didYouMean(word: string, names: readonly string[]): string {
  const [first] = nearestFirst(word, names);
  if (first === undefined || nearest(word, [comparable(word, first)]) === undefined) return '';
  return ` Did you mean "${first}"?`;
}

function comparable(word: string, name: string): string {
  return word.includes('.') ? name : name.slice(name.lastIndexOf('.') + 1);
}
