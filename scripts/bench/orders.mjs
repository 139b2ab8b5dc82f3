// The orders benchmark: a shop with many testing orders, and the same cleaning and restoring written by hand for psql.
import {readFileSync} from 'node:fs';
import {withSession} from '../../dist/lib/postgres/client.js';

const read = (path) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

/** 30 % of the orders are of test addresses; three items each. */
export async function fillOrders(connection, count) {
  await withSession(connection, async (session) => {
    await session.client.query(read('test/fixtures/shop-schema.sql'));
    await session.client.query(read('scripts/seed-shop.sql'));
    await session.query('SELECT pg_temp.seed_catalogue()');
    await session.query(`
      INSERT INTO orders (id, status, total, "customerName", email, phone, "paymentStatus", "createdAt", "updatedAt")
      SELECT md5('o' || n)::uuid, 'PENDING', 20, 'Customer ' || n,
             CASE WHEN n % 10 < 3 THEN 'test' || n || '@example.com' ELSE 'ana.gomez' || n || '@gmail.com' END,
             '+14155550100', CASE WHEN n % 10 < 3 THEN 'PENDING' ELSE 'PAID' END::"PaymentStatus",
             timestamp '2026-01-01' + n * interval '1 second', timestamp '2026-01-01'
        FROM generate_series(1, ${count}) AS n`);
    await session.query(`
      INSERT INTO order_items (id, quantity, price, "productId", "orderId", "createdAt", "updatedAt")
      SELECT md5('i' || n || '-' || k)::uuid, k, 10, p.id, md5('o' || n)::uuid, timestamp '2026-01-01', timestamp '2026-01-01'
        FROM generate_series(1, ${count}) AS n,
             (SELECT id, row_number() OVER (ORDER BY id) AS k FROM products ORDER BY id LIMIT 3) AS p`);
    await session.query('VACUUM ANALYZE');
    await session.query('CHECKPOINT');
  });
}

/** COPY to files and DELETE, as somebody who knows the tables would write it. */
export const cleanByHand = (folder) => `
BEGIN ISOLATION LEVEL REPEATABLE READ;
CREATE TEMP TABLE gone AS SELECT id FROM orders WHERE email LIKE 'test%@example.com' FOR UPDATE;
ANALYZE gone;
\\copy (SELECT o.* FROM orders o JOIN gone g ON g.id = o.id) TO '${folder}/orders.copy'
\\copy (SELECT i.* FROM order_items i JOIN gone g ON g.id = i."orderId") TO '${folder}/items.copy'
DELETE FROM orders USING gone WHERE orders.id = gone.id;
COMMIT;
`;

export const restoreByHand = (folder) => `
BEGIN;
\\copy orders FROM '${folder}/orders.copy'
\\copy order_items FROM '${folder}/items.copy'
COMMIT;
`;
