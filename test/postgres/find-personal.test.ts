/** Personal data is found by names and by values, in a dump and in a database alike, and only counts of it are reported. */
import {createReadStream} from 'node:fs';
import {rm} from 'node:fs/promises';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import {readDefinitions} from '../../src/lib/dump/dump-definitions.js';
import {CopyStream} from '../../src/lib/dump/sql/copy-stream.js';
import {
  findPersonalByDump,
  type PersonalFinder,
  type PersonalFindings,
} from '../../src/lib/masks/find-personal.js';
import {maskRules} from '../../src/lib/masks/mask-rules.js';
import {readTables} from '../../src/lib/masks/read-tables.js';
import {searchOtherTables} from '../../src/lib/masks/search-other-tables.js';
import {withSession} from '../../src/lib/postgres/client.js';
import type {MasksConfig} from '../../src/lib/settings/mask-config.js';
import {makeDump} from '../support/make-dump.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';

let database: TempDatabase;
let folder: string;

beforeEach(async () => {
  folder = await tempFolder();
});

afterEach(async () => {
  await database.drop();
  await rm(folder, {recursive: true, force: true});
});

/** A dump of the database and what looks through its rows. */
async function makeFinder(
  config: MasksConfig,
  mostRows?: number,
): Promise<{path: string; finder: PersonalFinder}> {
  const {path} = await makeDump(database.connection, folder, 'sql');
  const definitions = await readDefinitions(createReadStream(path));
  return {path, finder: findPersonalByDump(definitions, maskRules(config), mostRows)};
}

async function inDump(config: MasksConfig = {}, mostRows?: number): Promise<PersonalFindings> {
  const {path, finder} = await makeFinder(config, mostRows);
  const stream = new CopyStream(false, finder.takerOf);
  for await (const chunk of createReadStream(path, {highWaterMark: 1000})) stream.write(chunk as Buffer);
  stream.end();
  return finder.found();
}

/** @param after statements after the dump */
async function inDatabase(
  config: MasksConfig = {},
  after = '',
): Promise<PersonalFindings & {withoutAt: ReadonlySet<string>}> {
  const {finder} = await makeFinder(config);
  if (after !== '') await database.run(after);
  const workers = {connection: database.connection, sessions: 2, signal: new AbortController().signal};
  const tables = await withSession(database.connection, (session) => readTables(session));
  const withoutAt = await searchOtherTables(workers, tables, maskRules(config), finder);
  return {...finder.found(), withoutAt};
}

const listed = ({columns}: PersonalFindings): string[] =>
  columns.map(
    ({key, kinds, rowsLooked}) =>
      `${key}: ${kinds
        .map(({kind, matches}) => `${kind} ${matches}`)
        .sort()
        .join(', ')} of ${rowsLooked}`,
  );

