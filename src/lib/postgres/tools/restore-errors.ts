/** Counts the errors that pg_restore prints while it continues, and recognises the harmless ones. */

/** Errors of a restore without consequences; each pattern matches the complete message. */
const harmless: readonly RegExp[] = [
  /^schema "public" already exists$/,
  /^must be owner of extension plpgsql$/,
  /^must be owner of schema public$/,
  /^unrecognized configuration parameter "transaction_timeout"$/,
];

/** Limit for each kind: a dump that fails at every row must not fill the memory. */
const mostKept = 1000;

export interface RestoreErrors {
  /** Processes one line of stderr. */
  readonly read: (line: string) => void;
  /** Errors known to be harmless. */
  readonly notes: string[];
  readonly errors: string[];
}

/**
 * Reads lines such as `pg_restore: error: could not execute query: ERROR:  ...`.
 */
export function collectRestoreErrors(): RestoreErrors {
  const notes: string[] = [];
  const errors: string[] = [];
  const read = (line: string): void => {
    const message = errorIn(line);
    if (message === undefined) return;
    const list = harmless.some((pattern) => pattern.test(message)) ? notes : errors;
    if (list.length < mostKept) list.push(message);
  };
  return {read, notes, errors};
}

function errorIn(line: string): string | undefined {
  return /^pg_restore: error: (?:.*?(?:ERROR|FATAL): {2})?(.*)$/.exec(line)?.[1];
}
