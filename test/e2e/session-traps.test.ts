/**
 * Traps under every name in the program's SQL, where an attacker can create them: an owner of the database puts their
 * own schema first in its search_path. A superuser then runs every command, and no trap may be triggered
 * (docs/threat-model.md).
 */
import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, describe, expect, inject, it} from 'vitest';
import {z} from 'zod';
import {type Connection, withDatabase} from '../../src/lib/postgres/connect/connection.js';
import {type LocalCluster, startLocalCluster} from '../../src/lib/postgres/tools/local-cluster.js';
import {withAppSession} from '../support/app-session.js';
import {loadTemplate} from '../support/global-cluster.js';
import {isLongForm} from '../support/long-form.js';
import {runCli, tempFolder} from '../support/run-cli.js';
import {quoteLiteral} from '../../src/lib/postgres/quote.js';
import {readSqlTexts} from '../support/sql-in-source.js';
import {calledNames, namesOfQueries, parseSql, unsafeNames} from '../support/sql-rules.js';
import {urlOf} from '../support/temp-database.js';

let cluster: LocalCluster;
let shop: Connection;
let folder: string;
let traps: {operators: number; functions: number; types: number; tables: number};
const commands: string[] = [];

beforeAll(async () => {
  folder = await tempFolder();
  // pg_dump handles a thousand functions in a second.
  const config = {backup: {excludeSchemas: ['evil', 'lure']}};
  await writeFile(join(folder, 'destino-db.config.json'), JSON.stringify(config));
  cluster = await startLocalCluster({
    binFolder: inject('serverBin'),
    settings: [
      'log_statement = all',
      `log_line_prefix = '%p|%a|%d| '`,
      'max_connections = 60',
      'max_locks_per_transaction = 1024',
      'fsync = off',
      'jit = off',
    ],
  });
  await loadTemplate(cluster.connection);
  shop = withDatabase(cluster.connection, 'shop_template');
  traps = await setTraps(shop);
});
afterAll(() => cluster.stop());

/** Types for which an operator in the program's SQL may get a pair that pg_catalog has no operator for. */
const oddTypes = [
  'oid',
  'regclass',
  'int2',
  'int4',
  'int8',
  'name',
  'text',
  '"char"',
  'tid',
  'xid',
  'varchar',
];

async function setTraps(connection: Connection): Promise<typeof traps> {
  const names = new Set(readSqlTexts().flatMap(({tree}) => calledNames(tree)));
  const ofKind = (kind: string): string[] =>
    [...names].flatMap((name) => (name.startsWith(`${kind}:`) ? [name.slice(kind.length + 1)] : []));
  return withAppSession(connection, async (session) => {
    await session.query('CREATE ROLE mallory');
    await session.query('CREATE SCHEMA evil AUTHORIZATION mallory');
    await session.query('CREATE SCHEMA lure AUTHORIZATION mallory');
    await session.client.query(
      await readFile(new URL('../fixtures/session-traps.sql', import.meta.url), 'utf8'),
    );
    const [row] = await session.query('SELECT * FROM lure.set_traps($1, $2, $3, $4, $5)', [
      ofKind('operator'),
      ofKind('function'),
      ofKind('type'),
      ofKind('relation'),
      oddTypes,
    ]);
    // The triggers of the shop run as for the application, so functions that they call do not count.
    await session.query(`DO $$ DECLARE f record; BEGIN
      FOR f IN SELECT oid::regprocedure::text AS name FROM pg_proc WHERE pronamespace = 'public'::regnamespace
      LOOP EXECUTE 'ALTER FUNCTION ' || f.name || ' SET search_path = public, pg_catalog'; END LOOP; END $$`);
    await session.query(
      `ALTER DATABASE ${connection.database} SET search_path = evil, pg_catalog, lure, public`,
    );
    const count = (name: string): number => Number(row?.[name]);
    return {
      operators: count('operators'),
      functions: count('functions'),
      types: count('types'),
      tables: count('tables'),
    };
  });
}

const sprung = async (): Promise<string[]> =>
  (await readFile(cluster.logFile, 'utf8')).match(/(?<=trap sprung: ).*/g) ?? [];

async function run(line: string): Promise<string> {
  commands.push(line);
  const {status, stderr, stdout} = await runCli(line.split(' '), {
    cwd: folder,
    env: {DIRECT_URL: urlOf(shop), NO_COLOR: '1'},
  });
  expect(await sprung(), line).toEqual([]);
  expect(`${line}: ${status}\n${status === 0 ? '' : stderr}`).toBe(`${line}: 0\n`);
  return stdout;
}

it('sets working traps', async () => {
  expect(traps.operators).toBeGreaterThan(3000);
  expect(traps.functions).toBeGreaterThan(180);
  expect(traps.types).toBeGreaterThan(15);
  expect(traps.tables).toBeGreaterThan(30);
  const unsafe = [
    `SELECT 1 FROM pg_catalog.pg_class WHERE relname = 'x'`,
    `SELECT 1 FROM pg_catalog.pg_depend WHERE refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass`,
    `SELECT current_setting('server_version')`,
    `SELECT count(*) FROM pg_catalog.pg_am`,
    `SELECT 'x'::text`,
    `SELECT nspname || 'x' FROM pg_catalog.pg_namespace`,
  ];
  for (const sql of unsafe) {
    const before = (await sprung()).length;
    await withAppSession(shop, async (session) => {
      await session.query('BEGIN READ ONLY');
      await session.query(sql).catch(() => undefined); // the result of a trap is not used
    });
    expect((await sprung()).length, sql).toBeGreaterThan(before);
  }
  await writeFile(cluster.logFile, '');
});

