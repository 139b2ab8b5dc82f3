/** The error type of the program and the table of its codes. */
import {defined} from './defined.js';

/** Exit statuses by kind of error; 130 and 143 follow the shell's 128 + signal convention. */
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

/** Every exit status with its meaning, for help and documentation; commands are in backquotes. */
export function exitStatusTable(): {exitCode: string; meaning: string}[] {
  const {failed, usage, environment, integrity, refused, interrupted, terminated} = exitStatus;
  return [
    ['0', 'done'],
    [failed, 'the operation failed; the message says what state things are in'],
    [usage, 'usage: a bad flag, argument or config file'],
    [environment, 'environment: a tool is missing or too old, no connection, no rights, no disk space'],
    [
      integrity,
      'integrity: a backup is damaged or incomplete, the restored data differs, tables shrank, or `status` found a problem',
    ],
    [refused, 'refused for safety: not confirmed, a guard, a lock, a changed plan'],
    [`${interrupted}, ${terminated}`, 'interrupted (SIGINT, SIGTERM), after cleaning up'],
  ].map(([exitCode = '', meaning = '']) => ({exitCode: String(exitCode), meaning: String(meaning)}));
}

const codes = {
  // failed
  UNEXPECTED: ['failed', 'an unexpected error, which is a defect of this program'],
  PG_DUMP_FAILED: ['failed', 'pg_dump failed for a reason without a code of its own'],
  PG_RESTORE_FAILED: ['failed', 'pg_restore failed for a reason without a code of its own'],
  TOOL_FAILED: ['failed', 'another program failed'],
  TOOL_KILLED: ['failed', 'a signal killed a client tool, for example because the machine ran out of memory'],
  QUERY_FAILED: ['failed', 'the server refused a query'],
  CONNECTION_LOST: ['failed', 'the connection to the server broke during the operation'],
  REPLAY_CONFLICT: ['failed', 'the standby cancelled a query to continue replication'],
  LOCK_TIMEOUT: ['failed', 'another session kept a lock on a table longer than the limit'],
  RESTORE_FAILED: ['failed', 'the restore failed; the message says what state the target is in'],
  CLEAN_FAILED: ['failed', 'orders could not be deleted; nothing was changed'],
  ORDERS_RESTORE_FAILED: ['failed', 'orders could not be restored; nothing was changed'],
  ROWS_RESTORE_FAILED: ['failed', 'rows could not be restored or the restore undone; nothing was changed'],
  HOOK_FAILED: ['failed', 'a hook of the config file stopped the run; nothing was changed'],
  MASK_PROGRAM_FAILED: ['failed', 'the masking program of the config file failed, or its dump lacks rows'],
  MASK_PROGRAM_TIMEOUT: ['failed', 'the masking program of the config file took too long'],
  HOOK_TIMEOUT: ['failed', 'a hook of the config file took too long; nothing was changed'],
  WORKFLOW_FAILED: ['failed', 'a step of the workflow failed; later steps were not run'],
  WRITE_FAILED: ['failed', 'a file could not be written'],
  READ_FAILED: ['failed', 'a file could not be read'],
  STORAGE_FAILED: ['failed', 'the object store refused a request for a reason without a code of its own'],
  STORAGE_TIMEOUT: ['failed', 'the object store did not answer in time'],
  // usage
  USAGE: ['usage', 'a flag or an argument is wrong'],
  CONFIG_INVALID: ['usage', 'the config file or an environment file is wrong'],
  URL_INVALID: ['usage', 'a connection URL is not valid'],
  NO_DATABASE_URL: ['usage', 'no database was named'],
  BACKUP_NOT_FOUND: ['usage', 'the backup does not exist'],
  TABLE_NOT_FOUND: ['usage', 'the table does not exist in the database'],
  TABLE_NOT_IN_BACKUP: ['usage', 'the backup contains no rows of the table'],
  NOT_A_TABLE: ['usage', 'the name belongs to a view, a foreign table or a sequence'],
  COLUMN_NOT_FOUND: ['usage', 'a column is missing in the table or in the backup'],
  GENERATED_COLUMN: ['usage', 'the server computes the column, so it cannot be written'],
  KEY_NOT_FOUND: ['usage', 'the backup contains no row with that key'],
  WHERE_INVALID: ['usage', 'the server cannot evaluate the condition of --where'],
  WHERE_VOLATILE: ['usage', 'the condition of --where calls a volatile function'],
  JOIN_NOT_UNIQUE: ['usage', 'a join of the orders profile could find several rows for one order'],
  EXPRESSION_REFUSED: [
    'usage',
    'an expression of the orders profile or of a mask, or the condition of --where, could do more than read one row',
  ],
  MASK_REFUSED: ['usage', 'a mask does not fit its column, or a constraint refuses a masked value'],
  PATTERN_MATCHES_NOTHING: ['usage', 'a table or schema pattern matches nothing in the database'],
  // environment
  PG_DUMP_NOT_FOUND: ['environment', 'pg_dump is not installed or was not found'],
  PG_RESTORE_NOT_FOUND: ['environment', 'pg_restore is not installed or was not found'],
  PSQL_NOT_FOUND: ['environment', 'psql is not installed or was not found'],
  MASK_PROGRAM_NOT_FOUND: ['environment', 'the masking program of the config file is not installed'],
  TOOL_TOO_OLD: ['environment', 'the installed client tools are older than the server or the backup'],
  CONNECTION_REFUSED: ['environment', 'nothing answers at the host and port'],
  CONNECTION_TIMEOUT: ['environment', 'the server did not answer in time'],
  HOST_NOT_FOUND: ['environment', 'the host name cannot be resolved'],
  AUTHENTICATION_FAILED: ['environment', 'the server refused the user or the password'],
  SSH_NOT_FOUND: ['environment', 'ssh is not installed or was not found'],
  SSH_UNREACHABLE: ['environment', 'the SSH server cannot be reached'],
  SSH_TIMEOUT: ['environment', 'the SSH server did not finish the login in time'],
  SSH_HOST_UNKNOWN: ['environment', 'the host key of the SSH server is not known'],
  SSH_HOST_KEY_CHANGED: ['environment', 'the SSH server has another host key than the known one'],
  SSH_KEY_REFUSED: ['environment', 'the SSH server refused the key or the user'],
  SSH_FAILED: ['environment', 'the SSH tunnel failed for a reason without a code of its own'],
  PASSWORD_COMMAND_FAILED: ['environment', 'the program of passwordCommand failed or printed no password'],
  PASSWORD_COMMAND_TIMEOUT: ['environment', 'the program of passwordCommand did not end in time'],
  DATABASE_NOT_FOUND: ['environment', 'the database does not exist'],
  TLS_FAILED: ['environment', 'a secure connection could not be made'],
  TOO_MANY_CONNECTIONS: ['environment', 'the server has no free connection'],
  SEVERAL_SERVERS: ['environment', 'the host of the URL leads to different servers'],
  TRANSACTION_POOLER: [
    'environment',
    'the URL leads to a transaction pooler, which does not support the operation',
  ],
  PERMISSION_DENIED: ['environment', 'the role lacks a required privilege'],
  ROW_SECURITY: ['environment', 'row level security hides rows from this role'],
  WORKING_FOLDER_GONE: ['environment', 'the working directory no longer exists'],
  TOO_MANY_OPEN_FILES: ['environment', 'the limit on open files is too low'],
  FOLDER_NOT_WRITABLE: ['environment', 'a folder or file cannot be written'],
  DISK_FULL: ['environment', 'there is not enough disk space'],
  NOT_SUPPORTED_HERE: ['environment', 'the server does not support the operation'],
  KEY_CIRCLE: [
    'environment',
    'rows alone cannot be loaded: foreign keys that are not deferrable form a cycle',
  ],
  MAIL_UNREACHABLE: ['environment', 'the mail server of a notification cannot be reached or does not answer'],
  MAIL_TLS_FAILED: ['environment', 'a secure connection to the mail server could not be made'],
  MAIL_LOGIN_FAILED: ['environment', 'the mail server refused the user or the password'],
  MAIL_REFUSED: ['environment', 'the mail server refused the message, its sender or its receivers'],
  STORAGE_UNREACHABLE: ['environment', 'the object store cannot be reached'],
  STORAGE_CREDENTIALS: ['environment', 'the object store refused the credentials, or none were found'],
  STORAGE_DENIED: ['environment', 'the object store denied a required permission'],
  STORAGE_BUCKET_NOT_FOUND: ['environment', 'the bucket does not exist'],
  STORAGE_WRONG_REGION: ['environment', 'the bucket is in another region'],
  STORAGE_CLOCK_SKEW: ['environment', "this machine's clock is too far off for the object store"],
  STORAGE_TOKEN_EXPIRED: ['environment', 'the temporary credentials for the object store have expired'],
  STORAGE_FULL: ['environment', 'a quota of the object store is exhausted'],
  CHECK_NOT_RUN: ['environment', 'a query of verify.checks has an error or took too long'],
  KEY_NEEDED: ['environment', 'the backup is encrypted and no matching key was given'],
  // integrity
  VERIFY_FAILED: ['integrity', 'a backup is damaged or incomplete'],
  CHECKSUM_MISMATCH: ['integrity', 'a file differs from what was written'],
  BACKUP_INCOMPLETE: ['integrity', 'a part of the backup is missing'],
  METADATA_INVALID: ['integrity', 'the metadata of a backup is missing or not valid'],
  NOT_A_BACKUP: ['integrity', 'the file is not a PostgreSQL dump'],
  RESTORED_DIFFERS: ['integrity', 'the restored data differs from the backup'],
  MASK_INCOMPLETE: ['integrity', 'a masked database still contains values of the backup'],
  CHECK_FAILED: [
    'integrity',
    'a query of verify.checks did not return what it should; the backup itself is not damaged',
  ],
  DECRYPT_FAILED: ['integrity', 'an encrypted file is damaged or cut off'],
  ORDER_BACKUP_INVALID: ['integrity', 'the order backup is damaged or incomplete'],
  UNSAFE_DUMP: ['integrity', 'the plain dump contains psql commands that pg_dump does not write'],
  // refused
  NOT_CONFIRMED: ['refused', 'the step was not confirmed'],
  CONFIRMATION_NEEDED: [
    'refused',
    'the step needs a confirmation, and there is no terminal and no flag that gives it',
  ],
  TARGET_NOT_EMPTY: ['refused', 'the target database is not empty'],
  TARGET_EXISTS: ['refused', 'the target database exists'],
  LOCKED: ['refused', 'another run is using the folder'],
  PLAN_CHANGED: ['refused', 'the affected data has changed since the preview'],
  CONFLICTS: ['refused', 'rows conflict with rows in the database'],
  ROWS_CHANGED: ['refused', 'rows have changed since restore:rows wrote them'],
  NO_KEY: ['refused', 'the table has no key to compare its rows by'],
  TABLE_INHERITED: ['refused', 'other tables inherit from the table'],
  PARTITION_GONE: ['refused', 'the backup has rows of a partition that the database no longer has'],
  COLUMN_TYPE_CHANGED: ['refused', 'the new type of a column changes values of the backup'],
  DOMAIN_VIOLATED: ['refused', 'a domain refuses a value of the backup'],
  ENUM_LABEL_GONE: ['refused', 'an enum no longer has a label that the backup uses'],
  PERSONAL_DATA: ['refused', 'columns look personal and have no mask'],
  GUARD: ['refused', 'a guard forbids the operation'],
  NEWEST_BACKUP: ['refused', 'the backup is the newest usable one of its database'],
  KEPT_BACKUP: ['refused', 'label --keep, or a lock of the store, keeps the backup'],
  OWNER_NOT_KEPT: [
    'refused',
    'a function or view would run with the rights of a different owner than in the backup',
  ],
  FOREIGN_FILE: [
    'refused',
    'a link, a pipe, a device or a file of another user has a name that this program uses',
  ],
  STORAGE_CONFLICT: ['refused', 'another object exists under that name in the object store'],
  // interrupted
  INTERRUPTED: ['interrupted', 'stopped by SIGINT (Ctrl-C)'],
  TERMINATED: ['terminated', 'stopped by SIGTERM'],
} as const satisfies Record<string, readonly [Kind, string]>;

