/** Roles and other globals of a server: stored with `backup --with-roles`, and created by `restore --with-roles` where they are missing. */
import {chown, mkdir, readdir, readFile, rm, stat} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {afterAll, beforeAll, beforeEach, expect, inject, it} from 'vitest';
import {readBackupRecord} from '../../src/lib/catalog/backup-record.js';
import {AppError} from '../../src/lib/base/errors.js';
import {withSession} from '../../src/lib/postgres/client.js';
import {type Connection, withDatabase} from '../../src/lib/postgres/connect/connection.js';
import {type LocalCluster, startLocalCluster} from '../../src/lib/postgres/tools/local-cluster.js';
import {backupToPlaces} from '../../src/lib/services/backup/backup.js';
import type {BackupRequest} from '../../src/lib/services/backup/options.js';
import {copyBackups} from '../../src/lib/services/copy/copy-backups.js';
import {prune} from '../../src/lib/services/prune/prune.js';
import type {RestoreRequest} from '../../src/lib/services/restore/options.js';
import {restoreFrom} from '../../src/lib/services/restore/restore.js';
import {verifyBackups} from '../../src/lib/services/verify/verify.js';
import {makeKey} from '../support/age.js';
import {withAppSession} from '../support/app-session.js';
import {cases} from '../support/long-form.js';
import {tempFolder} from '../support/run-cli.js';
import {urlOf} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

const binFolder = inject('serverBin');
const hasGrantOptions = inject('serverMajor') >= 16;
/** Names that would end an identifier, a literal, a line or a comment. */
const hostile = [
  'say "hi"',
  "o'brien",
  'a\n\\! touch /tmp/owned\n-- destino-db globals: {}',
  '$$; DROP',
  'Ünï',
];
const secret = 'the password of the application';
let source: LocalCluster;
let target: LocalCluster;
let folder: string;
let recipient: string;

const run = (connection: Connection, ...statements: string[]) =>
  withAppSession(connection, async (session) => {
    for (const sql of statements) await session.query(sql);
  });
const ask = (server: LocalCluster, sql: string) =>
  withAppSession(server.connection, async (session) => [...(await session.query(sql))]);
const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

beforeAll(async () => {
  [source, target] = await Promise.all([startLocalCluster({binFolder}), startLocalCluster({binFolder})]);
  await run(
    source.connection,
    `CREATE ROLE staff NOLOGIN`,
    `CREATE ROLE app LOGIN CREATEDB REPLICATION CONNECTION LIMIT 50 PASSWORD '${secret}' VALID UNTIL '2099-01-01 00:00+00'`,
    `ALTER ROLE app SET search_path = app, "Odd one"`,
    `ALTER ROLE app SET "app.tenant" = 'seven'`,
    `CREATE ROLE chief SUPERUSER LOGIN NOINHERIT BYPASSRLS PASSWORD 'chief'`,
    `CREATE ROLE unused NOLOGIN`,
    `CREATE ROLE present LOGIN CONNECTION LIMIT 3 PASSWORD 'of the source'`,
    `CREATE ROLE weak LOGIN PASSWORD 'weak'`,
    `GRANT staff TO app WITH ADMIN OPTION`,
    ...(hasGrantOptions
      ? ['GRANT staff TO present WITH INHERIT FALSE, SET FALSE']
      : ['GRANT staff TO present']),
    ...hostile.map((name) => `CREATE ROLE ${quoted(name)} LOGIN PASSWORD 'x'`),
    `ALTER SYSTEM SET work_mem = '5MB'`,
    `ALTER SYSTEM SET primary_conninfo = 'host=elsewhere password=hunter2'`,
    `CREATE TABLE public.items (id int PRIMARY KEY)`,
    `INSERT INTO public.items VALUES (1), (2)`,
    `ALTER TABLE public.items OWNER TO app`,
    `GRANT SELECT ON public.items TO weak`,
  );
});
afterAll(async () => {
  await Promise.all([source.stop(), target.stop()]);
});
beforeEach(async () => {
  folder = await tempFolder();
  recipient = makeKey(join(folder, 'key.txt'));
  await run(target.connection, 'DROP DATABASE IF EXISTS restored');
  for (const {rolname} of await ask(target, `SELECT rolname FROM pg_roles WHERE oid > 16383`))
    await run(target.connection, `DROP ROLE ${quoted(rolname ?? '')}`);
  await run(
    target.connection,
    `CREATE ROLE present NOLOGIN CONNECTION LIMIT 9 VALID UNTIL '2040-01-01 00:00+00'`,
  );
  return () => rm(folder, {recursive: true, force: true});
});

