/** The condition of restore:rows --where: it reaches no code of other roles, and keeps what people need to choose rows. */
import {rm} from 'node:fs/promises';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import {AppError} from '../../src/lib/base/errors.js';
import {restoreRows, type RestoreRowsResult} from '../../src/lib/services/rows/restore-rows.js';
import {makeBackup} from '../support/make-backup.js';
import {rowsRequest} from '../support/rows-request.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, onServer, type TempDatabase, urlOf} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

let database: TempDatabase;
let folder: string;
let mallory: string;

const schema = `
  CREATE SCHEMA bank;
  CREATE TYPE bank.state AS ENUM ('open', 'closed');
  CREATE TABLE bank.account (id int PRIMARY KEY, name text, code varchar(20), state bank.state NOT NULL, "openedAt" timestamptz,
    balance numeric(10, 2), tags text[], extra jsonb);
  INSERT INTO bank.account SELECT n, 'Name ' || n, 'c' || n, (CASE WHEN n % 2 = 0 THEN 'open' ELSE 'closed' END)::bank.state,
    timestamptz '2026-01-01 00:00+00' + n * interval '1 day', n * 10.5, ARRAY['t' || n % 3], jsonb_build_object('n', n)
    FROM generate_series(1, 20) n`;

/** Functions that record the role whose rights they ran with, once a transaction allows writes. */
const traps = (role: string): string => `
  CREATE SCHEMA evil AUTHORIZATION ${role};
  CREATE TABLE evil.loot (role text, trap text);
  CREATE FUNCTION evil.note(trap text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$ BEGIN
    INSERT INTO evil.loot VALUES (current_user, trap); RETURN true; EXCEPTION WHEN OTHERS THEN RETURN true; END $$;
  CREATE FUNCTION evil.lower(text) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM evil.note('lower'); RETURN $1; END $$;
  CREATE FUNCTION evil.lower(varchar) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM evil.note('lower'); RETURN $1; END $$;
  CREATE FUNCTION evil.same(text, text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM evil.note('='); RETURN true; END $$;
  CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.same);
  CREATE FUNCTION evil.less(int, int) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM evil.note('<'); RETURN true; END $$;
  CREATE OPERATOR evil.< (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.less);
  CREATE FUNCTION evil.holds(text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN evil.note('check'); END $$;
  CREATE DOMAIN evil.word AS text CHECK (evil.holds(VALUE));
  CREATE TYPE evil.pair AS (a evil.word, b int);
  CREATE VIEW evil.peek AS SELECT evil.lower('a'::text) AS one;
  ALTER TABLE evil.loot OWNER TO ${role};
  DO $$ DECLARE f record; BEGIN
    FOR f IN SELECT oid::regprocedure::text AS name FROM pg_proc WHERE pronamespace = 'evil'::regnamespace
    LOOP EXECUTE 'ALTER FUNCTION ' || f.name || ' OWNER TO ${role}'; END LOOP; END $$;
  ALTER OPERATOR evil.= (text, text) OWNER TO ${role}; ALTER OPERATOR evil.< (int, int) OWNER TO ${role};
  ALTER DOMAIN evil.word OWNER TO ${role}; ALTER TYPE evil.pair OWNER TO ${role}; ALTER VIEW evil.peek OWNER TO ${role}`;

beforeEach(async () => {
  folder = await tempFolder();
  database = await createTempDatabase('template0');
  mallory = `${database.name}_m`;
  await database.run(schema);
  await makeBackup(contextOf(), database.connection, 'custom', '2026-11-22T03:10:00Z');
  await database.run(`DELETE FROM bank.account; CREATE ROLE ${mallory}`);
});

afterEach(async () => {
  await database.run(`DROP OWNED BY ${mallory} CASCADE`);
  await database.drop();
  await onServer((session) => session.query(`DROP ROLE ${mallory}`));
  await rm(folder, {recursive: true, force: true});
});

