import {chmod, mkdir, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, it} from 'vitest';
import {showDoctor} from '../../src/lib/cli/show/show-doctor.js';
import {createStyle} from '../../src/lib/cli/show/style.js';
import {checkMachine, type DoctorResult} from '../../src/lib/services/doctor/doctor.js';
import {checkProduction} from '../../src/lib/services/doctor/production.js';
import type {Config} from '../../src/lib/settings/config-schema.js';
import type {Check} from '../../src/lib/services/doctor/check.js';
import {loadSettings} from '../../src/lib/settings/settings.js';
import {writeSampleBackup} from '../support/sample-backups.js';
import {tempFolder} from '../support/run-cli.js';
import {
  clusterConnection,
  createTempDatabase,
  onServer,
  type TempDatabase,
  urlOf,
} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

const plain = createStyle(false, {}, true);
const role = `doctor_${process.pid}`;

let home = '';
let database: TempDatabase;
beforeAll(async () => {
  database = await createTempDatabase('template0');
  await database.run(`
    CREATE ROLE ${role} LOGIN PASSWORD 'secret';
    CREATE TABLE open (id int); GRANT SELECT ON open TO ${role};
    CREATE TABLE closed (id int);
    CREATE TABLE secured (id int); GRANT SELECT ON secured TO ${role};
    ALTER TABLE secured ENABLE ROW LEVEL SECURITY;`);
});
afterAll(async () => {
  await database.drop();
  await onServer((session) => session.query(`DROP ROLE ${role}`));
});
beforeEach(async () => {
  home = await tempFolder();
});
afterEach(async () => {
  await rm(home, {recursive: true, force: true});
});

const withUrl = (databaseUrl: string | undefined, settings = {}) =>
  testContext(home, {settings: {databaseUrl, ...settings}});
const checkOf = (result: DoctorResult, name: string): Check | undefined =>
  result.checks.find((check) => check.name === name);
const notWorking = (result: DoctorResult) =>
  result.commands.filter((one) => !one.works).map((one) => one.command);

