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
    Array.from({length: 40}, (_, n) => `CREATE TABLE "numbers, ${n}" AS SELECT generate_series(1, 100) n;`).join('') +
      `CREATE TABLE numbers_large AS SELECT n, repeat('x', 1000) FROM generate_series(1, 2000) n;
       CREATE TABLE numbers_divided (n int) PARTITION BY RANGE (n);
       CREATE TABLE numbers_part PARTITION OF numbers_divided FOR VALUES FROM (0) TO (1000);
       INSERT INTO numbers_divided SELECT generate_series(1, 100);
       CREATE MATERIALIZED VIEW numbers_view AS SELECT generate_series(1, 100) n;
       DO $$ DECLARE one regclass; BEGIN
         FOR one IN SELECT oid FROM pg_class WHERE relname LIKE 'numbers%' LOOP EXECUTE format('ALTER TABLE %s OWNER TO ${role}', one); END LOOP;
       END $$`,
  ); // prettier-ignore
  const connection = {...database.connection, user: role, password: 'secret'};
  // Repeated, because the order in which the server looks at several new sessions is a matter of chance.
  for (let n = 0; n < 10; n++) await analyzeDatabase(connection, 4, new AbortController().signal);
  const analyzed = await database.query(
    `SELECT count(DISTINCT starelid) AS relations, count(*) FILTER (WHERE stainherit) AS divided
       FROM pg_statistic s JOIN pg_class c ON c.oid = s.starelid WHERE c.relname LIKE 'numbers%'`,
  );
  expect(analyzed).toEqual([{relations: '44', divided: '1'}]);
});