describe('a superuser who runs every command', () => {
  it('triggers no trap', async () => {
    await Promise.all([
      run('doctor'),
      run('backup --dry-run'),
      run('orders:clean'),
      run('workflow:safe-cleanup --test-emails-only'),
    ]);
    await run('backup --label=first');
    if (isLongForm) await run('backup --format=sql');
    await run('backup --format=directory --parallel-jobs=2');
    await run('backup --include-table=orders --label=some');
    const values = {
      joins: [{table: 'profiles', as: 'who', on: {id: 'userId'}}],
      email: {sql: `lower(coalesce(who.email, orders.email)) || ''`},
      total: {sql: 'orders.total + 0'},
      createdAt: 'createdAt',
    };
    const orders = {profile: {name: 'joined', roots: [{table: 'orders', ...values}]}};
    await writeFile(`${folder}/joined.json`, JSON.stringify({orders}));
    await run('orders:clean --config=joined.json --details');
    await run('orders:clean --config=joined.json --execute --yes');
    await run('orders:restore --backup-file=latest --execute --no-confirm');
    if (isLongForm) await run('orders:clean --execute --yes --test-emails-only');
    await run('orders:restore --backup-file=latest');
    if (isLongForm) await run('orders:restore --backup-file=latest --execute --no-confirm');
    await run('workflow:safe-cleanup --execute --no-confirm --test-emails-only');
    if (isLongForm) await run('restore --latest --dry-run --drop-existing');
    await Promise.all([
      run('list'),
      run(isLongForm ? 'verify --all --level=archive' : 'verify --latest --level=archive'),
      run('verify --all --level=checksum'),
      run('status'),
      run('history'),
      run('prune --dry-run --keep-last=5'),
    ]);
    await run('verify --latest --level=restore');
    if (isLongForm) await run('restore --latest --target-db=copy_of_shop --create-db --yes');
    await run('restore --latest --drop-existing --yes');
    await run('undo --yes');
    await run('prune --set-aside --yes');
    await run('restore --latest --clean --yes');
    await run('recover --dry-run');
    await run('recover --yes');
    await run('recover --guide');
    expect(await sprung()).toEqual([]);
    expect(commands.length).toBeGreaterThan(20);
  });

  it('triggers none when rows are compared and restored', async () => {
    const backup = z
      .object({id: z.string()})
      .parse(JSON.parse(await run('backup --include-table=orders --include-table=order_items --json'))).id;
    const [gone, kept] = await withAppSession(shop, async (session) => {
      const orders = await session.query('SELECT id FROM public.orders LIMIT 2');
      const one = quoteLiteral(orders[0]?.['id'] ?? '');
      await session.query(`DELETE FROM public.payments WHERE "orderId" OPERATOR(pg_catalog.=) ${one}`);
      await session.query(`DELETE FROM public.orders WHERE id OPERATOR(pg_catalog.=) ${one}`);
      return orders;
    });
    const both = `restore:rows ${backup} --table=orders --table=order_items`;
    await Promise.all([
      run(`diff ${backup} --table=orders`),
      run(
        `restore:rows ${backup} --table=orders --all --key=${gone?.['id'] ?? ''} --key=${kept?.['id'] ?? ''}`,
      ),
      run(`${both} --all --with-parents --with-children`),
      run(
        `restore:rows ${backup} --table=orders --all --where=lower(email)||''<>'x'AND(total+0<5)IN(true,false)`,
      ),
    ]);
    await run(`${both} --all --execute --yes`);
    await run('restore:rows --undo=latest --execute --yes');
  });

  it('sends nothing with a name that another user could create', async () => {
    const statements = readStatements(await readFile(cluster.logFile, 'utf8'));
    expect(statements.length).toBeGreaterThan(300);
    const refused = new Set<string>();
    const pathOf = new Map<string, 'empty' | 'own'>();
    for (const {session, sql} of statements) {
      const [set] = /set_config\('search_path', (?:''|\$1), (?:true|false)\)/.exec(sql) ?? [];
      const isFirst = sql.trimStart().startsWith(`SELECT pg_catalog.set_config('search_path', '', false)`);
      const searchPath = isFirst ? 'empty' : (pathOf.get(session) ?? 'own');
      if (set !== undefined) pathOf.set(session, set.includes('$1') ? 'own' : 'empty');
      if (/^\s*(?:COMMIT|ROLLBACK)/.test(sql)) pathOf.set(session, 'empty');
      const {tree} = parseSql(sql);
      for (const problem of unsafeNames(tree, searchPath, namesOfQueries(tree)))
        if (!problem.startsWith('it changes search_path'))
          refused.add(`${problem}\n    in ${sql.slice(0, 300)}`);
    }
    expect([...refused]).toEqual([]);
  });
});

/** Statements of the program itself, from a log whose lines begin with process, program and database. */
function readStatements(log: string): {session: string; sql: string}[] {
  return [
    ...log.matchAll(/^(\d+)\|destino-db\|[^|\n]*\| LOG: {2}(?:statement|execute [^:\n]*): ((?:.|\n\t)*)/gm),
  ].map(([, session = '', sql = '']) => ({session, sql: sql.replaceAll('\n\t', '\n')}));
}
