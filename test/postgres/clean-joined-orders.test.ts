/** Cleaning orders whose values are in joined tables or computed: found, assessed, deleted and restored, and refused profiles. */
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import {AppError} from '../../src/lib/base/errors.js';
import {cleanOrders} from '../../src/lib/services/orders/clean/execute.js';
import {planClean} from '../../src/lib/services/orders/clean/plan.js';
import {restoreOrders} from '../../src/lib/services/orders/restore/execute.js';
import type {OrdersConfig} from '../../src/lib/settings/orders-config.js';
import {cleanRequest} from '../support/clean-request.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, onServer, type TempDatabase} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';
import {contentOf} from '../support/write-order-backup.js';

type Profile = NonNullable<OrdersConfig['profile']>;
type Root = Profile['roots'][number];

const schema = `
CREATE SCHEMA music; CREATE SCHEMA crm;
CREATE TABLE crm.account (id int PRIMARY KEY, mail text, nick text, code text UNIQUE DEFERRABLE, region text, UNIQUE (region, nick));
CREATE UNIQUE INDEX ON crm.account (mail) WHERE id < 3;
CREATE UNIQUE INDEX ON crm.account (lower(nick));
CREATE TABLE music.customer (number bigint PRIMARY KEY, account int, "Credit" numeric NOT NULL DEFAULT 0);
CREATE TABLE music.invoice (
  id int PRIMARY KEY, customer int, at timestamp NOT NULL, state text NOT NULL, price numeric, quantity int NOT NULL DEFAULT 1,
  mail text, number float8);
CREATE TABLE music.line (id int PRIMARY KEY, invoice int NOT NULL REFERENCES music.invoice ON DELETE CASCADE, song text);
CREATE INDEX ON music.line (invoice);
INSERT INTO crm.account VALUES (1, 'dev.test@music.org', 'dev'), (2, 'ana@music.org', 'ana'), (3, NULL, 'nobody'), (4, 'lee@music.org', 'lee');
INSERT INTO music.customer VALUES (10, 1), (20, 2), (30, 3), (40, 4), (50, NULL);
INSERT INTO music.invoice (id, customer, at, state, price, quantity) VALUES
  (1, 10, '2026-03-01', 'open', 1.10, 3), (2, 10, '2026-03-02', 'paid', 60, 2), (3, 20, '2026-03-03', 'void', 5, 1),
  (4, 20, '2026-03-04', 'paid', 5, 1), (5, 30, '2026-03-05', 'open', 5, 1), (6, NULL, '2026-03-06', 'open', 5, 1),
  (7, 99, '2026-03-07', 'void', 5, 1), (8, 40, '2026-03-08', 'void', NULL, 1), (9, 50, '2026-03-09', 'open', 5, 1);
INSERT INTO music.line SELECT id, id, 'song ' || id FROM music.invoice;
`;

const root: Root = {
  schema: 'music',
  table: 'invoice',
  joins: [
    {schema: 'music', table: 'customer', on: {number: 'customer'}},
    {schema: 'crm', table: 'account', as: 'who', on: {id: 'customer.account'}},
  ],
  email: 'who.mail',
  status: 'state',
  paymentStatus: {sql: `CASE state WHEN 'paid' THEN 'PAID' ELSE '-' END -- a comment`},
  total: {sql: 'price * quantity + customer."Credit"'},
  createdAt: 'at',
};
const profileOf = (changes: Partial<Root>): Profile => ({
  name: 'music',
  roots: [{...root, ...changes}],
  cancelledStatuses: ['void'],
});

let database: TempDatabase;
let folder: string;
beforeEach(async () => {
  database = await createTempDatabase('template0');
  folder = await tempFolder();
  await database.run(schema);
});
afterEach(() => database.drop());

interface Setting {
  orders?: OrdersConfig;
  url?: string;
  confirm?: () => Promise<void>;
}

const context = ({orders = {profile: profileOf({})}, url = database.url, confirm}: Setting = {}) =>
  testContext(folder, {
    env: {DIRECT_URL: url},
    settings: {config: {orders}},
    ...(confirm ? {confirm} : {}),
  });

const preview = (changes: Partial<Root> = {}, more: OrdersConfig = {}) =>
  planClean(context({orders: {profile: profileOf(changes), ...more}}), cleanRequest().selection, {
    listsAll: true,
  });

const keysOf = (plan: Awaited<ReturnType<typeof preview>>): string[] =>
  (plan.orders ?? []).map(({key}) => key);

