import {describe, expect, it} from 'vitest';
import {AppError} from '../../../src/lib/base/errors.js';
import {explainDatabaseError, explainToolFailure} from '../../../src/lib/postgres/explain-failure.js';

describe('explainToolFailure', () => {
  it.each([
    ['pg_dump: error: could not write to output file: No space left on device', 'DISK_FULL'],
    [
      'pg_dump: error: aborting because of server version mismatch\npg_dump: detail: server version: 17.2; pg_dump version: 15.6',
      'TOOL_TOO_OLD',
    ],
    ['pg_restore: error: unsupported version (1.16) in file header', 'TOOL_TOO_OLD'],
    [
      'pg_dump: error: query failed: ERROR:  query would be affected by row-level security policy for table "sec"',
      'ROW_SECURITY',
    ],
    [
      'pg_dump: error: query failed: ERROR:  canceling statement due to lock timeout\npg_dump: detail: Query was: LOCK TABLE public.a IN ACCESS SHARE MODE',
      'LOCK_TIMEOUT',
    ],
    [
      'pg_dump: error: connection to server at "h" (1.2.3.4), port 5432 failed: FATAL:  password authentication failed for user "u"',
      'AUTHENTICATION_FAILED',
    ],
    [
      'pg_dump: error: connection to server at "h", port 5432 failed: fe_sendauth: no password supplied',
      'AUTHENTICATION_FAILED',
    ],
    [
      'pg_dump: error: connection to server at "h", port 5432 failed: FATAL:  role "nobody" does not exist',
      'AUTHENTICATION_FAILED',
    ],
    [
      'pg_dump: error: connection to server at "h", port 5432 failed: FATAL:  database "gone" does not exist',
      'DATABASE_NOT_FOUND',
    ],
    ['pg_dump: error: connection to server at "h", port 1 failed: Connection refused', 'CONNECTION_REFUSED'],
    [
      'pg_dump: error: could not translate host name "nope" to address: Name or service not known',
      'HOST_NOT_FOUND',
    ],
    ['pg_dump: error: connection to server at "h", port 5432 failed: timeout expired', 'CONNECTION_TIMEOUT'],
    ['pg_dump: error: connection failed: FATAL:  sorry, too many clients already', 'TOO_MANY_CONNECTIONS'],
    ['pg_dump: error: connection failed: server does not support SSL, but SSL was required', 'TLS_FAILED'],
    ['pg_dump: error: query failed: ERROR:  permission denied for table secrets', 'PERMISSION_DENIED'],
    [
      'pg_dump: error: Dumping the contents of table "a" failed: PQgetCopyData() failed.\npg_dump: detail: server closed the connection unexpectedly',
      'CONNECTION_LOST',
    ],
    [
      'pg_dump: error: Dumping the contents of table "a" failed: PQgetResult() failed.\npg_dump: detail: Error message from server: ERROR:  invalid memory alloc request size 1258291203',
      'NOT_SUPPORTED_HERE',
    ],
    [
      'pg_dump: error: Error message from server: ERROR:  invalid memory alloc request size 18446744073709551613',
      'PG_DUMP_FAILED',
    ],
    ['pg_dump: error: something nobody has seen', 'PG_DUMP_FAILED'],
    ['pg_restore: error: could not execute query: ERROR:  role "app" does not exist', 'PG_DUMP_FAILED'],
    ['pg_restore: error: could not execute query: ERROR:  relation "cert_orders" exists', 'PG_DUMP_FAILED'],
    ["Command was: CREATE FUNCTION f() AS 'raise permission denied'", 'PG_DUMP_FAILED'],
  ] as const)('%s', (text, code) => {
    const error = explainToolFailure('pg_dump', text.split('\n'), 'PG_DUMP_FAILED');
    expect(error.code).toBe(code);
    expect(error.details).toEqual(text.split('\n'));
    if (code !== 'PG_DUMP_FAILED') expect(error.hint).not.toBeUndefined();
  });

  it("fills in the pattern's groups and quotes the tool's own first error", () => {
    const error = explainToolFailure(
      'pg_dump',
      ['pg_dump: last built-in OID is 16383', 'pg_dump: error: database "gone" does not exist'],
      'PG_DUMP_FAILED',
    );
    expect(error.message).toBe(
      'The database "gone" does not exist. (pg_dump: pg_dump: error: database "gone" does not exist)',
    );
  });

  it('has a message even without output', () => {
    expect(explainToolFailure('psql', [], 'TOOL_FAILED').message).toBe('psql failed.');
  });
});

describe('explainDatabaseError', () => {
  const thrown = (message: string, extras: object = {}) => Object.assign(new Error(message), extras);

  it.each([
    [thrown('Passwort-Authentifizierung fehlgeschlagen', {code: '28P01'}), 'AUTHENTICATION_FAILED'],
    [thrown('keine Berechtigung', {code: '42501'}), 'PERMISSION_DENIED'],
    [thrown('connect ECONNREFUSED 127.0.0.1:1', {code: 'ECONNREFUSED'}), 'CONNECTION_REFUSED'],
    [thrown('getaddrinfo ENOTFOUND nope', {code: 'ENOTFOUND'}), 'HOST_NOT_FOUND'],
    [
      new AggregateError([thrown('connect ECONNREFUSED ::1:1'), thrown('connect ECONNREFUSED 127.0.0.1:1')]),
      'CONNECTION_REFUSED',
    ],
    [thrown('Client has encountered a connection error and is not queryable'), 'CONNECTION_LOST'],
    [thrown('relation "x" does not exist', {code: '42P01'}), 'QUERY_FAILED'],
    [thrown('role "x" does not exist', {code: '28000'}), 'AUTHENTICATION_FAILED'],
    [thrown('role "x" does not exist', {code: '42704'}), 'QUERY_FAILED'],
    [thrown('self-signed certificate', {code: 'DEPTH_ZERO_SELF_SIGNED_CERT'}), 'TLS_FAILED'],
    [thrown('certificate has expired', {code: 'CERT_HAS_EXPIRED'}), 'TLS_FAILED'],
  ] as const)('%s is %s, whatever language the server speaks', (error, code) => {
    expect(explainDatabaseError(error, 'Connecting').code).toBe(code);
  });

  it('has a hint for an unknown user', () => {
    const error = explainDatabaseError(thrown('role "x" does not exist', {code: '28000'}), 'Connecting');
    expect(error.hint).toContain('Check user and host');
  });

  it("keeps the server's detail and the cause, and does not change an AppError", () => {
    const cause = thrown('duplicate key', {code: '23505', detail: 'Key (id)=(1) already exists.'});
    expect(explainDatabaseError(cause, 'A query')).toMatchObject({
      message: 'A query failed: duplicate key.',
      details: ['Key (id)=(1) already exists.'],
      cause,
    });
    const known = new AppError('LOCKED', 'x');
    expect(explainDatabaseError(known, 'A query')).toBe(known);
  });
});
