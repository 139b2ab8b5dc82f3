/** refresh from a shell: a masked copy of the sample shop that has none of its people and still fits together; what it refuses. */
import {execFileSync} from 'node:child_process';
import {readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, afterEach, beforeAll, expect, inject, it} from 'vitest';
import {libpqEnvironment} from '../../src/lib/postgres/connect/connection.js';
import {cases} from '../support/long-form.js';
import {type CliResult, runCli, tempFolder} from '../support/run-cli.js';
import {shopMasks} from '../support/shop-masks.js';
import {
  createTempDatabase,
  databaseExists,
  dropDatabase,
  existingDatabase,
  onServer,
  type TempDatabase,
} from '../support/temp-database.js';

const target = 'refreshed_shop';
let folder: string;
let production: TempDatabase;

const run = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<CliResult> =>
  runCli(args, {
    cwd: folder,
    env: {DIRECT_URL: production.url, STAGING_URL: existingDatabase(target).url, ...env},
  });
const refresh = (...args: string[]) =>
  run(['refresh', '--target-url-env', 'STAGING_URL', '--yes', '--json', ...args]);

async function configure(masks: object, rest: object = {}): Promise<void> {
  await writeFile(join(folder, 'destino-db.config.json'), JSON.stringify({masks, ...rest}));
}

