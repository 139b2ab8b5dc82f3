/** The whole workflow on the sample shop: the order of its steps, its output, and where it stops. */
import {readdir, readFile, rename, truncate, writeFile} from 'node:fs/promises';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import {silentProgress, type Step} from '../../src/lib/progress/progress.js';
import type {FaultPoint} from '../../src/lib/run/fault-points.js';
import {safeCleanup, type SafeCleanupRequest} from '../../src/lib/services/orders/workflow/safe-cleanup.js';
import type {Settings} from '../../src/lib/settings/settings.js';
import {cleanRequest} from '../support/clean-request.js';
import {tempFolder} from '../support/run-cli.js';
import {startProxy} from '../support/server-proxy.js';
import {createTempDatabase, type TempDatabase, urlOf} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

let shop: TempDatabase;
let folder: string;
beforeEach(async () => {
  shop = await createTempDatabase();
  folder = await tempFolder();
});
afterEach(() => shop.drop());

function run(changes: Partial<SafeCleanupRequest> = {}, settings: Partial<Settings> = {}) {
  const context = testContext(folder, {env: {DIRECT_URL: shop.url}, settings});
  const result = safeCleanup(context, {
    clean: cleanRequest(),
    fullBackup: {},
    command: (id) => ['destino-db', id],
    pause: undefined,
    ...changes,
  });
  return {context, result};
}

async function orderCount(): Promise<string | null | undefined> {
  const [row] = await shop.query('SELECT count(*) AS count FROM orders');
  return row?.['count'];
}

