/** Finds the known word nearest to a mistyped one. */
import {closest, distance} from 'fastest-levenshtein';

/** The nearest of `known`, or undefined when none is near enough to be what was meant (a third of its letters). */
export function nearest(word: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined;
  const candidate = closest(word, [...known]);
  return distance(word, candidate) <= Math.max(1, Math.ceil(candidate.length / 3)) ? candidate : undefined;
}
