/** The one error type of the program and the table of its codes. */

/** Exit statuses by kind of trouble; the interrupted ones follow the shell's 128 + signal convention. */
export const exitStatus = {
  failed: 1,
  usage: 2,
  environment: 3,
  integrity: 4,
  refused: 5,
  interrupted: 130,
  terminated: 143,
} as const;

type Kind = keyof typeof exitStatus;

const codes = {
  // failed
  UNEXPECTED: ['failed', 'an error nobody foresaw; a defect of this program'],
  PG_DUMP_FAILED: ['failed', 'pg_dump ended with an error that has no code of its own'],
  PG_RESTORE_FAILED: ['failed', 'pg_restore ended with an error that has no code of its own'],
  TOOL_FAILED: ['failed', 'another program ended with an error'],
  TOOL_KILLED: ['failed', 'a client tool was ended by a signal, as by a machine that is out of memory'],
  QUERY_FAILED: ['failed', 'the server refused a query'],
  CONNECTION_LOST: ['failed', 'the connection to the server broke while work was under way'],
  REPLAY_CONFLICT: ['failed', 'the standby cancelled a query because replication had to go on'],
  LOCK_TIMEOUT: ['failed', 'another session holds a lock on a table for longer than the limit'],
  RESTORE_FAILED: ['failed', 'the restore met errors; the message says what state the target is in'],
  CLEAN_FAILED: ['failed', 'orders could not be deleted; nothing was changed'],
  ORDERS_RESTORE_FAILED: ['failed', 'orders could not be put back; nothing was changed'],
  ROWS_RESTORE_FAILED: ['failed', 'rows could not be put back or taken back; nothing was changed'],
  WORKFLOW_FAILED: ['failed', 'a step of the workflow failed; later steps were not run'],
  WRITE_FAILED: ['failed', 'a file could not be written'],
  READ_FAILED: ['failed', 'a file could not be read'],
  STORAGE_FAILED: ['failed', 'the object store refused a request for a reason that has no code of its own'],
  STORAGE_TIMEOUT: ['failed', 'the object store did not answer in time'],
  // usage
  USAGE: ['usage', 'a flag or an argument is wrong'],
  CONFIG_INVALID: ['usage', 'the config file or an environment file is wrong'],
  URL_INVALID: ['usage', 'a connection URL cannot be understood'],
  NO_DATABASE_URL: ['usage', 'no database was named'],
  BACKUP_NOT_FOUND: ['usage', 'no such backup'],
  TABLE_NOT_FOUND: ['usage', 'the database has no such table'],
  TABLE_NOT_IN_BACKUP: ['usage', 'the backup contains no rows of the table'],
  NOT_A_TABLE: ['usage', 'the name is that of a view, a foreign table or a sequence'],
  COLUMN_NOT_FOUND: ['usage', 'a column is missing in the table or in the backup'],
  GENERATED_COLUMN: ['usage', 'the server computes the column, so nothing can be put into it'],
  KEY_NOT_FOUND: ['usage', 'the backup contains no row with that key'],
  WHERE_INVALID: ['usage', 'the server cannot read the condition of --where'],
  WHERE_VOLATILE: ['usage', 'the condition of --where calls a volatile function'],
  PATTERN_MATCHES_NOTHING: ['usage', 'a table or schema pattern matches nothing in the database'],
  // environment
  PG_DUMP_NOT_FOUND: ['environment', 'pg_dump is not installed or not where it was looked for'],
  PG_RESTORE_NOT_FOUND: ['environment', 'pg_restore is not installed or not where it was looked for'],
  PSQL_NOT_FOUND: ['environment', 'psql is not installed or not where it was looked for'],
  TOOL_TOO_OLD: ['environment', 'the installed client tools are older than the server or the backup'],
  CONNECTION_REFUSED: ['environment', 'nothing answers at the host and port'],
  CONNECTION_TIMEOUT: ['environment', 'the server did not answer in time'],
  HOST_NOT_FOUND: ['environment', 'the host name cannot be resolved'],
  AUTHENTICATION_FAILED: ['environment', 'the server refused user or password'],
  DATABASE_NOT_FOUND: ['environment', 'the database does not exist'],
  TLS_FAILED: ['environment', 'no secure connection could be made'],
  TOO_MANY_CONNECTIONS: ['environment', 'the server has no connection left'],
  SEVERAL_SERVERS: ['environment', 'the host of the URL leads to different servers'],
  TRANSACTION_POOLER: ['environment', 'the URL leads to a transaction pooler, which cannot do this'],
  PERMISSION_DENIED: ['environment', 'the role lacks a right that is needed'],
  ROW_SECURITY: ['environment', 'row level security hides rows from this role'],
  WORKING_FOLDER_GONE: ['environment', 'the working directory does not exist any more'],
  TOO_MANY_OPEN_FILES: ['environment', 'the limit of open files is too low'],
  FOLDER_NOT_WRITABLE: ['environment', 'a folder or file cannot be written'],
  DISK_FULL: ['environment', 'there is not enough disk space'],
  NOT_SUPPORTED_HERE: ['environment', 'the server cannot do this'],
  KEY_CIRCLE: [
    'environment',
    'rows alone cannot be loaded: foreign keys that are checked at once lead in a circle',
  ],
  STORAGE_UNREACHABLE: ['environment', 'the object store cannot be reached'],
  STORAGE_CREDENTIALS: ['environment', 'the object store refused the credentials, or there are none'],
  STORAGE_DENIED: ['environment', 'the object store denies a right that is needed'],
  STORAGE_BUCKET_NOT_FOUND: ['environment', 'the bucket does not exist'],
  STORAGE_WRONG_REGION: ['environment', 'the bucket is in another region'],
  STORAGE_CLOCK_SKEW: ['environment', "this machine's clock is too far off for the object store"],
  STORAGE_TOKEN_EXPIRED: ['environment', 'the temporary credentials for the object store have expired'],
  STORAGE_FULL: ['environment', 'a quota of the object store is reached'],
  KEY_NEEDED: ['environment', 'the backup is encrypted and no key that opens it was given'],
  // integrity
  VERIFY_FAILED: ['integrity', 'a backup is damaged or incomplete'],
  CHECKSUM_MISMATCH: ['integrity', 'a file differs from what was written'],
  BACKUP_INCOMPLETE: ['integrity', 'a part of the backup is missing'],
  METADATA_INVALID: ['integrity', 'the metadata beside a backup cannot be used'],
  NOT_A_BACKUP: ['integrity', 'the file is no PostgreSQL dump'],
  RESTORED_DIFFERS: ['integrity', 'what was restored differs from the backup'],
  DECRYPT_FAILED: ['integrity', 'an encrypted file is damaged or cut off'],
  ORDER_BACKUP_INVALID: ['integrity', 'the order backup is damaged or incomplete'],
  UNSAFE_DUMP: ['integrity', 'the plain dump holds psql commands that pg_dump does not write'],
  // refused
  NOT_CONFIRMED: ['refused', 'the step was not confirmed'],
  CONFIRMATION_NEEDED: ['refused', 'nobody can be asked here and no flag answers'],
  TARGET_NOT_EMPTY: ['refused', 'the target database holds something'],
  TARGET_EXISTS: ['refused', 'the target database exists'],
  LOCKED: ['refused', 'another run is at work'],
  PLAN_CHANGED: ['refused', 'what would be touched has changed since the preview'],
  CONFLICTS: ['refused', 'rows conflict with what the database holds'],
  ROWS_CHANGED: ['refused', 'rows have changed since restore:rows wrote them'],
  NO_KEY: ['refused', 'the table has no key by which its rows could be compared'],
  TABLE_INHERITED: ['refused', 'other tables inherit from the table'],
  PARTITION_GONE: ['refused', 'the backup has rows of a partition that the database no longer has'],
  COLUMN_TYPE_CHANGED: ['refused', 'values of the backup read differently in the type that a column has now'],
  DOMAIN_VIOLATED: ['refused', 'a domain refuses a value of the backup'],
  ENUM_LABEL_GONE: ['refused', 'an enum no longer has a label that the backup uses'],
  GUARD: ['refused', 'a guard forbids this'],
  OWNER_NOT_KEPT: [
    'refused',
    'a function or view would run with the rights of another owner than in the backup',
  ],
  FOREIGN_FILE: ['refused', 'a link, a pipe, a device or a file of another user has a name of this program'],
  STORAGE_CONFLICT: ['refused', 'the object store holds something else under that name'],
  // interrupted
  INTERRUPTED: ['interrupted', 'stopped by SIGINT (Ctrl-C)'],
  TERMINATED: ['terminated', 'stopped by SIGTERM'],
} as const satisfies Record<string, readonly [Kind, string]>;

