/** Does the same work for several locations, even if one of them fails. */
import {AppError, exitStatus, withState} from '../../base/errors.js';

/**
 * @param state a sentence that says what is complete in any case
 * @returns the results of all locations
 * @throws the first failure, after every location was tried, with the copies that exist and those that are missing; an interruption at once
 */
export async function toEachPlace<T>(
  places: readonly string[],
  state: string,
  work: (place: string) => Promise<readonly T[]>,
): Promise<T[]> {
  const results: T[] = [];
  const failures: {place: string; error: AppError}[] = [];
  for (const place of places) {
    try {
      results.push(...(await work(place)));
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      if (error.exitCode >= exitStatus.interrupted) throw withState(error, state);
      failures.push({place, error});
    }
  }
  const [first, ...others] = failures;
  if (!first) return results;
  const missing = failures.map(({place}) => place);
  const copied = places.filter((place) => !missing.includes(place));
  const presence = copied.length > 0 ? `; the copy in ${copied.join(' and ')} is complete` : '';
  const failure = new AppError(first.error.code, first.error.message, {
    ...(first.error.hint === undefined ? {} : {hint: first.error.hint}),
    details: [...first.error.details, ...others.map(({place, error}) => `${place}: ${error.message}`)],
    cause: first.error,
  });
  throw withState(failure, `${state} There is no copy in ${missing.join(' and ')}${presence}.`);
}
