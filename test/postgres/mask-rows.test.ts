/** Masks in a restored database: values change, keys and joins stay, and the check finds each leak. */
import {randomBytes} from 'node:crypto';
import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it} from 'vitest';
import {applyMasks, type MaskedRows} from '../../src/lib/masks/apply-masks.js';
import {maskRules} from '../../src/lib/masks/mask-rules.js';
import {dropOriginals, keepOriginals} from '../../src/lib/masks/originals.js';
import {planMasks, readDatabaseTables} from '../../src/lib/masks/plan-masks.js';
import {type MaskProof, proveMasks} from '../../src/lib/masks/prove-masks.js';
import {AppError} from '../../src/lib/base/errors.js';
import {withSession} from '../../src/lib/postgres/client.js';
import {silentStep} from '../../src/lib/progress/progress.js';
import type {MasksConfig} from '../../src/lib/settings/mask-config.js';
import {cases} from '../support/long-form.js';
import {createTempDatabase, existingDatabase, onServer, type TempDatabase} from '../support/temp-database.js';

let database: TempDatabase;

/** A masked database that has not been checked yet. */
interface Unproven {
  readonly plan: Awaited<ReturnType<typeof planMasks>>;
  readonly originals: Awaited<ReturnType<typeof keepOriginals>>;
  readonly rows: readonly MaskedRows[];
}

interface Masked {
  readonly rows: readonly MaskedRows[];
  readonly proof: MaskProof;
}

/** Foreign keys and triggers come after the masks, as in a restore. */
async function withoutKeys(work: () => Promise<void>): Promise<void> {
  const keys = await database.query(
    `SELECT conrelid::regclass AS child, conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint WHERE contype = 'f' AND conparentid = 0`,
  );
  for (const {child, name} of keys) await database.run(`ALTER TABLE ${child ?? ''} DROP CONSTRAINT ${name ?? ''}`); // prettier-ignore
  await work();
  for (const {child, name, definition} of keys)
    await database.run(`ALTER TABLE ${child ?? ''} ADD CONSTRAINT ${name ?? ''} ${definition ?? ''}`);
  const views = await database.query('SELECT oid::regclass AS view FROM pg_class WHERE relkind = $$m$$');
  for (const {view} of views) await database.run(`REFRESH MATERIALIZED VIEW ${view ?? ''}`);
  await database.run('ANALYZE');
}

const workers = () => ({
  connection: database.connection,
  sessions: 2,
  signal: new AbortController().signal,
});

async function apply(config: MasksConfig, key = randomBytes(32)): Promise<Unproven> {
  const plan = await withSession(database.connection, async (session) =>
    planMasks(session, maskRules(config), await readDatabaseTables(session)),
  );
  let rows: readonly MaskedRows[] = [];
  const originals = await keepOriginals(workers(), plan, silentStep);
  await withoutKeys(async () => {
    rows = await applyMasks(workers(), plan, originals, {key, step: silentStep});
  });
  return {plan, originals, rows};
}

const prove = ({plan, originals}: Unproven): Promise<MaskProof> =>
  proveMasks(workers(), plan, originals, silentStep);

/** @param between statements that run before the check, as superuser */
async function mask(
  config: MasksConfig,
  {key, between = ''}: {key?: Buffer<ArrayBuffer>; between?: string} = {},
): Promise<Masked> {
  const made = await apply(config, key);
  if (between !== '') await database.run(between);
  const proof = await prove(made);
  await dropOriginals(workers(), made.originals);
  return {rows: made.rows, proof};
}

async function refusalOf(config: MasksConfig): Promise<string> {
  try {
    await mask(config);
    return 'masked';
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return `${error.code}: ${error.message}`;
  }
}

const failures = ({checks}: MaskProof): string[] =>
  checks.filter(({failed}) => failed > 0).map(({kind, of, failed}) => `${kind} of ${of}: ${failed}`);

async function one(sql: string): Promise<string | null | undefined> {
  const [row] = await database.query(sql);
  return row && Object.values(row)[0];
}

