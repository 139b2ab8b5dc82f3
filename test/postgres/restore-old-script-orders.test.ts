/** Order backups of the old scripts are restored with their text unchanged, through the server alone. */
import {rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {type RestoreOrdersOptions, restoreOrders} from '../../src/lib/services/orders/restore/execute.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

let database: TempDatabase;
let folder: string;
let path: string;
let productId: string;

const orderId = '6a72faa5-f51b-4f23-880c-3a6ff20d06f3';
const cateringId = '457b5160-2326-4d46-8cc9-7ecf340004ce';
const paymentId = '39fbc1bc-2c16-4a03-8dd8-e9ba3d43481b';
const at = '"createdAt": "2024-09-13T02:44:39.631Z", "updatedAt": "2024-09-13T03:44:39.631Z"';

/** JSON texts, because JSON.stringify could not write these cases. */
function texts() {
  const item = `{"id": "84a52e58-21ef-4c38-8f48-08e4e2013a1f", "quantity": 7, "price": "3.28", "productId": "${productId}", "variantId": null, "orderId": "${orderId}", ${at}}`;
  const alert = `{"id": "0e2a35eb-768d-4622-847d-811e801a526d", "type": "NEW_ORDER", "priority": "HIGH", "status": "FAILED", "recipientEmail": "james@destinosf.com", "subject": "Order 🌮",
    "sentAt": null, "failedAt": "2024-09-13T02:44:45.631Z", "retryCount": 2, "metadata": {"total": 219.90}, "relatedOrderId": "${orderId}", "relatedUserId": null, ${at}}`;
  const payment = (refunds: string) =>
    `{"id": "${paymentId}", "squarePaymentId": "SQPAY1", "orderId": "${orderId}", "amount": "312.1", "status": "FAILED", "rawData": {"a": 1.10, "big": 12345678901234567890, "b": 1e400, "__proto__": {"x": [9007199254740993]}}, ${at}${refunds}}`;
  const refund = `{"id": "24e3a893-5a52-41b0-84f3-678c9bd85246", "squareRefundId": "SQREF1", "paymentId": "${paymentId}", "amount": "19.83", "reason": "quote \\" and \\\\ and\\ttab", "status": "REJECTED", "rawData": null, ${at}}`;
  const cateringItem = `{"id": "2a8184cd-3396-4e92-8221-e155885d43a0", "orderId": "${cateringId}", "packageId": null, "itemType": "appetizer", "itemName": "Dish 1", "quantity": 5, "pricePerUnit": "12.5", "totalPrice": "62.5", "notes": null, ${at}}`;
  const order = `{"id": "${orderId}", "squareOrderId": "SQORD8162x", "status": "CANCELLED", "total": "219.9", "userId": null, "customerName": "Lucía García", "email": "u8162@demo.org", "phone": "-",
    "fulfillmentType": "pickup", "notes": "a\\nb", "tags": ["a\\"b", null, "null", "{}"], "pickupTime": "2024-09-14T00:00:00.000Z", "shippingCostCents": 1061, "paymentStatus": "PENDING", "rawData": {"cart": [1,
      2]}, ${at}, "taxAmount": "18.14", "deliveryFee": "0", "serviceFee": "0", "gratuityAmount": "0", "isCateringOrder": false, "paymentMethod": "SQUARE", "archivedBy": null, "isArchived": true,
    "labelLockHolder": "me", "version": 3, "idempotencyKey": "idem-8162",
    "items": [${item}], "payments": [${payment(`, "refunds": [${refund}]`)}], "emailAlerts": [${alert}]}`;
  const catering = `{"id": "${cateringId}", "customerId": null, "email": "qa@gmail.com", "name": "Guest", "phone": "-", "eventDate": "2024-10-04T04:48:57.162Z", "numberOfPeople": 70, "totalAmount": "3379.86",
    "status": "CONFIRMED", "deliveryAddressJson": {"lat": 37.7940}, "squareCheckoutId": "chk", "paymentMethod": "SQUARE", "paymentStatus": "PAID", ${at}, "isArchived": false, "retryCount": 0, "items": [${cateringItem}]}`;
  return {order, catering, alert, item, payment: payment(''), refund, cateringItem};
}

interface Shape {
  without?: string[];
  total?: number;
  change?: (text: string) => string;
}

async function write({without = [], total = 7, change = (text) => text}: Shape = {}): Promise<void> {
  const {order, catering, alert, item, payment, refund, cateringItem} = texts();
  const lists = {
    regularOrders: order, cateringOrders: catering, emailAlerts: alert, orderItems: item, payments: payment, refunds: refund, cateringOrderItems: cateringItem,
  }; // prettier-ignore
  const members = Object.entries(lists)
    .filter(([name]) => !without.includes(name))
    .map(([name, text]) => `  "${name}": [\n    ${text}\n  ]`);
  const metadata = `  "metadata": {"timestamp": "2026-11-22T11-11-40-931Z", "totalRecords": ${total}, "config": {"dryRun": false}}`;
  await writeFile(path, change(`{\n${[...members, metadata].join(',\n')}\n}`));
}

function run(options: Partial<RestoreOrdersOptions> = {}) {
  const context = testContext(folder, {settings: {databaseUrl: database.url}});
  return restoreOrders(context, {
    backupFile: path,
    execute: true,
    failOnConflicts: true,
    onlyOrders: [],
    ...options,
  });
}

beforeAll(async () => {
  database = await createTempDatabase();
  folder = await tempFolder();
  path = join(folder, 'orders-backup-2026-11-22T11-11-40-931Z.json');
  await database.run('ALTER TABLE orders ADD COLUMN tags text[]');
  productId = (await database.query('SELECT id FROM products ORDER BY id LIMIT 1'))[0]?.['id'] ?? '';
});

afterAll(async () => {
  await Promise.all([database.drop(), rm(folder, {recursive: true, force: true})]);
});

async function remove(): Promise<void> {
  await database.run(`
    DELETE FROM refunds WHERE "paymentId" = '${paymentId}'; DELETE FROM payments WHERE "orderId" = '${orderId}';
    DELETE FROM email_alerts WHERE "relatedOrderId" = '${orderId}'; DELETE FROM orders WHERE id = '${orderId}'; DELETE FROM catering_orders WHERE id = '${cateringId}';
  `);
}

async function check(): Promise<void> {
  const [order] =
    await database.query(`SELECT total, fulfillment_type, pickup_time, shipping_cost_cents, "rawData"::text AS raw,
    tax_amount, is_archived, label_lock_holder, notes, tags, "createdAt", version FROM orders WHERE id = '${orderId}'`);
  expect(order).toEqual({
    total: '219.90', fulfillment_type: 'pickup', pickup_time: '2024-09-14 00:00:00', shipping_cost_cents: '1061', raw: '{"cart": [1, 2]}',
    tax_amount: '18.14', is_archived: 't', label_lock_holder: 'me', notes: 'a\nb', tags: '{"a\\"b",NULL,"null","{}"}', createdAt: '2024-09-13 02:44:39.631', version: '3',
  }); // prettier-ignore
  const [payment] = await database.query(
    `SELECT "rawData"::text AS raw, amount FROM payments WHERE id = '${paymentId}'`,
  );
  expect(payment).toEqual({
    raw: `{"a": 1.10, "b": 1${'0'.repeat(400)}, "big": 12345678901234567890, "__proto__": {"x": [9007199254740993]}}`,
    amount: '312.10',
  });
  const [refund] = await database.query(
    `SELECT reason, "rawData" IS NULL AS empty FROM refunds WHERE "paymentId" = '${paymentId}'`,
  );
  expect(refund).toEqual({reason: 'quote " and \\ and\ttab', empty: 't'});
  const [catering] = await database.query(
    `SELECT delivery_address_json::text AS address, square_checkout_id FROM catering_orders WHERE id = '${cateringId}'`,
  );
  expect(catering).toEqual({address: '{"lat": 37.7940}', square_checkout_id: 'chk'});
  expect(
    await database.query(`SELECT 1 FROM catering_order_items WHERE "orderId" = '${cateringId}'`),
  ).toHaveLength(1);
  expect(await database.query(`SELECT 1 FROM order_items WHERE "orderId" = '${orderId}'`)).toHaveLength(1);
  expect(
    await database.query(`SELECT 1 FROM email_alerts WHERE "relatedOrderId" = '${orderId}'`),
  ).toHaveLength(1);
}

it('restores each row once, under the names of the columns, with the original spelling of numbers and keys', async () => {
  await write();
  const result = await run();
  expect(result.tables).toEqual(
    Object.fromEntries(
      [
        'orders',
        'catering_orders',
        'email_alerts',
        'order_items',
        'payments',
        'refunds',
        'catering_order_items',
      ].map((name) => [`public.${name}`, {restored: 1, relinked: 0, skipped: 0}]),
    ),
  );
  expect(result.notes.join(' ')).toContain('milliseconds only');
  await check();
  await remove();
});

it('uses the copies inside the orders if a flat list is missing', async () => {
  await write({without: ['emailAlerts', 'orderItems', 'payments', 'refunds', 'cateringOrderItems']});
  const result = await run();
  expect(Object.values(result.tables).reduce((sum, {restored}) => sum + restored, 0)).toBe(7);
  await check();
  await remove();
});

it('restores one order with its rows', async () => {
  await write();
  const result = await run({onlyOrders: [cateringId]});
  expect(result.tables['public.catering_order_items']).toEqual({restored: 1, relinked: 0, skipped: 0});
  expect(result.tables['public.orders']).toEqual({restored: 0, relinked: 0, skipped: 0});
  expect(await database.query(`SELECT 1 FROM orders WHERE id = '${orderId}'`)).toEqual([]);
  await remove();
});

it.each<[string, Shape, string]>([
  [
    'a list shorter than what was written',
    {change: (text) => text.replace(/"refunds": \[\n[^]*?\n {2}\]/, '"refunds": []')},
    'in "refunds"',
  ],
  ['another total than was written', {total: 8}, '8 were written'],
  ['a row twice', {total: 8, change: (text) => text.replace(/("refunds": \[\n)(.*)/, '$1$2,$2')}, 'twice'],
  ['no orders', {without: ['regularOrders']}, 'regularOrders'],
  [
    'no metadata',
    {change: (text) => text.replace('"metadata": {"timestamp', '"meta": {"timestamp')},
    'metadata',
  ],
  ['an end that is missing', {change: (text) => text.slice(0, -40)}, 'ends too early'],
  ['a row without an id', {change: (text) => text.replace('"id": "24e3', '"ID": "24e3')}, 'no id'],
  [
    'a value that is no date',
    {change: (text) => text.replaceAll('2024-09-14T00:00:00.000Z', 'yesterday-ish')},
    'public.orders',
  ],
  ['a comma that is missing', {change: (text) => text.replace('"quantity": 7,', '"quantity": 7')}, 'comma'],
])('refuses a file with %s', async (_what, shape, expected) => {
  await write(shape);
  await expect(run()).rejects.toMatchObject({
    code: 'ORDER_BACKUP_INVALID',
    message: expect.stringContaining(expected) as string,
  });
  expect(await database.query(`SELECT 1 FROM orders WHERE id = '${orderId}'`)).toEqual([]);
});