describe('orders whose values are in joined tables', () => {
  it('are found by them, with dependent rows, and listed with their values', async () => {
    const plan = await preview();
    expect(plan.tables).toEqual({
      'music.invoice': {deleted: 3, relinked: 0},
      'music.line': {deleted: 3, relinked: 0},
    });
    expect(plan.guards).toEqual({'production-customer': 1, 'high-value-paid': 1});
    expect(plan.orders).toEqual([
      {
        table: 'music.invoice',
        key: '1',
        email: 'dev.test@music.org',
        status: 'open',
        paymentStatus: '-',
        total: '3.30',
        createdAt: '2026-03-01 00:00:00',
        reasons: ['test-email'],
      },
      expect.objectContaining({key: '7', email: null, total: null, reasons: ['cancelled']}),
      expect.objectContaining({key: '8', email: 'lee@music.org', total: null, reasons: ['cancelled']}),
    ]);
  });

  it('are cleaned and restored without a byte of difference', async () => {
    const before = await contentOf(database);
    const done = await cleanOrders(context(), cleanRequest({details: true}));
    expect(done.orders).toHaveLength(3);
    const cleaned = await contentOf(database);
    expect(cleaned['music.invoice']).toHaveLength(6);
    expect(cleaned['crm.account']).toEqual(before['crm.account']);
    expect(cleaned['music.customer']).toEqual(before['music.customer']);
    await restoreOrders(context(), {
      backupFile: String(done.backupPath),
      execute: true,
      failOnConflicts: true,
      onlyOrders: [],
    });
    expect(await contentOf(database)).toEqual(before);
  });

  it('are never testing orders if no row is joined or its address is unknown', async () => {
    const plan = await planClean(context(), cleanRequest({selection: {testEmailsOnly: true}}).selection, {
      listsAll: true,
    });
    expect(keysOf(plan)).toEqual(['1']);
  });

  it('are kept if they are paid and their total is unknown', async () => {
    await database.run(`UPDATE music.invoice SET state = 'paid', price = NULL WHERE id = 1`);
    expect((await preview()).guards).toMatchObject({'high-value-paid': 2});
  });

  it('are kept by protected addresses, by days and by excluded ids', async () => {
    expect((await preview({}, {protected: ['*@music.org']})).guards).toMatchObject({protected: 4});
    const selection = cleanRequest({selection: {from: '2026-03-08', excludeIds: ['8']}}).selection;
    expect((await planClean(context(), selection)).guards).toEqual({
      'outside-range': 4,
      excluded: 1,
      'high-value-paid': 1,
      'production-customer': 1,
    });
  });

  it('are found through a partitioned table', async () => {
    await database.run(`
      CREATE TABLE crm.member (id int PRIMARY KEY, mail text) PARTITION BY RANGE (id);
      CREATE TABLE crm.member_1 PARTITION OF crm.member FOR VALUES FROM (0) TO (20);
      CREATE TABLE crm.member_2 PARTITION OF crm.member FOR VALUES FROM (20) TO (100);
      INSERT INTO crm.member VALUES (10, 'ana@music.org'), (20, 'demo@music.org'), (99, 'lee@music.org')`);
    const joins = [{schema: 'crm', table: 'member', on: {id: 'customer'}}];
    const plan = await preview({joins, email: 'member.mail', total: 'price'});
    expect(plan.orders?.find(({key}) => key === '3')).toMatchObject({
      email: 'demo@music.org',
      reasons: ['test-email', 'cancelled'],
    });
    const partition = await preview({
      joins: [{schema: 'crm', table: 'member_2', on: {id: 'customer'}}],
      email: 'member_2.mail',
      total: 'price',
    });
    expect(keysOf(partition)).toEqual(['3', '4', '7', '8']);
  });

  it('are assessed again, with the joined values at the time of the lock', async () => {
    const confirm = () => database.run(`UPDATE crm.account SET mail = 'anna@music.org' WHERE id = 1`);
    const done = await cleanOrders(context({confirm}), cleanRequest({details: true}));
    expect(keysOf(done)).toEqual(['7', '8']);
    expect(await database.query('SELECT id FROM music.invoice WHERE id = 1')).toHaveLength(1);
  });

  it('leave no object behind that would prevent changes of the tables', async () => {
    const seen: unknown[] = [];
    const confirm = async (): Promise<void> => {
      seen.push(
        await database.query(`SELECT relname FROM pg_class WHERE relkind = 'v' AND relname LIKE 'destino%'`),
      );
      await database.run('ALTER TABLE crm.account ALTER mail TYPE varchar(80)');
    };
    await expect(cleanOrders(context({confirm}), cleanRequest())).rejects.toMatchObject({
      code: 'PLAN_CHANGED',
    });
    expect(seen).toEqual([[]]);
  });

  it.each([
    ['DROP TABLE crm.account', 'CLEAN_FAILED'],
    ['ALTER TABLE crm.account RENAME mail TO address', 'CONFIG_INVALID'],
    ['ALTER TABLE crm.account DROP CONSTRAINT account_pkey', 'JOIN_NOT_UNIQUE'],
  ])('are not touched when a joined table changes after the question: %s', async (change, code) => {
    const before = await database.query('SELECT id FROM music.invoice');
    const cleaning = cleanOrders(context({confirm: () => database.run(change)}), cleanRequest());
    await expect(cleaning).rejects.toMatchObject({code});
    expect(await database.query('SELECT id FROM music.invoice')).toEqual(before);
  });
});