function contextOf(url = database.url) {
  return testContext(folder, {settings: {databaseUrl: url}});
}

function run(where: string, execute = false, url = database.url): Promise<RestoreRowsResult> {
  const request = rowsRequest({tables: ['bank.account'], where, execute});
  return restoreRows(contextOf(url), {}, request, (id) => ['destino-db', id]);
}

/** How many rows each condition chooses, or its error. */
async function chosenBy(
  conditions: readonly string[],
  url?: string,
): Promise<(number | string | undefined)[]> {
  const told: (number | string | undefined)[] = [];
  for (const where of conditions)
    told.push(
      await run(where, false, url).then(
        ({tables}) => tables[0]?.compared?.rows,
        (error: unknown) => (error instanceof AppError ? `${error.code}: ${error.message}` : String(error)),
      ),
    );
  return told;
}

const cut = (told: readonly (number | string | undefined)[]): unknown[] =>
  told.map((each) =>
    String(each)
      .replace(/ ?Nothing was changed\.$/, '')
      .replace('The condition of --where ', ''),
  );

describe('names that another role has taken', () => {
  beforeEach(async () => {
    await database.run(traps(mallory));
    await database.run(`ALTER DATABASE ${database.name} SET search_path = evil, pg_catalog, bank`);
  });

  it.each([
    [`lower(name) = 'name 7'`, ['7']],
    [`lower(code) = 'c7'`, ['7']],
    [`name = 'Name 7'`, ['7']],
    ['id < 3', ['1', '2']],
  ])('run nothing under the name alone: %s', async (where, ids) => {
    const result = await run(where, true);
    expect(await database.query('SELECT * FROM evil.loot')).toEqual([]);
    expect(result.tables[0]).toMatchObject({insert: ids.length});
    expect(await database.query('SELECT id FROM bank.account ORDER BY id')).toEqual(ids.map((id) => ({id})));
  });

  it('are refused under their full name before they run', async () => {
    const cases = {
      [`evil.lower(name) = 'x'`]:
        'EXPRESSION_REFUSED: calls evil.lower, whose code is neither built in nor part of an extension nor yours.',
      [`name OPERATOR(evil.=) 'x'`]:
        'EXPRESSION_REFUSED: calls evil.same, whose code is neither built in nor part of an extension nor yours.',
      [`name::evil.word = 'x'`]: 'EXPRESSION_REFUSED: is more than an expression over one row.',
      [`name::evil.word[] IS NULL`]: 'EXPRESSION_REFUSED: is more than an expression over one row.',
      [`('(' || name || ',1)')::evil.pair IS NULL`]:
        'EXPRESSION_REFUSED: is more than an expression over one row.',
      [`jsonb_populate_record(NULL::evil.pair, extra) IS NULL`]:
        'EXPRESSION_REFUSED: is more than an expression over one row.',
      'id IN (SELECT 1 FROM evil.peek)': 'EXPRESSION_REFUSED: is more than an expression over one row.',
      [`table_to_xml('evil.peek', true, true, '') IS NOT NULL`]:
        'EXPRESSION_REFUSED: calls pg_catalog.table_to_xml, which reads other tables.',
      [`name::word = 'x'`]:
        'WHERE_INVALID: The server cannot evaluate the condition of --where: type "word" does not exist.',
    };
    for (const [where, expected] of Object.entries(cases)) {
      const error = await run(where, true).catch((thrown: unknown) => thrown);
      expect(cut([error instanceof AppError ? `${error.code}: ${error.message}` : 'taken'])).toEqual([
        expected,
      ]);
      expect(await database.query('SELECT * FROM evil.loot'), where).toEqual([]);
    }
    expect(await database.query('SELECT id FROM bank.account')).toEqual([]);
  });
});

