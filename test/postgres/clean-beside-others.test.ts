/** Cleaning while others write: who waits, who stops, and that no row is deleted that is not in the backup. */
import {readdirSync, readFileSync} from 'node:fs';
import {readdir, readFile} from 'node:fs/promises';
import {basename} from 'node:path';
import {afterEach, beforeEach, describe, expect, it, vi} from 'vitest';
import {readOrderSnapshot} from '../../src/lib/rows/file/read-order-snapshot.js';
import type {Session} from '../../src/lib/postgres/client.js';
import {withAppSession} from '../support/app-session.js';
import {type Progress, silentProgress} from '../../src/lib/progress/progress.js';
import {cleanOrders} from '../../src/lib/services/orders/clean/execute.js';
import {recoverLeftovers} from '../../src/lib/services/recover/recover.js';
import type {OrdersConfig} from '../../src/lib/settings/orders-config.js';
import {cleanRequest} from '../support/clean-request.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

let shop: TempDatabase;
let folder: string;
beforeEach(async () => {
  shop = await createTempDatabase();
  folder = await tempFolder();
});
afterEach(() => shop.drop());

/** Runs a cleaning, and calls a function with the name of a step or of a checkpoint (see fault-points.ts) when it is reached. */
function clean(
  at: Readonly<Record<string, () => Promise<void>>> = {},
  orders: OrdersConfig = {},
  request: Parameters<typeof cleanRequest>[0] = {},
  whileSealing = (): void => undefined,
) {
  const context = testContext(folder, {env: {DIRECT_URL: shop.url}, settings: {config: {orders}}});
  const progress: Progress = {
    ...silentProgress,
    step: async (title, work) => {
      await at[title]?.();
      const advance = title.startsWith('Encrypt') ? whileSealing : (): void => undefined;
      return silentProgress.step(title, (step) => work({...step, advance}));
    },
  };
  const checkpoint = async (point: string): Promise<void> => at[point]?.();
  return cleanOrders({...context, progress, checkpoint}, cleanRequest(request));
}

const files = () => readdir(`${folder}/backups/order-cleanup`).catch(() => []);

async function count(from: string): Promise<number> {
  const [row] = await shop.query(`SELECT count(*) AS count FROM ${from}`);
  return Number(row?.['count']);
}

/** A selected order with a payment. */
async function chosenOrder(): Promise<string> {
  const [row] = await shop.query(
    `SELECT o.id FROM orders o JOIN payments p ON p."orderId" = o.id WHERE o.email = 'qa@test.com' AND o.total < 100 ORDER BY o.id LIMIT 1`,
  );
  return String(row?.['id']);
}

const paymentFor = (order: string): string =>
  `INSERT INTO payments (id, "squarePaymentId", "orderId", amount, "updatedAt") VALUES ('00000000-0000-4000-8000-000000000001', 'late', '${order}', 1, now())`;

async function until(condition: string): Promise<void> {
  await vi.waitFor(
    async () => {
      expect(
        await shop.query(
          `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND ${condition}`,
        ),
      ).not.toEqual([]);
    },
    {timeout: 60_000, interval: 20},
  );
}

/** Resolves when another session waits for a lock of `holder`. */
const untilWaitedFor = (holder: Session) => until(`${holder.backendPid} = ANY (pg_blocking_pids(pid))`);

/** Resolves when the session itself waits for a lock. */
const untilBlocked = (session: Session) => until(`pid = ${session.backendPid} AND wait_event_type = 'Lock'`);

it('keeps recover away from the files that it writes', async () => {
  const recovered: unknown[] = [];
  const left: string[] = [];
  const seals: string[] = [];
  const look = async (): Promise<void> => {
    const found = await recoverLeftovers(testContext(folder), {dryRun: true});
    recovered.push(...found.recovered);
    left.push(...found.left.map(({what}) => basename(what)));
  };
  const whileSealing = (): void => {
    const journals = `${folder}/backups/.journal`;
    seals.push(...readdirSync(journals).map((name) => readFileSync(`${journals}/${name}`, 'utf8')));
  };
  const encryption = {
    to: {passphrase: 'open'},
    isLocal: true,
    isRequired: false,
    keys: {identities: [], passphrases: []},
  };
  const {backupPath} = await clean({'clean.file-written': look}, {}, {encryption}, whileSealing);
  expect(recovered).toEqual([]);
  const name = basename(backupPath ?? '', '.age');
  expect(left).toEqual([`${name}.partial`]);
  expect(seals.join('')).toContain(`${name}.seal.partial`);
  expect(await files()).toEqual([`${name}.age`]);
  expect(await readdir(`${folder}/backups/.journal`)).toEqual([]);
});

