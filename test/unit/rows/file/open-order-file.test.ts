/** Which order backup a command line means. */
import {mkdir, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, beforeEach, expect, it} from 'vitest';
import {findOrderBackup} from '../../../../src/lib/rows/file/open-order-file.js';
import {loadSettings} from '../../../../src/lib/settings/settings.js';
import {choosePlacedOrders, type PlacedOrders} from '../../../../src/lib/storage/placed-orders.js';
import {localPlace} from '../../../../src/lib/storage/local-place.js';
import {tempFolder} from '../../../support/run-cli.js';

let folder: string;
let find: (name: string | undefined) => Promise<string>;
const names = ['orders-backup-2026-01-01T00-00-00.json', 'orders-backup-2026-01-02T00-00-00.json.age'];
const ids = ['orders-backup-2026-01-02T00-00-00', 'orders-backup-2026-01-01T00-00-00'];

beforeEach(async () => {
  folder = await tempFolder();
  const below = join(folder, 'backups/order-cleanup');
  await mkdir(below, {recursive: true});
  for (const name of names) await writeFile(join(below, name), '{}');
  const settings = await loadSettings({}, folder, {});
  find = (name) => findOrderBackup(settings, name);
});
afterEach(() => rm(folder, {recursive: true}));

it('takes an id, the beginning of one, the name of a file, or the newest', async () => {
  const below = join(folder, 'backups/order-cleanup');
  expect(await find('orders-backup-2026-01-01')).toBe(join(below, names[0] ?? ''));
  expect(await find('orders-backup-2026-01-02T00-00-00')).toBe(join(below, names[1] ?? ''));
  expect(await find(names[0])).toBe(join(below, names[0] ?? ''));
  expect(await find('latest')).toBe(join(below, names[1] ?? ''));
});

it('names the candidates of a beginning, and the nearest of an unknown one', async () => {
  await expect(find('orders')).rejects.toMatchObject({code: 'USAGE', details: ids});
  await expect(find('order-backup-2026-01-01')).rejects.toMatchObject({
    code: 'BACKUP_NOT_FOUND',
    message: expect.stringContaining(`Did you mean "${ids[1] ?? ''}"?`) as string,
  });
  await expect(find(undefined)).rejects.toMatchObject({code: 'USAGE'});
});

it('does the same in other locations', () => {
  const backups = ids.map((id): PlacedOrders => ({
    id,
    key: `order-cleanup/${id}.json`,
    path: id,
    createdAt: new Date(0),
    sizeBytes: 1,
    tag: undefined,
    isEncrypted: false,
  }));
  const choose = (name: string) => choosePlacedOrders(localPlace(folder), backups, name).id;
  expect(choose('orders-backup-2026-01-01')).toBe(ids[1]);
  expect(() => choose('orders')).toThrow(expect.objectContaining({code: 'USAGE', details: ids}) as Error);
  expect(() => choose('orders-backup-2026-02-01')).toThrow(
    'Did you mean "orders-backup-2026-01-01T00-00-00"?',
  );
});
