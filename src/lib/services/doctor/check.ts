/** One finding of `doctor`. */
import {AppError} from '../../base/errors.js';

export interface Check {
  /** Stable: "pg_dump", "url", "connection", ... */
  readonly name: string;
  readonly ok: boolean;
  /** Whether the main commands need it; otherwise a failure is only a warning. */
  readonly needed: boolean;
  readonly message: string;
  /** How to fix it; null if it passed. */
  readonly hint: string | null;
}

export function passed(name: string, message: string): Check {
  return {name, ok: true, needed: true, message, hint: null};
}

/** @param needed false if only some commands need it */
export function failed(name: string, message: string, hint: string, needed = true): Check {
  return {name, ok: false, needed, message, hint};
}

/** Turns an error of the outside world into a check. @throws anything that is not an AppError */
export function failedBy(name: string, error: unknown, hint: string, needed = true): Check {
  if (!(error instanceof AppError)) throw error;
  return failed(name, error.message, error.hint ?? hint, needed);
}