describe('a cleaning beside other sessions', () => {
  it('waits for a child that is being added, and then backs it up and deletes it', async () => {
    const order = await chosenOrder();
    const done = await withAppSession(shop.connection, async (other) => {
      await other.query('BEGIN');
      await other.query(paymentFor(order));
      const cleaning = clean();
      await untilWaitedFor(other);
      await other.query('COMMIT');
      return cleaning;
    });
    expect(done.tables['public.payments']).toEqual({deleted: 135, relinked: 0});
    expect(await count(`payments WHERE "squarePaymentId" = 'late'`)).toBe(0);
    const file = await readOrderSnapshot(String(done.backupPath));
    expect(file.tables.find(({table}) => table === 'public.payments')?.rows).toBe(135);
  });

  it('makes a later child wait, which then has no parent', async () => {
    const order = await chosenOrder();
    await withAppSession(shop.connection, async (other) => {
      let adding: Promise<unknown> = Promise.resolve();
      const done = await clean({
        'Delete the rows': async () => {
          adding = other.query(paymentFor(order));
          adding.catch(() => undefined);
          await untilBlocked(other);
        },
      });
      expect(done.tables['public.payments']).toEqual({deleted: 134, relinked: 0});
      await expect(adding).rejects.toThrow(/violates foreign key constraint/);
    });
  });

  it('makes the child of a child wait as well', async () => {
    const order = await chosenOrder();
    await withAppSession(shop.connection, async (other) => {
      let adding: Promise<unknown> = Promise.resolve();
      await clean({
        'clean.locked': async () => {
          adding = other.query(
            `INSERT INTO refunds (id, "squareRefundId", "paymentId", amount, status, "updatedAt")
             SELECT gen_random_uuid(), 'late', id, 1, 'x', now() FROM payments WHERE "orderId" = '${order}' LIMIT 1`,
          );
          adding.catch(() => undefined);
          await untilBlocked(other);
        },
      });
      await expect(adding).rejects.toThrow(/violates foreign key constraint/);
    });
    expect(await count('refunds r LEFT JOIN payments p ON p.id = r."paymentId" WHERE p.id IS NULL')).toBe(0);
  });

  it('deletes a child in the state in which another session has just left it', async () => {
    const order = await chosenOrder();
    const done = await clean({
      'Lock the orders': () => shop.run(`UPDATE order_items SET quantity = 77 WHERE "orderId" = '${order}'`),
    });
    const text = await readFile(String(done.backupPath), 'utf8');
    expect(text.match(/"quantity":77,/g)?.length).toBeGreaterThan(0);
    expect(await count(`order_items WHERE quantity = 77`)).toBe(0);
  });

  it.each([
    [
      'changes a child',
      'UPDATE order_items SET quantity = 77',
      /^public\.order_items: another session changed rows/,
    ],
    [
      'deletes a child',
      'DELETE FROM order_items',
      /^public\.order_items: \d+ rows instead of \d+ were deleted/,
    ],
    [
      'gives a child to another order',
      `UPDATE order_items SET "productId" = "productId", "orderId" = (SELECT id FROM orders WHERE email = 'contest@gmail.com' ORDER BY id LIMIT 1)`,
      /^public\.order_items: \d+ rows instead of \d+ were deleted/,
    ],
  ])(
    'stops when another session %s that is being backed up, and changes nothing',
    async (_what, change, message) => {
      const order = await chosenOrder();
      const before = await count('order_items');
      let there = before;
      const failing = clean({
        'clean.locked': async () => {
          await shop.run(
            `${change} WHERE id = (SELECT min(id::text)::uuid FROM order_items WHERE "orderId" = '${order}')`,
          );
          there = await count('order_items');
        },
      });
      await expect(failing).rejects.toMatchObject({
        code: 'CLEAN_FAILED',
        message: expect.stringMatching(message) as string,
      });
      expect(await count('orders')).toBe(404);
      expect(await count('order_items')).toBe(there);
      expect(await files()).toEqual([]);
    },
  );

  it('renames the file only after the deletion, and commits nothing before', async () => {
    const seen: Record<string, unknown> = {};
    const look = (point: string) => async (): Promise<void> => {
      seen[point] = [(await files()).map((name) => name.replace(/.*(?=[.]json)/, '')), await count('orders')];
    };
    const points = [
      'clean.locked',
      'clean.file-written',
      'clean.deleted',
      'clean.file-named',
      'clean.committed',
    ];
    await clean(Object.fromEntries(points.map((point) => [point, look(point)])));
    expect(seen).toEqual({
      'clean.locked': [[], 404],
      'clean.file-written': [['.json.partial'], 404],
      'clean.deleted': [['.json.partial'], 404],
      'clean.file-named': [['.json'], 404],
      'clean.committed': [['.json'], 252],
    });
  });

  it('names the session that locks an order for too long', async () => {
    const order = await chosenOrder();
    await withAppSession(shop.connection, async (other) => {
      await other.query('BEGIN');
      await other.query(`UPDATE orders SET notes = 'busy' WHERE id = '${order}'`);
      await expect(clean({}, {lockWaitSeconds: 1})).rejects.toMatchObject({
        code: 'LOCK_TIMEOUT',
        details: [
          expect.stringContaining(
            `held by server process ${other.backendPid} (user postgres, destino-db, idle in transaction)`,
          ),
        ],
      });
      await other.query('ROLLBACK');
    });
    expect(await count('orders')).toBe(404);
    expect(await files()).toEqual([]);
  });

  it('refuses a second cleaning at the same time', async () => {
    let second: Promise<unknown> = Promise.resolve();
    await clean({
      'Delete the rows': async () => {
        second = clean();
        await expect(second).rejects.toMatchObject({code: 'LOCKED', exitCode: 5});
      },
    });
    expect(await count('orders')).toBe(252);
    expect(await files()).toHaveLength(1);
  });

  it('stops when it is interrupted, and removes its file', async () => {
    const interruption = new AbortController();
    const context = testContext(folder, {env: {DIRECT_URL: shop.url}, signal: interruption.signal});
    const progress: Progress = {
      ...silentProgress,
      step: async (title, work) => {
        const result = await silentProgress.step(title, work);
        if (title === 'Delete the rows') interruption.abort(new Error('stop'));
        return result;
      },
    };
    const stopped = cleanOrders({...context, progress}, cleanRequest());
    await expect(stopped).rejects.toThrow('stop');
    expect(await count('orders')).toBe(404);
    expect(await files()).toEqual([]);
  });
});

