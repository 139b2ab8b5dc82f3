import {expect, it} from 'vitest';
import {AppError} from '../../../../src/lib/base/errors.js';
import {selectEntries} from '../../../../src/lib/dump/archive-list.js';
import type {Session} from '../../../../src/lib/postgres/client.js';
import {
  createDatabase,
  createDatabaseStatement,
} from '../../../../src/lib/postgres/databases/create-database.js';
import {aclStatements, settingStatement} from '../../../../src/lib/postgres/databases/database-properties.js';
import {pgRestoreArguments, isTrouble} from '../../../../src/lib/postgres/tools/pg-restore.js';
import {collectRestoreErrors} from '../../../../src/lib/postgres/tools/restore-errors.js';

const options = {
  jobs: 1,
  isSingleTransaction: true,
  isCleaning: false,
  schemaOnly: false,
  dataOnly: false,
  stopsOnError: true,
  noOwner: false,
  noAcl: false,
};

it('gives pg_restore one transaction or several jobs, and --if-exists with --clean only', () => {
  expect(pgRestoreArguments(options, 'f', 'shop')).toEqual([
    "--dbname=dbname='shop'", '--single-transaction', '--exit-on-error', '--no-password', '--verbose', 'f',
  ]); // prettier-ignore
  const cleaning = pgRestoreArguments({...options, isCleaning: true}, 'f', 'shop');
  expect(cleaning).toEqual(expect.arrayContaining(['--clean', '--if-exists']));
  expect(pgRestoreArguments({...options, jobs: 3, isSingleTransaction: false}, 'f', 'x')).toContain(
    '--jobs=3',
  );
  expect(pgRestoreArguments({...options, isSingleTransaction: false}, 'f')).toEqual([
    '--file=-',
    '--exit-on-error',
    'f',
  ]);
});

it('quotes the database for conninfo strings, so that no name is expanded', () => {
  expect(pgRestoreArguments(options, 'f', `it's host=evil \\`)[0]).toBe(
    `--dbname=dbname='it\\'s host=evil \\\\'`,
  );
  expect(pgRestoreArguments(options, 'f', 'postgresql://x')[0]).toBe("--dbname=dbname='postgresql://x'");
});

it('leaves out statistics and entries that every database has, and selects tables by their full name', () => {
  const lines = [
    '5; 2615 2200 SCHEMA - public shop',
    '6; 0 0 COMMENT - EXTENSION plpgsql ',
    '215; 1259 16400 TABLE public orders shop',
    '216; 1259 16401 TABLE public orders archive shop',
    '3456; 0 16400 TABLE DATA public orders shop',
    '3457; 0 16401 TABLE DATA public orders archive shop',
    '3300; 2606 16410 CONSTRAINT public orders orders_pkey shop',
  ];
  const statistics = [
    '3458; 0 0 STATISTICS DATA public orders ',
    '3459; 0 0 EXTENDED STATISTICS DATA public orders_s ',
  ];
  const tables = [
    {schema: 'public', name: 'orders'},
    {schema: 'public', name: 'orders archive'},
  ];
  const dump = {format: 'custom', dumpMajor: 15} as const;
  const all = selectEntries([...lines, ...statistics], {dump, isSuperuser: false, tables, onlyTables: []});
  expect(all.entries).toEqual(lines.slice(2));
  expect(all.left.length).toBe(2);
  const one = selectEntries(lines, {
    dump,
    isSuperuser: true,
    tables,
    onlyTables: [{schema: 'public', name: 'orders'}],
  });
  expect(one.entries).toEqual([lines[2], lines[4]]);
});

it('keeps the error of a long statement, but no progress output', () => {
  const lines = [
    'pg_restore: connecting to database for restore',
    'pg_restore: creating TABLE "public.cert_orders"',
    'pg_restore: from TOC entry 216; 1255 16389 FUNCTION f() shop',
    'pg_restore: error: could not execute query: ERROR:  syntax error at or near "x"',
    'LINE 3:   x',
    '          ^',
    'Command was: CREATE FUNCTION f() AS $$',
    ...Array.from({length: 60}, (_, index) => `  -- ${index}`),
    'pg_restore: warning: errors ignored on restore: 1',
  ];
  expect(lines.filter(isTrouble())).toEqual([...lines.slice(2, 7), lines.at(-1)]);
});