const contextOf = (connection: Connection) =>
  testContext(folder, {settings: {databaseUrl: urlOf(connection)}});
async function backUp(
  how: 'plain' | 'encrypted',
  as?: {user: string; password: string},
  request: BackupRequest = {},
) {
  const context = contextOf({...source.connection, ...as});
  const made = await backupToPlaces(
    context,
    {withRoles: true, ...request},
    how === 'plain' ? {} : {recipients: [recipient]},
  );
  if (made.id === null || made.metadataPath === null) throw new Error('no backup was made');
  return {id: made.id, metadataPath: made.metadataPath, warnings: [...context.warnings, ...made.warnings]};
}
async function restore(backupFile: string, request: RestoreRequest = {}, connection = target.connection) {
  const context = contextOf(connection);
  const result = await restoreFrom(
    context,
    {identityFile: 'key.txt'},
    {backupFile, targetDb: 'restored', createDb: true, withRoles: true, ...request},
  );
  return {...result, warnings: context.warnings};
}
/** Everything about the roles but their passwords. */
const rolesOf = (server: LocalCluster) =>
  ask(
    server,
    `SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolconnlimit,
            extract(epoch FROM rolvaliduntil)::text AS until, (SELECT array_agg(c ORDER BY c) FROM unnest(rolconfig) AS c)::text AS config,
            (SELECT json_agg(m.roleid::regrole::text || to_jsonb(m)::text ORDER BY 1) FROM (SELECT roleid, admin_option${hasGrantOptions ? ', inherit_option, set_option' : ''}
               FROM pg_auth_members WHERE member = r.oid AND roleid > 16383) m)::text ~ 'staff' AS is_staff
       FROM pg_roles r WHERE oid > 16383 ORDER BY rolname`,
  );
const membershipsOf = (server: LocalCluster) =>
  ask(
    server,
    `SELECT roleid::regrole::text AS role, member::regrole::text AS member, admin_option${hasGrantOptions ? ', inherit_option, set_option' : ''}
       FROM pg_auth_members WHERE member > 16383 ORDER BY 1, 2`,
  );
async function filesWith(text: string): Promise<string[]> {
  const names = await readdir(folder, {recursive: true, withFileTypes: true});
  const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const found = await Promise.all(
    files.map(async (file) => ((await readFile(file)).includes(text) ? [file] : [])),
  );
  return found.flat();
}
async function canLogIn(user: string, password: string): Promise<boolean> {
  try {
    await withSession({...withDatabase(target.connection, 'postgres'), user, password}, (session) =>
      session.query('SELECT 1'),
    );
    return true;
  } catch (error) {
    if (error instanceof AppError && error.code === 'AUTHENTICATION_FAILED') return false;
    throw error;
  }
}