/** The rows in a plain dump of a database, which is the same for every reader. */
function rowsOf({connection}: TempDatabase): string {
  const dump = execFileSync(join(inject('serverBin'), 'pg_dump'), ['--data-only', connection.database], {
    env: {...process.env, ...libpqEnvironment(connection)},
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  return dump
    .split('\n')
    .filter((line) => !line.startsWith('--'))
    .join('\n');
}

/** E-mail addresses, phones and names of the people in production. */
async function people(): Promise<string[]> {
  const rows = await production.query(`
    SELECT DISTINCT value FROM (
      SELECT unnest(ARRAY[email, name, phone]) AS value FROM profiles
      UNION ALL SELECT unnest(ARRAY[email, "customerName", phone]) FROM orders
      UNION ALL SELECT unnest(ARRAY[email, name, phone]) FROM catering_orders
      UNION ALL SELECT "recipientEmail" FROM email_alerts
      UNION ALL SELECT email FROM customer_email_preferences
    ) AS everybody WHERE length(value) > 3`);
  return rows.map(({value}) => value ?? '');
}

/** The counts of the application's own joins. */
const joins = `
  SELECT (SELECT count(*) FROM orders o JOIN profiles p ON p.email = o.email) AS orders,
         (SELECT count(*) FROM orders o JOIN customer_email_preferences c ON c.email = o.email) AS preferences,
         (SELECT count(*) FROM email_alerts a JOIN catering_orders c ON c.email = a."recipientEmail") AS alerts,
         (SELECT count(DISTINCT email) FROM orders) AS addresses,
         (SELECT count(*) FROM orders o JOIN order_items i ON i."orderId" = o.id) AS items`;

beforeAll(async () => {
  folder = await tempFolder();
  production = await createTempDatabase();
  const made = await run(['backup']);
  expect(made.status).toBe(0);
});

afterEach(async () => {
  const rows = await onServer((session) =>
    session.query('SELECT datname FROM pg_database WHERE starts_with(datname, $1)', [target]),
  );
  for (const row of rows) await dropDatabase(row['datname'] ?? '');
});

afterAll(async () => {
  await production.drop();
  await rm(folder, {recursive: true, force: true});
});

it('creates a copy without any person of production, in which the joins and the keys still fit', async () => {
  await configure(shopMasks);
  const before = await production.query(joins);
  const preview = await refresh('--dry-run');
  expect(preview.status).toBe(0);
  expect(preview.json()).toMatchObject({
    mode: 'dry-run',
    target,
    present: null,
    personal: [],
    masked: null,
    masks: expect.arrayContaining([{column: 'public.orders.email', mask: 'email'}]) as unknown,
  });
  expect(await databaseExists(target)).toBe(false);

  const done = await refresh();
  expect(done.stderr).toBe('');
  expect(done.status).toBe(0);
  expect(done.json()).toMatchObject({mode: 'execute', setAside: null, masked: {proof: {passed: true}}});
  const copy = existingDatabase(target);
  const rows = rowsOf(copy);
  const left = (await people()).filter((value) => rows.includes(value));
  expect(left).toEqual([]);
  expect(await copy.query(joins)).toEqual(before);
  expect(await copy.query('SELECT conname FROM pg_constraint WHERE NOT convalidated')).toEqual([]);
  const [{comment} = {}] = await copy.query(
    `SELECT shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = current_database()`,
  );
  expect(comment).toMatch(/^destino-db masked \{"at":/);
});

it('replaces the copy, keeps one old database, and undo takes it back', async () => {
  const small = await createTempDatabase('template0');
  await small.run(`CREATE TABLE people AS SELECT 1 AS id, 'ann@shop.example' AS email`);
  const cwd = await tempFolder();
  const masks = {'public.people.email': {mask: 'email'}};
  await writeFile(join(cwd, 'destino-db.config.json'), JSON.stringify({masks}));
  const env = {DIRECT_URL: small.url, STAGING_URL: existingDatabase(target).url};
  expect((await runCli(['backup'], {cwd, env})).status).toBe(0);
  const names: unknown[] = [];
  for (let times = 0; times < 3; times++) {
    const done = await runCli(['refresh', '--target-url-env', 'STAGING_URL', '--yes', '--json'], {cwd, env});
    expect(done.status).toBe(0);
    const {setAside, dropped} = done.json() as {setAside: string | null; dropped: string[]};
    expect(dropped).toEqual(times < 2 ? [] : [names.at(-1)]);
    if (setAside !== null) expect(await databaseExists(setAside)).toBe(true);
    names.push(setAside);
  }
  const undone = await runCli(['undo', '--yes', '--json'], {cwd, env: {DIRECT_URL: env.STAGING_URL}});
  expect(undone.status).toBe(0);
  expect(undone.json()).toMatchObject({broughtBack: names.at(-1)});
  await small.drop();
  await rm(cwd, {recursive: true});
});

it('records its backups as masked, which --latest never means for production', async () => {
  await configure(shopMasks);
  expect((await refresh()).status).toBe(0);
  const env = {DIRECT_URL: existingDatabase(target).url};
  const copied = await run(['backup', '--json'], env);
  const {id} = copied.json() as {id: string};
  const listed = await run(['list', '--json']);
  const {backups} = listed.json() as {backups: {id: string; masked: boolean}[]};
  expect(backups.find((one) => one.id === id)?.masked).toBe(true);
  expect(backups.filter(({masked}) => masked)).toHaveLength(1);
  expect((await run(['list'])).stdout).toContain('whole, masked');
  expect((await run(['show', id])).stdout).toMatch(/contains +the whole database, of a masked copy/);
  expect((await run(['status'])).stdout).toMatch(/refreshed_shop \(masked\) /);
  expect((await run(['history'])).stdout).toMatch(
    /refresh +refreshed_shop .*16 columns masked, \d+ checks passed/,
  );
  expect((await run(['report'])).status).toBe(0);
  expect(await readFile(join(folder, 'backups', 'report.html'), 'utf8')).toContain('of a masked copy');
  // The masked copy itself may be restored from its own backup.
  const own = await run(['restore', 'latest', '--drop-existing', '--dry-run', '--json'], env);
  expect(own.json()).toMatchObject({backup: id});
  // The same database, no longer a masked copy or listed as production.
  await configure(shopMasks, {production: {databases: [target]}});
  const refused = await run(['restore', 'latest', '--drop-existing', '--dry-run', '--json'], env);
  expect(refused.json()).toMatchObject({
    error: {code: 'BACKUP_NOT_FOUND', details: [`${id}: a backup of a masked copy`]},
  });
});

it('refuses production, and the source itself through any address', async () => {
  await configure(shopMasks, {production: {databases: [target]}});
  const guarded = await refresh();
  expect(guarded.status).toBe(5);
  expect(guarded.json()).toMatchObject({
    error: {code: 'GUARD', message: expect.stringContaining('is production') as string},
  });
  await configure(shopMasks);
  const byEnvironment = await run(
    ['refresh', '--target-url-env', 'STAGING_URL', '--confirm-db', target, '--json'],
    {NODE_ENV: 'production'},
  );
  expect(byEnvironment.json()).toMatchObject({error: {code: 'GUARD'}});
  const elsewhere = new URL(production.url);
  elsewhere.hostname = 'localhost';
  for (const url of [production.url, elsewhere.href]) {
    const refused = await run(['refresh', '--target-url-env', 'OTHER', '--yes', '--json'], {OTHER: url});
    expect(refused.status).toBe(5);
    expect(refused.json()).toMatchObject({
      error: {code: 'GUARD', message: expect.stringContaining('was taken from') as string},
    });
  }
  // Also where the settings name another database than the backup's.
  const other = await createTempDatabase('template0');
  const byRecord = await run(['refresh', await newest(), '--target-url-env', 'OTHER', '--yes', '--json'], {
    DIRECT_URL: other.url,
    OTHER: elsewhere.href,
  });
  await other.drop();
  expect(byRecord.json()).toMatchObject({error: {code: 'GUARD'}});
  expect(await databaseExists(target)).toBe(false);
});

async function newest(): Promise<string> {
  const {backups} = (await run(['list', '--json'])).json() as {backups: {id: string; masked: boolean}[]};
  return backups.find(({masked}) => !masked)?.id ?? '';
}

it('masks a plain dump before its keys, triggers and materialized views exist, and names a key that refuses masked values', async () => {
  const small = await createTempDatabase('template0');
  await small.run(`
      CREATE TABLE teams (id int PRIMARY KEY, lead text);
      CREATE TABLE people (id int PRIMARY KEY, team int REFERENCES teams, email text UNIQUE, nick text, CONSTRAINT nicks UNIQUE (team, nick));
      ALTER TABLE teams ADD FOREIGN KEY (lead) REFERENCES people (email);
      INSERT INTO teams VALUES (1); INSERT INTO people VALUES (1, 1, 'ann@shop.example', 'annie'), (2, 1, 'bob@shop.example', 'bobby');
      UPDATE teams SET lead = 'bob@shop.example';
      CREATE MATERIALIZED VIEW leads AS SELECT t.id, p.email FROM teams t JOIN people p ON p.email = t.lead;
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no writes'; END$$;
      CREATE TRIGGER refuse BEFORE INSERT OR UPDATE OR DELETE ON people FOR EACH ROW EXECUTE FUNCTION refuse();
      CREATE TRIGGER refuse_all BEFORE TRUNCATE ON people EXECUTE FUNCTION refuse()`);
  const env = {DIRECT_URL: small.url};
  expect((await run(['backup', '--format', 'sql'], env)).status).toBe(0);
  const masks = {'public.people.email': {mask: 'email'}, 'public.teams.lead': {mask: 'email'}};
  const args = ['refresh', '--target-url-env', 'STAGING_URL', '--yes', '--json'];
  await configure({...masks, 'public.people.nick': {mask: 'constant', value: 'x'}});
  const refused = await run(args, env);
  expect(refused.json()).toMatchObject({
    error: {code: 'MASK_REFUSED', message: expect.stringContaining('public.people by "nicks"') as string},
  });
  expect(await databaseExists(target)).toBe(false);
  // One side of a key would change: known before the masks, although the key is not there yet.
  await configure({
    'public.people.email': {mask: 'email'},
    'public.teams.lead': {mask: 'keep', reason: 'x'},
  });
  expect((await run(args, env)).json()).toMatchObject({
    error: {code: 'MASK_REFUSED', message: expect.stringContaining('"teams_lead_fkey"') as string},
  });
  await configure({...masks, 'public.people.nick': {mask: 'hash'}});
  const done = await run(args, env);
  await small.drop();
  expect(done.json()).toMatchObject({masked: {proof: {passed: true}}});
  const copy = existingDatabase(target);
  expect(
    await copy.query(
      `SELECT count(*) AS leads FROM leads l JOIN people p USING (email) JOIN teams t ON t.lead = p.email WHERE email LIKE '%@masked.invalid'`,
    ),
  ).toEqual([{leads: '1'}]);
  await expect(copy.query('DELETE FROM people')).rejects.toThrow('no writes');
  expect(await copy.query(`SELECT nspname FROM pg_namespace WHERE nspname LIKE 'destino%'`)).toEqual([]);
});

it('keeps chosen rows with all that they need, masked', async () => {
  await configure(shopMasks, {
    subset: {'public.orders': `"createdAt" > '2026-04-01'`, 'public.email_alerts': 'none'},
  });
  const preview = await run(['refresh', '--target-url-env', 'STAGING_URL', '--dry-run']);
  expect(preview.stdout).toMatch(/public\.email_alerts +rows: none/);
  const done = await refresh();
  expect(done.status).toBe(0);
  const {masked} = done.json() as {masked: {reduced: {table: string; rows: number; before: number}[]}};
  const copy = existingDatabase(target);
  const [counts] = await copy.query(
    `SELECT (SELECT count(*) FROM orders) AS orders, (SELECT count(*) FROM orders WHERE "createdAt" <= '2026-04-01') AS old, (SELECT count(*) FROM email_alerts) AS alerts`,
  );
  const orders = masked.reduced.find(({table}) => table === 'public.orders');
  expect(counts).toEqual({orders: String(orders?.rows), old: '0', alerts: '0'});
  expect(orders?.rows).toBeLessThan(orders?.before ?? 0);
  const rows = rowsOf(copy);
  expect((await people()).filter((value) => rows.includes(value))).toEqual([]);
});

const leaks = [
  [
    'a jsonb field',
    `UPDATE products SET custom_attributes = '{"supplier": {"contact": "jane.doe@planted.example"}}' WHERE id = (SELECT min(id::text)::uuid FROM products)`,
    'public.products.custom_attributes',
  ],
  [
    'an address in a comment',
    `UPDATE catering_order_items SET notes = 'call jane.doe@planted.example' WHERE id = (SELECT min(id::text)::uuid FROM catering_order_items)`,
    'public.catering_order_items.notes',
  ],
  ['a new column', 'ALTER TABLE profiles ADD COLUMN birth_date date', 'public.profiles.birth_date'],
] as const;
it.each(cases(leaks))(
  'stops at %s that has no mask, before anything is restored',
  async (_what, sql, column) => {
    await configure(shopMasks);
    const leaky = await createTempDatabase();
    await leaky.run(sql);
    const env = {DIRECT_URL: leaky.url};
    expect((await run(['backup'], env)).status).toBe(0);
    const stopped = await run(['refresh', '--target-url-env', 'STAGING_URL', '--yes', '--json'], env);
    const preview = await run(['refresh', '--target-url-env', 'STAGING_URL', '--dry-run'], env);
    await leaky.drop();
    expect(stopped.status).toBe(5);
    expect(stopped.json()).toMatchObject({error: {code: 'PERSONAL_DATA'}});
    expect(stopped.stdout).toContain(column);
    expect(stopped.stdout).not.toContain('jane.doe');
    expect(preview.status).toBe(5);
    expect(preview.stdout).toContain(column);
    expect(await databaseExists(target)).toBe(false);
  },
);
