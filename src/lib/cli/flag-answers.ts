/** What flags say to the question before a destructive step. */
import type {ConfirmRequest} from '../run-context.js';

export interface FlagAnswers {
  /** --yes or --no-confirm */
  readonly isYes: boolean;
  /** --confirm-db NAME */
  readonly database: string | undefined;
}

/** Whether the flags alone confirm the step. */
export function isAnswered(
  request: Pick<ConfirmRequest, 'database' | 'isProduction' | 'isIrreversible'>,
  answers: FlagAnswers,
): boolean {
  return answers.database === undefined
    ? answers.isYes && !needsName(request)
    : answers.database === request.database;
}

/** Whether only the name of the database confirms the step. */
export function needsName(request: Pick<ConfirmRequest, 'isProduction' | 'isIrreversible'>): boolean {
  return request.isProduction || request.isIrreversible === true;
}
