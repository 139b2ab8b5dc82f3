import {expect, it} from 'vitest';
import {chosenLines} from '../../src/lib/rows/staging/chosen-lines.js';
import {withAppSession} from '../support/app-session.js';
import {clusterConnection} from '../support/temp-database.js';

it('returns the lines without a skip reason, for files of any length and several tables', async () => {
  const isChosen = await withAppSession(clusterConnection(), async (session) => {
    await session.query(
      `CREATE TEMP TABLE one AS SELECT n AS line, CASE WHEN n % 3 = 0 THEN 'there' END AS reason FROM generate_series(1, 5000) n`,
    );
    await session.query(
      `CREATE TEMP TABLE two AS SELECT n AS line, NULL::text AS reason FROM generate_series(100000, 100009) n`,
    );
    return chosenLines(session, [{temp: 'one'}, {temp: 'two'}]);
  });
  const chosen = Array.from({length: 200_000}, (_, line) => line).filter(isChosen);
  const wanted = Array.from({length: 5000}, (_, index) => index + 1).filter((line) => line % 3 !== 0);
  expect(chosen).toEqual([...wanted, ...Array.from({length: 10}, (_, index) => 100_000 + index)]);
});