const everyMask = `
  CREATE EXTENSION IF NOT EXISTS citext;
  CREATE DOMAIN mail AS varchar(80) CHECK (VALUE LIKE '%@%');
  CREATE TYPE mood AS ENUM ('happy', 'sad');
  CREATE TABLE person (id int PRIMARY KEY, email text NOT NULL UNIQUE, login citext UNIQUE, contact mail, name varchar(40), initials char(3),
    phone text, street text, note text, zip varchar(5), born date, seen timestamptz, at timestamp, salary numeric(8, 2) CHECK (salary > 0), score float8,
    age smallint, visits int, token uuid, secret bytea, ip inet, tags text[], extra jsonb, raw json, state mood, big bigint,
    loud text, flag text, short text GENERATED ALWAYS AS (left(email, 5)) STORED);
  INSERT INTO person SELECT n, 'Person' || n || '@shop.example', 'login' || n || '@x.example', 'c' || n || '@shop.example', 'Ana Maria ' || n, 'AM' || n % 10,
    '+1 415 555 ' || lpad(n::text, 4, '0'), n || ' Main Street', 'Call ' || n || ' at person' || n || '@shop.example before noon', lpad(n::text, 5, '9'),
    date '1980-01-01' + n, timestamptz '2026-01-01 10:00+00' + n * interval '1 hour', timestamp '2026-02-01' + n * interval '1 minute',
    n * 10.25, n / 3.0, n % 90, n * 100, md5(n::text)::uuid, convert_to('secret' || n, 'UTF8'), ('10.0.' || n % 200 || '.7')::inet, ARRAY['tag of ' || n, NULL, ''],
    jsonb_build_object('customer', jsonb_build_object('email', 'json' || n || '@shop.example', 'age', n), 'items', jsonb_build_array(jsonb_build_object('note', 'note of person ' || n, 'sku', 'A'))),
    json_build_object('phone', '+44 20 7946 0' || n, 'kind', 'x'), CASE WHEN n % 2 = 0 THEN 'happy' ELSE 'sad' END::mood, 5000000000 + n,
    'LOUD' || n, 'a' FROM generate_series(1, 200) n;
  INSERT INTO person (id, email, note, born, seen, salary, tags, extra) VALUES (1001, '', '', 'infinity', '-infinity', NULL, '{}', '[]'),
    (1002, 'MIXED@Shop.Example', 'b', NULL, NULL, 0.01, NULL, '{"customer": null}'), (1003, 'mixed@shop.example', '7', NULL, NULL, 999999.99, NULL, '{"customer": [1], "items": 7}');
  CREATE TABLE purchase (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, buyer text REFERENCES person (email), total numeric);
  INSERT INTO purchase (buyer, total) SELECT 'Person' || 1 + n % 200 || '@shop.example', n FROM generate_series(1, 500) n;
  CREATE TABLE letter (id serial, sender text, body text, extra jsonb);
  INSERT INTO letter (sender, body) SELECT lower('Person' || n || '@shop.example'), 'hello' FROM generate_series(1, 50) n;
  CREATE TABLE log (at date NOT NULL, who text) PARTITION BY RANGE (at);
  CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
  CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
  INSERT INTO log SELECT date '2026-01-01' + n, 'Person' || n || '@shop.example' FROM generate_series(1, 50) n;
  CREATE MATERIALIZED VIEW senders AS SELECT sender, count(*) AS letters FROM letter GROUP BY 1;
  ANALYZE`;

const everyRule: MasksConfig = {
  'public.person.email': {mask: 'email'},
  'public.person.login': {mask: 'email'},
  'public.person.contact': {mask: 'email'},
  'public.person.name': {mask: 'name'},
  'public.person.initials': {mask: 'text'},
  'public.person.phone': {mask: 'phone'},
  'public.person.street': {mask: 'address'},
  'public.person.note': {mask: 'text'},
  'public.person.zip': {mask: 'text'},
  'public.person.born': {mask: 'date'},
  'public.person.seen': {mask: 'date', days: 10},
  'public.person.at': {mask: 'date'},
  'public.person.salary': {mask: 'number'},
  'public.person.score': {mask: 'number', percent: 50},
  'public.person.age': {mask: 'number'},
  'public.person.visits': {mask: 'number'},
  'public.person.token': {mask: 'hash'},
  'public.person.secret': {mask: 'hash'},
  'public.person.ip': {mask: 'hash'},
  'public.person.tags': {mask: 'text'},
  'public.person.extra': {mask: 'json', paths: {'$.customer.email': 'email', '$.items[*].note': 'text'}},
  'public.person.raw': {mask: 'json', paths: {'$.phone': 'phone'}, rest: 'remove'},
  'public.person.state': {mask: 'constant', value: 'happy'},
  'public.person.big': {mask: 'hash'},
  'public.person.loud': {mask: 'sql', sql: "'row ' || person.id::text"},
  'public.person.flag': {mask: 'null'},
  'public.purchase.buyer': {mask: 'email'},
  'public.letter.sender': {mask: 'email'},
  'public.log.who': {mask: 'email'},
};

