import {describe, expect, it} from 'vitest';
import type {AppError} from '../../../../src/lib/base/errors.js';
import {explainToolFailure} from '../../../../src/lib/postgres/explain-failure.js';
import {dumpAgainOnce} from '../../../../src/lib/services/backup/dump-again.js';
import {testContext} from '../../../support/test-context.js';

const failure = (...lines: string[]): AppError => explainToolFailure('pg_dump', lines, 'PG_DUMP_FAILED');

describe('an interrupted dump', () => {
  it.each([
    [
      'pg_dump: error: Dumping the contents of table "orders" failed: PQgetResult() failed.',
      'pg_dump: detail: Error message from server: ERROR:  canceling statement due to conflict with recovery',
      'REPLAY_CONFLICT',
      /cancelled both attempts/,
      /hot_standby_feedback.*max_standby_streaming_delay/,
    ],
    [
      'pg_dump: error: query failed: FATAL:  terminating connection due to conflict with recovery',
      'DETAIL:  User query might have needed to see row versions that must be removed.',
      'REPLAY_CONFLICT',
      /cancelled both attempts/,
      /hot_standby_feedback.*max_standby_streaming_delay/,
    ],
    [
      'pg_dump: error: query failed: ERROR:  cache lookup failed for index 16411',
      'pg_dump: detail: Query was: SELECT 1',
      'PG_DUMP_FAILED',
      /dropped tables during both runs/,
      /--exclude-table/,
    ],
  ])(
    'runs again once, then says how to avoid the interruption: %s',
    async (first, second, code, message, hint) => {
      const context = testContext('/nowhere');
      const runs: boolean[] = [];
      const dump = (isSecond: boolean): Promise<string> => {
        runs.push(isSecond);
        return Promise.reject(failure(first, second));
      };
      await expect(dumpAgainOnce(context, dump)).rejects.toMatchObject({
        code,
        message: expect.stringMatching(message) as string,
        hint: expect.stringMatching(hint) as string,
      });
      expect(runs).toEqual([false, true]);
      expect(context.warnings).toEqual([expect.stringContaining('runs again')]);
      const once = (isSecond: boolean): Promise<string> => (isSecond ? Promise.resolve('made') : dump(false));
      expect(await dumpAgainOnce(context, once)).toBe('made');
    },
  );

  it('does not run again after any other failure', async () => {
    const context = testContext('/nowhere');
    const error = failure('pg_dump: error: out of memory');
    await expect(dumpAgainOnce(context, () => Promise.reject(error))).rejects.toBe(error);
    expect(context.warnings).toEqual([]);
  });
});
