/** Which form of progress fits the flags and the streams. */
import {charsetOf} from '../base/locale.js';

export interface ProgressSituation {
  readonly isJson: boolean;
  readonly isQuiet: boolean;
  /** Of stderr, where progress is shown, and of stdout, whose width listr2 draws for. */
  readonly isTerminal: boolean;
  /** Columns of the terminal; a terminal without width cannot show a list. */
  readonly columns: number | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export function chooseProgress(situation: ProgressSituation): 'list' | 'lines' | 'silent' {
  if (situation.isJson || situation.isQuiet) return 'silent';
  const {CI, TERM} = situation.environment;
  const isPlain = (CI ?? '') !== '' || TERM === 'dumb' || charsetOf(situation.environment) === 'other';
  return situation.isTerminal && (situation.columns ?? 0) > 0 && !isPlain ? 'list' : 'lines';
}
