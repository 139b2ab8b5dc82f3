/** Code in a backup (checks, index expressions, triggers, views) never runs with more rights than its owner had. */
import {access, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, beforeEach, describe, expect, inject, it} from 'vitest';
import {AppError} from '../../src/lib/base/errors.js';
import {passBy, type FaultPoint} from '../../src/lib/run/fault-points.js';
import {withSession} from '../../src/lib/postgres/client.js';
import {type Connection, withDatabase} from '../../src/lib/postgres/connect/connection.js';
import {type LocalCluster, startLocalCluster} from '../../src/lib/postgres/tools/local-cluster.js';
import {formatOwnerComment} from '../../src/lib/postgres/databases/owner-comment.js';
import {quoteLiteral} from '../../src/lib/postgres/quote.js';
import {thisProcess} from '../../src/lib/base/process-identity.js';
import type {ConfirmRequest} from '../../src/lib/run/run-context.js';
import {recoverLeftovers} from '../../src/lib/services/recover/recover.js';
import type {ScratchPlace} from '../../src/lib/services/verify/scratch-database.js';
import {verifyBackups, type VerifiedBackup} from '../../src/lib/services/verify/verify.js';
import {cases} from '../support/long-form.js';
import {makeBackup} from '../support/make-backup.js';
import {dumpKinds, type DumpKind} from '../support/make-dump.js';
import {tempFolder} from '../support/run-cli.js';
import {urlOf} from '../support/temp-database.js';
import {testContext, type TestContext} from '../support/test-context.js';

let cluster: LocalCluster;
let folder: string;
let booty: string;
const backups = new Map<string, string>();
const asked: ConfirmRequest[] = [];

const run = (sql: string, connection: Connection = cluster.connection): Promise<void> =>
  withSession(connection, async (session) => {
    await session.query('SET search_path = public');
    await session.client.query(sql);
  });
const query = (sql: string) => withSession(cluster.connection, (session) => session.query(sql));
const as = (role: string, database = 'postgres'): Connection =>
  withDatabase({...cluster.connection, user: role, password: 'secret'}, database);

/** Tries everything that a superuser could do, and every way to become one. */
const attack = (file: string): string => `
  CREATE FUNCTION harmless(n int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$
  DECLARE attempt text;
  BEGIN
    FOREACH attempt IN ARRAY ARRAY['RESET ROLE', 'RESET SESSION AUTHORIZATION', 'SET ROLE postgres', 'SET SESSION AUTHORIZATION postgres',
      'ALTER ROLE mallory SUPERUSER', 'CREATE ROLE pwned SUPERUSER', 'GRANT postgres TO mallory', 'GRANT pg_write_all_data TO mallory',
      'COPY (SELECT 1) TO PROGRAM ''id > ${file}''', 'ALTER ROLE maker CREATEROLE'] LOOP
      BEGIN
        EXECUTE attempt;
      EXCEPTION WHEN OTHERS THEN NULL;
      END;
    END LOOP;
    RETURN true;
  END $$;
  CREATE TABLE bait (n int CHECK (public.harmless(n)));
  CREATE INDEX bait_index ON bait ((public.harmless(n)));
  INSERT INTO bait SELECT n FROM generate_series(1, 5) AS n;
  CREATE MATERIALIZED VIEW bait_view AS SELECT public.harmless(n) AS fine FROM bait;`;

beforeAll(async () => {
  cluster = await startLocalCluster({binFolder: inject('serverBin')});
  folder = await tempFolder();
  booty = join('/tmp', `destino-booty-${String(process.pid)}`);
  await run(`
    CREATE ROLE mallory LOGIN PASSWORD 'secret';
    CREATE ROLE maker LOGIN CREATEDB PASSWORD 'secret';
    CREATE ROLE creator LOGIN CREATEDB CREATEROLE PASSWORD 'secret'`);
  await run('CREATE DATABASE bait OWNER mallory');
  await run(attack(booty), as('mallory', 'bait'));
  for (const kind of dumpKinds) await backUp('bait', kind);
  await run('CREATE DATABASE rich');
  await run(
    `CREATE SCHEMA "ext Ra"; CREATE EXTENSION citext SCHEMA "ext Ra"; COMMENT ON EXTENSION citext IS 'ours'; CREATE EXTENSION file_fdw;
     CREATE SERVER other FOREIGN DATA WRAPPER file_fdw;
     CREATE USER MAPPING FOR mallory SERVER other;
     CREATE TABLE names (name "ext Ra".citext PRIMARY KEY); INSERT INTO names VALUES ('Ann'), ('bob');
     ALTER TABLE names ENABLE ROW LEVEL SECURITY; ALTER TABLE names FORCE ROW LEVEL SECURITY;
     CREATE POLICY own ON names TO mallory USING (lower(name::text) = 'ann'); GRANT SELECT ON names TO mallory;
     CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
     CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION on_ddl();
     SELECT lo_from_bytea(0, 'large')`,
    withDatabase(cluster.connection, 'rich'),
  );
  for (const kind of ['custom', 'sql'] as const) await backUp('rich', kind);
  await run('CREATE DATABASE strong');
  await run(
    `CREATE FUNCTION quiet(n int) RETURNS int LEAKPROOF IMMUTABLE LANGUAGE sql AS 'SELECT 1'; CREATE TABLE state AS SELECT 1 AS n`,
    withDatabase(cluster.connection, 'strong'),
  );
  await backUp('strong', 'custom');
});
beforeEach(() => {
  asked.length = 0;
});
afterAll(async () => {
  await cluster.stop();
  await rm(folder, {recursive: true, force: true});
  await rm(booty, {force: true});
});