it('creates the missing roles with attributes, memberships, settings and passwords of an encrypted backup, and changes no present role', async () => {
  const {id, metadataPath, warnings} = await backUp('encrypted');
  expect(warnings).toEqual([]);
  expect((await readBackupRecord(metadataPath)).roles).toMatchObject({hasPasswords: true});
  expect(await filesWith('SCRAM-SHA-256$')).toEqual([]);
  const isPresent = ({rolname}: {readonly rolname?: string | null}) => rolname === 'present';
  const before = (await rolesOf(target)).find(isPresent);
  const preview = await restore(id, {dryRun: true});
  expect(preview.notes.join('\n')).toMatch(
    /created first: \d+ roles that the server lacks: .*app \(LOGIN INHERIT CREATEDB REPLICATION PASSWORD; in staff\).*chief \(SUPERUSER LOGIN NOINHERIT BYPASSRLS PASSWORD\).*unused \(NOLOGIN INHERIT\)/s,
  );
  expect(preview.notes.join('\n')).not.toContain('SCRAM-SHA-256');
  expect(await rolesOf(target)).toEqual([before]);
  const {notes} = await restore(id);
  expect(notes.join('\n')).not.toContain('SCRAM-SHA-256');
  const [wanted, found] = [await rolesOf(source), await rolesOf(target)];
  expect(found.filter((role) => !isPresent(role))).toEqual(wanted.filter((role) => !isPresent(role)));
  expect(found.find(isPresent)).toEqual({...before, is_staff: 't'});
  expect(await membershipsOf(target)).toEqual(await membershipsOf(source));
  expect(found.map(({rolname}) => rolname)).toEqual(expect.arrayContaining(hostile));
  expect(await canLogIn('app', secret)).toBe(true);
  expect(await canLogIn('app', 'another one')).toBe(false);
  expect(await canLogIn('present', 'of the source')).toBe(false);
  expect(await filesWith('SCRAM-SHA-256$')).toEqual([]);
  await run(target.connection, 'DROP DATABASE restored');
  const again = await restore(id);
  expect(again.notes.join('\n')).toContain('every role of the backup exists here, and none was changed');
  expect(await rolesOf(target)).toEqual(found);
});

it.each(cases(['custom', 'sql'] as const))(
  'stores no password unencrypted, in %s format, and says which roles need one',
  async (format) => {
    const {id, metadataPath} = await backUp('plain', undefined, {format});
    const {roles} = await readBackupRecord(metadataPath);
    const path = join(metadataPath, '..', roles?.path ?? '');
    const text = await readFile(path, 'utf8');
    expect(roles).not.toHaveProperty('hasPasswords');
    expect(text).toContain('CREATE ROLE app;');
    expect(text).not.toMatch(/PASSWORD|SCRAM/);
    const {notes} = await restore(id);
    expect(notes.join('\n')).toMatch(
      /roles that the server lacks, without passwords: .*give them passwords: .*ALTER ROLE "app" PASSWORD/s,
    );
    expect(await canLogIn('app', secret)).toBe(false);
  },
);

it('decrypts no password to the disk while a backup is restored from a copy, and warns when copy --decrypt does', async () => {
  const {id} = await backUp('encrypted', undefined, {format: 'directory'});
  const context = contextOf(target.connection);
  const seen: string[][] = [];
  const watched = {
    ...context,
    confirm: async () =>
      void seen.push(await filesWith('SCRAM-SHA-256$'), await filesWith('PostgreSQL database')),
  };
  await restoreFrom(
    watched,
    {identityFile: 'key.txt'},
    {backupFile: id, targetDb: 'restored', createDb: true, withRoles: true},
  );
  expect(seen).toHaveLength(2);
  expect(seen[0]).toEqual([]);
  const checked = await verifyBackups(
    context,
    {identityFile: 'key.txt'},
    {backupFile: id, level: 'archive', scratch: {kind: 'same'}},
  );
  expect(JSON.stringify(checked)).toContain('"passed"');
  await mkdir(join(folder, 'open'));
  await copyBackups(context, {
    backupFiles: [id],
    to: [join(folder, 'open')],
    isOpening: true,
    identityFile: 'key.txt',
  });
  expect(context.warnings).toEqual([`--decrypt writes the stored passwords of roles unencrypted: ${id}.`]);
});

it('stores no passwords for a role that cannot read them, and says so', async () => {
  const {id, metadataPath, warnings} = await backUp('encrypted', {user: 'weak', password: 'weak'});
  expect(warnings).toContain('The file of roles has no passwords: this role may not read pg_authid.');
  expect((await readBackupRecord(metadataPath)).roles).not.toHaveProperty('hasPasswords');
  const {notes} = await restore(id);
  expect(notes.join('\n')).toContain('without passwords');
  expect(await canLogIn('app', secret)).toBe(false);
});

