/** Functions of the server read the present catalog, but a session reads the catalog as of its snapshot. */
import {afterAll, beforeAll, expect, it} from 'vitest';
import {withSession, withTransaction} from '../../src/lib/postgres/client.js';
import {selectForDump} from '../../src/lib/postgres/inspect/dump-selection.js';
import {inspectInventory} from '../../src/lib/postgres/inspect/inspect-inventory.js';
import {countObjects} from '../../src/lib/postgres/inspect/inspect-target.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';

let database: TempDatabase;
beforeAll(async () => {
  database = await createTempDatabase('template0');
});
afterAll(() => database.drop());

it('reads the catalog for a backup while others drop objects in it', async () => {
  await database.run(`
    CREATE SCHEMA gone CREATE TABLE orders (id serial PRIMARY KEY, at timestamptz) CREATE VIEW few AS SELECT id FROM orders;
    CREATE FUNCTION gone.stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
    CREATE FUNCTION gone.add(a int, b int) RETURNS int LANGUAGE sql AS 'SELECT a';
    CREATE TRIGGER stamp BEFORE INSERT ON gone.orders FOR EACH ROW EXECUTE FUNCTION gone.stamp()`);
  await withSession(database.connection, (session) =>
    withTransaction(session, 'ISOLATION LEVEL REPEATABLE READ, READ ONLY', async () => {
      await session.query('SELECT 1');
      await database.run('DROP SCHEMA gone CASCADE');
      const patterns = {includeTables: [], excludeTables: [], includeSchemas: [], excludeSchemas: []};
      const {tables, unreadable} = await selectForDump(session, patterns);
      expect(tables).toMatchObject([{schema: 'gone', name: 'orders'}]);
      expect(unreadable).toEqual([]);
      await inspectInventory(session);
      expect(await countObjects(session)).toMatchObject({tables: 1, functions: 2});
    }),
  );
});
