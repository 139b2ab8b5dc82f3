// The orders benchmark: a shop with many testing orders, and the same preview, cleaning and restoring written by hand for psql.
import {cp, mkdir, readdir, rm, stat, writeFile} from 'node:fs/promises';
import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {withSession} from '../app-session.mjs';
import {withDatabase} from '../../dist/lib/postgres/connect/connection.js';

const read = (path) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

/** 30 % of the orders are of test addresses; each has three items (CASCADE), a payment (RESTRICT) and an e-mail alert (SET NULL). */
async function fillOrders(connection, count) {
  await withSession(connection, async (session) => {
    await session.client.query(read('test/fixtures/shop-schema.sql'));
    await session.client.query(read('scripts/seed-shop.sql'));
    await session.query('SELECT pg_temp.seed_catalogue()');
    const testAddress = (n) => `CASE WHEN ${n} % 10 < 3 THEN 'test' || ${n} || '@example.com' ELSE 'ana.gomez' || ${n} || '@gmail.com' END`;
    const status = `CASE WHEN n % 10 < 3 THEN 'PENDING' ELSE 'PAID' END::"PaymentStatus"`;
    const time = `timestamp '2026-01-01' + n * interval '1 second'`;
    await session.query(`
      INSERT INTO orders (id, status, total, "customerName", email, phone, "paymentStatus", "createdAt", "updatedAt")
      SELECT md5('o' || n)::uuid, 'PENDING', 20, 'Customer ' || n, ${testAddress('n')}, '+14155550100', ${status}, ${time}, ${time}
        FROM generate_series(1, ${count}) AS n`);
    await session.query(`
      INSERT INTO order_items (id, quantity, price, "productId", "orderId", "createdAt", "updatedAt")
      SELECT md5('i' || n || '-' || k)::uuid, k, 10, p.id, md5('o' || n)::uuid, ${time}, ${time}
        FROM generate_series(1, ${count}) AS n,
             (SELECT id, row_number() OVER (ORDER BY id) AS k FROM products ORDER BY id LIMIT 3) AS p`);
    await session.query(`
      INSERT INTO payments (id, "squarePaymentId", "orderId", amount, status, "rawData", "createdAt", "updatedAt")
      SELECT md5('p' || n)::uuid, 'sq-' || n, md5('o' || n)::uuid, 20, ${status}, jsonb_build_object('id', 'sq-' || n, 'amount', 20.00), ${time}, ${time}
        FROM generate_series(1, ${count}) AS n`);
    await session.query(`
      INSERT INTO email_alerts (id, type, status, "recipientEmail", subject, "relatedOrderId", "createdAt", "updatedAt")
      SELECT md5('a' || n)::uuid, 'CUSTOMER_ORDER_CONFIRMATION', 'SENT', ${testAddress('n')}, 'Your order ' || n, md5('o' || n)::uuid, ${time}, ${time}
        FROM generate_series(1, ${count}) AS n`);
    await session.query('VACUUM ANALYZE');
    await session.query('CHECKPOINT');
  });
} // prettier-ignore

/** The tables that an order's rows are in, parents first, and how they refer to it. */
const children = {order_items: '"orderId"', payments: '"orderId"', email_alerts: '"relatedOrderId"'};
const tables = ['orders', ...Object.keys(children)];
const isTesting = `email LIKE 'test%@example.com'`;

const previewByHand = `
BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;
SELECT count(*) FROM orders WHERE ${isTesting};
${Object.entries(children)
  .map(
    ([table, column]) =>
      `SELECT count(*) FROM ${table} c JOIN orders o ON o.id = c.${column} WHERE o.${isTesting};`,
  )
  .join('\n')}
COMMIT;
`;

/** COPY to files and DELETE, as somebody who knows the tables would write it: the server's cascade takes the items. */
const cleanByHand = (folder) => `
BEGIN ISOLATION LEVEL REPEATABLE READ;
CREATE TEMP TABLE gone AS SELECT id FROM orders WHERE ${isTesting} FOR UPDATE;
ANALYZE gone;
\\copy (SELECT o.* FROM orders o JOIN gone g ON g.id = o.id) TO '${folder}/orders.copy'
${Object.entries(children)
  .map(
    ([table, column]) =>
      `\\copy (SELECT c.* FROM ${table} c JOIN gone g ON g.id = c.${column}) TO '${folder}/${table}.copy'`,
  )
  .join('\n')}
DELETE FROM payments USING gone WHERE payments."orderId" = gone.id;
DELETE FROM email_alerts USING gone WHERE email_alerts."relatedOrderId" = gone.id;
DELETE FROM orders USING gone WHERE orders.id = gone.id;
COMMIT;
`;

const restoreByHand = (folder) => `
BEGIN;
${tables.map((table) => `\\copy ${table} FROM '${folder}/${table}.copy'`).join('\n')}
COMMIT;
`;

