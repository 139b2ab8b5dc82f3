/** The error for an unknown name in a flag or an argument. */
import {AppError, type ErrorCode} from './errors.js';
import {didYouMean, nearestFirst} from './nearest.js';

/**
 * Suggests the nearest name and lists all known names, the nearest first.
 * @param message which name is unknown and what state things are in, as sentences
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
