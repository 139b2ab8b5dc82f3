/** Rights after a restore: nobody may do more than before, and every present role exactly as much. */
import {readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, afterEach, beforeAll, describe, expect, it} from 'vitest';
import {restoreDatabase, type RestoreResult} from '../../src/lib/services/restore/execute.js';
import type {RestoreRequest} from '../../src/lib/services/restore/options.js';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import {makeDump} from '../support/make-dump.js';
import {tempFolder} from '../support/run-cli.js';
import {
  createTempDatabase,
  dropDatabase,
  existingDatabase,
  onServer,
  type TempDatabase,
  urlOf,
} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';
import {cases} from '../support/long-form.js';

/** The restoring role is not a superuser: it may act for r_app, and not for r_other. */
const roles = ['r_me', 'r_app', 'r_other', 'r_anon', 'r_reader', 'r_gone'];
let folder: string;
const made: TempDatabase[] = [];

beforeAll(async () => {
  folder = await tempFolder();
  for (const sql of [
    ...roles.map((role) => `CREATE ROLE ${role}`),
    `ALTER ROLE r_me LOGIN CREATEDB PASSWORD 'p'`,
    'GRANT r_app TO r_me',
  ])
    await onServer((session) => session.query(sql));
});
afterEach(async () => {
  for (const database of made.splice(0)) await database.drop();
});
afterAll(async () => {
  await rm(folder, {recursive: true, force: true});
  for (const role of roles) await onServer((session) => session.query(`DROP ROLE IF EXISTS ${role}`));
});

async function newDatabase(owner = 'r_me'): Promise<TempDatabase> {
  const one = await createTempDatabase('template0');
  made.push(one);
  await onServer((session) => session.query(`ALTER DATABASE ${one.name} OWNER TO ${owner}`));
  // Before 15, every role may create objects in public.
  await one.run(`GRANT ALL ON SCHEMA public TO r_me, r_app, r_other`);
  return one;
}

/** Rights of each role on each table, column, sequence, function and schema, as "role right object". */
async function rightsIn(database: TempDatabase): Promise<string[]> {
  const rows = await database.query(`
    WITH r AS (SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY ('{${roles.join(',')}}')),
    c AS (SELECT c.oid, n.nspname || '.' || c.relname AS name, c.relkind FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname IN ('public', 'app') AND c.relkind IN ('r', 'v', 'm', 'S'))
    SELECT r.rolname || ' ' || p || ' ' || c.name AS line FROM r, c, unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) p
     WHERE c.relkind <> 'S' AND pg_catalog.has_table_privilege(r.rolname, c.oid, p)
    UNION ALL
    SELECT r.rolname || ' ' || p || ' ' || c.name FROM r, c, unnest('{USAGE,SELECT,UPDATE}'::text[]) p
     WHERE c.relkind = 'S' AND pg_catalog.has_sequence_privilege(r.rolname, c.oid, p)
    UNION ALL
    SELECT r.rolname || ' ' || p || ' ' || c.name || '.' || a.attname FROM r, c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0, unnest('{SELECT,UPDATE}'::text[]) p
     WHERE c.relkind <> 'S' AND pg_catalog.has_column_privilege(r.rolname, c.oid, a.attnum, p)
    UNION ALL
    SELECT r.rolname || ' EXECUTE ' || f.oid::regprocedure FROM r, pg_catalog.pg_proc f
     WHERE f.pronamespace IN (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname IN ('public', 'app')) AND pg_catalog.has_function_privilege(r.rolname, f.oid, 'EXECUTE')
    UNION ALL
    SELECT r.rolname || ' ' || p || ' ' || n.nspname FROM r, pg_catalog.pg_namespace n, unnest('{USAGE,CREATE}'::text[]) p
     WHERE n.nspname IN ('public', 'app') AND pg_catalog.has_schema_privilege(r.rolname, n.oid, p)
    ORDER BY 1`);
  return rows.map((row) => row['line'] ?? '');
}

