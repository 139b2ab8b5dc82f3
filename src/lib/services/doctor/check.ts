/** One finding of `doctor`. */
import {AppError} from '../../base/errors.js';

export interface Check {
  /** Stable: "pg_dump", "url", "connection", ... */
  readonly name: string;
  readonly ok: boolean;
  /** Whether the main commands need it; the others are told as warnings. */
  readonly needed: boolean;
  readonly message: string;
  /** How to mend it; null when it is well. */
  readonly hint: string | null;
}

export function passed(name: string, message: string): Check {
  return {name, ok: true, needed: true, message, hint: null};
}

/** @param needed false for what only some commands miss */
export function failed(name: string, message: string, hint: string, needed = true): Check {
  return {name, ok: false, needed, message, hint};
}

/** A failure of the outside world as a check. @throws what is no AppError */
export function failedBy(name: string, error: unknown, hint: string, needed = true): Check {
  if (!(error instanceof AppError)) throw error;
  return failed(name, error.message, error.hint ?? hint, needed);
}
