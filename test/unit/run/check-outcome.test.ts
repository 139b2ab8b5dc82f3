/** The cases of the function that decides the outcome of a check. */
import {describe, expect, it} from 'vitest';
import {
  type BackupContent,
  type CheckResult,
  outcomeOfError,
  outcomeOfResult,
  type ProofLevel,
  standingOf,
} from '../../../src/lib/run/check-outcome.js';
import {AppError, type ErrorCode} from '../../../src/lib/base/errors.js';
import {explainToolFailure} from '../../../src/lib/postgres/explain-failure.js';

const refused = (line: string, content: BackupContent = 'whole') =>
  outcomeOfError(explainToolFailure('pg_restore', [line], 'PG_RESTORE_FAILED'), content);
const query = 'pg_restore: error: could not execute query: ERROR:  ';
const copy = 'pg_restore: error: COPY failed for table "orders": ERROR:  ';

describe('an error of a check', () => {
  it.each([
    `${query}extension "postgis" is not available`,
    `${query}schema "extensions" does not exist`,
    `${query}role "anon" does not exist`,
    `${query}can only create extension in database postgres`,
    `${query}permission denied to create event trigger "looks"`,
    `${query}temporary file size exceeds "temp_file_limit" (1024kB)`,
    `${query}syntax error at or near ","`,
    `${query}type "citext" does not exist`,
    `${query}could not open extension control file "/x": No such file or directory`,
    `${copy}could not extend file "base/1/2": No space left on device`,
    `${copy}terminating connection due to administrator command`,
    `${copy}character with byte sequence 0xe2 0x82 0xac in encoding "UTF8" has no equivalent in encoding "LATIN1"`,
    'pg_restore: error: COPY failed for table "orders": FEHLER:  konnte Datei nicht erweitern: kein Speicherplatz',
    'pg_restore: error: connection to server at "x" failed: FATAL:  the database system is shutting down',
    'psql:<stdin>:12: ERROR:  42704: type "citext" does not exist',
  ])('of the environment never makes a backup a failed one: %s', (line) => {
    expect(refused(line)).toBe('not-possible');
  });

  it.each([
    `${copy}invalid input syntax for type integer: "permission denied"`,
    `${copy}invalid byte sequence for encoding "UTF8": 0xff`,
    `${copy}extra data after last expected column`,
    `${copy}missing data for column "total"`,
    `${copy}null value in column "id" of relation "orders" violates not-null constraint`,
    `${copy}new row for relation "orders" violates check constraint "orders_total"`,
    `${query}could not create unique index "orders_pkey"`,
    `${query}insert or update on table "items" violates foreign key constraint "items_order"`,
    `${query}check constraint "x" of relation "y" is violated by some row`,
    'psql:<stdin>:12: FEHLER:  23505: doppelter Schlüsselwert',
    'pg_restore: error: could not read from input file: end of file',
    'pg_restore: error: could not uncompress data: incorrect data check',
  ])('of the rows themselves never counts as one of the environment: %s', (line) => {
    expect(refused(line)).toBe('failed');
  });

  it('of the driver is judged by its SQLSTATE, in every language of the server', () => {
    const of = (code: string, content: BackupContent = 'whole') => {
      const cause = Object.assign(new Error('x'), {code});
      return outcomeOfError(new AppError('QUERY_FAILED', 'x', {cause}), content);
    };
    for (const state of [
      '53400',
      '53100',
      '57P01',
      '08006',
      '42501',
      '0A000',
      '58P01',
      '3F000',
      '42704',
      '55000',
    ])
      expect([state, of(state)]).toEqual([state, 'not-possible']);
    for (const state of ['23505', '23514', '22P02', '22021', '23503'])
      expect([state, of(state)]).toEqual([state, 'failed']);
    expect(of('23503', 'tables')).toBe('not-possible');
  });

  it.each<[ErrorCode, string | undefined]>([
    ['CHECKSUM_MISMATCH', 'failed'],
    ['BACKUP_INCOMPLETE', 'failed'],
    ['VERIFY_FAILED', 'failed'],
    ['DECRYPT_FAILED', 'failed'],
    ['NOT_A_BACKUP', 'failed'],
    ['KEY_NEEDED', 'not-possible'],
    ['CONNECTION_REFUSED', 'not-possible'],
    ['CONNECTION_LOST', 'not-possible'],
    ['DISK_FULL', 'not-possible'],
    ['INTERRUPTED', 'not-possible'],
    ['TERMINATED', 'not-possible'],
    ['LOCKED', 'not-possible'],
    ['TOOL_KILLED', 'not-possible'],
    ['TOOL_TOO_OLD', 'not-possible'],
    ['USAGE', undefined],
    ['UNEXPECTED', undefined],
    ['CONFIRMATION_NEEDED', undefined],
    ['NOT_CONFIRMED', undefined],
  ])('%s', (code, outcome) => {
    expect(outcomeOfError(new AppError(code, 'x'), 'whole')).toBe(outcome);
  });

  it('has no outcome if it is a defect of the program', () => {
    expect(outcomeOfError(new TypeError('x'), 'whole')).toBeUndefined();
  });

  it.each(['tables', 'schema', 'data'] as const)(
    'is not damage where a part of a database (%s) lacks what its rows refer to',
    (content) => {
      const line = `${query}insert or update on table "invoice" violates foreign key constraint "x"`;
      expect(refused(line, content)).toBe('not-possible');
      expect(refused(`${query}relation "public.customer" does not exist`, content)).toBe('not-possible');
    },
  );
});