describe('every mask', () => {
  beforeEach(async () => {
    database = await createTempDatabase('template0');
    await database.run(everyMask);
  });
  afterEach(() => database.drop());

  it('changes every value, and passes the check', async () => {
    const joins = `SELECT (SELECT count(*) FROM person JOIN purchase ON buyer = email) || ' ' || (SELECT count(*) FROM person JOIN letter ON sender = lower(email))
      || ' ' || (SELECT count(*) FROM person JOIN log ON who = email) || ' ' || (SELECT count(DISTINCT email) FROM person) || ' ' || (SELECT count(DISTINCT buyer) FROM purchase)`;
    const joined = await one(joins);
    const {rows, proof} = await mask(everyRule, {key: Buffer.from('the same key for every run')});
    expect(failures(proof)).toEqual([]);
    expect(proof.passed).toBe(true);
    expect(rows).toContainEqual({table: 'public.person', rows: 203});
    expect(await one(joins)).toBe(joined);
    expect(await database.query(`SELECT * FROM person WHERE id IN (7, 1001, 1002, 1003) ORDER BY id`))
      .toMatchInlineSnapshot(`
        [
          {
            "age": "6",
            "at": "2026-02-02 00:18:23",
            "big": "6175204847856645756",
            "born": "1980-01-09",
            "contact": "277d67332403b1b8fc3b@masked.invalid",
            "email": "dB6BcC65e5420C5d162b@MaSKED.iNvALiD",
            "extra": "{"items": [{"sku": "A", "note": "64d421ef9a13f676"}], "customer": {"age": 7, "email": "204633f84d4117b19699@masked.invalid"}}",
            "flag": null,
            "id": "7",
            "initials": "798",
            "ip": "2001:db8:6368:be05:3a56:2e05:8ffd:1e1f",
            "login": "aa8eaa493fe299d55c55@masked.invalid",
            "loud": "row 7",
            "name": "Ziwyolytdale",
            "note": "0159bbc1 ef99 528a d18a6b6d88efc941  e8c00",
            "phone": "+999644322582715",
            "raw": "{"phone": "+999543015480389"}",
            "salary": "69.16",
            "score": "1.63601666666666",
            "secret": "\\xe5111cdcd7c718191aa5fbe083d00a31",
            "seen": "2026-01-02 17:11:23+00",
            "short": "dB6Bc",
            "state": "happy",
            "street": "Street 64de6f862ebc",
            "tags": "{380bfc41,NULL,""}",
            "token": "2583a62e-4869-3253-ddcd-63638255eea2",
            "visits": "640",
            "zip": "16063",
          },
          {
            "age": null,
            "at": null,
            "big": null,
            "born": "infinity",
            "contact": null,
            "email": "",
            "extra": "[]",
            "flag": null,
            "id": "1001",
            "initials": null,
            "ip": null,
            "login": null,
            "loud": "row 1001",
            "name": null,
            "note": "",
            "phone": null,
            "raw": null,
            "salary": null,
            "score": null,
            "secret": null,
            "seen": "-infinity",
            "short": "",
            "state": null,
            "street": null,
            "tags": "{}",
            "token": null,
            "visits": null,
            "zip": null,
          },
          {
            "age": null,
            "at": null,
            "big": null,
            "born": null,
            "contact": null,
            "email": "62F468434c6554697bA5@MAsKED.INVaLid",
            "extra": "{"customer": null}",
            "flag": null,
            "id": "1002",
            "initials": null,
            "ip": null,
            "login": null,
            "loud": "row 1002",
            "name": null,
            "note": "7",
            "phone": null,
            "raw": null,
            "salary": "0.02",
            "score": null,
            "secret": null,
            "seen": null,
            "short": "62F46",
            "state": null,
            "street": null,
            "tags": null,
            "token": null,
            "visits": null,
            "zip": null,
          },
          {
            "age": null,
            "at": null,
            "big": null,
            "born": null,
            "contact": null,
            "email": "62f468434c6554697ba5@masked.invalid",
            "extra": "{"items": 7, "customer": [1]}",
            "flag": null,
            "id": "1003",
            "initials": null,
            "ip": null,
            "login": null,
            "loud": "row 1003",
            "name": null,
            "note": "5",
            "phone": null,
            "raw": null,
            "salary": "915569.99",
            "score": null,
            "secret": null,
            "seen": null,
            "short": "62f46",
            "state": null,
            "street": null,
            "tags": null,
            "token": null,
            "visits": null,
            "zip": null,
          },
        ]
      `);
  });

  it('leaves no old value in data files, statistics and materialized views', async () => {
    await database.run('CREATE STATISTICS pairs (mcv) ON name, street FROM person; ANALYZE person');
    const {proof} = await mask(everyRule);
    expect(proof.passed).toBe(true);
    await database.run('CHECKPOINT');
    const files = `SELECT count(*) FROM pg_class, LATERAL pg_read_binary_file(pg_relation_filepath(oid)) f
      WHERE relkind IN ('r', 'i', 't', 'm') AND relname !~ '^pg_(?!toast)' AND relname NOT IN ('log', 'person_salary_check')
        AND relnamespace IN ('public'::regnamespace, 'pg_toast'::regnamespace)`;
    expect(Number(await one(files))).toBeGreaterThan(5);
    for (const value of ['@shop.example', '@x.example', 'Main Street', 'Ana Maria', '415 555', 'secret1'])
      expect(await one(`${files} AND position(convert_to('${value}', 'UTF8') IN f) > 0`), value).toBe('0');
    expect(
      await one(
        `SELECT count(*) FROM pg_stats s WHERE s.schemaname = 'public' AND s::text ~ 'shop.example|Main Street|Ana Maria'`,
      ),
    ).toBe('0');
    expect(
      await one(`SELECT count(*) FROM pg_stats_ext s WHERE s::text ~ 'shop.example|Main Street|Ana Maria'`),
    ).toBe('0');
    expect(await one(`SELECT count(*) FROM senders WHERE sender LIKE '%shop%'`)).toBe('0');
    expect(await one('SELECT count(*) FROM senders')).toBe('50');
  });

  it('finds a short text that stayed in a column with blanks at its end', async () => {
    await database.run(
      `CREATE TABLE padded (id int PRIMARY KEY, code char(20)); INSERT INTO padded VALUES (1, 'AB')`,
    );
    const between = `UPDATE padded SET code = 'AB'`;
    const {proof} = await mask({'public.padded.code': {mask: 'text'}}, {between});
    expect(failures(proof)).toEqual(['values of public.padded.code: 1']);
  });

  it('finds values that stayed, as long as masked ones', async () => {
    const values = {
      mail: `${'x'.repeat(20)}@shop-me.example`.slice(0, 35),
      name: 'Maria Garcia',
      phone: '+34 612 345 6789',
      street: '12 Valencia Street.',
      code: 'x'.repeat(32),
      note: `0${'x'.repeat(40)}`,
      word: 'twelve bytes',
    };
    const columns = Object.keys(values);
    const literals = Object.values(values)
      .map((value) => `'${value}'`)
      .join(', ');
    await database.run(`CREATE TABLE alike (id int PRIMARY KEY, ${columns.join(' text, ')} text, raw jsonb);
      INSERT INTO alike SELECT n, ${literals}, '{"name": "Maria Garcia"}' FROM generate_series(1, 3) n`);
    const rules = {
      'public.alike.mail': {mask: 'email'},
      'public.alike.name': {mask: 'name'},
      'public.alike.phone': {mask: 'phone'},
      'public.alike.street': {mask: 'address'},
      'public.alike.code': {mask: 'hash'},
      'public.alike.note': {mask: 'text'},
      'public.alike.word': {mask: 'text'},
      'public.alike.raw': {mask: 'json', paths: {'$.name': 'name'}},
    } as const;
    const between = `UPDATE alike SET (${columns.join(', ')}) = (${literals}), raw = '{"name": "Maria Garcia"}' WHERE id = 2`;
    const {proof} = await mask(rules, {between});
    expect(failures(proof)).toEqual(
      expect.arrayContaining([...columns, 'raw'].map((column) => `values of public.alike.${column}: 1`)),
    );
  });

  it('finds addresses of removed rows and computed columns after a search that skips the others', async () => {
    await database.run(`CREATE TABLE gone (mail text); INSERT INTO gone VALUES ('gone@away.example');
      CREATE TABLE computed (id int PRIMARY KEY, word text, mail text GENERATED ALWAYS AS (word || '@away.example') STORED);
      INSERT INTO computed (id, word) VALUES (1, 'made');
      CREATE TABLE stays (note text); INSERT INTO stays VALUES ('a'), ('b')`);
    const between = `UPDATE stays SET note = CASE note WHEN 'a' THEN 'gone' ELSE 'made' END || '@away.example'; UPDATE computed SET word = 'x'`;
    const {proof} = await mask({'public.gone': {rows: 'none'}}, {between});
    expect(failures(proof)).toEqual(['addresses of public.stays.note: 2']);
  });

  it.each<[string, MasksConfig, string]>([
    ['a check', {'public.person.salary': {mask: 'constant', value: -1}}, 'by "person_salary_check"'],
    ['a domain', {'public.person.contact': {mask: 'name'}}, 'by "mail_check"'],
  ])('names %s that refuses a masked value, and shows no value', async (_what, config, expected) => {
    const message = await refusalOf(config);
    expect(message).toContain(expected);
    expect(message).not.toContain('-1');
  });
});

