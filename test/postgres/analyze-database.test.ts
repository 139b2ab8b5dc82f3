/** Statistics after a restore, even with few connections. */
import {afterEach, expect, it} from 'vitest';
import {analyzeDatabase} from '../../src/lib/postgres/databases/analyze-database.js';
import {createTempDatabase, onServer, type TempDatabase} from '../support/temp-database.js';

const role = 'analyze_limited';
let database: TempDatabase;
afterEach(async () => {
  await database.drop();
  await onServer((session) => session.query(`DROP ROLE ${role}`));
});

it.each([
  ['one connection', 1],
  ['connections enough', 4],
])('every table is analyzed by a role that has %s', async (_what, limit) => {
  database = await createTempDatabase('template0');
  await onServer((session) =>
    session.client.query(`CREATE ROLE ${role} LOGIN PASSWORD 'secret' CONNECTION LIMIT ${limit};
      ALTER DATABASE ${database.name} OWNER TO ${role}`),
  );
  await database.run(
    Array.from(
      {length: 6},
      (_, n) =>
        `CREATE TABLE numbers_${n} AS SELECT generate_series(1, 100); ALTER TABLE numbers_${n} OWNER TO ${role};`,
    ).join(''),
  );
  const connection = {...database.connection, user: role, password: 'secret'};
  // Repeated, because the order in which the server looks at several new sessions is a matter of chance.
  for (let n = 0; n < 10; n++) await analyzeDatabase(connection, 4, new AbortController().signal);
  const analyzed = await database.query(
    "SELECT relname FROM pg_class WHERE relname LIKE 'numbers%' AND reltuples = 100 ORDER BY 1",
  );
  expect(analyzed).toHaveLength(6);
});