describe('a join', () => {
  const joined = (on: Record<string, string>, more: Partial<Root> = {}) =>
    preview({
      joins: [{schema: 'crm', table: 'account', as: 'who', on}],
      total: 'price',
      ...more,
    });

  it.each([
    ['a column without a unique index', {region: 'mail'}],
    ['a partial unique index', {mail: 'mail'}],
    ['a deferrable constraint', {code: 'mail'}],
    ['a unique index on an expression', {nick: 'mail'}],
    ['another type, whose values several of the key can equal', {id: 'number'}],
  ])('is refused by %s', async (_by, on) => {
    await expect(joined(on)).rejects.toMatchObject({
      code: 'JOIN_NOT_UNIQUE',
      exitCode: 2,
      message: expect.stringContaining('"who"') as string,
    });
  });

  it('is refused if a collation finds several rows for one value', async () => {
    await database.run(`
      CREATE COLLATION public.ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
      ALTER TABLE music.invoice ADD loose text COLLATE public.ci;
      CREATE TABLE crm.address (mail text PRIMARY KEY)`);
    const joins = [{schema: 'crm', table: 'address', on: {mail: 'loose'}}];
    await expect(preview({joins, email: 'address.mail', total: 'price'})).rejects.toMatchObject({
      code: 'JOIN_NOT_UNIQUE',
    });
  });

  it.each([
    ['some of the columns that a unique index covers, and others', {id: 'customer', nick: 'mail'}],
    ['all columns of a unique index that may be null', {region: 'mail', nick: 'state'}],
  ])('is accepted by %s', async (_by, on) => {
    await expect(joined(on)).resolves.toMatchObject({roots: {'music.invoice': 3}});
  });

  it.each([
    [
      {joins: [{schema: 'crm', table: 'acount', on: {id: 'customer'}}]},
      'names the table crm.acount, which the database does not have (did you mean "crm.account"?)',
    ],
    [
      {joins: [{schema: 'crm', table: 'account', on: {idd: 'customer'}}]},
      'names columns that crm.account does not have: "idd" (did you mean "id"?)',
    ],
    [
      {joins: [{schema: 'crm', table: 'account', on: {id: 'custmer'}}]},
      'names columns that music.invoice does not have: "custmer" (did you mean "customer"?)',
    ],
    [{email: 'who.maill'}, 'names columns that crm.account does not have: "maill" (did you mean "mail"?)'],
    [
      {email: 'whom.mail'},
      'names "whom.mail", but music.invoice has no such column and no join before it is called "whom" (did you mean "who"?)',
    ],
  ] as [Partial<Root>, string][])('names the error in a profile (%#)', async (changes, message) => {
    await expect(preview(changes)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(message) as string,
    });
  });

  it('is refused if the role may not read the table, or does not see all of its rows', async () => {
    const role = `${database.name}_r`;
    await database.run(`CREATE ROLE ${role} LOGIN PASSWORD 'x'; GRANT USAGE ON SCHEMA music, crm TO ${role};
      GRANT ALL ON music.invoice, music.line, music.customer TO ${role}`);
    try {
      const url = new URL(database.url);
      url.username = role;
      url.password = 'x';
      const asRole = () => planClean(context({url: url.href}), cleanRequest().selection);
      await expect(asRole()).rejects.toMatchObject({
        code: 'PERMISSION_DENIED',
        message: expect.stringContaining('may not read crm.account') as string,
      });
      await database.run(`GRANT SELECT ON crm.account TO ${role}`);
      await expect(asRole()).resolves.toMatchObject({roots: {'music.invoice': 3}});
      await database.run(
        `ALTER TABLE crm.account ENABLE ROW LEVEL SECURITY; CREATE POLICY none ON crm.account USING (id <> 1)`,
      );
      await expect(asRole()).rejects.toMatchObject({
        code: 'ROW_SECURITY',
        message: expect.stringContaining('crm.account') as string,
      });
    } finally {
      await database.run(`DROP OWNED BY ${role}`);
      await onServer((session) => session.query(`DROP ROLE ${role}`));
    }
  });
});

