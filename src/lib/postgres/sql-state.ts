/** Recognises failures by SQLSTATE, independently of the server's language (manual, appendix A). */
import {AppError, systemErrorCode} from '../base/errors.js';

/** Whether a query failed with an SQLSTATE with this prefix: "22" for the class of data exceptions, "42P01" for one code. */
export function hasSqlState(error: unknown, ...beginnings: readonly string[]): error is AppError {
  const state = error instanceof AppError ? systemErrorCode(error.cause) : undefined;
  return state !== undefined && beginnings.some((beginning) => state.startsWith(beginning));
}