const signs = `
  CREATE TYPE mood AS ENUM ('email', 'phone');
  CREATE TABLE thing (id int PRIMARY KEY, a text, b varchar(200), c jsonb, d text[], e json, f text, g char(30), h text, i inet, j bigint, k text,
    "firstName" text, email_count int, email_verified boolean, "correoElectronico" text, fecha_nacimiento date, "Apellido" text, mail mood, phone bigint,
    shipping_address jsonb, ip_address text, password_hash text, name text, l text GENERATED ALWAYS AS (a || 'x') STORED, dni text, n numeric);
  INSERT INTO thing (id, a, b, c, d, e, f, g, h, i, j, k) VALUES
    (1, E'write to\\tanna@mail.example,\\nplease', '4111 1111 1111 1111', '{"phone": "7"}', ARRAY['x', 'bob@mail.example'], '{"a":{"firstName":"Anna"}}', '+34 612 345 678', '10.1.2.3', 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc', '10.0.0.1', 4111111111111111, '$2a$10$abcdefghijklmnopqrstuv'),
    (2, 'no address @ all', '4111 1111 1111 1112', '{"note": "call (415) 555-0123 now"}', '{}', '{}', '612345678', '1.2.3', 'eyJ', NULL, 5, 'price $2 and $3'),
    (3, '@handle', 'order 2026-01-01 10:00', '{"phone": null, "mail": "carl@mail.example"}', NULL, '[]', '2026-01-01', '999.1.1.1', NULL, NULL, 6, 'sk_live_0123456789abcdefgh'),
    (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
  CREATE TABLE member (a jsonb, b jsonb, c jsonb, d jsonb, e jsonb, f jsonb, g jsonb);
  INSERT INTO member VALUES ('{"guest_phone": 7}', '{"surname" : "x"}', '{"line1":"x"}', '{"dob": "x"}', '{"apiKey": "x"}', '{"my_secret": ["x"]}', '{"secret": null, "zip": ""}');
  CREATE DOMAIN document AS jsonb;
  CREATE TABLE paper (a document, b jsonb, c text);
  INSERT INTO paper VALUES ('{"phone": "7"}', jsonb_build_object('pad', repeat('x', 20000), 'street', 'Main'), repeat('x', 300000) || ' +34 612 345 678'),
    (NULL, NULL, repeat('x', 300000) || ' anna@mail.example ' || repeat('x', 300000));
  CREATE TABLE customers (id int, name text, "user" int);
  CREATE TABLE product (id int, name text, address_id int, description text);
  CREATE TABLE log (at date NOT NULL, line text) PARTITION BY RANGE (at);
  CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
  CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
  INSERT INTO log SELECT date '2026-01-30' + n, CASE WHEN n > 1 THEN 'user' || n || '@mail.example logged in' END FROM generate_series(0, 9) n`;

