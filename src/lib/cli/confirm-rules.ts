/** The answers that flags give to the question before a destructive step. */
import {AppError} from '../base/errors.js';
import type {ConfirmRequest} from '../run/run-context.js';

export interface FlagAnswers {
  /** --yes or --no-confirm */
  readonly isYes: boolean;
  /** --confirm-db NAME */
  readonly database: string | undefined;
}

/** Whether the flags alone confirm the step. */
export function isAnswered(
  request: Pick<ConfirmRequest, 'database' | 'databaseLabel' | 'isProduction' | 'isIrreversible'>,
  answers: FlagAnswers,
): boolean {
  return answers.database === undefined
    ? answers.isYes && !needsName(request)
    : confirms(request, answers.database);
}

/** Whether the text is what has to be typed; several names may be in any order, with spaces between them. */
export function confirms(
  {database, databaseLabel}: Pick<ConfirmRequest, 'database' | 'databaseLabel'>,
  text: string,
): boolean {
  if (databaseLabel !== 'databases') return text === database;
  const names = (list: string): string =>
    JSON.stringify(
      list
        .split(',')
        .map((name) => name.trim())
        .sort(),
    );
  return names(text) === names(database);
}

/** Whether only the name of the database confirms the step. */
export function needsName(request: Pick<ConfirmRequest, 'isProduction' | 'isIrreversible'>): boolean {
  return request.isProduction || request.isIrreversible === true;
}

/** @throws NOT_CONFIRMED where --confirm-db names something else */
export function refuseOtherName(
  request: Pick<ConfirmRequest, 'database' | 'databaseLabel'>,
  {database}: FlagAnswers,
): void {
  if (database === undefined || confirms(request, database)) return;
  const target = request.databaseLabel === 'databases' ? 'the targets are' : 'the target is';
  throw new AppError(
    'NOT_CONFIRMED',
    `--confirm-db names "${database}", but ${target} "${request.database}"; nothing was changed.`,
  );
}