describe('doctor', () => {
  it('reports success for the owner of the database, with every command ready', async () => {
    const result = await checkMachine(withUrl(database.url));
    expect(result.checks.filter((check) => !check.ok)).toEqual([]);
    expect(result.ok).toBe(true);
    expect(notWorking(result)).toEqual([]);
    expect(checkOf(result, 'server-version')?.message).toMatch(/^PostgreSQL \d/);
    expect(checkOf(result, 'pg_dump')?.message).toMatch(/suitable for PostgreSQL \d/);
    expect(showDoctor(result, plain).at(-1)).toBe('Everything needed is here. Next: destino-db backup');
  });

  it('warns of production names that match nothing, with the nearest one', async () => {
    const check = (production: NonNullable<Config['production']>, isMissing?: (host: string) => boolean) =>
      checkProduction(
        withUrl(database.url, {config: {production}}),
        database.connection,
        isMissing && ((host) => Promise.resolve(isMissing(host))),
      );
    const misspelt = `${database.name}x`;
    expect(await check({databases: [misspelt, database.name]})).toEqual([
      expect.objectContaining({
        ok: false,
        needed: false,
        message: `production.databases names "${misspelt}", which neither the server nor a backup has. Did you mean "${database.name}"?`,
      }),
    ]);
    await writeSampleBackup(join(home, 'backups', 'database'), '2026-11-22T03:10:00.000Z', {
      databaseName: 'sold_shop',
    });
    expect(await check({databases: ['sold_shop', database.name], hosts: ['127.0.0.1']})).toEqual([
      expect.objectContaining({ok: true, message: `127.0.0.1, sold_shop, ${database.name}`}),
    ]);
    const host = database.connection.host;
    expect(await check({hosts: [`${host}x`, 'xyz']}, () => true)).toEqual([
      expect.objectContaining({
        ok: false,
        message: `production.hosts names "${host}x", which does not exist. Did you mean "${host}"?`,
      }),
      expect.objectContaining({message: 'production.hosts names "xyz", which does not exist.'}),
    ]);
    const result = await checkMachine(withUrl(database.url, {config: {production: {databases: [misspelt]}}}));
    expect([result.ok, checkOf(result, 'production')?.ok]).toEqual([true, false]);
    // The databases of a server that does not answer are unknown.
    const unreachable = withUrl(urlOf({...database.connection, port: 1}), {
      config: {production: {databases: [misspelt]}},
    });
    expect(checkOf(await checkMachine(unreachable), 'production')).toMatchObject({ok: true});
  });

  it('names tables that the role cannot read, or only in part, and the missing rights', async () => {
    const url = urlOf({...clusterConnection(), database: database.name, user: role, password: 'secret'});
    const result = await checkMachine(withUrl(url));
    expect(result.ok).toBe(false);
    expect(checkOf(result, 'table-rights')).toMatchObject({
      ok: false,
      message: '1 table cannot be read: public.closed',
    });
    expect(checkOf(result, 'row-security')).toMatchObject({ok: false, message: 'row-level security hides rows of 1 table: public.secured'}); // prettier-ignore
    expect(checkOf(result, 'create-databases')).toMatchObject({ok: false, needed: false});
    expect(checkOf(result, 'role')).toMatchObject({ok: false, needed: false});
    expect(notWorking(result)).toEqual([
      'backup',
      'restore --drop-existing',
      'verify --level=restore',
      'orders:clean',
    ]);
    for (const check of result.checks) expect(check.hint === null).toBe(check.ok);
  });

  it('says that a role cannot replace a database if it may not act for its owner, and can if it may', async () => {
    const url = urlOf({...clusterConnection(), database: database.name, user: role, password: 'secret'});
    const owner = `${role}_owner`;
    await database.run(`ALTER ROLE ${role} CREATEDB; CREATE ROLE ${owner}`);
    await onServer((session) => session.query(`ALTER DATABASE ${database.name} OWNER TO ${owner}`));
    try {
      const stranger = await checkMachine(withUrl(url));
      expect(checkOf(stranger, 'role')).toMatchObject({ok: false});
      expect(notWorking(stranger)).toContain('restore --drop-existing');
      await database.run(`GRANT ${owner} TO ${role}`);
      const member = await checkMachine(withUrl(url));
      expect(checkOf(member, 'role')).toMatchObject({ok: true, hint: null});
      expect(notWorking(member)).not.toContain('restore --drop-existing');
    } finally {
      await onServer((session) => session.query(`ALTER DATABASE ${database.name} OWNER TO postgres`));
      await database.run(`ALTER ROLE ${role} NOCREATEDB; DROP ROLE ${owner}`);
    }
  });

  it('works without any connection and explains how to fix problems', async () => {
    const cases: [string | undefined, string, RegExp][] = [
      [undefined, 'url', /DIRECT_URL/],
      [
        'prisma+postgres://accelerate.prisma-data.net/?api_key=secret',
        'url',
        /Set DIRECT_URL to the URL of the database \(/,
      ],
      ['postgresql://shop:pa%ss@localhost/shop', 'url', /%25/],
      ['postgresql://shop:secret@127.0.0.1:1/shop', 'connection', /Is the server running/],
      ['postgresql://shop:p@ss@127.0.0.1:1/shop?pgbouncer=true&schema=public', 'url-password', /@ is %40/],
      ['postgresql://shop:secret@127.0.0.1:6543/shop', 'pooler', /Set DIRECT_URL/],
    ];
    for (const [url, name, hint] of cases) {
      const result = await checkMachine(withUrl(url));
      const check = checkOf(result, name);
      expect([url, check?.ok, hint.test(check?.hint ?? '')]).toEqual([url, false, true]);
      expect(result.ok).toBe(false);
      expect(JSON.stringify([result, showDoctor(result, plain)])).not.toMatch(/secret|p@ss|pa%ss/);
    }
    const {checks} = await checkMachine(withUrl('postgresql://shop@127.0.0.1:1/shop?pgbouncer=true&schema=public&sslmode=require')); // prettier-ignore
    expect(checks.find((check) => check.name === 'url')?.message).toContain('ignored: pgbouncer, schema');
  });

  it('reports missing client tools, and what to check if their folder was configured', async () => {
    const result = await checkMachine(withUrl(database.url, {pgBin: home}));
    expect(checkOf(result, 'pg_dump')).toMatchObject({ok: false, needed: true, hint: expect.stringContaining('Check --pg-bin') as string}); // prettier-ignore
    expect(notWorking(result)).toEqual(expect.arrayContaining(['backup', 'restore', 'verify']));
  });

  it('warns of backups and environment files that others can read, and shows where settings come from', async () => {
    await writeFile(join(home, '.env.local'), `DIRECT_URL=${database.url}\n`);
    await writeFile(
      join(home, 'destino-db.config.json'),
      '{"backupsDir": "kept", "retention": {"keepDays": 30}}',
    );
    await chmod(join(home, '.env.local'), 0o644);
    await mkdir(join(home, 'kept', 'database'), {recursive: true, mode: 0o700});
    await writeFile(join(home, 'kept', 'database', 'x.dump'), 'x', {mode: 0o604});
    const settings = await loadSettings({}, home, {PATH: process.env['PATH']});
    const result = await checkMachine(testContext(home, {settings}));
    expect(result.ok).toBe(true);
    expect(checkOf(result, 'env-file')).toMatchObject({
      ok: false,
      hint: `chmod 600 '${join(home, '.env.local')}'`,
    });
    expect(checkOf(result, 'backups-private')?.message).toContain(join(home, 'kept', 'database', 'x.dump'));
    expect(result.settings.map(({name, origin}) => [name, origin])).toEqual([
      ['database', 'DIRECT_URL from .env.local'],
      ['backups folder', 'config file'],
      ['retention', 'config file'],
      ['backup format', 'default'],
    ]);
  });

  it('compares the profile of orders with the tables', async () => {
    const profileOf = async (table: string, more: object = {}) => {
      const config = {orders: {profile: {name: 'shop', roots: [{table, email: 'id', ...more}]}}};
      return checkOf(await checkMachine(withUrl(database.url, {config})), 'orders-profile');
    };
    expect(await profileOf('open')).toMatchObject({
      ok: true,
      message: '"shop" chooses orders in public.open',
    });
    expect(await profileOf('opne')).toMatchObject({
      ok: false,
      needed: false,
      message: expect.stringContaining('did you mean') as string,
    });
    const joins = [{table: 'open', as: 'self', on: {id: 'id'}}];
    expect(await profileOf('open', {joins})).toMatchObject({
      ok: false,
      message: expect.stringContaining('could find several rows of public.open for one order') as string,
    });
    await database.run('CREATE UNIQUE INDEX ON open (id)');
    expect(await profileOf('open', {joins, total: {sql: 'self.id'}})).toMatchObject({
      ok: true,
      message: '"shop" chooses orders in public.open and reads public.open',
    });
    expect(await profileOf('open', {total: {sql: 'random()'}})).toMatchObject({
      ok: false,
      message: expect.stringContaining('calls pg_catalog.random, which is volatile') as string,
    });
  });

  it('reports a file with the name of the backups folder', async () => {
    await writeFile(join(home, 'backups'), 'x');
    const result = await checkMachine(withUrl(database.url));
    expect(checkOf(result, 'backups-folder')).toMatchObject({
      ok: false,
      message: `${join(home, 'backups')} is not a folder`,
    });
  });
});
