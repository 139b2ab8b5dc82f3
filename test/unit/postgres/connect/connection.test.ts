import {userInfo} from 'node:os';
import {describe, expect, it} from 'vitest';
import {
  describeConnection,
  libpqEnvironment,
  refuseTransactionPooler,
  withDatabase,
} from '../../../../src/lib/postgres/connect/connection.js';
import {parseConnectionUrl} from '../../../../src/lib/postgres/connect/connection-url.js';
import {resolveConnection} from '../../../../src/lib/postgres/connect/resolve-connection.js';
import {environmentOf} from '../../../../src/lib/settings/environment.js';
import {testContext} from '../../../support/test-context.js';

const parse = (url: string) => parseConnectionUrl(url, 'DIRECT_URL');

describe('parseConnectionUrl', () => {
  it('reads a URL of Prisma without the parameters that are meant for Prisma', () => {
    const connection = parse(
      'postgresql://shop:secret@db.example:5433/shop?schema=public&connection_limit=1&pool_timeout=0&sslmode=require&statement_cache_size=0',
    );
    expect(connection).toMatchObject({
      host: 'db.example',
      port: 5433,
      user: 'shop',
      password: 'secret',
      database: 'shop',
      schema: 'public',
      options: {sslmode: 'require'},
      isTransactionPooler: false,
    });
    expect(Object.keys(libpqEnvironment(connection)).filter((name) => !name.startsWith('PG'))).toEqual([]);
  });

  it.each([
    ['postgres://u@h', {host: 'h', port: 5432, user: 'u', database: 'u', password: undefined}],
    ['postgresql://u@h/', {database: 'u'}],
    ['postgresql://u:@h/d', {password: ''}],
    ['postgresql://u:p@/d', {host: 'localhost'}],
    ['  postgresql://u:p@h/d\n', {host: 'h', database: 'd'}],
    ['POSTGRESQL://u:p@h/d', {host: 'h'}],
    ['postgresql://u:p%40%3A%2F%3F%23%25@h/d', {password: 'p@:/?#%'}],
    ['postgresql://u:p@ss@h/d', {password: 'p@ss', host: 'h'}],
    ['postgresql://u:pa/ss@h/d', {password: 'pa/ss', host: 'h', database: 'd'}],
    ['postgresql://u:a:b@h/d', {password: 'a:b'}],
    ['postgresql://u:p%C3%A9%20x@h/d', {password: 'pé x'}],
    ['postgresql://d%20u@h/my%20db%2Fx', {user: 'd u', database: 'my db/x'}],
    ['postgresql://u@h/host=evil%20user=x', {database: 'host=evil user=x'}],
    ['postgresql://u@[::1]:6000/d', {host: '::1', port: 6000}],
    ['postgresql://u@[2001:db8::1]/d', {host: '2001:db8::1', port: 5432}],
    ['postgresql://u@/d?host=/var/run/postgresql', {host: '/var/run/postgresql'}],
    ['postgresql://u@%2Fvar%2Frun/d', {host: '/var/run'}],
    ['postgresql://h/d?user=u&password=p%26w&port=1', {user: 'u', password: 'p&w', port: 1}],
    [
      'postgresql://postgres.ref:p@aws-0-eu.pooler.supabase.com:6543/postgres?pgbouncer=true',
      {user: 'postgres.ref', isTransactionPooler: true},
    ],
    ['postgresql://u@h/d?pgbouncer=true', {isTransactionPooler: true}],
    ['postgresql://postgres.ref:p@aws-0-eu.pooler.supabase.com:5432/postgres', {isTransactionPooler: false}],
    ['postgresql://u@h/d?pgbouncer=false', {isTransactionPooler: false}],
    ['postgresql://u@h/d?sslrootcert=system', {options: {sslrootcert: 'system', sslmode: 'verify-full'}}],
    ['postgresql://u@h/d?sslaccept=strict&sslmode=verify-full', {options: {sslmode: 'verify-full'}}],
  ])('reads %s', (url, expected) => {
    expect(parse(url)).toMatchObject(expected);
  });

  it('uses the socket of a URL without a host, and the role of libpq if it names none', () => {
    const from = (url: string, env: Record<string, string> = {}) =>
      resolveConnection(testContext('/nowhere', {env: {...env, DIRECT_URL: url}}).settings);
    const url = 'postgresql:///shop?host=/var/run/postgresql';
    expect(from(url)).toMatchObject({
      host: '/var/run/postgresql',
      database: 'shop',
      user: userInfo().username,
    });
    expect(from(url, {PGUSER: 'app'})).toMatchObject({user: 'app', database: 'shop'});
    expect(from('postgresql://me@/shop?host=/tmp', {PGUSER: 'app'})).toMatchObject({
      user: 'me',
      host: '/tmp',
    });
  });

  it.each([
    ['shop', 'no scheme'],
    ['', 'no scheme'],
    ['jdbc:postgresql://h/d', 'no scheme'],
    ['"postgresql://u:secret@h/d"', 'begins with a quotation mark'],
    ['mysql://u:secret@h/d', '"mysql" is not a PostgreSQL scheme'],
    ['prisma+postgres://accelerate.prisma-data.net/?api_key=secret', 'Prisma service'],
    ['postgresql://h/d', 'does not name a user'],
    ['postgresql://u:secret@h:port/d', 'its port'],
    ['postgresql://u:secret@h:0/d', 'its port'],
    ['postgresql://u:secret@h:65536/d', 'its port'],
    ['postgresql://u:secret@::1:5432/d', 'its port'],
    ['postgresql://u:secret@a,b/d', 'several hosts'],
    ['postgresql://u:secret@/d?host=a,b&target_session_attrs=read-write', 'several hosts'],
    ['postgresql://u:secret@h/d?hostaddr=10.0.0.1,10.0.0.2', 'several hosts'],
    ['postgresql://u:secret@h/d?port=1,2', 'several hosts'],
    ['postgresql://u:secret%zz@h/d', 'its password has a "%"'],
    ['postgresql://u:secret%00@h/d', 'its password contains a NUL'],
    ['postgresql://u:secret@h/d?sslmode=verify', 'its sslmode is not one of'],
    ['postgresql://u:5?secret=1@h/d', 'an unknown parameter'],
    ['postgresql://u:secret@h/d?sslrootcert=system&sslmode=require', 'too weak'],
    ['postgresql://u:secret@h/d?sslaccept=strict', 'sslaccept=strict'],
    ['postgresql://u:secret@h/d?frobnicate=1', 'unknown parameter "frobnicate"'],
    ['postgresql://u:secret@h/d?constructor=1', 'unknown parameter "constructor"'],
  ])('refuses %s without repeating the password', (url, why) => {
    const attempt = () => parse(url);
    expect(attempt).toThrow(expect.objectContaining({code: 'URL_INVALID', exitCode: 2}) as Error);
    expect(attempt).toThrow(why);
    expect(attempt).not.toThrow('secret');
  });
});

