/** The errors that pg_restore and psql print while they go on, and the few that mean nothing. */

/** Errors of a restore that change nothing about its result, each matched as a whole. */
const harmless: readonly RegExp[] = [
  /^schema "public" already exists$/,
  /^must be owner of extension plpgsql$/,
  /^must be owner of schema public$/,
  /^unrecognized configuration parameter "transaction_timeout"$/,
];

export interface RestoreErrors {
  /** Gathers from one line of stderr. */
  readonly read: (line: string) => void;
  /** Known to be without consequence. */
  readonly notes: string[];
  readonly errors: string[];
}

/**
 * Reads lines such as `pg_restore: error: could not execute query: ERROR:  ...` and `psql:<stdin>:12: ERROR:  ...`.
 * A list keeps at most `most` entries; a dump that fails at every row must not fill the memory.
 */
export function collectRestoreErrors(most = 1000): RestoreErrors {
  const notes: string[] = [];
  const errors: string[] = [];
  const read = (line: string): void => {
    const message = errorIn(line);
    if (message === undefined) return;
    const list = harmless.some((pattern) => pattern.test(message)) ? notes : errors;
    if (list.length < most) list.push(message);
  };
  return {read, notes, errors};
}

function errorIn(line: string): string | undefined {
  const fromServer = /^(?:pg_restore: error: .*?|psql:.*?:\d+: )(?:ERROR|FATAL): {2}(.*)$/.exec(line);
  if (fromServer) return fromServer[1];
  return /^(?:pg_restore|psql): error: (.*)$/.exec(line)?.[1];
}
