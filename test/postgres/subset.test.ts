/** A subset of a database: chosen rows, what they refer to and what belongs to them, with every foreign key intact. */
import {afterEach, beforeEach, expect, it} from 'vitest';
import {withSession} from '../../src/lib/postgres/client.js';
import {readCatalog} from '../../src/lib/rows/model/read-schema.js';
import {silentStep} from '../../src/lib/progress/progress.js';
import {ordersProfile} from '../../src/lib/services/orders/rules/profile.js';
import {type ReducedTable, reduceToSubset, withSoftLinks} from '../../src/lib/services/refresh/subset.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';

let db: TempDatabase;
beforeEach(async () => {
  db = await createTempDatabase('template0');
});
afterEach(() => db.drop());

const reduce = (subset: Record<string, string>, of = db): Promise<ReducedTable[]> =>
  withSession(of.connection, async (session) =>
    reduceToSubset(session, await readCatalog(session), subset, silentStep),
  );

/** The ids of a table's rows, in order. */
async function ids(table: string): Promise<string> {
  const [row] = await db.query(`SELECT string_agg(id::text, ' ' ORDER BY id) AS ids FROM ${table}`);
  return row?.['ids'] ?? '';
}

it('keeps the rows that match, their parents and their children, and drops rows beside them without parents', async () => {
  await db.run(`
    CREATE TABLE countries (id int PRIMARY KEY);
    CREATE TABLE customers (id int PRIMARY KEY, country int REFERENCES countries);
    CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL REFERENCES customers, day date);
    CREATE TABLE items (id int PRIMARY KEY, "order" int NOT NULL REFERENCES orders ON DELETE RESTRICT);
    CREATE TABLE notes (id int PRIMARY KEY, item int REFERENCES items ON DELETE CASCADE);
    CREATE TABLE addresses (id int PRIMARY KEY, customer int REFERENCES customers);
    CREATE TABLE labels (id int PRIMARY KEY, address int REFERENCES addresses);
    CREATE TABLE settings (id int PRIMARY KEY);
    INSERT INTO countries SELECT generate_series(1, 5);
    INSERT INTO customers SELECT n, n FROM generate_series(1, 5) n;
    INSERT INTO orders SELECT n, 1 + n % 5, date '2026-01-01' + n FROM generate_series(1, 20) n;
    INSERT INTO items SELECT n, 1 + n % 20 FROM generate_series(1, 40) n;
    INSERT INTO notes SELECT n, n FROM generate_series(1, 40) n;
    INSERT INTO addresses SELECT n, n FROM generate_series(1, 5) n;
    INSERT INTO addresses VALUES (6, NULL);
    INSERT INTO labels SELECT n, n FROM generate_series(1, 6) n;
    INSERT INTO settings SELECT generate_series(1, 3)`);
  const reduced = await reduce({'public.orders': "day > '2026-01-19'"});
  expect(await ids('orders')).toBe('19 20');
  expect(await ids('customers')).toBe('1 5');
  expect(await ids('countries')).toBe('1 5');
  expect(await ids('items')).toBe('18 19 38 39');
  expect(await ids('notes')).toBe('18 19 38 39');
  expect(await ids('addresses')).toBe('1 5 6');
  expect(await ids('labels')).toBe('1 5 6');
  expect(await ids('settings')).toBe('1 2 3');
  expect(reduced.find(({table}) => table === 'public.items')).toEqual({
    table: 'public.items',
    rows: 4,
    before: 40,
  });
  expect(reduced.map(({table}) => table)).not.toContain('public.settings');
});

it('follows circles, references of a table to itself, composite keys and partitions', async () => {
  await db.run(`
    CREATE TABLE teams (id int PRIMARY KEY, lead int);
    CREATE TABLE people (id int PRIMARY KEY, team int NOT NULL REFERENCES teams, boss int REFERENCES people);
    ALTER TABLE teams ADD FOREIGN KEY (lead) REFERENCES people DEFERRABLE INITIALLY DEFERRED;
    CREATE TABLE events (id int, day int, person int REFERENCES people, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
    CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (50);
    CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (50) TO (100);
    CREATE TABLE details (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event int, day int, twice int GENERATED ALWAYS AS (day * 2) STORED,
      FOREIGN KEY (event, day) REFERENCES events);
    INSERT INTO teams SELECT n, NULL FROM generate_series(1, 4) n;
    INSERT INTO people SELECT n, 1 + n % 4, CASE WHEN n > 4 THEN n - 4 END FROM generate_series(1, 12) n;
    UPDATE teams SET lead = id;
    INSERT INTO events SELECT n, n, 1 + n % 12 FROM generate_series(1, 90) n;
    INSERT INTO details (event, day) SELECT n, n FROM generate_series(1, 90) n`);
  await reduce({'public.events': 'day IN (49, 50)'});
  expect(await ids('events')).toBe('49 50');
  // Their people 2 and 3, the teams 3 and 4 of these, the leads 3 and 4, and so on around the circle.
  expect(await ids('people')).toBe('1 2 3 4');
  expect(await ids('teams')).toBe('1 2 3 4');
  expect(await db.query('SELECT day, twice FROM details ORDER BY day')).toEqual([
    {day: '49', twice: '98'},
    {day: '50', twice: '100'},
  ]);
});