describe('signs', () => {
  beforeEach(async () => {
    database = await createTempDatabase('template0');
    await database.run(signs);
  });

  const expected = [
    'public.customers.name: name 0 of 0',
    'public.log.line: email 8 of 10',
    'public.member.a: phone 1 of 1',
    'public.member.b: name 1 of 1',
    'public.member.c: address 1 of 1',
    'public.member.d: birth date 1 of 1',
    'public.member.e: token 1 of 1',
    'public.member.f: secret 1 of 1',
    'public.paper.a: phone 1 of 2',
    'public.paper.b: address 1 of 2',
    'public.paper.c: email 1 of 2',
    'public.thing.Apellido: name 0 of 4',
    'public.thing.a: email 1 of 4',
    'public.thing.b: card 1 of 4',
    'public.thing.c: email 1, phone 2 of 4',
    'public.thing.correoElectronico: email 0 of 4',
    'public.thing.d: email 1 of 4',
    'public.thing.dni: identity number 0 of 4',
    'public.thing.e: name 1 of 4',
    'public.thing.f: phone 1 of 4',
    'public.thing.fecha_nacimiento: birth date 0 of 4',
    'public.thing.firstName: name 0 of 4',
    'public.thing.g: ip 1 of 4',
    'public.thing.h: token 1 of 4',
    'public.thing.i: ip 0 of 4',
    'public.thing.ip_address: ip 0 of 4',
    'public.thing.k: secret 1, token 1 of 4',
    'public.thing.password_hash: secret 0 of 4',
    'public.thing.phone: phone 0 of 4',
    'public.thing.shipping_address: address 0 of 4',
  ];

  it('are found in the rows of a dump', async () => {
    expect(listed(await inDump())).toEqual(expected);
  });

  it('are found in a database', async () => {
    expect(listed(await inDatabase())).toEqual(expected);
  });

  it('that cost much are not searched in long values and in rows after the first 10,000 of all partitions, which is said', async () => {
    await database.run(`
      CREATE TABLE many (n int, word text) PARTITION BY RANGE (n);
      CREATE TABLE many_1 PARTITION OF many FOR VALUES FROM (0) TO (8000);
      CREATE TABLE many_2 PARTITION OF many FOR VALUES FROM (8000) TO (20000);
      CREATE TABLE photo (picture bytea, title text); INSERT INTO photo VALUES (convert_to(repeat('x', 200000), 'UTF8'), 'x');
      INSERT INTO many SELECT n, '+34 612 345 678' || CASE WHEN n = 10001 THEN ' anna@mail.example' ELSE '' END FROM generate_series(0, 10001) n`);
    const found = await inDatabase();
    expect(listed(found)).toContain('public.many.word: email 1, phone 10000 of 10002');
    const others = 'signs other than addresses, tokens and password hashes';
    expect(found.notLooked).toEqual([
      {of: 'public.many', reason: `${others} in rows after the first 10000`},
      {of: 'public.paper', reason: `${others} in values of more than 250 kB`},
      {of: 'public.photo.picture', reason: 'bytea is not text'},
    ]);
  });

  it('are members and values of JSON in arrays and in strings of JSON', async () => {
    await database.run(`
      CREATE TABLE inner_json (a jsonb[], b json, c jsonb, d jsonb[]);
      INSERT INTO inner_json VALUES (ARRAY[NULL, '{"firstName": "Anna"}'::jsonb], '{"sent": "{\\"to\\": \\"{\\\\\\"phone\\\\\\": 7}\\"}"}', '{"phone": "\\"7", "note": "x"}', ARRAY['{"x": "10.1.2.3"}'::jsonb])`);
    const found = listed(await inDatabase()).filter((one) => one.includes('inner_json'));
    const expected = ['a: name 1', 'b: phone 1', 'c: phone 1', 'd: ip 1'];
    expect(found).toEqual(expected.map((one) => `public.inner_json.${one} of 1`));
  });

  it('are addresses in domains of all alphabets, and no mentions', async () => {
    await database.run(`
      CREATE TABLE abroad (a text, b text, c text, d text);
      INSERT INTO abroad VALUES ('max@münchen.example', 'иван@почта.рф', '请联系@张三，谢谢.再见', 'x@y.é')`);
    const abroad = (await inDatabase()).columns.filter(({table}) => table === 'public.abroad');
    expect(abroad.map(({column}) => column)).toEqual(['a', 'b']);
  });

  it('are found where a type or a broken name resembles a type without text', async () => {
    await database.run(`
      CREATE SCHEMA path;
      CREATE TYPE path.entry AS (a text);
      CREATE TYPE contact_range AS (a text);
      CREATE TABLE odd (a path.entry, b contact_range, "x\n    c bytea" int, c text);
      INSERT INTO odd VALUES (ROW('anna@mail.example'), ROW('anna@mail.example'), 1, 'anna@mail.example')`);
    const odd = ['a', 'b', 'c'].map((name) => `public.odd.${name}: email 1 of 1`);
    expect(listed(await inDump()).filter((one) => one.includes('odd'))).toEqual(odd);
    expect(listed(await inDatabase()).filter((one) => one.includes('odd'))).toEqual(odd);
  });

  it('are found by the types of the database in a table that the dump does not describe', async () => {
    const after = `CREATE TYPE odd_range AS (a text); CREATE TABLE strange (token int, login date, nr bigint, zip text[], mail mood, note odd_range, extra jsonb);
      INSERT INTO strange VALUES (1, '2026-01-01', 4111111111111111, NULL, NULL, ROW('anna@mail.example'), '{"phone": "7"}')`;
    const strange = listed(await inDatabase({}, after)).filter((one) => one.includes('strange'));
    const expected = ['extra: phone 1', 'note: email 1', 'zip: address 0'];
    expect(strange).toEqual(expected.map((one) => `public.strange.${one} of 1`));
  });

  it('do not count where a rule covers the column, and only the first rows count where a limit is set', async () => {
    const rules: MasksConfig = {
      'public.log.line': {mask: 'text'},
      'public.member': {rows: 'none'},
      'public.paper': {rows: 'none'},
      'public.thing': {rows: 'none'},
    };
    expect(listed(await inDump(rules))).toEqual(['public.customers.name: name 0 of 0']);
    expect(listed(await inDatabase(rules))).toEqual(['public.customers.name: name 0 of 0']);
    const few = await inDump({}, 2);
    expect(listed(few)).toContain('public.thing.a: email 1 of 2');
    expect(few.notLooked).toContainEqual({of: 'public.thing', reason: 'rows after the first 2'});
  });

  it('are reported without a value', async () => {
    expect(JSON.stringify(await inDatabase())).not.toMatch(/anna|4111|mail\.example/);
  });
});

