/** The sample shop has the properties that the other tests and the demo rely on. */
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';

let shop: TempDatabase;
beforeAll(async () => {
  shop = await createTempDatabase();
});
afterAll(() => shop.drop());

describe('the sample shop', () => {
  it('has the same rows on every machine and day', async () => {
    const tables = await shop.query(
      `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY relname COLLATE "C"`,
    );
    const digests: Record<string, unknown> = {};
    for (const {relname} of tables) {
      const [row] = await shop.query(
        `SELECT count(*) || ' ' || left(md5(string_agg(md5(t::text), '' ORDER BY t::text COLLATE "C")), 8) AS digest FROM "${String(relname)}" AS t`,
      );
      digests[String(relname)] = row?.['digest'];
    }
    expect(digests).toMatchInlineSnapshot(`
      {
        "_prisma_migrations": "3 46a914b2",
        "categories": "4 d3b25961",
        "catering_order_items": "120 b44c9210",
        "catering_orders": "60 32561c72",
        "catering_package_items": "18 5a915414",
        "catering_packages": "6 8727aeaa",
        "customer_email_preferences": "41 d5f45da3",
        "email_alerts": "412 3b1f9e98",
        "order_items": "800 8aa6c29c",
        "orders": "404 893a82fb",
        "payments": "359 7331604d",
        "products": "24 f1ddd09b",
        "profiles": "55 9f72b02c",
        "refunds": "38 1dcf8c57",
        "variants": "48 fd41d195",
      }
    `);
  });

  it('has paid orders above and just below the guarded amount, from customers and from testers', async () => {
    const [row] = await shop.query(`
      SELECT count(*) FILTER (WHERE total > 100) > 5 AS high, count(*) FILTER (WHERE total > 100 AND email = 'test@gmail.com') > 0 AS high_test,
        count(*) FILTER (WHERE total = 100) > 0 AS exact,
        (SELECT count(*) > 5 FROM catering_orders WHERE "totalAmount" > 100 AND "paymentStatus" IN ('PAID', 'COMPLETED')) AS high_catering
      FROM orders WHERE "paymentStatus" IN ('PAID', 'COMPLETED')`);
    expect(row).toEqual({high: 't', high_test: 't', exact: 't', high_catering: 't'});
  });

  it('leaves no function of its seeding behind', async () => {
    expect(await shop.query(`SELECT proname FROM pg_proc WHERE oid >= 16384`)).toEqual([]);
  });
});
