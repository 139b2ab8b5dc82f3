/** Translates errors of a client tool or the server into an error code and a hint. */
import {defined} from '../base/defined.js';
import {AppError, type ErrorCode, limitError, messageOf, systemErrorCode} from '../base/errors.js';
import {rowSecurityHint} from './row-security.js';

interface Explanation {
  pattern: RegExp;
  code: ErrorCode;
  /** The message for the user; $1 and so on are the pattern's groups. */
  message: string;
  hint: string;
}

/**
 * Messages of libpq, the server and the client tools (LC_MESSAGES=C), the most specific first; for the driver, its code or the SQLSTATE
 * follows the message.
 * If lc_messages is not English, the server's messages are not either; sqlStates below do not depend on it.
 */
const explanations: Explanation[] = [
  {
    pattern: /(?:No space left on device|Disk quota exceeded|File too large|could not extend file)/i,
    code: 'DISK_FULL',
    message: 'The disk is full.',
    hint: 'Free space, or choose another folder with --output-dir or --backups-dir.',
  },
  {
    // Exactly ten digits: a larger number is a sign of damaged rows.
    pattern:
      /invalid memory alloc request size \d{10}\b|Cannot enlarge string buffer|string buffer exceeds maximum allowed length|out of memory 54000/,
    code: 'NOT_SUPPORTED_HERE',
    message: 'A row as text exceeds the 1,073,741,823 bytes that the server can send at once.',
    hint: 'Shorten the value, or exclude its table or its order.',
  },
  {
    pattern:
      /server version: ([\d.]+).*?; pg_dump version: ([\d.]+)|aborting because of server version mismatch/is,
    code: 'TOOL_TOO_OLD',
    message: 'The client tools are older than the server.',
    hint: 'Install the client tools of the same major version, or give their folder with --pg-bin.',
  },
  {
    pattern: /unsupported version \(([\d.]+)\) in file header/,
    code: 'TOOL_TOO_OLD',
    message: 'The archive (format $1) was written by a newer pg_dump than this pg_restore can read.',
    hint: 'Install newer client tools, or give their folder with --pg-bin.',
  },
  {
    pattern: /query would be affected by row-level security policy for table "([^\n]*)"/,
    code: 'ROW_SECURITY',
    message: 'Row level security hides rows of the table "$1" from this role.',
    hint: rowSecurityHint,
  },
  {
    pattern:
      /canceling statement due to (?:statement|lock) timeout[\s\S]*LOCK TABLE|canceling statement due to lock timeout/,
    code: 'LOCK_TIMEOUT',
    message: 'Another session kept a lock on a table for too long.',
    hint: 'Wait for the other session (ALTER TABLE, VACUUM FULL, ...) to end, then run again.',
  },
  {
    pattern: /could not obtain lock on relation "([^\n]*?)"/,
    code: 'LOCK_TIMEOUT',
    message: 'Another session requested an exclusive lock on the table "$1".',
    hint: 'Wait for the other session (ALTER TABLE, VACUUM FULL, ...) to end, then run again.',
  },
  {
    pattern: /deadlock detected/,
    code: 'LOCK_TIMEOUT',
    message: 'Another session and this run waited for each other.',
    hint: 'Run again.',
  },
  {
    pattern: /(?:canceling statement|terminating connection) due to conflict with recovery/,
    code: 'REPLAY_CONFLICT',
    message: 'The standby cancelled the query to continue replication.',
    hint: 'Set hot_standby_feedback to on at the standby or raise max_standby_streaming_delay there, or back up from the primary.',
  },
  {
    pattern: /password authentication failed for user "([^\n]*)"/,
    code: 'AUTHENTICATION_FAILED',
    message: 'The server refused the password of user "$1".',
    hint: 'Check the password in the URL, in PGPASSWORD or in the password file; in a URL, special characters must be percent-encoded (@ is %40).',
  },
  {
    pattern: /no password supplied|fe_sendauth/,
    code: 'AUTHENTICATION_FAILED',
    message: 'The server requires a password, and none was found.',
    hint: 'Write it into ~/.pgpass (mode 0600), set PGPASSWORD, or write it into the URL.',
  },
  {
    pattern: /no pg_hba\.conf entry[^\n]*(?:no encryption|SSL off)/,
    code: 'AUTHENTICATION_FAILED',
    message: 'The server does not let this user in without encryption.',
    hint: 'Set sslmode=require, or better verify-full with sslrootcert, in the URL.',
  },
  {
    pattern:
      /(?:no pg_hba\.conf entry|pg_hba\.conf rejects connection|FATAL: {2}role "[^\n]*" does not exist|role "[^\n]*" does not exist 28000|is not permitted to log in|requires a valid client certificate|certificate authentication failed|Tenant or user not found)/,
    code: 'AUTHENTICATION_FAILED',
    message: 'The server refused the connection of this user.',
    hint: 'Check user and host in the URL; on Supabase the user is postgres.PROJECT at a pooler, postgres otherwise.',
  },
  {
    pattern: /database "([^\n]*)" does not exist/,
    code: 'DATABASE_NOT_FOUND',
    message: 'The database "$1" does not exist.',
    hint: 'Check the name at the end of the URL, or create it (restore: --create-db).',
  },
  {
    pattern: /too many clients already|remaining connection slots are reserved|too many connections for/,
    code: 'TOO_MANY_CONNECTIONS',
    message: 'The server has no free connection.',
    hint: 'Close sessions, or use fewer --parallel-jobs.',
  },
  {
    pattern: /could not translate host name|ENOTFOUND|EAI_AGAIN|Name or service not known/,
    code: 'HOST_NOT_FOUND',
    message: 'The host name cannot be resolved.',
    hint: "Check the host in the URL. Supabase's direct host has an IPv6 address only: without IPv6 use the session pooler, port 5432.",
  },
  {
    pattern:
      /timeout expired|timeout exceeded when trying to connect|ETIMEDOUT|Connection timed out|Connection terminated due to connection timeout/,
    code: 'CONNECTION_TIMEOUT',
    message: 'The server did not answer in time.',
    hint: "Check host, port, firewall and network; Supabase's direct host needs IPv6.",
  },
  {
    pattern:
      /Connection refused|ECONNREFUSED|Is the server running|connect ENOENT|EHOSTUNREACH|ENETUNREACH|Network is unreachable|No route to host/,
    code: 'CONNECTION_REFUSED',
    message: 'Nothing answers at the host and port.',
    hint: 'Is the server running? Check host and port in the URL.',
  },
  {
    pattern:
      /server does not support SSL|certificate verify failed|[Ss]elf[- ]signed certificate|unable to verify|does not match host|Hostname\/IP does not match|root certificate file|private key file|certificate present, but|weak sslmode|channel binding|SSL error|error establishing an SSL connection|unable to get |DEPTH_ZERO|certificate (?:has expired|revoked)|CERT_|ERR_SSL_|ERR_TLS_/,
    code: 'TLS_FAILED',
    message: 'Cannot make a secure connection.',
    hint: 'Check sslmode and sslrootcert in the URL.',
  },
  {
    pattern:
      /permission denied|must be owner of|must be superuser|must have privileges of|only superusers? |must be member of role|must be able to SET ROLE/,
    code: 'PERMISSION_DENIED',
    message: 'The role lacks a privilege.',
    hint: 'Use the owner of the objects or a more powerful role; destino-db doctor shows what is missing.',
  },
  {
    pattern:
      /server closed the connection unexpectedly|terminating connection due to|connection to server was lost|Connection terminated|is not queryable|ECONNRESET|EPIPE|the database system is (?:shutting down|starting up|in recovery mode)|SSL SYSCALL error|could not receive data from server/,
    code: 'CONNECTION_LOST',
    message: 'The connection to the server broke.',
    hint: 'Check that the server is running and read its log for the reason, then run again.',
  },
];

