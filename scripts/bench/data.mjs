// The data of the benchmark: the same rows on every machine for the same scale, made by a seeded generator.
import {beginCopy} from '../../dist/lib/postgres/copy-into.js';
import {withSession} from '../app-session.mjs';

const megabyte = 1 << 20;
const words =
  'order paid kitchen empanada alfajor delivery window customer note pickup square webhook retry signature catering tray vegan gluten beef chicken corn spinach humita provoleta chimichurri box dozen friday sunday north beach mission sunset market street avenue total subtotal tax tip refund pending completed failed cancelled ready driver label carrier tracking weight ounce pound fresh frozen oven instruction allergy nut dairy egg celiac office party birthday lunch dinner guest table linen napkin plate cup coffee mate tea water lemon salt sugar cinnamon dulce leche chocolate vanilla coconut'.split(
    ' ',
  );

/** mulberry32 (Tommy Ettinger, public domain). */
function createRandom(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const seed = 20261122;
let random = createRandom(seed);
const below = (limit) => Math.floor(random() * limit);
const hex = (length) =>
  Array.from({length: Math.ceil(length / 8)}, () =>
    below(2 ** 32)
      .toString(16)
      .padStart(8, '0'),
  )
    .join('')
    .slice(0, length);
const uuid = () => hex(32).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
const sentence = (count) => Array.from({length: count}, () => words[below(words.length)]).join(' ');
const time = () => new Date(1.73e12 + below(4e10)).toISOString();

const money = (amount) => ({amount, currency: 'USD'});
const pool = (count, make) => {
  const items = Array.from({length: count}, make);
  return () => items[below(count)];
};

/** A shop sells the same things again and again, to people who come back. */
const product = pool(120, () => ({
  catalog_object_id: hex(24).toUpperCase(),
  name: sentence(3),
  variation_name: ['Regular', 'Large', 'Dozen'][below(3)],
  price: 100 * (1 + below(60)),
}));
const customer = pool(5000, () => ({
  id: hex(26).toUpperCase(),
  name: sentence(2),
  email: `${words[below(words.length)]}${below(1e5)}@shop.example`,
}));

const lineItem = () => {
  const {price, ...sold} = product();
  const quantity = 1 + below(9);
  return {
    uid: hex(12),
    ...sold,
    quantity: String(quantity),
    item_type: 'ITEM',
    note: sentence(below(18)),
    base_price_money: money(price),
    total_discount_money: money(0),
    total_money: money(price * quantity),
    applied_taxes: [],
  };
};

/** What Square sends: 1 KB to some ten of JSON with ever the same keys, the larger ones stored out of line. */
const payload = (buyer = customer()) =>
  JSON.stringify({
    merchant_id: 'ML5KQZ2VYZ0WN',
    location_id: 'L57H3BCJ6M1VE',
    event_id: uuid(),
    type: ['order.updated', 'payment.created', 'refund.updated'][below(3)],
    created_at: time(),
    data: {
      type: 'order',
      id: hex(22),
      object: {
        order: {
          state: ['OPEN', 'COMPLETED', 'CANCELED'][below(3)],
          version: below(9),
          source: {name: 'Online Store'},
          customer_id: buyer.id,
          line_items: Array.from({length: 1 + below(below(5) === 0 ? 40 : 4)}, lineItem),
          fulfillments: [
            {
              type: 'PICKUP',
              state: 'PROPOSED',
              pickup_details: {
                recipient: {display_name: buyer.name, email_address: buyer.email},
                schedule_type: 'SCHEDULED',
                pickup_at: time(),
              },
            },
          ],
        },
      },
    },
  });

/** A message about things alone, not about people. */
const stockPayload = () =>
  JSON.stringify({
    merchant_id: 'ML5KQZ2VYZ0WN',
    event_id: uuid(),
    type: 'inventory.count.updated',
    data: {counts: Array.from({length: 1 + below(below(5) === 0 ? 40 : 4)}, lineItem)},
  });

/** Fewer than the rows of customers at the smallest scale that is of use. */
const shopCustomers = 10_000;
const phone = () => `+1 415 ${100 + below(900)} ${1000 + below(9000)}`;

/** Three items of an order follow each other. */
let order = '';
const orderOf = (n) => (order = n % 3 === 1 ? uuid() : order);

const tables = {
  webhook_logs: {
    ddl: 'CREATE TABLE webhook_logs (id uuid PRIMARY KEY, payload jsonb NOT NULL, signature text, created_at timestamptz)',
    index: 'CREATE INDEX ON webhook_logs (created_at)',
    row: () => [uuid(), payload(), hex(40), time()],
  },
  orders: {
    ddl: 'CREATE TABLE orders (id uuid PRIMARY KEY, email text, notes text, total numeric(10,2), raw jsonb, created_at timestamptz)',
    index: 'CREATE INDEX ON orders (email)',
    row: () => {
      const buyer = customer();
      const total = (below(1e5) / 100).toFixed(2);
      return [uuid(), buyer.email, sentence(below(20)), total, payload(buyer), time()];
    },
  },
  order_items: {
    ddl: 'CREATE TABLE order_items (id uuid PRIMARY KEY, order_id uuid, quantity int, price numeric(10,2), created_at timestamptz)',
    index: 'CREATE INDEX ON order_items (order_id)',
    row: (n) => [uuid(), orderOf(n), 1 + below(9), (below(5000) / 100).toFixed(2), time()],
  },
  shop_customers: {
    ddl: 'CREATE TABLE shop_customers (id bigint PRIMARY KEY, email text UNIQUE, name text, phone text, created_at timestamptz)',
    row: (n) => [n, `${words[below(words.length)]}${n}@shop.example`, sentence(2), phone(), time()],
  },
  shop_orders: {
    ddl: 'CREATE TABLE shop_orders (id uuid PRIMARY KEY, customer_id bigint REFERENCES shop_customers, email text, delivery_address text, notes text, total numeric(10,2), created_at timestamptz)',
    index: 'CREATE INDEX ON shop_orders (customer_id)',
    row: () => {
      const n = 1 + below(shopCustomers);
      const total = (below(1e5) / 100).toFixed(2);
      return [
        uuid(),
        n,
        `${words[n % words.length]}${n}@shop.example`,
        `${below(9999)} ${sentence(3)}`,
        sentence(1 + below(20)),
        total,
        time(),
      ];
    },
  },
  shop_logs: {
    ddl: 'CREATE TABLE shop_logs (id uuid PRIMARY KEY, payload jsonb NOT NULL, signature text, created_at timestamptz)',
    index: 'CREATE INDEX ON shop_logs (created_at)',
    row: () => [uuid(), stockPayload(), hex(40), time()],
  },
  events: {
    ddl: 'CREATE TABLE events (id bigint PRIMARY KEY, kind int, at timestamptz, amount int, word text)',
    index: 'CREATE INDEX ON events (at)',
    row: (n) => [n, below(40), time(), below(1e6), words[below(words.length)]],
  },
};

/** Megabytes of COPY text by table at scale 1. */
export const shapes = {
  dominating: {webhook_logs: 55, orders: 25, order_items: 20},
  narrow: {events: 60},
  skewed: {webhook_logs: 57, orders: 2, order_items: 1},
  blobs: {orders: 20},
  shop: {shop_customers: 8, shop_orders: 32, shop_logs: 40, order_items: 20},
};

/** Fills the database of `connection`, which is empty. */
export async function fill(connection, shape, scale) {
  random = createRandom(seed);
  await withSession(connection, async (session) => {
    for (const [name, megabytes] of Object.entries(shapes[shape])) {
      await session.query(tables[name].ddl);
      const input = await beginCopy(session, `COPY ${name} FROM STDIN`);
      await writeRows(input, tables[name].row, megabytes * scale * megabyte);
      await input.end();
      if (tables[name].index !== undefined) await session.query(tables[name].index);
    }
    if (shape === 'blobs') {
      const count = Math.ceil(40 * scale);
      await session.query(
        `SELECT lo_from_bytea(0, decode(string_agg(md5(n || '-' || piece), ''), 'hex')) FROM generate_series(1, ${count}) AS n, generate_series(1, 32768) AS piece GROUP BY n`,
      );
    }
    await session.query('VACUUM ANALYZE');
    await session.query('CHECKPOINT');
  });
}

async function writeRows(input, makeRow, bytes) {
  let written = 0;
  let lines = [];
  let pending = 0;
  for (let n = 1; written < bytes; n++) {
    const line = `${makeRow(n).join('\t').replaceAll('\\', '\\\\')}\n`;
    lines.push(line);
    pending += line.length;
    written += line.length;
    if (pending < megabyte && written < bytes) continue;
    await input.write(Buffer.from(lines.join('')));
    lines = [];
    pending = 0;
  }
}
