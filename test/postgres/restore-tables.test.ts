/** --include-table restores the objects that the tables need, from every format, and nothing else. */
import {rm} from 'node:fs/promises';
import {afterAll, afterEach, beforeAll, describe, expect, it} from 'vitest';
import {restoreDatabase} from '../../src/lib/services/restore/execute.js';
import {cases} from '../support/long-form.js';
import {makeBackup} from '../support/make-backup.js';
import {dumpKinds, type DumpKind} from '../support/make-dump.js';
import {tempFolder} from '../support/run-cli.js';
import {
  createTempDatabase,
  databaseExists,
  dropDatabase,
  existingDatabase,
  onServer,
  type TempDatabase,
} from '../support/temp-database.js';
import {type TestContext, testContext} from '../support/test-context.js';

let folder: string;
let context: TestContext;
let source: TempDatabase;
const paths = new Map<DumpKind, string>();
const target = 'tables_new';

beforeAll(async () => {
  folder = await tempFolder();
  source = await createTempDatabase('template0');
  await onServer((session) => session.query('CREATE ROLE tables_reader'));
  // A schema as Prisma writes it, with manual additions.
  await source.run(`
    CREATE EXTENSION citext; CREATE SCHEMA lib; CREATE EXTENSION "uuid-ossp" SCHEMA lib; CREATE EXTENSION pg_trgm;
    CREATE TYPE "OrderStatus" AS ENUM ('NEW', 'PAID'); CREATE TYPE unused AS ENUM ('x'); COMMENT ON TYPE "OrderStatus" IS 'state';
    CREATE DOMAIN lib."Money Amount" AS numeric CHECK (VALUE >= 0);
    CREATE FUNCTION lib.is_filled(t text) RETURNS boolean IMMUTABLE LANGUAGE sql AS $$ SELECT t <> '' $$;
    CREATE DOMAIN lib.filled AS text CHECK (lib.is_filled(VALUE));
    CREATE TYPE address AS (street lib.filled, state "OrderStatus");
    CREATE FUNCTION lib.new_code() RETURNS text LANGUAGE sql AS $$ SELECT 'code' $$;
    CREATE FUNCTION lib.unused() RETURNS text LANGUAGE sql AS $$ SELECT 'code' $$;
    CREATE SEQUENCE lib.numbers START 100; CREATE SEQUENCE lib.others;
    CREATE TABLE users (id uuid PRIMARY KEY DEFAULT lib.uuid_generate_v4(), email citext NOT NULL);
    CREATE TABLE orders (
      id serial PRIMARY KEY, line int GENERATED ALWAYS AS IDENTITY, status "OrderStatus" NOT NULL DEFAULT 'NEW', before "OrderStatus"[],
      amount lib."Money Amount", note lib.filled, home address, code text DEFAULT lib.new_code(),
      number bigint DEFAULT nextval('lib.numbers'), mail citext UNIQUE, "createdAt" timestamp(3) DEFAULT CURRENT_TIMESTAMP,
      user_id uuid REFERENCES users, CHECK (lib.is_filled(code))
    );
    COMMENT ON COLUMN orders.note IS 'see public.users and public.v'; CREATE INDEX by_code ON orders (lower(code));
    CREATE VIEW v AS SELECT * FROM orders; COMMENT ON VIEW v IS 'of public.orders';
    ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON orders USING (user_id IN (SELECT id FROM users));
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER touches BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touch(); GRANT SELECT ON orders TO tables_reader;
    CREATE TABLE base (a int); CREATE TABLE child (b int) INHERITS (base);
    CREATE TABLE events (day date) PARTITION BY RANGE (day); CREATE TABLE events_1 PARTITION OF events DEFAULT;
    INSERT INTO base VALUES (1); INSERT INTO child VALUES (2, 3); INSERT INTO events VALUES ('2025-01-01');
    INSERT INTO users (email) VALUES ('a@example.org');
    INSERT INTO orders (status, before, amount, note, home, mail, user_id)
      SELECT 'PAID', '{NEW}', 1.50, 'x', '(s,NEW)', email, id FROM users`);
  context = testContext(folder, {settings: {databaseUrl: source.url}});
  for (const [index, kind] of dumpKinds.entries())
    paths.set(
      kind,
      (await makeBackup(context, source.connection, kind, `2025-06-0${index + 1}T03:00:00.000Z`)).path,
    );
});