async function ownersIn(database: TempDatabase): Promise<Record<string, string | null>> {
  const rows = await database.query(`
    SELECT relname AS name, pg_catalog.pg_get_userbyid(relowner) AS owner FROM pg_catalog.pg_class c WHERE relnamespace IN ('public'::regnamespace, 'app'::regnamespace) AND relkind IN ('r', 'v', 'm')
    UNION ALL SELECT proname, pg_catalog.pg_get_userbyid(proowner) FROM pg_catalog.pg_proc WHERE pronamespace IN ('public'::regnamespace, 'app'::regnamespace) ORDER BY 1`);
  return Object.fromEntries(rows.map((row) => [row['name'] ?? '', row['owner'] ?? null]));
}

const defaultsSql = `SELECT pg_catalog.pg_get_userbyid(defaclrole) AS role, coalesce(defaclnamespace::regnamespace::text, '-') AS schema, defaclobjtype AS kind,
  (SELECT array_agg(a::text ORDER BY 1) FROM unnest(defaclacl) a) AS acl FROM pg_catalog.pg_default_acl ORDER BY 1, 2, 3`;

/** Tables, functions and views of several owners, with grants and revokes. */
const application = `
  SET ROLE r_me;
  CREATE SCHEMA app;
  GRANT USAGE ON SCHEMA app TO r_anon, r_app, r_other, r_reader;
  GRANT CREATE ON SCHEMA app TO r_app, r_other;
  CREATE TABLE app.payments (id serial PRIMARY KEY, card text); INSERT INTO app.payments (card) VALUES ('1'), ('2');
  CREATE TABLE app.products (id int PRIMARY KEY, name text, cost int); INSERT INTO app.products VALUES (1, 'a', 2);
  GRANT SELECT (id, name), UPDATE (name) ON app.products TO r_anon;
  GRANT SELECT ON app.payments TO r_reader WITH GRANT OPTION;
  GRANT SELECT ON app.payments, app.products TO r_gone;
  CREATE FUNCTION app.secret() RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;
  REVOKE ALL ON FUNCTION app.secret() FROM PUBLIC;
  GRANT EXECUTE ON FUNCTION app.secret() TO r_gone, r_reader;
  CREATE POLICY cheap ON app.products USING (cost < 5);
  CREATE MATERIALIZED VIEW app.counted AS SELECT count(*) FROM app.payments;
  GRANT SELECT ON app.counted TO r_anon;
  RESET ROLE;
  SET ROLE r_reader; GRANT SELECT ON app.payments TO r_app; RESET ROLE;
  SET ROLE r_app;
  CREATE TABLE app.orders (id int PRIMARY KEY); INSERT INTO app.orders VALUES (7);
  CREATE INDEX ON app.orders (id); GRANT SELECT ON app.orders TO r_anon;
  CREATE FUNCTION app.as_app() RETURNS int SECURITY DEFINER LANGUAGE sql AS $$ SELECT 1 $$;
  RESET ROLE;`;
const othersTable = `
  SET ROLE r_other; CREATE TABLE app.others (id int); INSERT INTO app.others VALUES (9); GRANT SELECT ON app.others TO r_anon; RESET ROLE;`;
const othersFunction = `
  SET ROLE r_other; CREATE VIEW app.all_products AS SELECT 1 AS one; CREATE FUNCTION app.as_other(a int, b text DEFAULT ' AS $') RETURNS int SECURITY DEFINER LANGUAGE sql AS $$ SELECT 1 $$; RESET ROLE;`;

function asMe(target: {readonly connection: TempDatabase['connection']}): string {
  return urlOf({...target.connection, user: 'r_me', password: 'p'});
}

function restore(url: string, request: RestoreRequest): Promise<RestoreResult> {
  return restoreDatabase(testContext(folder, {settings: {databaseUrl: url}}), request);
}