describe('the safe cleanup', () => {
  it('backs up everything, then cleans, and ends with the commands that undo it', async () => {
    const phases: string[] = [];
    const pause = async (phase: string): Promise<void> => void phases.push(`${phase}: ${await orderCount()}`);
    const {result} = run({pause});
    const done = await result;
    expect(phases).toEqual(['Find the orders: 404', 'Full backup: 404', 'Clean: 252']);
    expect(done.steps.map(({name, status}) => `${name} ${status}`)).toEqual([
      'Find the orders done', 'Look at the database done', 'Dump done', 'Checksum done', 'Verify done',
      'Lock the orders done', 'Back up the rows done', 'Check the order backup done', 'Delete the rows done',
      'Check the result done', 'Write the report done',
    ]); // prettier-ignore
    expect(done.backup?.verification).toEqual({level: 'archive', ok: true, outcome: 'passed'});
    expect(done.backup?.tables).toContainEqual(expect.objectContaining({table: 'public.orders', rows: 404}));
    expect(done.undo).toEqual([
      `destino-db restore --backup-file ${String(done.backup?.path)} --drop-existing`,
      `destino-db orders:restore --backup-file ${String(done.orders.backupPath)} --execute`,
    ]);
    const markdown = await readFile(String(done.reportPath), 'utf8');
    for (const command of done.undo) expect(markdown).toContain(`\n${command}\n`);
    expect(markdown).toContain('| public.orders | 152 | 0 |');
    const json = JSON.parse(
      await readFile(String(done.reportPath).replace(/md$/, 'json'), 'utf8'),
    ) as unknown;
    expect(json).toMatchObject({
      schemaVersion: 1,
      error: null,
      orders: {tables: done.orders.tables},
      undo: done.undo,
    });
  });

  it('reports, with the commands that undo it, an order backup that has become unreadable', async () => {
    const context = testContext(folder, {env: {DIRECT_URL: shop.url}});
    const checkpoint = async (point: string): Promise<void> => {
      if (point !== 'clean.committed') return;
      const orders = `${folder}/backups/order-cleanup`;
      for (const name of await readdir(orders)) await truncate(`${orders}/${name}`, 5000);
    };
    const request = {
      clean: cleanRequest(),
      fullBackup: {},
      command: (id: string) => ['destino-db', id],
      pause: undefined,
    };
    await expect(safeCleanup({...context, checkpoint}, request)).rejects.toMatchObject({
      code: 'ORDER_BACKUP_INVALID',
      message: expect.stringMatching(/the full backup is .*, 170 orders deleted/) as string,
    });
  });

  it('previews without writing a file or changing a row', async () => {
    const done = await run({clean: cleanRequest({execute: false})}).result;
    expect(done).toMatchObject({mode: 'preview', reportPath: null, undo: [], backup: {mode: 'dry-run'}});
    expect(done.orders.roots).toEqual({'public.orders': 152, 'public.catering_orders': 18});
    expect(done.steps.filter(({status}) => status === 'skipped').map(({name}) => name)).toContain(
      'Delete the rows',
    );
    expect(await readdir(folder)).toEqual([]);
    expect(await orderCount()).toBe('404');
  });

  it('refuses before any backup if the plan differs from the preview', async () => {
    const {orders} = await run({clean: cleanRequest({execute: false})}).result;
    await shop.run(`DELETE FROM email_alerts; DELETE FROM refunds`);
    const {plan} = orders;
    await expect(run({clean: cleanRequest({plan})}).result).rejects.toMatchObject({
      code: 'PLAN_CHANGED',
      exitCode: 5,
    });
    await shop.run(
      `DELETE FROM refunds; DELETE FROM payments; DELETE FROM orders; DELETE FROM catering_orders`,
    );
    await expect(run({clean: cleanRequest({plan})}).result).rejects.toMatchObject({code: 'PLAN_CHANGED'});
    expect(await readdir(folder)).toEqual([]);
  });

  it('stops before the first delete if the full backup would not restore the orders', async () => {
    const {result} = run({}, {config: {backup: {excludeTables: ['order_items']}}});
    await expect(result).rejects.toMatchObject({
      code: 'GUARD',
      message: expect.stringContaining('does not contain public.order_items') as string,
    });
    expect(await orderCount()).toBe('404');
    const report = (await readdir(`${folder}/backups`)).find((name) => name.endsWith('.md'));
    expect(await readFile(`${folder}/backups/${String(report)}`, 'utf8')).toContain('**Stopped** (GUARD)');
  });

  it('stops before the first delete if the full backup cannot be made', async () => {
    const {result} = run({}, {pgBin: '/nowhere'});
    await expect(result).rejects.toMatchObject({
      exitCode: 3,
      message: expect.stringContaining('no order was deleted') as string,
    });
    expect(await orderCount()).toBe('404');
  });

  it('stops before the first delete if the full backup is not verified', async () => {
    await expect(run({fullBackup: {verify: false}}).result).rejects.toMatchObject({
      code: 'VERIFY_FAILED',
      message: expect.stringContaining('no order was deleted') as string,
    });
    expect(await orderCount()).toBe('404');
  });

  it('does not say that no order was deleted when the answer to the COMMIT was lost, and prints the commands that undo it', async () => {
    const place: {needle?: string} = {};
    const proxy = await startProxy(shop.connection, place, 'close');
    const context = {
      ...testContext(folder, {settings: {databaseUrl: urlOf(proxy.connection)}}),
      checkpoint: (point: FaultPoint) => {
        if (point === 'clean.file-named') place.needle = 'COMMIT\0';
        return Promise.resolve();
      },
    };
    const request = {
      clean: cleanRequest(),
      fullBackup: undefined,
      command: (id: string) => ['destino-db', id],
      pause: undefined,
    };
    try {
      const error = await safeCleanup(context, request).then(
        () => expect.fail('it did not fail'),
        (thrown: unknown) => thrown as Error,
      );
      expect(error.message).toContain('The orders were deleted before that. The order backup is ');
      expect(error.message).toMatch(/The workflow stopped: no full backup was made\.$/);
    } finally {
      await proxy.close();
    }
    expect(await orderCount()).toBe('252');
    const report = (await readdir(`${folder}/backups`)).find((name) => name.endsWith('.md'));
    const text = await readFile(`${folder}/backups/${String(report)}`, 'utf8');
    expect(text).toContain('## Orders deleted');
    expect(text).toContain('\ndestino-db orders:restore --backup-file ');
  });

  it('succeeds, with the commands that undo it, when its report cannot be written', async () => {
    const context = {
      ...testContext(folder, {env: {DIRECT_URL: shop.url}}),
      progress: {
        ...silentProgress,
        step: async <T>(title: string, work: (step: Step) => Promise<T>): Promise<T> => {
          if (title === 'Write the report') {
            await rename(`${folder}/backups`, `${folder}/elsewhere`);
            await writeFile(`${folder}/backups`, '');
          }
          return silentProgress.step(title, work);
        },
      },
    };
    const request = {
      clean: cleanRequest(),
      fullBackup: undefined,
      command: (id: string) => [id],
      pause: undefined,
    };
    const done = await safeCleanup(context, request);
    expect(done).toMatchObject({reportPath: null, undo: [expect.stringContaining('orders:restore')]});
    expect(context.warnings).toEqual([
      expect.stringContaining('The report of the cleanup could not be written'),
    ]);
  });

  it('leaves out the backups as requested, and says so', async () => {
    const done = await run({fullBackup: undefined, clean: cleanRequest({backup: false})}).result;
    expect(done).toMatchObject({backup: null, undo: [], orders: {backupPath: null}});
    expect(done.steps[1]).toMatchObject({name: 'Full backup', status: 'skipped'});
    expect(await orderCount()).toBe('252');
  });
});