it('takes columns, literals, built-in functions and types', async () => {
  expect(
    await chosenBy([
      'id = 7',
      `"openedAt" >= '2026-01-11' AND "openedAt" < now()`,
      `state = 'open'`,
      `state = 'open'::bank.state AND account.id <= 4`,
      `balance::int BETWEEN 10 AND 40`,
      `'t1' = ANY (tags) AND extra @> '{"n": 4}'`,
      `(extra ->> 'n')::numeric IN (1, 2, 3)`,
      `name ILIKE 'name 1_' AND name ~ '[0-3]$' AND code COLLATE "C" < 'c12'`,
      `coalesce(lower(name), '') || code = 'name 5c5'`,
      `date_trunc('month', "openedAt") = date '2026-01-01'`,
      'CASE WHEN id > 18 THEN true ELSE NULLIF(id, 1) IS NULL END',
      'id = greatest(3, 5) -- five',
      'account IS NULL',
    ]),
  ).toEqual([1, 11, 10, 2, 3, 1, 3, 2, 1, 20, 3, 1, 0]);
});

it('that fails on a row, or runs into a function that fails, is invalid', async () => {
  await database.run(`
    CREATE FUNCTION bank.broken(int) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT true FROM nothing_there); END $$;
    CREATE FUNCTION bank.writes(int) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$ BEGIN DELETE FROM bank.account; RETURN true; END $$;
    CREATE FUNCTION bank.through(int) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN bank.writes($1); END $$`);
  const told = cut(
    await chosenBy(['name::int = 1', '1 / (id - 1) = 1', 'bank.broken(id)', 'bank.through(id)']),
  );
  const invalid = 'WHERE_INVALID: The server cannot evaluate the condition of --where: ';
  expect(told).toEqual([
    `${invalid}invalid input syntax for type integer: "Name 1".`,
    `${invalid}division by zero.`,
    `${invalid}relation "nothing_there" does not exist.`,
    `${invalid}cannot execute DELETE in a read-only transaction.`,
  ]);
});

it('may call functions of the role itself and of extensions, where nobody else may create any', async () => {
  await database.run(`
    CREATE SCHEMA extensions; CREATE EXTENSION citext SCHEMA extensions; CREATE EXTENSION pg_trgm SCHEMA extensions;
    CREATE FUNCTION bank.own(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 < 3';
    CREATE FUNCTION bank.searching(int) RETURNS boolean LANGUAGE plpgsql STABLE SET search_path = bank, "Odd one" AS $$ BEGIN RETURN $1 < 3; END $$;
    CREATE SCHEMA "Odd one"; CREATE SCHEMA open; CREATE FUNCTION open.own(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
    GRANT CREATE ON SCHEMA open TO ${mallory}`);
  const conditions = [
    `extensions.similarity(name, 'Name 7') > 0.9`,
    `name::extensions.citext OPERATOR(extensions.=) 'NAME 7'`,
    'bank.own(id)',
    'bank.searching(id)',
    'open.own(id)',
  ];
  const open = 'where other roles may create functions.';
  expect(cut(await chosenBy(conditions))).toEqual([
    '1',
    '1',
    '2',
    '2',
    `EXPRESSION_REFUSED: calls open.own by the schema open, ${open}`,
  ]);
  await database.run(`GRANT CREATE ON SCHEMA "Odd one" TO ${mallory}`);
  expect(cut(await chosenBy(['bank.searching(id)']))).toEqual([
    `EXPRESSION_REFUSED: calls bank.searching by the schema Odd one, ${open}`,
  ]);
  await database.run(`
    GRANT ALL ON SCHEMA bank, extensions TO PUBLIC; GRANT ALL ON bank.account TO PUBLIC;
    ALTER ROLE ${mallory} LOGIN PASSWORD 'm'; ALTER DATABASE ${database.name} OWNER TO ${mallory}`);
  const url = urlOf({...database.connection, user: mallory, password: 'm'});
  expect(cut(await chosenBy(['id < 3', 'bank.own(id)'], url))).toEqual([
    '2',
    'EXPRESSION_REFUSED: calls bank.own by the schema bank, where other roles may create functions.',
  ]);
});
