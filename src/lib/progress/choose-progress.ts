/** Which form of progress fits the flags and the streams. */
export interface ProgressSituation {
  readonly isJson: boolean;
  readonly isQuiet: boolean;
  readonly isTerminal: boolean;
  /** Columns of the terminal; a terminal without width cannot show a list. */
  readonly columns: number | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export function chooseProgress(situation: ProgressSituation): 'list' | 'lines' | 'silent' {
  if (situation.isJson || situation.isQuiet) return 'silent';
  const {CI, TERM} = situation.environment;
  const isPlain = (CI ?? '') !== '' || TERM === 'dumb';
  return situation.isTerminal && (situation.columns ?? 0) > 0 && !isPlain ? 'list' : 'lines';
}
