/** The error for a name that nothing has, whichever flag or command it was given to. */
import {AppError, type ErrorCode} from './errors.js';
import {didYouMean, nearestFirst} from './nearest.js';

/**
 * Offers the nearest name and lists all that there are, the nearest first.
 * @param message what has no such name, and what state things are in, as sentences
 */
export function unknownName(
  code: ErrorCode,
  message: string,
  name: string,
  known: readonly string[],
  hint?: string,
): AppError {
  return new AppError(code, `${message}${didYouMean(name, known)}`, {
    ...(hint === undefined ? {} : {hint}),
    details: nearestFirst(name, known),
  });
}