it('distinguishes errors from harmless messages by the complete text', () => {
  const {read, notes, errors} = collectRestoreErrors();
  read('pg_restore: error: could not execute query: ERROR:  schema "public" already exists');
  read('pg_restore: error: could not execute query: ERROR:  must be owner of extension plpgsql');
  read('pg_restore: error: could not execute query: ERROR:  schema "public" already exists, and more');
  read('pg_restore: error: could not execute query: ERROR:  relation "orders" already exists');
  read('pg_restore: processing data for table "public.error: x"');
  read('pg_restore: warning: errors ignored on restore: 3');
  expect(notes).toEqual(['schema "public" already exists', 'must be owner of extension plpgsql']);
  expect(errors).toEqual(['schema "public" already exists, and more', 'relation "orders" already exists']);
});

it('restores settings and privileges of a database', () => {
  expect(settingStatement('a"b', null, 'search_path="$user", public, "odd ""x"')).toBe(
    `ALTER DATABASE "a""b" SET "search_path" TO '$user', 'public', 'odd "x'`,
  );
  expect(settingStatement('shop', "o'r", "app.tenant=it's; DROP TABLE x")).toBe(
    `ALTER ROLE "o'r" IN DATABASE "shop" SET "app"."tenant" TO 'it''s; DROP TABLE x'`,
  );
  expect(aclStatements('shop', null)).toEqual([]);
  expect(aclStatements('shop', ['=T/shop', '"od""d"=c*C/shop']).map(({sql}) => sql)).toEqual([
    'REVOKE ALL ON DATABASE "shop" FROM PUBLIC',
    'GRANT TEMPORARY ON DATABASE "shop" TO PUBLIC',
    'GRANT CONNECT ON DATABASE "shop" TO "od""d" WITH GRANT OPTION',
    'GRANT CREATE ON DATABASE "shop" TO "od""d"',
  ]);
});

it('creates databases from template0 with the options of the server version', () => {
  const locale = {
    encoding: 'UTF8',
    collation: 'C',
    ctype: 'C',
    provider: 'icu',
    providerLocale: 'en',
    icuRules: null,
  };
  const database = {locale, owner: undefined};
  expect(createDatabaseStatement('x', database, 15)).toBe(
    `CREATE DATABASE "x" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'en'`,
  );
  expect(() => createDatabaseStatement('x', database, 14)).toThrow('which PostgreSQL 14 does not support');
  const libc = {...locale, provider: 'libc', providerLocale: null};
  expect(createDatabaseStatement('x', {locale: libc, owner: 'o'}, 13)).toBe(
    `CREATE DATABASE "x" TEMPLATE template0 OWNER "o" ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`,
  );
});

it.each([
  ['42P04', 'Datenbank »x« existiert bereits', 'TARGET_EXISTS'],
  ['42501', 'keine Berechtigung, um Datenbank zu erzeugen', 'PERMISSION_DENIED'],
  ['42809', 'nombre de configuración regional no válido', 'NOT_SUPPORTED_HERE'],
  ['0A000', 'ICU is not supported in this build', 'NOT_SUPPORTED_HERE'],
  ['42704', 'Tablespace »locale« existiert nicht', 'QUERY_FAILED'],
])('recognises why a database cannot be created, in any language: %s', async (state, message, code) => {
  const cause = Object.assign(new Error(), {code: state});
  const error = new AppError('QUERY_FAILED', message, {cause});
  const session = {query: () => Promise.reject(error)} as unknown as Session;
  const made = createDatabase(session, 'x', {locale: null, owner: undefined}, 15);
  await expect(made).rejects.toMatchObject({code});
});