it('names tablespaces that are missing and settings by ALTER SYSTEM, without secrets', async () => {
  const [row] = await ask(source, 'SHOW data_directory');
  const data = row?.['data_directory'] ?? '';
  const place = join(dirname(data), 'space');
  const {uid, gid} = await stat(data);
  await mkdir(place);
  await chown(place, uid, gid);
  const name = 'fast\n-- disk';
  await run(source.connection, `CREATE TABLESPACE ${quoted(name)} LOCATION '${place}'`);
  try {
    const {id, metadataPath} = await backUp('plain');
    const {roles} = await readBackupRecord(metadataPath);
    const text = await readFile(join(metadataPath, '..', roles?.path ?? ''), 'utf8');
    expect(text).toContain('-- Tablespaces: "fast\\n-- disk"\n');
    expect(text).toContain('-- By ALTER SYSTEM: "work_mem" "5MB"\n');
    expect(text).toContain('-- By ALTER SYSTEM: "primary_conninfo" (value not stored)\n');
    expect(text).not.toContain('hunter2');
    const {notes, warnings} = await restore(id);
    expect(warnings.join('\n')).toContain(`which a restore does not create: ${name}.`);
    expect(notes.join('\n')).toMatch(
      /settings by ALTER SYSTEM on the backup's server: .*work_mem = 5MB, primary_conninfo$/m,
    );
  } finally {
    await run(source.connection, `DROP TABLESPACE ${quoted(name)}`);
  }
});

it('creates a role without the attributes that the restoring role cannot give, and refuses where it may create no roles', async () => {
  const {id} = await backUp('encrypted');
  await run(
    target.connection,
    `CREATE ROLE maker LOGIN CREATEROLE CREATEDB PASSWORD 'm'`,
    `CREATE ROLE plain LOGIN CREATEDB PASSWORD 'p'`,
  );
  const asRole = (user: string, password: string) => ({...target.connection, user, password});
  await expect(restore(id, {}, asRole('plain', 'p'))).rejects.toMatchObject({
    code: 'PERMISSION_DENIED',
    details: expect.arrayContaining(['app', 'chief', 'staff']) as string[],
  });
  expect(await ask(target, `SELECT 1 FROM pg_database WHERE datname = 'restored'`)).toEqual([]);
  const {notes} = await restore(id, {}, asRole('maker', 'm'));
  expect(notes.join('\n')).toMatch(/the role "chief" is created without SUPERUSER, BYPASSRLS: /);
  expect(notes.join('\n')).toMatch(/the role "app" is created without REPLICATION: /);
  expect((await rolesOf(target)).find(({rolname}) => rolname === 'app')).toMatchObject({
    rolcreatedb: 't',
    rolreplication: 'f',
    rolconnlimit: '50',
  });
  expect(await canLogIn('app', secret)).toBe(true);
});

it('refuses a backup without a file of roles, and flags that contradict', async () => {
  const {id} = await backUp('plain', undefined, {withRoles: false});
  await expect(restore(id)).rejects.toMatchObject({code: 'USAGE', message: expect.stringContaining('has no file of roles') as string}); // prettier-ignore
  await expect(restore(id, {roles: false})).rejects.toMatchObject({code: 'USAGE'});
  await expect(restore(id, {createDb: false, dataOnly: true})).rejects.toMatchObject({code: 'USAGE'});
  expect((await rolesOf(target)).map(({rolname}) => rolname)).toEqual(['present']);
});

it('drops the created roles again if the restore fails', async () => {
  const {id} = await backUp('encrypted');
  await run(target.connection, 'CREATE DATABASE restored');
  await run(
    withDatabase(target.connection, 'restored'),
    `CREATE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$`,
    `CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION public.refuse()`,
  );
  await expect(restore(id, {createDb: false})).rejects.toBeInstanceOf(AppError);
  expect((await rolesOf(target)).map(({rolname}) => rolname)).toEqual(['present']);
});

it('prunes the file of roles with its backup, as the config file asks for it', async () => {
  const context = {...contextOf(source.connection)};
  const settings = {
    ...context.settings,
    config: {backup: {withRoles: true, skipUnchanged: true}, encryption: {recipients: [recipient]}},
  };
  for (let count = 0; count < 3; count += 1) await backupToPlaces({...context, settings}, {}, {});
  const files = async () =>
    (await readdir(join(folder, 'backups', 'database'))).filter((name) => name.endsWith('.roles.sql.age'));
  expect(await files()).toHaveLength(3);
  await prune({...context, settings}, {policy: {keepLast: 2, keepMin: 1}, setAside: false, dryRun: false});
  expect(await files()).toHaveLength(2);
});