export type ErrorCode = keyof typeof codes;

/** All codes with exit status and meaning, for the documentation. */
export function errorCodeTable(): {code: ErrorCode; exitCode: number; meaning: string}[] {
  return (Object.keys(codes) as ErrorCode[]).map((code) => {
    const [kind, meaning] = codes[code];
    return {code, exitCode: exitStatus[kind], meaning};
  });
}

export interface ErrorExtras {
  /** The next thing to try, as a command where possible. */
  hint?: string;
  /** Longer material below the message: the last lines of a tool, lists. */
  details?: readonly string[];
  cause?: unknown;
}

/**
 * An error for the user.
 * `message` says what happened and what state things are in; the code determines the exit status.
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

  /** The property from which oclif reads the exit status. */
  get oclif(): {exit: number} {
    return {exit: this.exitCode};
  }
}

/** The same error with `state` added to its message. */
export function withState(error: AppError, state: string): AppError {
  return new AppError(
    error.code,
    `${error.message} ${state}`,
    defined({
      hint: error.hint,
      details: error.details,
      cause: error.cause,
    }),
  );
}

/** The Node.js error code ("ENOENT") of an unknown thrown value, if it has one. */
export function systemErrorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** The message of an unknown thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Errors of the operating system that mean the same wherever they are thrown. */
export function limitError(error: unknown): AppError | undefined {
  if (['EMFILE', 'ENFILE'].includes(systemErrorCode(error) ?? '')) {
    return new AppError('TOO_MANY_OPEN_FILES', 'The limit of open files is too low for this command.', {
      hint: 'Raise it for this shell or service (ulimit -n 1024, or LimitNOFILE=1024), and run the command again.',
      cause: error,
    });
  }
  // getcwd(2) fails when the folder was removed; Node names the function "uv_cwd".
  const isGone = error instanceof Error && 'syscall' in error && error.syscall === 'uv_cwd';
  if (!isGone) return undefined;
  return new AppError(
    'WORKING_FOLDER_GONE',
    'The working directory does not exist any more; nothing was done.',
    {
      hint: 'Change into a folder that exists (cd /srv/shop) and run the command again.',
      cause: error,
    },
  );
}