describe('describeConnection', () => {
  it('names user, host, port and database, but never the password', () => {
    expect(describeConnection(parse('postgresql://u:secret@[::1]/d'))).toBe('u@[::1]:5432/d');
  });
});

describe('refuseTransactionPooler', () => {
  it('says which variable to set', () => {
    const supabase = parse('postgresql://u:p@x.pooler.supabase.com:6543/d?pgbouncer=true');
    expect(() => refuseTransactionPooler(supabase)).toThrow(
      expect.objectContaining({
        code: 'TRANSACTION_POOLER',
        exitCode: 3,
        hint: expect.stringContaining('DIRECT_URL') as string,
      }) as Error,
    );
    expect(() => refuseTransactionPooler(parse('postgresql://u:p@h/d'))).not.toThrow();
    for (const url of ['postgresql://u:p@h:6543/d', 'postgresql://u:p@h/d?pgbouncer=true'])
      expect(() => refuseTransactionPooler(parse(url))).toThrow('is a transaction pooler');
  });
});

describe('libpqEnvironment', () => {
  it('contains the connection, its TLS options and the pinned time zone', () => {
    const variables = libpqEnvironment(
      parse("postgresql://u:p@h:1/host='x'?sslmode=verify-full&sslrootcert=/ca.pem&connect_timeout=3"),
    );
    expect(variables).toMatchObject({
      PGHOST: 'h',
      PGPORT: '1',
      PGUSER: 'u',
      PGDATABASE: "host='x'",
      PGPASSWORD: 'p',
      PGSSLMODE: 'verify-full',
      PGSSLROOTCERT: '/ca.pem',
      PGCONNECT_TIMEOUT: '3',
      PGTZ: 'UTC',
    });
  });

  it('contains the session settings of the URL, followed by others', () => {
    const connection = parse('postgresql://u@h/d?options=-c%20work_mem%3D8MB');
    expect(libpqEnvironment(connection)).toMatchObject({PGOPTIONS: '-c work_mem=8MB'});
    expect(libpqEnvironment(connection, {PGOPTIONS: '-c bytea_output=hex'})).toMatchObject({
      PGOPTIONS: '-c work_mem=8MB -c bytea_output=hex',
    });
  });

  it('omits a missing password, so that libpq reads its password file', () => {
    expect(libpqEnvironment(parse('postgresql://u@h/d'))).not.toHaveProperty('PGPASSWORD');
  });
});