afterEach(() => dropDatabase(target));

afterAll(async () => {
  await source.drop();
  await onServer((session) => session.query('DROP ROLE tables_reader'));
  await rm(folder, {recursive: true, force: true});
});

const restore = (kind: DumpKind, includeTables: string[], more: {dryRun?: boolean} = {}) =>
  restoreDatabase(context, {
    backupFile: paths.get(kind) ?? '',
    targetDb: target,
    createDb: true,
    includeTables,
    ...more,
  });

const names = async (sql: string): Promise<string[]> =>
  (await existingDatabase(target).query(sql)).map((row) => row['name'] ?? '');
const relations = () =>
  names(`SELECT c.oid::regclass::text AS name FROM pg_class c WHERE relkind IN ('r', 'p', 'v', 'S', 'i')
           AND relnamespace IN ('public'::regnamespace, (SELECT oid FROM pg_namespace WHERE nspname = 'lib')) ORDER BY 1`);

describe.each(cases(dumpKinds))('from a %s dump', (kind) => {
  it('restores tables with enums, domains, extension types, sequences and defaults, and inserts work', async () => {
    const planned = await restore(kind, ['orders'], {dryRun: true});
    expect(await databaseExists(target)).toBe(false);
    const done = await restore(kind, ['orders']);
    expect(done.tables).toEqual(planned.tables);
    expect(done).toMatchObject({differences: [], errors: []});
    const left =
      'fk constraint public.orders orders_user_id_fkey, policy public.orders own, trigger public.orders touches';
    for (const part of left.split(', ')) expect(done.notCompared.join()).toContain(part);
    expect(await relations()).toEqual(
      ['by_code', 'lib.numbers', 'orders', 'orders_id_seq', 'orders_line_seq', 'orders_mail_key', 'orders_pkey'],
    ); // prettier-ignore
    expect(await names(`SELECT typname AS name FROM pg_type WHERE typtype IN ('e', 'd') AND typnamespace >= 2200 AND typname !~ '^pg_' AND typnamespace <> 'information_schema'::regnamespace ORDER BY 1`)).toEqual(
      ['Money Amount', 'OrderStatus', 'filled'],
    ); // prettier-ignore
    const [row] = await existingDatabase(target).query(
      `INSERT INTO orders (note, mail) VALUES ('y', 'B@example.org') RETURNING id, line, status, number, code`,
    );
    expect(row).toEqual({id: '2', line: '2', status: 'NEW', number: '101', code: 'code'});
    await expect(existingDatabase(target).run(`INSERT INTO orders (note) VALUES ('')`)).rejects.toThrow(
      /filled/,
    );
    // Without the policies, which name another table, only the owner sees a row.
    expect(await names(`SELECT relname AS name FROM pg_class WHERE relrowsecurity`)).toEqual(['orders']);
    expect(
      await names(
        `SELECT grantee AS name FROM information_schema.role_table_grants WHERE grantee = 'tables_reader'`,
      ),
    ).toEqual([]);
  });

  it('restores the foreign key if both tables are chosen, the parent of a child, and a partition alone', async () => {
    const done = await restore(kind, ['orders', 'users', 'child', 'events_1']);
    expect(done).toMatchObject({differences: [], errors: []});
    expect(await relations()).toEqual(
      expect.arrayContaining(['base', 'child', 'events_1', 'orders', 'users']),
    );
    expect(await relations()).not.toEqual(expect.arrayContaining(['events']));
    expect(await names(`SELECT conname AS name FROM pg_constraint WHERE contype = 'f'`)).toEqual([
      'orders_user_id_fkey',
    ]);
    const database = existingDatabase(target);
    expect(await database.query('SELECT (SELECT count(*) FROM ONLY base) AS base, (SELECT count(*) FROM child) AS child')).toEqual(
      [{base: '0', child: '1'}],
    ); // prettier-ignore
  });
});
