/** Two days of backups every 15 minutes of a shop that is open by day: storage, retention, and a restore to a given quarter. */
import {readdir, rm, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {readCatalogue, storedBytes} from '../../src/lib/catalog/catalogue.js';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import {restoreDatabase} from '../../src/lib/services/restore/execute.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, existingDatabase, type TempDatabase, urlOf} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

/** The short form makes a backup every four hours instead of every quarter. */
const stepMinutes = process.env['DESTINO_TEST_LONG'] === undefined ? 240 : 15;
const start = Date.UTC(2026, 10, 22, 0, 0);
const keepHourly = 18;
const steps = (48 * 60) / stepMinutes;
/** The shop is open from 8 to 20 o'clock. */
const isOpen = (at: Date): boolean => at.getUTCHours() >= 8 && at.getUTCHours() < 20;

let shop: TempDatabase;
let folder: string;
const ordersAt = new Map<number, number>();
let equals = 0;

const context = (now: number) =>
  testContext(folder, {
    settings: {
      databaseUrl: urlOf(shop.connection),
      config: {
        backup: {skipUnchanged: true},
        retention: {keepWithin: '12h', keepHourly, keepDaily: 2, keepWeekly: 2},
      },
    },
    now: new Date(now).toISOString(),
  });

beforeAll(async () => {
  shop = await createTempDatabase();
  await shop.run('CREATE TABLE visits (at timestamptz PRIMARY KEY)');
  folder = await tempFolder();
  for (let step = 0; step < steps; step += 1) {
    const now = start + step * stepMinutes * 60_000;
    const at = new Date(now);
    if (isOpen(at)) await shop.run(`INSERT INTO visits VALUES ('${at.toISOString()}')`);
    ordersAt.set(now, Number((await shop.query('SELECT count(*) AS n FROM visits'))[0]?.['n']));
    const {equalTo} = await backupDatabase(context(now), {});
    if (equalTo !== null) equals += 1;
  }
}, 1_200_000);
afterAll(async () => {
  await shop.drop();
  await rm(folder, {recursive: true, force: true});
});

it('stores the backups of closed hours once', async () => {
  const closed = [...ordersAt.keys()].filter((now) => !isOpen(new Date(now))).length;
  // The first backup of all, and the first after closing, which equals the last one of the day.
  expect(equals).toBe(closed - 1);
  const database = join(folder, 'backups/database');
  const files = (await readdir(database)).filter((name) => name.endsWith('.dump'));
  const blocks = new Map<number, number>();
  for (const name of files) {
    const {ino, size} = await stat(join(database, name));
    blocks.set(ino, size);
  }
  const {backups} = await readCatalogue(database);
  expect(files).toHaveLength(backups.length);
  expect(storedBytes(backups)).toBe([...blocks.values()].reduce((sum, size) => sum + size, 0));
  expect(blocks.size).toBeLessThan(backups.length);
});

it('keeps all of the last hours, one an hour before, and the last of the day', async () => {
  const {backups} = await readCatalogue(join(folder, 'backups/database'));
  const last = start + (steps - 1) * stepMinutes * 60_000;
  const times = backups.map(({createdAt}) => createdAt.getTime());
  const hourOf = (time: number): number => Math.floor(time / 3_600_000);
  const recent = [...ordersAt.keys()].filter((time) => time > last - 12 * 3_600_000);
  expect(times.filter((time) => time > last - 12 * 3_600_000)).toEqual([...recent].reverse());
  const hours = [...new Set([...ordersAt.keys()].map(hourOf))].slice(-keepHourly);
  const newestOf = (group: (time: number) => number, value: number): number =>
    Math.max(...[...ordersAt.keys()].filter((time) => group(time) === value));
  const dayOf = (time: number): number => Math.floor(time / 86_400_000);
  const days = [...new Set([...ordersAt.keys()].map(dayOf))];
  const wanted = new Set([
    ...recent,
    ...hours.map((hour) => newestOf(hourOf, hour)),
    // The first day is a Sunday, the end of a week.
    ...days.map((day) => newestOf(dayOf, day)),
  ]);
  expect(new Set(times)).toEqual(wanted);
});

it('restores a given quarter, also one that shares its bytes', async () => {
  const {backups} = await readCatalogue(join(folder, 'backups/database'));
  const shared = backups.find(({record}) => record?.equalTo !== undefined);
  const own = backups.find(({record}) => record?.equalTo === undefined);
  for (const backup of [shared, own]) {
    if (!backup) throw new Error('there is no such backup');
    const target = `${shop.name}_${backup.createdAt.getTime()}`;
    await restoreDatabase(context(start + 48 * 3_600_000), {
      at: backup.createdAt,
      targetDb: target,
      createDb: true,
    });
    const restored = existingDatabase(target);
    try {
      expect(Number((await restored.query('SELECT count(*) AS n FROM visits'))[0]?.['n'])).toBe(
        ordersAt.get(backup.createdAt.getTime()),
      );
    } finally {
      await restored.drop();
    }
  }
});