/** SQLSTATEs (manual, appendix A) that determine the code independently of the server's language. */
const sqlStates: Readonly<Record<string, ErrorCode>> = {
  '28P01': 'AUTHENTICATION_FAILED',
  '28000': 'AUTHENTICATION_FAILED',
  '3D000': 'DATABASE_NOT_FOUND',
  '53300': 'TOO_MANY_CONNECTIONS',
  '53100': 'DISK_FULL',
  '42501': 'PERMISSION_DENIED',
  '55P03': 'LOCK_TIMEOUT',
  '40P01': 'LOCK_TIMEOUT', // deadlock_detected
  '57P01': 'CONNECTION_LOST',
  '57P02': 'CONNECTION_LOST',
  '57P03': 'CONNECTION_LOST',
  '08006': 'CONNECTION_LOST',
};

/**
 * The error for a failed tool.
 * @param fallback the code if nothing in `lines` is known
 * @param lines the tool's last lines on stderr, without secrets
 */
export function explainToolFailure(tool: string, lines: readonly string[], fallback: ErrorCode): AppError {
  // The failed statement may contain any text.
  const text = lines.filter((line) => !line.startsWith('Command was: ')).join('\n');
  const first = lines.findIndex((line) => /error:|fatal:/i.test(line));
  const specific = lines.at(first) ?? '';
  // The tool's earlier messages do not explain the error.
  const details = lines.slice(Math.max(0, first));
  const found = explanations.find((explanation) => explanation.pattern.test(text));
  if (!found) {
    return new AppError(fallback, `${tool} failed${specific === '' ? '' : `: ${specific.trim()}`}.`, {
      details,
    });
  }
  const match = found.pattern.exec(text);
  const message = found.message.replace(/\$(\d)/g, (_all, index: string) => match?.[Number(index)] ?? '');
  return new AppError(found.code, `${message} (${tool}: ${specific.trim()})`, {
    hint: found.hint,
    details,
  });
}

/**
 * The error for a failed connection or query of the driver.
 * @param what the operation, as the beginning of a sentence: "Connecting to shop@db:5432/shop"
 */
export function explainDatabaseError(error: unknown, what: string): AppError {
  if (error instanceof AppError) return error;
  const limit = limitError(error);
  if (limit) return limit;
  const message = error instanceof AggregateError ? error.errors.map(messageOf).join('; ') : messageOf(error);
  const state = systemErrorCode(error);
  const found = explanations.find((explanation) => explanation.pattern.test(`${message} ${state ?? ''}`));
  // Row level security does not have its own SQLSTATE.
  const known = found?.code === 'ROW_SECURITY' ? found.code : sqlStates[state ?? ''];
  const code = known ?? found?.code ?? 'QUERY_FAILED';
  const position =
    error instanceof Error && 'detail' in error && typeof error.detail === 'string' ? [error.detail] : [];
  return new AppError(
    code,
    `${what} failed: ${message}.`.replace(/\.\.$/, '.'),
    defined({
      hint: found?.code === code ? found.hint : undefined,
      details: position,
      cause: error,
    }),
  );
}
