/** What kind of failure the server reports, whatever language it speaks (manual, appendix A). */
import {AppError, systemErrorCode} from '../base/errors.js';

/** Whether the server ended a query with an SQLSTATE that begins so: "22" for the class of data exceptions, "42P01" for one code. */
export function hasSqlState(error: unknown, ...beginnings: readonly string[]): error is AppError {
  const state = error instanceof AppError ? systemErrorCode(error.cause) : undefined;
  return state !== undefined && beginnings.some((beginning) => state.startsWith(beginning));
}