async function dumped(source: TempDatabase, kind: 'custom' | 'sql', name: string): Promise<string> {
  await makeDump(source.connection, folder, kind, {name});
  return join(folder, name);
}

/** Without rights of the missing roles. */
function without(lines: readonly string[], ...gone: string[]): string[] {
  return lines.filter((line) => !gone.some((role) => line.startsWith(`${role} `)));
}

describe.each(cases(['custom', 'sql'] as const))('a restore of a %s dump', (kind) => {
  it('never grants what was revoked, or revokes what was granted, because of one missing role', async () => {
    const source = await newDatabase();
    await source.run(application);
    const before = without(await rightsIn(source), 'r_gone');
    const owners = await ownersIn(source);
    const path = await dumped(source, kind, `missing.${kind}`);
    await source.run('DROP OWNED BY r_gone');
    await onServer((session) => session.query('DROP ROLE r_gone'));
    try {
      const target = await newDatabase();
      const results = [
        await restore(asMe(target), {backupFile: path}),
        await restore(asMe(target), {backupFile: path, targetDb: `${target.name}_new`, createDb: true}),
      ];
      for (const [index, result] of results.entries()) {
        const restored = index === 0 ? target : existingDatabase(`${target.name}_new`);
        expect(result.warnings.join()).toMatch(
          /Grants to these roles are not restored.*: r_gone\. All other grants/,
        );
        if (index === 0) expect(await rightsIn(restored)).toEqual(before);
        // A new database has no grants on the schema "public" but its own.
        else
          expect((await rightsIn(restored)).filter((line) => line.includes('app'))).toEqual(
            before.filter((line) => line.includes('app')),
          );
        expect(await ownersIn(restored)).toEqual(owners);
        expect(await restored.query('SELECT count FROM app.counted')).toEqual([{count: '2'}]);
      }
    } finally {
      await dropDatabase(`${made.at(-1)?.name ?? ''}_new`);
      await onServer((session) => session.query('CREATE ROLE r_gone'));
    }
  });

  it('keeps every owner that can be kept if another cannot, and refuses a function or view that would run with other rights', async () => {
    const source = await newDatabase();
    await source.run(application + othersTable + othersFunction);
    const owners = await ownersIn(source);
    const path = await dumped(source, kind, `owners.${kind}`);
    const target = await newDatabase();
    const created = {backupFile: path, targetDb: `${target.name}_new`, createDb: true};
    for (const request of [{backupFile: path}, created]) {
      await expect(restore(asMe(target), request)).rejects.toMatchObject({
        code: 'OWNER_NOT_KEPT',
        exitCode: 5,
        details: ['app.as_other(integer, text), owner r_other', 'app.all_products, owner r_other'],
      });
      await expect(
        restore(asMe(target), {...request, allowOwnerChange: ['app.as_app']}),
      ).rejects.toMatchObject({code: 'OWNER_NOT_KEPT'});
    }
    await expect(
      restore(asMe(target), {...created, allowOwnerChange: ['app.as_othr']}),
    ).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('Nothing was changed. Did you mean "app.as_other"?') as string,
      details: expect.arrayContaining(['app.as_other', 'app.all_products']) as string[],
    });
    const allowed = {allowOwnerChange: ['app.as_other', 'app.all_products']};
    try {
      await restore(asMe(target), {backupFile: path, ...allowed});
      await restore(asMe(target), {...created, ...allowed});
      for (const restored of [target, existingDatabase(`${target.name}_new`)]) {
        expect(await ownersIn(restored)).toEqual({
          ...owners,
          others: 'r_me',
          as_other: 'r_me',
          all_products: 'r_me',
        });
        expect(await restored.query('SELECT id FROM app.others')).toEqual([{id: '9'}]);
      }
    } finally {
      await dropDatabase(`${target.name}_new`);
    }
  });
});