describe('an expression', () => {
  /** The outcome for each value as the total of an order. */
  const triedAsTotal = async (expressions: readonly string[]): Promise<string[]> => {
    const told: string[] = [];
    for (const sql of expressions)
      told.push(
        await preview({total: {sql}}).then(
          () => 'taken',
          (error: unknown) => (error instanceof AppError ? `${error.code}: ${error.message}` : String(error)),
        ),
      );
    return told;
  };
  const containing = (code: string, messages: readonly string[]): string[] =>
    messages.map(
      (message) =>
        expect.stringMatching(`^${code}: .*${message.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}`) as string,
    );

  it('that could do more than read an order is refused', async () => {
    const role = `${database.name}_r`;
    await database.run(`CREATE ROLE ${role}; GRANT CREATE ON SCHEMA music TO ${role}; CREATE EXTENSION pg_trgm SCHEMA music;
      CREATE SEQUENCE music.counter;
      CREATE DOMAIN music.amount AS numeric CHECK (VALUE > 0);
      CREATE FUNCTION music.less(int, int) RETURNS boolean LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN true; END';
      CREATE OPERATOR music.< (LEFTARG = int, RIGHTARG = int, FUNCTION = music.less);
      CREATE FUNCTION music.own(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
      CREATE FUNCTION music.own2(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
      CREATE OPERATOR music.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = pg_catalog.int4eq);
      CREATE OPERATOR music.@+@ (LEFTARG = int, RIGHTARG = int, FUNCTION = music.own2);
      CREATE FUNCTION music.worth(music.line) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'`);
    const own = 'whose code is neither built in nor part of an extension';
    const cases = {
      'random()': 'calls pg_catalog.random, which is volatile',
      [`nextval('music.counter')`]: 'calls pg_catalog.nextval, which is volatile',
      'CASE WHEN 1 OPERATOR(music.<) 2 THEN 1 END': 'calls music.less, which is volatile',
      'music.own(1)': `calls music.own, ${own}`,
      '1 OPERATOR(music.@+@) 2': `calls music.own2, ${own}`,
      [`music.similarity('a', 'b')`]:
        'calls music.similarity by the schema music, where other roles may create functions',
      [`CASE WHEN 'a' OPERATOR(music.%) 'b' THEN 1 END`]:
        'by the schema music, where other roles may create functions',
      'CASE WHEN 1 OPERATOR(music.===) 1 THEN 1 END': 'calls pg_catalog.int4eq by the schema music',
      '(SELECT max(price) FROM music.invoice)': 'is more than an expression',
      'max(price) OVER ()': 'is more than an expression',
      'generate_series(1, 2)': 'is more than an expression',
      'price::music.amount': 'is more than an expression',
      '1) AS more, (2': 'is more than an expression',
    };
    try {
      expect(await triedAsTotal(Object.keys(cases))).toEqual(
        containing('EXPRESSION_REFUSED', Object.values(cases)),
      );
      expect(await database.query('SELECT is_called FROM music.counter')).toEqual([{is_called: 'f'}]);
    } finally {
      await database.run(`DROP OWNED BY ${role}`);
      await onServer((session) => session.query(`DROP ROLE ${role}`));
    }
  });

  it('that the server cannot read as a value is refused', async () => {
    const cases = {
      'invoice.prce': 'column invoice.prce does not exist',
      '1; DROP TABLE music.line; SELECT 1': 'syntax error',
      '1) FROM music.line; DROP TABLE music.line; --': 'syntax error',
      '1) AS a FROM music.line; DROP TABLE music.line; SELECT (1':
        'cannot insert multiple commands into a prepared statement',
      'sum(1)': 'must appear in the GROUP BY clause',
      'who.mail': 'total is text, not a number',
      '1 \0': 'it contains a NUL byte',
    };
    expect(await triedAsTotal(Object.keys(cases))).toEqual(
      containing('CONFIG_INVALID', Object.values(cases)),
    );
    expect(await database.query('SELECT id FROM music.line')).toHaveLength(9);
  });

  it('may call functions of an extension in a schema where other users may not create any', async () => {
    await database.run('CREATE SCHEMA extensions; CREATE EXTENSION unaccent SCHEMA extensions');
    const plan = await preview({email: {sql: `replace(extensions.unaccent(who.mail), 'é', 'e')`}});
    expect(keysOf(plan)).toEqual(['1', '7', '8']);
  });

  it('needs no join', async () => {
    const plan = await preview({joins: [], email: {sql: `'test@' || state || '.org'`}, total: 'price'});
    expect(plan.reasons).toEqual({'test-email': 9, cancelled: 3});
  });

  it('compares with the labels of an enum', async () => {
    await database.run(`CREATE TYPE music.state AS ENUM ('open', 'void', 'paid');
      ALTER TABLE music.invoice ALTER state TYPE music.state USING state::music.state`);
    await expect(
      planClean(
        context({orders: {profile: {...profileOf({}), cancelledStatuses: ['voided']}}}),
        cleanRequest().selection,
      ),
    ).rejects.toMatchObject({code: 'CONFIG_INVALID', message: expect.stringContaining('"voided"') as string});
  });
});
