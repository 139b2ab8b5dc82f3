/** Masks of a partitioned table whose partition is a foreign table: its rows are on another server and must not change. */
import {expect, it} from 'vitest';
import {readDatabaseTables, refuseForeignPartitions} from '../../src/lib/masks/plan-masks.js';
import {withSession} from '../../src/lib/postgres/client.js';
import {createTempDatabase} from '../support/temp-database.js';

it('are refused, and a foreign table that is not a partition is not', async () => {
  const database = await createTempDatabase('template0');
  await database.run(`CREATE EXTENSION postgres_fdw;
    CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw;
    CREATE FOREIGN TABLE alone (id int) SERVER elsewhere;
    CREATE TABLE people (id int, email text) PARTITION BY RANGE (id)`);
  const refuse = async (): Promise<void> =>
    refuseForeignPartitions(await withSession(database.connection, (session) => readDatabaseTables(session)));
  await refuse();
  await database.run(
    'CREATE FOREIGN TABLE people_1 PARTITION OF people FOR VALUES FROM (1) TO (9) SERVER elsewhere',
  );
  await expect(refuse()).rejects.toMatchObject({
    code: 'MASK_REFUSED',
    message: expect.stringContaining('public.people_1 is a partition of public.people') as string,
  });
  await database.drop();
});