describe('the check of every mask', () => {
  let masked: TempDatabase;
  let made: Unproven;
  beforeAll(async () => {
    masked = database = await createTempDatabase('template0');
    await database.run(everyMask);
    made = await apply(everyRule);
  });
  beforeEach(async () => {
    database = await createTempDatabase(masked.name);
  });
  afterEach(() => database.drop());
  afterAll(() => masked.drop());

  it('finds nothing in the masked database itself, and lists checks in an order that no value changes', async () => {
    const proof = await prove(made);
    expect(failures(proof)).toEqual([]);
    await database.run(
      `SET session_replication_role = replica; UPDATE person SET phone = '+1 415 555 0007' WHERE id = 8`,
    );
    const names = ({checks}: MaskProof): string[] => checks.map(({kind, of}) => `${kind} of ${of}`);
    expect(names(await prove(made))).toEqual(names(proof));
  });

  it.each<[string, string, string[]]>([
    [
      'an address in a comment',
      `UPDATE letter SET body = 'write to <Person7@Shop.example>.' WHERE id = 3`,
      ['addresses of public.letter.body: 1'],
    ],
    [
      'an address in jsonb',
      `UPDATE letter SET extra = '{"text": "hello\\nperson7@shop.example"}'`,
      ['addresses of public.letter.extra: 50'],
    ],
    [
      'an address in an array',
      `ALTER TABLE letter ALTER body TYPE text[] USING ARRAY['c9@shop.example']`,
      ['addresses of public.letter.body: 50'],
    ],
    [
      'an address in a materialized view',
      `UPDATE letter SET sender = 'c7@shop.example' WHERE id = 1; REFRESH MATERIALIZED VIEW senders; UPDATE letter SET sender = 'x' WHERE id = 1`,
      ['addresses of public.senders.sender: 1'],
    ],
    [
      'the value of another row',
      `SET session_replication_role = replica; UPDATE person SET phone = '+1 415 555 0007' WHERE id = 8`,
      ['values of public.person.phone: 1'],
    ],
    [
      'a date that stayed',
      `SET session_replication_role = replica; UPDATE person SET born = '1980-01-09' WHERE id = 8`,
      ['values of public.person.born: 1'],
    ],
    [
      'a number that stayed',
      `SET session_replication_role = replica; UPDATE person SET salary = 82 WHERE id = 8`,
      ['values of public.person.salary: 1'],
    ],
    [
      'a short text that stayed',
      `SET session_replication_role = replica; UPDATE person SET initials = 'AM8' WHERE id = 8`,
      ['values of public.person.initials: 1'],
    ],
    [
      'short elements of an array that stayed',
      `SET session_replication_role = replica; UPDATE person SET tags = ARRAY['tag of 8', NULL, ''] WHERE id = 8`,
      ['values of public.person.tags: 1'],
    ],
    [
      'a long text that stayed',
      `SET session_replication_role = replica; UPDATE person SET note = 'Call 9 at  before noon, please' WHERE id = 8; UPDATE person SET note = 'Call 9 at person9@shop.example before noon' WHERE id = 7`,
      ['values of public.person.note: 1', 'addresses of public.person.note: 1'],
    ],
    [
      'an element of an array',
      `SET session_replication_role = replica; UPDATE person SET tags = ARRAY['x', 'tag of 55 '] || ARRAY['note of person 3', 'tag of 551234567'] WHERE id = 8; UPDATE person SET tags = ARRAY['Call 7 at person7@shop.example before noon'] WHERE id = 9`,
      ['addresses of public.person.tags: 1'],
    ],
    [
      'a value at a path',
      `SET session_replication_role = replica; UPDATE person SET extra = '{"items": [{"note": "note of person 9"}]}' WHERE id = 8`,
      ['values of public.person.extra: 1'],
    ],
    [
      'a value beside NULL',
      `SET session_replication_role = replica; UPDATE person SET flag = 'a' WHERE id = 8`,
      ['values of public.person.flag: 1'],
    ],
    [
      'a value beside a constant',
      `SET session_replication_role = replica; UPDATE person SET state = 'sad' WHERE id < 8`,
      ['values of public.person.state: 7'],
    ],
    ['a row less', `DELETE FROM letter WHERE id = 3`, ['rows of public.letter: 1']],
    [
      'a key without its parent',
      `SET session_replication_role = replica; UPDATE purchase SET buyer = 'nobody' WHERE id < 3`,
      ['foreign keys of public.purchase: purchase_buyer_fkey: 2'],
    ],
  ])('finds %s', async (_what, between, expected) => {
    await database.run(between);
    const proof = await prove(made);
    expect(failures(proof)).toEqual(expected);
    expect(proof.passed).toBe(false);
  });
});

