/** The errors of reading an order backup. */
import {AppError, messageOf, systemErrorCode} from '../../base/errors.js';

/** @param where "line 7" or "at byte 1234" */
export function invalidOrderFile(path: string, where: string, what: string): AppError {
  return new AppError('ORDER_BACKUP_INVALID', `The order backup ${path} is damaged, ${where}: ${what}.`, {
    hint: 'Use another copy of the file, or a full backup: destino-db list shows what there is.',
  });
}

/** Explains a failed read. Errors of this program and interruptions are returned as they are. */
export function explainReadError(error: unknown, path: string): unknown {
  const code = systemErrorCode(error);
  if (error instanceof AppError || code === undefined || code === 'ABORT_ERR') return error;
  if (code === 'ENOENT') {
    return new AppError('BACKUP_NOT_FOUND', `There is no order backup ${path}.`, {
      hint: 'Check --backup-file; --backup-file latest takes the newest one.',
      cause: error,
    });
  }
  return new AppError('READ_FAILED', `The order backup ${path} cannot be read: ${messageOf(error)}.`, {
    cause: error,
  });
}