describe('the results in metadata', () => {
  let day = 1;
  const at = (): string => new Date(Date.UTC(2026, 0, day++)).toISOString();
  const result = (level: ProofLevel, ok: boolean, findings: string[] = []): CheckResult & {at: string} => ({
    level,
    ok,
    findings,
    at: at(),
  });
  const untested = (level: ProofLevel) => ({
    level,
    at: at(),
    outcome: 'not-possible' as const,
    findings: ['x'],
  });
  const standing = (
    proofs: (CheckResult & {at: string})[],
    notPossible: ReturnType<typeof untested>[] = [],
  ) => standingOf({verification: null, proofs, notPossible}, 'whole');

  it('keep a failure after a weaker check passed', () => {
    const failure = result('restore', false, ['public.orders has different values after the restore.']);
    expect(standing([failure, result('archive', true)])).toMatchObject({failure, proof: null});
    expect(standing([failure, result('archive', true), result('checksum', true)]).failure).toBe(failure);
    expect(standing([failure, result('restore', true)]).failure).toBeNull();
    expect(standing([result('checksum', false), result('archive', true)])).toMatchObject({
      failure: null,
      proof: {level: 'archive'},
    });
  });

  it('keep the outcome after a check that was not possible, which is dropped once an equally strong check passed', () => {
    const good = result('archive', true);
    const skipped = untested('restore');
    expect(standing([good], [skipped])).toEqual({failure: null, proof: good, notPossible: skipped});
    const bad = result('archive', false);
    expect(standing([bad], [untested('restore')]).failure).toBe(bad);
    const restored = result('restore', true);
    expect(standing([good, restored], [skipped])).toEqual({
      failure: null,
      proof: restored,
      notPossible: null,
    });
  });

  it.each([
    ['It cannot be restored: pg_restore failed: pg_restore: error: could not execute query: ERROR:  extension "x" is not available.', 'not-possible'],
    ['It cannot be restored: pg_restore failed: pg_restore: error: could not execute query: ERROR:  temporary file size exceeds temp_file_limit (1024kB).', 'not-possible'],
    ['It cannot be restored: psql failed: psql:<stdin>:61: ERROR:  schema "extensions" does not exist.', 'not-possible'],
    ['It cannot be restored: pg_restore failed: pg_restore: error: could not execute query: ERROR:  could not create unique index "a".', 'failed'],
    ['public.orders has 4 rows after the restore, 5 in the backup.', 'failed'],
    ['/b/x.dump is damaged: its SHA-256 differs from the metadata.', 'failed'],
  ])('of 0.1.0: %s', (finding, outcome) => {
    expect(outcomeOfResult(result('restore', false, [finding]), 'whole')).toBe(outcome);
  }); // prettier-ignore

  it('of 0.1.0 count as failures if they contain another finding or have another level', () => {
    const refusal = 'It cannot be restored: pg_restore failed: x';
    expect(outcomeOfResult(result('restore', false, [refusal, 'other']), 'whole')).toBe('failed');
    expect(outcomeOfResult(result('archive', false, [refusal]), 'whole')).toBe('failed');
    expect(outcomeOfResult(result('restore', false, []), 'whole')).toBe('failed');
  });
});