describe('a rule', () => {
  beforeAll(async () => {
    database = await createTempDatabase('template0');
    await database.run(everyMask);
    await database.run(`CREATE FUNCTION own(int) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT 'x' $$`);
  });
  afterAll(() => database.drop());

  it.each<[string, MasksConfig, string]>([
    ['a table that does not exist', {'public.nobody.email': {mask: 'email'}}, 'TABLE_NOT_FOUND'],
    ['a column that does not exist', {'public.person.nothing': {mask: 'email'}}, 'COLUMN_NOT_FOUND'],
    ['a generated column', {'public.person.short': {mask: 'text'}}, 'GENERATED_COLUMN'],
    ['an identity column', {'public.purchase.id': {mask: 'number'}}, 'an identity column'],
    ['a partition', {'public.log_1.who': {mask: 'email'}}, 'is a partition'],
    ['a partition key', {'public.log.at': {mask: 'date'}}, 'decides the partition'],
    ['a materialized view', {'public.senders.sender': {mask: 'email'}}, 'materialized view'],
    ['null for NOT NULL', {'public.person.email': {mask: 'null'}}, 'NOT NULL'],
    [
      'a short column',
      {'public.person.initials': {mask: 'email'}},
      'needs 23 characters and the column takes 3',
    ],
    ['a text mask of a unique column', {'public.person.login': {mask: 'text'}}, 'could be the same'],
    ['a constant of a unique column', {'public.person.login': {mask: 'constant', value: 'x'}}, 'is unique'],
    ['an enum', {'public.person.state': {mask: 'hash'}}, 'cannot be computed'],
    [
      'an e-mail address of a number',
      {'public.person.age': {mask: 'email'}},
      'does not fit the type smallint',
    ],
    ['one side of a foreign key', {'public.person.email': {mask: 'email'}}, 'the same values on both sides'],
    [
      'two masks of a foreign key',
      {'public.person.email': {mask: 'email'}, 'public.purchase.buyer': {mask: 'hash'}},
      'the same values on both sides',
    ],
    ['a table that others refer to', {'public.person': {rows: 'none'}}, 'cannot lose its rows'],
    [
      'an expression that does not parse',
      {'public.person.loud': {mask: 'sql', sql: 'nothing'}},
      'cannot read the expression',
    ],
    [
      'a subquery',
      {'public.person.loud': {mask: 'sql', sql: '(SELECT who FROM public.log LIMIT 1)'}},
      'more than an expression',
    ],
    ['a volatile function', {'public.person.loud': {mask: 'sql', sql: 'random()::text'}}, 'is volatile'],
    [
      "a function of the application's",
      {'public.person.loud': {mask: 'sql', sql: 'public.own(id)'}},
      'EXPRESSION_REFUSED',
    ],
    [
      'a second column',
      {'public.person.loud': {mask: 'sql', sql: "'x')::text), ((email"}},
      'more than an expression',
    ],
    [
      'a second statement',
      {
        'public.person.loud': {
          mask: 'sql',
          sql: "'x'::text) FROM public.person; DROP TABLE public.letter; SELECT ('x'",
        },
      },
      'cannot read the expression',
    ],
  ])('is refused for %s, and changes nothing', async (_what, config, expected) => {
    const content = 'SELECT md5(string_agg(p::text, chr(10) ORDER BY id)) FROM person p';
    const before = await one(content);
    expect(await refusalOf(config)).toContain(expected);
    expect(await one(content)).toBe(before);
    expect(await one('SELECT count(*) FROM letter')).toBe('50');
  });
});

