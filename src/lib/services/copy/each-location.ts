/** Does the same in several places: one that fails does not keep the others from it. */
import {AppError, exitStatus, withState} from '../../base/errors.js';

/**
 * @param whole what is there whatever happens, as a sentence
 * @returns the results of all places
 * @throws the first failure, after every place was tried, with what is there and what is not; an interruption at once
 */
export async function toEachPlace<T>(
  places: readonly string[],
  whole: string,
  work: (place: string) => Promise<readonly T[]>,
): Promise<T[]> {
  const results: T[] = [];
  const failures: {place: string; error: AppError}[] = [];
  for (const place of places) {
    try {
      results.push(...(await work(place)));
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      if (error.exitCode >= exitStatus.interrupted) throw withState(error, whole);
      failures.push({place, error});
    }
  }
  const [first, ...others] = failures;
  if (!first) return results;
  const missing = failures.map(({place}) => place);
  const copied = places.filter((place) => !missing.includes(place));
  const presence = copied.length > 0 ? `; the one in ${copied.join(' and ')} is whole` : '';
  const told = new AppError(first.error.code, first.error.message, {
    ...(first.error.hint === undefined ? {} : {hint: first.error.hint}),
    details: [...first.error.details, ...others.map(({place, error}) => `${place}: ${error.message}`)],
    cause: first.error,
  });
  throw withState(told, `${whole} There is no copy in ${missing.join(' and ')}${presence}.`);
}