describe('default privileges of the target', () => {
  /** They grant everything to r_anon, and revoke functions from everybody. */
  const opening = `
    SET ROLE r_me;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO r_anon;
    ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO r_anon WITH GRANT OPTION;
    ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO r_anon;
    ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
    ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO r_anon;
    RESET ROLE;`;

  it.each(cases(['sql', 'custom'] as const))(
    'never open objects that a restore of a %s dump creates, and are unchanged',
    async (kind) => {
      const source = await newDatabase();
      await source.run(application);
      const before = await rightsIn(source);
      const path = await dumped(source, kind, `plain-defaults.${kind}`);
      const target = await newDatabase();
      await target.run(opening);
      const defaults = await target.query(defaultsSql);
      await restore(asMe(target), {backupFile: path});
      expect(await rightsIn(target)).toEqual(before);
      expect(await target.query(defaultsSql)).toEqual(defaults);
    },
  );

  it('never open objects that restore --clean creates, and are restored as in the backup', async () => {
    const source = await newDatabase();
    await source.run(application + opening);
    const [before, defaults] = [await rightsIn(source), await source.query(defaultsSql)];
    const context = testContext(folder, {settings: {databaseUrl: asMe(source)}});
    const {id} = await backupDatabase(context, {});
    await source.run(`SET ROLE r_me; ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON TABLES FROM r_anon;
      ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT ALL ON TABLES TO r_anon; DELETE FROM app.payments`);
    await restoreDatabase(context, {backupFile: id ?? '', clean: true});
    expect(await rightsIn(source)).toEqual(before);
    expect((await source.query(defaultsSql)).filter((row) => row['schema'] !== 'app')).toEqual(defaults);
  });

  it('are unchanged when the restore fails', async () => {
    const source = await newDatabase();
    await source.run(application);
    const path = await dumped(source, 'sql', 'failing.sql');
    const end = '-- PostgreSQL database dump complete';
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replace(end, `SELECT no_such_function();\n\n--\n${end}`));
    const target = await newDatabase();
    await target.run(opening);
    const defaults = await target.query(defaultsSql);
    await expect(restore(asMe(target), {backupFile: path})).rejects.toMatchObject({code: 'RESTORE_FAILED'});
    expect(await target.query(defaultsSql)).toEqual(defaults);
    // Skipped errors do not remove them either.
    await restore(asMe(target), {backupFile: path, skipErrors: true});
    expect(await target.query(defaultsSql)).toEqual(defaults);
  });
});

it('reports before any change that forced row security hides rows to restore', async () => {
  const source = await newDatabase();
  await source.run(`SET ROLE r_me; CREATE TABLE public.notes (who text); INSERT INTO public.notes VALUES ('r_app');
    ALTER TABLE public.notes ENABLE ROW LEVEL SECURITY; ALTER TABLE public.notes FORCE ROW LEVEL SECURITY`);
  const path = await dumped(source, 'custom', 'forced.custom');
  const target = await newDatabase();
  await expect(
    backupDatabase(testContext(folder, {settings: {databaseUrl: asMe(source)}}), {}),
  ).rejects.toMatchObject({
    code: 'ROW_SECURITY',
    details: ['public.notes (row security)'],
    hint: expect.stringContaining('NO FORCE') as string,
  });
  const refusal = {
    code: 'ROW_SECURITY',
    details: ['public.notes'],
    hint: expect.stringContaining('NO FORCE') as string,
    message: expect.stringContaining('Nothing was changed') as string,
  };
  for (const dryRun of [true, false])
    await expect(restore(asMe(target), {backupFile: path, dryRun})).rejects.toMatchObject(refusal);
  expect(await target.query('SELECT pg_catalog.to_regclass($$public.notes$$)::text AS found')).toEqual([
    {found: null},
  ]);
  await source.run('TRUNCATE public.notes');
  await expect(restore(asMe(source), {backupFile: path, dataOnly: true})).rejects.toMatchObject(refusal);
});