describe('the sample shop', () => {
  it('is covered once each listed column has a rule, and a new column stops it again', async () => {
    database = await createTempDatabase();
    const {columns} = await inDump();
    expect(columns.map(({key}) => key)).toMatchInlineSnapshot(`
      [
        "public.catering_orders.deliveryAddress",
        "public.catering_orders.delivery_address_json",
        "public.catering_orders.email",
        "public.catering_orders.phone",
        "public.customer_email_preferences.email",
        "public.email_alerts.recipientEmail",
        "public.orders.customerName",
        "public.orders.email",
        "public.orders.phone",
        "public.profiles.email",
        "public.profiles.name",
        "public.profiles.phone",
      ]
    `);
    const rules = Object.fromEntries(columns.map(({key}) => [key, {mask: 'text'} as const]));
    expect((await inDump(rules)).columns).toEqual([]);
    expect((await inDatabase(rules)).columns).toEqual([]);
    await database.run('ALTER TABLE orders ADD second_phone text');
    expect(listed(await inDump(rules))).toEqual([
      expect.stringMatching(/^public\.orders\.second_phone: phone 0/),
    ]);
  });
});

it('names the tables without @ in any text, which need no second search', async () => {
  database = await createTempDatabase('template0');
  await database.run(`
    CREATE TABLE plain (id int, word text); INSERT INTO plain VALUES (1, 'a'), (2, NULL);
    CREATE TABLE short (at text); INSERT INTO short VALUES ('root@localhost');
    CREATE TABLE ruled (word text, note text); INSERT INTO ruled VALUES ('a', 'a@b');
    CREATE TABLE computed (id int, word text GENERATED ALWAYS AS (id::text || '@') STORED); INSERT INTO computed VALUES (1);
    CREATE TABLE large (id int, word text); INSERT INTO large SELECT n, repeat('x', 1000) FROM generate_series(1, 40000) n;
    INSERT INTO large VALUES (0, 'x@y');
    CREATE TABLE "in\nparts" (n int, word text) PARTITION BY LIST (n);
    CREATE TABLE part PARTITION OF "in\nparts" DEFAULT; INSERT INTO part VALUES (1, 'x@y')`);
  const {withoutAt} = await inDatabase({'public.ruled.note': {mask: 'keep', reason: 'a test'}});
  expect([...withoutAt]).toEqual(['public.plain']);
  await database.run('DELETE FROM large WHERE id = 0; UPDATE ruled SET note = NULL');
  expect([...(await inDatabase()).withoutAt]).toEqual(['public.large', 'public.plain', 'public.ruled']);
});

it('needs the rows of tables that have text without a rule, or columns that their definition does not name', async () => {
  database = await createTempDatabase('template0');
  await database.run(`
    CREATE DOMAIN words AS text; CREATE TYPE row AS (word text);
    CREATE TABLE base (word text); CREATE TABLE child (id int) INHERITS (base);
    CREATE TABLE typed OF row; CREATE TABLE broken ("a
b" int, word text);
    CREATE TABLE numbers (id int, at date, n numeric[]);
    CREATE TABLE ruled (id int, word text); CREATE TABLE emptied (word text); CREATE TABLE worded (id int, word words);
    CREATE TABLE part (id int, word text) PARTITION BY LIST (id); CREATE TABLE part_1 PARTITION OF part DEFAULT`);
  const {finder} = await makeFinder({
    'public.ruled.word': {mask: 'text'},
    'public.emptied': {rows: 'none'},
    'public.part.word': {mask: 'text'},
  });
  const names = ['base', 'broken', 'child', 'emptied', 'numbers', 'part_1', 'ruled', 'typed', 'worded'];
  const needed = names.filter((name) => finder.needsRows({schema: 'public', name}));
  expect(needed).toEqual(['base', 'broken', 'child', 'typed', 'worded']);
});
