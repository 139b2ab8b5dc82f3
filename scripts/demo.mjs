// The main job, on a throw-away server with the sample shop: back up in every format, restore one, compare, preview a cleaning.
// usage: npm run demo (which builds first). The server is removed at the end; the backups stay.
import {execFileSync, spawnSync} from 'node:child_process';
import {existsSync, readFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {withSession} from './app-session.mjs';
import {withDatabase} from '../dist/lib/postgres/connect/connection.js';
import {serverBinFolders, startLocalCluster} from '../dist/lib/postgres/tools/local-cluster.js';
import {quoteQualified} from '../dist/lib/postgres/quote.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const backups = join(process.cwd(), 'backups');
const say = (text) => process.stdout.write(`\n${text}\n`);

let [server] = await serverBinFolders();
if (!server) {
  say('PostgreSQL is not installed; installing it.');
  execFileSync('bash', [join(root, 'scripts/install-programs.sh'), 'postgres'], {stdio: 'inherit'});
  [server] = await serverBinFolders();
  if (!server)
    throw new Error('PostgreSQL was installed, but its server programs are not where they are looked for.');
}

const cluster = await startLocalCluster({binFolder: server.folder});
try {
  say(`A throw-away PostgreSQL ${server.major} server listens on 127.0.0.1:${cluster.connection.port}.`);
  await withSession(cluster.connection, (session) => session.query('CREATE DATABASE shop'));
  const shop = withDatabase(cluster.connection, 'shop');
  await withSession(shop, async (session) => {
    for (const file of [
      'test/fixtures/shop-schema.sql',
      'scripts/seed-shop.sql',
      'test/fixtures/shop-data.sql',
    ])
      await session.client.query(readFileSync(join(root, file), 'utf8'));
    await session.query('ANALYZE');
  });
  const before = await digest(shop);
  say(`The sample shop is loaded: ${before.size} tables.`);

  for (const format of ['custom', 'sql', 'directory']) run('backup', `--format=${format}`);
  run('list');
  run('restore', '--latest', '--target-db=shop_restored', '--create-db', '--yes');
  const after = await digest(withDatabase(cluster.connection, 'shop_restored'));
  const different = [...before]
    .filter(([table, content]) => after.get(table) !== content)
    .map(([table]) => table);
  if (different.length > 0 || after.size !== before.size)
    throw new Error(
      `The restored database differs from the shop: ${different.join(', ') || 'other tables'}.`,
    );
  say(`Every row of all ${before.size} tables of shop_restored equals the shop's.`);
  if (existsSync(join(root, 'dist/commands/orders/clean.js'))) run('orders:clean');
} finally {
  await cluster.stop();
}
say(`The server is gone. The backups are in ${backups}`);

/** Runs the program as a user would, with the database in its environment; a failure ends the demo. */
function run(...args) {
  const {host, port, user, password} = cluster.connection;
  const url = `postgresql://${user}:${password}@${host}:${port}/shop?sslmode=disable`;
  say(`$ destino-db ${args.join(' ')}`);
  const {status} = spawnSync(process.execPath, [join(root, 'bin/run.js'), ...args], {
    stdio: 'inherit',
    env: {...process.env, DIRECT_URL: url},
  });
  if (status !== 0) throw new Error(`destino-db ${args[0]} ended with ${String(status)}.`);
}

/** Each table's rows as one hash, whatever their order. */
async function digest(connection) {
  return withSession(connection, async (session) => {
    const tables = await session.query(
      `SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
       WHERE c.relkind = 'r' AND n.nspname !~ '^pg_|^information_schema$' ORDER BY 1, 2`,
    );
    const contents = new Map();
    for (const {nspname, relname} of tables) {
      const [row] = await session.query(
        `SELECT count(*) || ' ' || coalesce(md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))), '') AS content FROM ${quoteQualified(nspname, relname)} AS t`,
      );
      contents.set(`${nspname}.${relname}`, row.content);
    }
    return contents;
  });
}
