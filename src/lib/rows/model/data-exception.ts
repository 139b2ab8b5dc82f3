/** Texts that the server cannot read as a value of their type. */
import {AppError, systemErrorCode} from '../../base/errors.js';

/** SQLSTATE class 22: data exceptions, such as text that is no uuid. */
export function isDataException(error: unknown): error is AppError {
  return error instanceof AppError && (systemErrorCode(error.cause) ?? '').startsWith('22');
}