describe('resolveConnection', () => {
  const settings = (
    sources: Record<string, Record<string, string>>,
    changes: Parameters<typeof testContext>[1] = {},
  ) =>
    testContext('/shop', {
      settings: {
        environment: environmentOf(Object.entries(sources).map(([origin, values]) => ({origin, values}))),
        ...changes.settings,
      },
    }).settings;
  const [direct, pooled] = ['postgresql://u@direct/d', 'postgresql://u@pooled:6543/d'];

  it.each<Record<string, string>>([
    {PGHOST: 'a,b'},
    {PGHOST: 'a', PGPORT: '1,2'},
    {PGHOST: 'a', PGHOSTADDR: '10.0.0.1,10.0.0.2'},
  ])('refuses several hosts in the variables: %o', (environment) => {
    expect(() => resolveConnection(settings({environment}))).toThrow(/several/);
  });

  it('prefers --database-url, then DIRECT_URL, then DATABASE_URL of the strongest source', () => {
    const both = {environment: {DATABASE_URL: pooled, DIRECT_URL: direct}};
    expect(resolveConnection(settings(both))).toMatchObject({host: 'direct', origin: 'DIRECT_URL'});
    expect(
      resolveConnection(settings({environment: {DATABASE_URL: pooled}, '.env': {DIRECT_URL: direct}})),
    ).toMatchObject({
      host: 'pooled',
    });
    expect(
      resolveConnection(settings({environment: {DIRECT_URL: ''}, '.env.local': {DIRECT_URL: direct}})),
    ).toMatchObject({
      origin: 'DIRECT_URL from .env.local',
    });
    expect(
      resolveConnection(settings(both, {settings: {databaseUrl: 'postgresql://u@flag/d'}})),
    ).toMatchObject({
      host: 'flag',
      origin: '--database-url',
    });
    expect(resolveConnection(settings(both, {settings: {urlPreference: ['DATABASE_URL']}}))).toMatchObject({
      host: 'pooled',
    });
  });

  it("falls back to libpq's own variables, and completes a URL with them", () => {
    const libpq = {
      PGHOST: '/run',
      PGDATABASE: 'd',
      PGUSER: 'me',
      PGPASSWORD: 'pw',
      PGSSLMODE: 'require',
      PGPASSFILE: '/p',
    };
    expect(resolveConnection(settings({environment: libpq}))).toMatchObject({
      host: '/run',
      port: 5432,
      user: 'me',
      password: 'pw',
      options: {sslmode: 'require', passfile: '/p'},
    });
    const mixed = resolveConnection(
      settings({environment: {...libpq, DIRECT_URL: `${direct}?sslmode=disable`}}),
    );
    expect(mixed).toMatchObject({
      host: 'direct',
      password: 'pw',
      options: {sslmode: 'disable', passfile: '/p'},
    });
  });

  it('names the variables to set if there are none, and rejects an invalid PGPORT', () => {
    expect(() => resolveConnection(settings({environment: {}}))).toThrow(
      expect.objectContaining({
        code: 'NO_DATABASE_URL',
        hint: expect.stringContaining('/shop/.env.local') as string,
      }) as Error,
    );
    expect(() => resolveConnection(settings({environment: {PGHOST: 'h', PGPORT: 'x'}}))).toThrow('PGPORT');
  });
});

it('keeps everything else for another database of the same server', () => {
  expect(withDatabase(parse('postgresql://u:p@h/d?sslmode=require'), 'e')).toEqual({
    ...parse('postgresql://u:p@h/d?sslmode=require'),
    database: 'e',
  });
});

it('refuses a database name that the server would cut to that of another database', () => {
  const server = parse('postgresql://u:p@h/d');
  const longest = `é${'x'.repeat(61)}`;
  expect(withDatabase(server, longest).database).toBe(longest);
  expect(() => withDatabase(server, `${longest}x`)).toThrow(
    expect.objectContaining({code: 'USAGE', message: expect.stringContaining('64 bytes') as string}),
  );
});