export type ErrorCode = keyof typeof codes;

/** Every code with its exit status and meaning, for the documentation. */
export function errorCodeTable(): {code: ErrorCode; exitCode: number; meaning: string}[] {
  return (Object.keys(codes) as ErrorCode[]).map((code) => {
    const [kind, meaning] = codes[code];
    return {code, exitCode: exitStatus[kind], meaning};
  });
}

export interface ErrorExtras {
  /** The next thing to try, as a command where there is one. */
  hint?: string;
  /** Longer material (a tool's last lines, lists), shown below the message. */
  details?: readonly string[];
  cause?: unknown;
}

/**
 * Trouble that a user is told about.
 * `message` says what happened and what state things are in; the code alone decides the exit status.
 */
export class AppError extends Error {
  readonly hint: string | undefined;
  readonly details: readonly string[];

  constructor(
    readonly code: ErrorCode,
    message: string,
    extras: ErrorExtras = {},
  ) {
    super(message, {cause: extras.cause});
    this.name = 'AppError';
    this.hint = extras.hint;
    this.details = extras.details ?? [];
  }

  /** Process exit status, 1 to 143. */
  get exitCode(): number {
    return exitStatus[codes[this.code][0]];
  }

  /** oclif's own name for the exit status. */
  get oclif(): {exit: number} {
    return {exit: this.exitCode};
  }
}

/** The same error, its message extended by what state things are in. */
export function withState(error: AppError, state: string): AppError {
  return new AppError(error.code, `${error.message} ${state}`, {
    hint: error.hint,
    details: error.details,
    cause: error.cause,
  });
}

/** The Node.js error code ("ENOENT") of an unknown thrown value, if it has one. */
export function systemErrorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** The message of an unknown thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