it('masks of spellings of one address differ, and only in capitals', async () => {
  database = await createTempDatabase('template0');
  await database.run(`CREATE TABLE person (id int PRIMARY KEY, email text NOT NULL UNIQUE);
    INSERT INTO person SELECT n, string_agg(CASE WHEN n >> i & 1 = 1 THEN upper(letter) ELSE letter END, '' ORDER BY i) || '@shop.example'
      FROM generate_series(0, 255) n, (SELECT i, substr('abcdefgh', i + 1, 1) FROM generate_series(0, 7) i) l(i, letter) GROUP BY n`);
  const {proof} = await mask(
    {'public.person.email': {mask: 'email'}},
    {key: Buffer.from('the key of a test')},
  );
  expect(proof.passed).toBe(true);
  expect(proof.checks).toContainEqual({kind: 'addresses', of: 'public.person', compared: 0, failed: 0});
  expect(await one(`SELECT count(DISTINCT email) || ' ' || count(DISTINCT lower(email)) FROM person`)).toBe(
    '256 1',
  );
  await database.drop();
});

describe('texts', () => {
  afterEach(() => database.drop());

  const createDatabase = async (options: string): Promise<void> => {
    const name = `t_${randomBytes(6).toString('hex')}`;
    await onServer((session) => session.query(`CREATE DATABASE ${name} TEMPLATE template0 ${options}`));
    database = existingDatabase(name);
  };

  it('become addresses of ASCII where the language has other capitals', async () => {
    const isTurkish = inject('serverMajor') >= 15;
    await createDatabase(
      `ENCODING 'UTF8' LOCALE 'C.UTF-8' ${isTurkish ? `LOCALE_PROVIDER icu ICU_LOCALE 'tr'` : ''}`,
    );
    await database.run(`CREATE TABLE person (email text);
      INSERT INTO person SELECT 'IRIS' || n || '@shop.example' FROM generate_series(1, 9) n`);
    const {proof} = await mask({'public.person.email': {mask: 'email'}});
    expect(failures(proof)).toEqual([]);
    expect(proof.checks).toContainEqual({kind: 'addresses', of: 'public.person', compared: 0, failed: 0});
    expect(
      await one(
        `SELECT string_agg(email, '') ~* '^([0-9a-f]{20}@masked[.]invalid)*$' COLLATE "C" FROM person`,
      ),
    ).toBe('t');
  });

  it('are masked and checked under collations that take different texts for equal, and that differ along a foreign key', async () => {
    database = await createTempDatabase('template0');
    await database.run(`CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
      CREATE TABLE parent (mail text COLLATE ci PRIMARY KEY, word text COLLATE ci, note text COLLATE ci, name text COLLATE ci);
      CREATE TABLE child (mail text COLLATE "C" REFERENCES parent);
      INSERT INTO parent VALUES ('Anna@shop.example', 'a', 'a note of at least twenty-four bytes', 'Anna'); INSERT INTO child VALUES ('anna@shop.example')`);
    const {proof} = await mask({
      'public.parent.mail': {mask: 'email'},
      'public.parent.word': {mask: 'text'},
      'public.parent.note': {mask: 'text'},
      'public.parent.name': {mask: 'name'},
      'public.child.mail': {mask: 'email'},
    });
    expect(failures(proof)).toEqual([]);
    expect(proof.checks).toContainEqual(expect.objectContaining({kind: 'foreign keys', compared: 1}));
  });

  it('are checked in tables of more columns than a function takes values', async () => {
    database = await createTempDatabase('template0');
    const columns = Array.from({length: 250}, (_, index) => `c${index} text`).join(', ');
    await database.run(
      `CREATE TABLE wide (${columns}); INSERT INTO wide (c0, c240) VALUES ('anna@shop.example', 'x')`,
    );
    const between = `UPDATE wide SET c240 = 'anna@shop.example'`;
    const {proof} = await mask({'public.wide.c0': {mask: 'email'}}, {between});
    expect(failures(proof)).toEqual(['addresses of public.wide.c240: 1']);
  });

  it.each(cases([201, 850]))('are masked and compared in %i columns of a table', async (count) => {
    database = await createTempDatabase('template0');
    const columns = Array.from({length: count}, (_, index) => `c${index}`);
    const stayed = ['c0', 'c199', 'c200'];
    await database.run(
      `CREATE TABLE wide (${columns.join(' text, ')} text); INSERT INTO wide (c1, ${stayed.join(', ')}) VALUES ('x', 'x', 'x', 'x')`,
    );
    const rules = columns.map((name) => [`public.wide.${name}`, {mask: 'name'}]);
    const between = `UPDATE wide SET (${stayed.join(', ')}) = ('x', 'x', 'x')`;
    const {proof} = await mask(Object.fromEntries(rules) as MasksConfig, {between});
    expect(failures(proof)).toEqual(stayed.map((name) => `values of public.wide.${name}: 1`));
  });

  it('of arrays are compared in their row, without empty ones', async () => {
    database = await createTempDatabase('template0');
    await database.run(`CREATE TABLE tagged (id int PRIMARY KEY, tags text[], codes char(20)[]);
      INSERT INTO tagged VALUES (1, ARRAY[''], ARRAY['']), (2, ARRAY[NULL]::text[], NULL), (3, '{}', '{}'), (4, ARRAY[['', NULL], [NULL, '']], NULL);
      INSERT INTO tagged SELECT n, ARRAY[n::text], ARRAY[(n % 10)::text] FROM generate_series(10, 40) n`);
    const rules = {'public.tagged.tags': {mask: 'text'}, 'public.tagged.codes': {mask: 'text'}} as const;
    const between = `UPDATE tagged SET codes = ARRAY['9'] WHERE id = 19`;
    const {proof} = await mask(rules, {between});
    expect(failures(proof)).toEqual(['values of public.tagged.codes: 1']);
  });

  it('that a collation takes for empty or equal are masked, and found', async () => {
    database = await createTempDatabase('template0');
    await database.run(`CREATE COLLATION bare (provider = icu, locale = 'und-u-ka-shifted-ks-level1', deterministic = false);
      CREATE TABLE loose (code text COLLATE bare, word varchar(16) COLLATE bare, kind text COLLATE bare);
      INSERT INTO loose VALUES ('- - -', '-----,-----', 'José')`);
    const rules: MasksConfig = {
      'public.loose.code': {mask: 'hash'},
      'public.loose.word': {mask: 'text'},
      'public.loose.kind': {mask: 'constant', value: 'jose'},
    };
    expect(failures((await mask(rules)).proof)).toEqual([]);
    expect(await one(`SELECT concat(code, word) ~ '-' COLLATE "C" FROM loose`)).toBe('f');
    await database.run(`UPDATE loose SET (code, word, kind) = ('- - -', '-----,------', 'José')`);
    const between = `UPDATE loose SET (code, word, kind) = ('- - -', '-----,------', 'José')`;
    expect(failures((await mask(rules, {between})).proof).sort()).toEqual([
      'values of public.loose.code: 1',
      'values of public.loose.kind: 1',
      'values of public.loose.word: 1',
    ]);
  });

  it('of few characters in JSON are compared in their row', async () => {
    database = await createTempDatabase('template0');
    await database.run(`CREATE TABLE place (id int PRIMARY KEY, at jsonb); CREATE TABLE visit (at jsonb);
      INSERT INTO place SELECT n, jsonb_build_object('zips', jsonb_build_array(n % 10, (n + 1) % 10, 'a place of ' || n)) FROM generate_series(1, 50) n; INSERT INTO visit SELECT at FROM place`);
    const json: MasksConfig[string] = {mask: 'json', paths: {'$.zips[*]': 'text'}};
    const between = `UPDATE place SET at = '{"zips": [7, 8, "a place of 7"]}' WHERE id = 7`;
    const {proof} = await mask({'public.place.at': json, 'public.visit.at': json}, {between});
    expect(failures(proof)).toEqual(['values of public.place.at: 3']);
    expect(proof.notCompared).toEqual([
      {of: 'public.visit.at', reason: expect.stringContaining('texts of less than 12 bytes') as string},
    ]);
  });

  it('that the server computes can have addresses where a rule keeps the column', async () => {
    database = await createTempDatabase('template0');
    await database.run(`CREATE TABLE shop (mail text, lowered text GENERATED ALWAYS AS (lower(mail)) STORED, owner text);
      INSERT INTO shop VALUES ('Help@shop.example', DEFAULT, 'anna@shop.example'); CREATE TABLE copied AS SELECT mail FROM shop;
      ALTER TABLE copied ADD made text GENERATED ALWAYS AS (lower(mail)) STORED`);
    const config: MasksConfig = {'public.shop.owner': {mask: 'email'}};
    const keep = {mask: 'keep', reason: 'address of the shop'} as const;
    const addresses = ({proof}: Masked): string[] =>
      failures(proof).filter((one) => one.startsWith('addresses'));
    const kept = {'public.shop.lowered': keep, 'public.copied.made': keep};
    expect(addresses(await mask({...config, ...kept}))).toEqual([]);
    expect(addresses(await mask(config))).not.toEqual([]);
  });

  it('are masked and checked in any bytes, where the database has no encoding', async () => {
    await createDatabase(`ENCODING 'SQL_ASCII' LOCALE 'C'`);
    await database.run(`CREATE TABLE person (id int PRIMARY KEY, name text, note text, extra jsonb);
      INSERT INTO person VALUES (1, 'Ren' || chr(233), chr(233) || ' and a note of at least 24 bytes', jsonb_build_object('name', 'Ren' || chr(233)))`);
    const {proof} = await mask({
      'public.person.name': {mask: 'name'},
      'public.person.note': {mask: 'text'},
      'public.person.extra': {mask: 'json', paths: {'$.name': 'name'}},
    });
    expect(failures(proof)).toEqual([]);
    expect(await one(`SELECT name || note || extra ~ 'Ren' FROM person`)).toBe('f');
  });
});