/**
 * Measures preview, clean and restore, each on a fresh copy of the same seeded database.
 * @param bench what bench.mjs offers: connection, onServer, stock, ours, note, work and keep (folders), runs, major
 * @param parts which of 'preview', 'clean' and 'restore'
 */
export async function benchOrders(bench, count, parts) {
  const {onServer, stock, ours, note, runs, work} = bench;
  const base = `orders_${count}`;
  const kept = join(bench.keep ?? work, base);
  const backups = join(work, 'backups');
  await mkdir(join(kept, 'hand'), {recursive: true});
  const script = join(work, 'script.sql');
  const byHand = async (text, database) => {
    await writeFile(script, text);
    return stock('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', script], database);
  };
  const clean = async (database) => {
    await rm(backups, {recursive: true, force: true});
    const sample = await ours(['orders:clean', '--execute', '--yes'], database);
    const [file] = await readdir(join(backups, 'order-cleanup'));
    const path = join(backups, 'order-cleanup', file);
    return {sample: {...sample, sizeMb: (await stat(path)).size / 1e6}, path};
  };
  const handSize = async (folder) => {
    const sizes = await Promise.all(
      tables.map(async (table) => (await stat(join(folder, `${table}.copy`))).size),
    );
    return sizes.reduce((sum, size) => sum + size, 0) / 1e6;
  };
  const isMade = async (database) =>
    (await onServer(`SELECT 1 FROM pg_database WHERE datname = '${database}'`)).length > 0;
  const copyDatabase = async (name, template) => {
    await onServer(`DROP DATABASE IF EXISTS ${name}`);
    // Since 15 the default writes every page into the WAL as well.
    await onServer(
      `CREATE DATABASE ${name} TEMPLATE ${template} ${bench.major < 15 ? '' : 'STRATEGY file_copy'}`,
    );
  };
  /** Makes a database once; one that was not finished is made anew. */
  const once = async (name, make) => {
    if (await isMade(name)) return;
    await make(`${name}_partial`);
    await onServer(`ALTER DATABASE ${name}_partial RENAME TO ${name}`);
  };
  const rowsOf = async (database) => {
    const counts = tables.map((table) => `(SELECT count(*) FROM ${table})`).join(` || ' ' || `);
    return withSession(withDatabase(bench.connection, database), async (session) =>
      String((await session.query(`SELECT ${counts} AS rows`))[0].rows),
    );
  };
  const mustEqual = async (database, rows, what) => {
    const found = await rowsOf(database);
    if (found !== rows) throw new Error(`${what} left other rows than it should: ${found}, not ${rows}`);
  };

  await once(base, async (name) => {
    await onServer(`DROP DATABASE IF EXISTS ${name}`);
    await onServer(`CREATE DATABASE ${name}`);
    await fillOrders(withDatabase(bench.connection, name), count);
  });
  // Both ways of restoring begin with the same cleaned database, each with the file that its own way of cleaning wrote.
  const cleaned = `${base}_cleaned`;
  await once(cleaned, async (name) => {
    await copyDatabase(name, base);
    const {path} = await clean(name);
    await cp(path, join(kept, 'orders-backup.json'));
    await copyDatabase(name, base);
    await byHand(cleanByHand(join(kept, 'hand')), name);
  });
  const left = await rowsOf(cleaned);
  const all = await rowsOf(base);
  const scratch = 'orders_scratch';

  const sides = {
    preview: {
      'psql: counts': () => byHand(previewByHand, base),
      'orders:clean': () => ours(['orders:clean'], base),
    },
    clean: {
      'psql: COPY and DELETE': async () => {
        await copyDatabase(scratch, base);
        const sample = await byHand(cleanByHand(work), scratch);
        await mustEqual(scratch, left, 'cleaning by hand');
        return {...sample, sizeMb: await handSize(work)};
      },
      'orders:clean --execute': async () => {
        await copyDatabase(scratch, base);
        const {sample} = await clean(scratch);
        await mustEqual(scratch, left, 'orders:clean');
        return sample;
      },
    },
    restore: {
      'psql: COPY': async () => {
        await copyDatabase(scratch, cleaned);
        const sample = await byHand(restoreByHand(join(kept, 'hand')), scratch);
        await mustEqual(scratch, all, 'restoring by hand');
        return sample;
      },
      'orders:restore --execute': async () => {
        await copyDatabase(scratch, cleaned);
        const file = `--backup-file=${join(kept, 'orders-backup.json')}`;
        const sample = await ours(['orders:restore', file, '--execute', '--yes'], scratch);
        await mustEqual(scratch, all, 'orders:restore');
        return sample;
      },
    },
  };
  for (const part of runs === 0 ? [] : parts) {
    const samples = await bench.alternate(sides[part], runs);
    note(`orders: ${part} 30 % of ${count}`, samples, Object.keys(sides[part])[0]);
  }
  await onServer(`DROP DATABASE IF EXISTS ${scratch}`);
}