it('empties a table, and refuses it while rows of the subset refer to it', async () => {
  await db.run(`
    CREATE TABLE parents (id int PRIMARY KEY);
    CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents);
    INSERT INTO parents VALUES (1), (2); INSERT INTO children VALUES (1, 1), (2, NULL)`);
  await expect(reduce({'public.parents': 'none', 'public.children': 'id = 1'})).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
  });
  await expect(reduce({'public.parents': 'none', 'public.children': 'all'})).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
  });
  await expect(reduce({'public.parent': 'none'})).rejects.toMatchObject({code: 'CONFIG_INVALID'});
  expect(await ids('children')).toBe('1 2');
  await reduce({'public.parents': 'none'});
  expect(await ids('parents')).toBe('');
  expect(await ids('children')).toBe('2');
});

it('refuses conditions that could do more than read one row', async () => {
  await db.run('CREATE TABLE t (id int PRIMARY KEY)');
  await expect(reduce({'public.t': 'random() < 0.5'})).rejects.toMatchObject({code: 'WHERE_VOLATILE'});
  await expect(reduce({'public.t': 'id IN (SELECT 1)'})).rejects.toMatchObject({code: 'EXPRESSION_REFUSED'});
  await expect(reduce({'public.t': 'id = 1); DROP TABLE t; --'})).rejects.toMatchObject({
    code: 'WHERE_INVALID',
  });
  await expect(reduce({'public.t': 'name = 1'})).rejects.toMatchObject({code: 'WHERE_INVALID'});
});

it('fires no trigger of the user, and leaves the triggers enabled', async () => {
  await db.run(`
    CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2);
    CREATE TABLE log (what text);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.log VALUES (TG_OP); RETURN NULL; END$$;
    CREATE TRIGGER rows AFTER INSERT OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION note();
    CREATE TRIGGER emptied AFTER TRUNCATE ON t EXECUTE FUNCTION note()`);
  await reduce({'public.t': 'id = 2'});
  expect(await db.query('SELECT * FROM log')).toEqual([]);
  expect(await db.query('SELECT tgenabled FROM pg_trigger WHERE NOT tgisinternal')).toEqual([
    {tgenabled: 'O'},
    {tgenabled: 'O'},
  ]);
});

it('leaves the sample shop with valid keys', async () => {
  const shop = await createTempDatabase();
  const before = await shop.query(
    'SELECT count(*) AS items FROM order_items i JOIN orders o ON o.id = i."orderId" WHERE o."createdAt" > \'2026-04-01\'',
  );
  await reduce({'public.orders': '"createdAt" > \'2026-04-01\''}, shop);
  expect(await shop.query('SELECT count(*) AS old FROM orders WHERE "createdAt" <= \'2026-04-01\'')).toEqual([
    {old: '0'},
  ]);
  expect(await shop.query('SELECT count(*) AS items FROM order_items')).toEqual(before);
  expect(Number(before[0]?.['items'])).toBeGreaterThan(0);
  // Validated again from the rows: dropped and added keys are checked in full.
  const keys = await shop.query(
    `SELECT conrelid::regclass AS child, conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint WHERE contype = 'f'`,
  );
  for (const {child, name, definition} of keys)
    await shop.run(
      `ALTER TABLE ${child ?? ''} DROP CONSTRAINT "${name ?? ''}", ADD CONSTRAINT "${name ?? ''}" ${definition ?? ''}`,
    );
  await shop.drop();
});

it('follows soft links of the profile: rows of chosen orders stay, rows of other orders go', async () => {
  await db.run(`
    CREATE TABLE orders (id uuid PRIMARY KEY, email text, day int);
    CREATE TABLE log (id int PRIMARY KEY, order_id text);
    CREATE TABLE lines (id int PRIMARY KEY, log int REFERENCES log);
    CREATE TABLE audit (id int PRIMARY KEY, order_id text);
    INSERT INTO orders SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, 'a@b.c', n FROM generate_series(1, 4) n;
    INSERT INTO log SELECT n, '00000000-0000-0000-0000-00000000000' || n FROM generate_series(1, 5) n;
    INSERT INTO log VALUES (6, NULL), (7, 'none');
    INSERT INTO lines SELECT n, n FROM generate_series(1, 7) n;
    INSERT INTO audit SELECT id, order_id FROM log`);
  const link = (table: string, columns = 'order_id') => ({table, columns, root: 'orders'});
  const profileOf = (...softLinks: {table: string; columns: string; root: string}[]) =>
    ordersProfile({
      profile: {name: 'shop', roots: [{table: 'orders', email: 'email', createdAt: 'day'}], softLinks},
    });
  const reduceBy = (profile: ReturnType<typeof profileOf>, subset: Record<string, string>) =>
    withSession(db.connection, async (session) =>
      reduceToSubset(session, withSoftLinks(await readCatalog(session), profile), subset, silentStep),
    );
  await expect(reduceBy(profileOf(link('log', 'missing')), {'public.orders': 'true'})).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: 'The soft link of public.log (missing) does not lead to the key of "orders".',
  });
  await reduceBy(profileOf(link('log'), link('audit'), link('absent')), {
    'public.orders': 'day > 2',
    'public.audit': 'all',
  });
  const [row] = await db.query('SELECT string_agg(day::text, $$ $$ ORDER BY day) AS days FROM orders');
  expect(row?.['days']).toBe('3 4');
  expect(await ids('log')).toBe('3 4');
  expect(await ids('lines')).toBe('3 4');
  expect(await ids('audit')).toBe('1 2 3 4 5 6 7');
  // Beside the subset: rows of orders that go lose their row, rows of orders that never existed stay.
  await reduceBy(profileOf(link('audit')), {'public.orders': 'none'});
  expect(await ids('audit')).toBe('1 2 5 6 7');
});