async function backUp(database: string, kind: DumpKind): Promise<void> {
  const at = `2025-06-01T03:00:${String(backups.size).padStart(2, '0')}.000Z`;
  const connection = withDatabase(cluster.connection, database);
  const made = await makeBackup(context(connection), connection, kind, at);
  backups.set(`${database} ${kind}`, made.path);
}

function context(connection: Connection, isProduction = false): TestContext {
  const {host} = connection;
  return testContext(folder, {
    settings: {databaseUrl: urlOf(connection), config: isProduction ? {production: {hosts: [host]}} : {}},
    confirm: (request) => {
      asked.push(request);
      return request.isProduction
        ? Promise.reject(new AppError('CONFIRMATION_NEEDED', 'It was not confirmed.'))
        : Promise.resolve();
    },
  });
}

async function verify(
  within: TestContext,
  backup: string,
  scratch: ScratchPlace = {kind: 'same'},
): Promise<VerifiedBackup | undefined> {
  const {results} = await verifyBackups(
    within,
    {},
    {backupFile: backups.get(backup) ?? '', level: 'restore', scratch},
  );
  return results[0];
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** Successes of the attack; none are expected. */
async function achieved(): Promise<string[]> {
  const rows = await query(`
    SELECT rolname || ' exists or has more rights' AS what FROM pg_roles
     WHERE rolname = 'pwned' OR rolname IN ('mallory', 'maker') AND (rolsuper OR rolcreaterole)
    UNION ALL SELECT 'mallory is a member' FROM pg_auth_members WHERE member = 'mallory'::regrole`);
  return [...rows.map((row) => row['what'] ?? ''), ...((await exists(booty)) ? ['a program ran'] : [])];
}

/** Objects that restore tests left on the server. */
const left = () =>
  query(`SELECT datname AS name FROM pg_database WHERE datname LIKE 'destino%'
         UNION ALL SELECT rolname FROM pg_roles WHERE rolname LIKE 'destino%'`);

describe('a restore test as superuser', () => {
  it.each(cases(['custom', 'sql', 'directory', 'sql.gz'] as const, 2))(
    'gives no rights to the code of table owners, on the same server: %s',
    async (kind) => {
      const superuser = context(withDatabase(cluster.connection, 'bait'), true);
      expect(await verify(superuser, `bait ${kind}`)).toMatchObject({ok: true, findings: []});
      expect(asked).toEqual([]);
      expect(await achieved()).toEqual([]);
      expect(await left()).toEqual([]);
    },
  );

  it.each(cases(['custom', 'sql']))('runs no program on a local server: %s', async (kind) => {
    const superuser = context(withDatabase(cluster.connection, 'bait'), true);
    expect(await verify(superuser, `bait ${kind}`, {kind: 'local'})).toMatchObject({ok: true, findings: []});
    expect(await achieved()).toEqual([]);
  });

  it.each(cases(['custom', 'sql']))(
    'restores extensions, foreign servers and forced row security, and names what it left out: %s',
    async (kind) => {
      const result = await verify(context(withDatabase(cluster.connection, 'rich'), true), `rich ${kind}`);
      expect(result).toMatchObject({ok: true, findings: []});
      // Owners and grants are set afterwards, so they are compared.
      expect(result?.notes.join('\n')).not.toMatch(/which were not restored/);
      expect(result?.notes.join('\n')).toMatch(/only a superuser may create: .*watch/);
      expect(asked).toEqual([]);
      expect(await left()).toEqual([]);
    },
  );

  it('never starts to run code as superuser on a production server without --confirm-db', async () => {
    const superuser = context(withDatabase(cluster.connection, 'strong'), true);
    await expect(verify(superuser, 'strong custom')).rejects.toMatchObject({code: 'CONFIRMATION_NEEDED'});
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatchObject({isProduction: true, database: 'strong'});
    expect(asked[0]?.action).toContain('as the superuser "postgres"');
    expect(asked[0]?.plan.join('\n')).toMatch(/LEAKPROOF|leakproof/);
    expect(await left()).toEqual([]);
  });

  it('names the role whose rights the code had after the confirmation', async () => {
    const result = await verify(context(withDatabase(cluster.connection, 'strong')), 'strong custom');
    expect(result).toMatchObject({ok: true, findings: []});
    expect(result?.notes).toContain('The code in the backup ran with the rights of "postgres".');
    expect(asked).toHaveLength(1);
    expect(await left()).toEqual([]);
  });

  it('asks if the server refuses logins of other roles with a password', async () => {
    const file = join(cluster.folder, 'data', 'pg_hba.conf');
    const before = await readFile(file, 'utf8');
    await writeFile(file, `host all postgres 127.0.0.1/32 scram-sha-256\n`);
    await run('SELECT pg_reload_conf()');
    try {
      const superuser = context(withDatabase(cluster.connection, 'bait'), true);
      await expect(verify(superuser, 'bait custom')).rejects.toMatchObject({code: 'CONFIRMATION_NEEDED'});
      expect(asked[0]?.plan.join('\n')).toContain('pg_hba.conf');
      expect(await achieved()).toEqual([]);
      expect(await left()).toEqual([]);
    } finally {
      await writeFile(file, before);
      await run('SELECT pg_reload_conf()');
    }
  });
});

it.each(['creator', 'maker'])(
  'a restore test as %s gives the code no right to create roles',
  async (role) => {
    const result = await verify(context(as(role, 'bait')), 'bait custom');
    expect(result).toMatchObject({ok: true, findings: []});
    const whose = 'The code in the backup ran with the rights of "maker".';
    expect(result?.notes.includes(whose)).toBe(role === 'maker');
    expect(await achieved()).toEqual([]);
    expect(await left()).toEqual([]);
  },
);

it('never changes owner or grants of the original database on the server, or of anything outside the scratch database', async () => {
  await run(`CREATE DATABASE named OWNER mallory; `);
  const named = withDatabase(cluster.connection, 'named');
  await run('CREATE TABLE state AS SELECT 1 AS n; GRANT CONNECT ON DATABASE named TO maker', named);
  await backUp('named', 'custom');
  await backUp('named', 'sql');
  await run('ALTER DATABASE named OWNER TO creator; REVOKE ALL ON DATABASE named FROM PUBLIC, maker');
  const state = () =>
    query(`SELECT datdba::regrole::text, datacl::text FROM pg_database WHERE datname = 'named'`);
  const before = await state();
  for (const kind of ['custom', 'sql'])
    expect(await verify(context(named), `named ${kind}`)).toMatchObject({ok: true, findings: []});
  expect(await state()).toEqual(before);
});

it('recover drops the scratch database of a killed restore test, with the role that owns it', async () => {
  const dead = {...(await thisProcess()), processStart: 'an earlier boot'};
  const name = 'destino_scratch_ba9876543210';
  const at = new Date().toISOString();
  const comment = quoteLiteral(
    formatOwnerComment({kind: 'scratch', database: 'bait', at, owner: dead, comment: null}),
  );
  await run(`CREATE ROLE ${name} LOGIN; COMMENT ON ROLE ${name} IS ${comment}`);
  await run(`CREATE DATABASE ${name} OWNER ${name}`);
  await run(`COMMENT ON DATABASE ${name} IS ${comment}`);
  const result = await recoverLeftovers(context(cluster.connection), {dryRun: false});
  expect(result.recovered.map(({action, what}) => `${action} ${what}`)).toEqual([`drop ${name}`]);
  expect(await left()).toEqual([]);
});

it('recover drops the role of a killed restore test, and no other', async () => {
  const dead = {...(await thisProcess()), processStart: 'an earlier boot'};
  const mark = {
    kind: 'scratch',
    database: 'bait',
    at: new Date().toISOString(),
    owner: dead,
    comment: null,
  } as const;
  const comment = quoteLiteral(formatOwnerComment(mark));
  await run(`CREATE ROLE destino_scratch_0123456789ab; COMMENT ON ROLE destino_scratch_0123456789ab IS ${comment};
             CREATE ROLE destino_scratch_other; COMMENT ON ROLE destino_scratch_other IS ${comment}`);
  const result = await recoverLeftovers(context(cluster.connection), {dryRun: false});
  expect(result.recovered.map(({action, what}) => `${action} ${what}`)).toEqual([
    'drop role destino_scratch_0123456789ab',
  ]);
  expect((await left()).map((row) => row['name'])).toEqual(['destino_scratch_other']);
  await run('DROP ROLE destino_scratch_other');
});

it.each<FaultPoint>(['verify.role-made', 'verify.scratch-made', 'verify.scratch-marked', 'verify.loaded'])(
  'leaves neither role nor database when it fails at %s',
  async (point) => {
    const base = context(withDatabase(cluster.connection, 'bait'));
    const failing: TestContext = {
      ...base,
      checkpoint: (reached) => (reached === point ? Promise.reject(new Error('stopped')) : passBy(reached)),
    };
    await expect(verify(failing, 'bait custom')).rejects.toThrow('stopped');
    expect(await left()).toEqual([]);
  },
);