describe('objects that a role cannot see or change', () => {
  it('are an error, not a smaller result', async () => {
    const role = `shopkeeper_${shop.name}`;
    const url = shop.url.replace(/\/\/[^@]*@/, `//${role}:pw@`);
    await shop.run(
      `CREATE ROLE ${role} LOGIN PASSWORD 'pw'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${role}`,
    );
    try {
      const as = (request: Parameters<typeof cleanRequest>[0]) =>
        cleanOrders(testContext(folder, {env: {DIRECT_URL: url}}), cleanRequest(request));
      expect((await as({execute: false})).roots['public.orders']).toBe(152);
      await expect(as({})).rejects.toMatchObject({
        code: 'PERMISSION_DENIED',
        message: expect.stringContaining('public.orders') as string,
      });
      await shop.run(
        `ALTER TABLE refunds ENABLE ROW LEVEL SECURITY; CREATE POLICY some_of_them ON refunds FOR SELECT USING (amount > 10)`,
      );
      await expect(as({execute: false})).rejects.toMatchObject({
        code: 'ROW_SECURITY',
        message: expect.stringContaining('public.refunds') as string,
      });
      await shop.run(`REVOKE SELECT ON payments FROM ${role}`);
      await expect(as({execute: false})).rejects.toMatchObject({
        code: 'PERMISSION_DENIED',
        message: expect.stringContaining('public.payments') as string,
      });
    } finally {
      await shop.run(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
    }
  });

  it('include a session through a transaction pooler', async () => {
    const context = testContext(folder, {env: {DIRECT_URL: `${shop.url}&pgbouncer=true`}});
    await expect(cleanOrders(context, cleanRequest({execute: false}))).rejects.toMatchObject({
      code: 'TRANSACTION_POOLER',
    });
  });
});
