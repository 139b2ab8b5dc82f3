/** Chooses the form of progress by the flags and the streams. */
import {charsetOf} from '../base/locale.js';

export interface ProgressSituation {
  readonly isJson: boolean;
  readonly isQuiet: boolean;
  /** Whether stderr, which shows progress, and stdout, whose width listr2 uses, are terminals. */
  readonly isTerminal: boolean;
  /** Columns of the terminal; without a width it cannot show a list. */
  readonly columns: number | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export function chooseProgress(situation: ProgressSituation): 'list' | 'lines' | 'silent' {
  if (situation.isJson || situation.isQuiet) return 'silent';
  const {CI, TERM} = situation.environment;
  const isPlain = (CI ?? '') !== '' || TERM === 'dumb' || charsetOf(situation.environment) === 'other';
  return situation.isTerminal && (situation.columns ?? 0) > 0 && !isPlain ? 'list' : 'lines';
}
