/** Two commands at a time while writers change the shop: each sees one snapshot, and no acknowledged write is lost. */
import {rm} from 'node:fs/promises';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {checkPromises, noTraces} from '../support/check-promises.js';
import {backupIds, type FaultServer, freshHome, mustRun, startFaultServer} from '../support/fault-server.js';
import {type FaultRow, isLong, writeHeld} from '../support/fault-table.js';
import {loadTemplate} from '../support/global-cluster.js';
import {runCli} from '../support/run-cli.js';
import {databasesOfShop, lookAt, startWriters} from '../support/writers.js';

let host: FaultServer;
/** Contains a backup of the shop and the order backup of a cleaning. */
let origin = '';
beforeAll(async () => {
  host = await startFaultServer();
  await loadTemplate(host.server);
  await host.run(
    `CREATE TABLE ledger_a (writer int, n int, PRIMARY KEY (writer, n)); CREATE TABLE ledger_b (LIKE ledger_a INCLUDING ALL)`,
    'shop_template',
  );
  await host.reset({shop: 'shop_template'});
  origin = await freshHome();
  await mustRun(origin, host.urlOf('shop'), 'orders:clean', '--execute', '--yes');
  await mustRun(origin, host.urlOf('shop'), 'backup');
  await host.run('CREATE DATABASE cleaned_template TEMPLATE shop');
});
afterAll(async () => {
  await host.stop();
  await rm(origin, {recursive: true, force: true});
});

const commands = {
  backup: ['backup', '--label', 'beside'],
  verify: ['verify', '--latest', '--level', 'restore'],
  clean: ['orders:clean', '--execute', '--yes', '--wait', '60'],
  swap: ['restore', '--latest', '--drop-existing', '--yes', '--wait', '60'],
  'orders:restore': [
    'orders:restore',
    '--backup-file',
    'latest',
    '--execute',
    '--no-confirm',
    '--wait',
    '60',
  ],
} as const;
type Name = keyof typeof commands;

const names = Object.keys(commands) as Name[];
const pairs = names.flatMap((one, index) => names.slice(index).map((other) => [one, other] as const));
/** In the short form, a backup and a cleaning run beside the swap, which interferes most. */
const told = isLong
  ? pairs
  : pairs.filter(([one, other]) => (one === 'backup' || one === 'clean') && other === 'swap');

const nameOf = ([one, other]: (typeof pairs)[number]): string => `${one} and ${other}`;
const held = new Map<string, readonly FaultRow[]>();
afterAll(() => writeHeld('beside', pairs.map(nameOf), held));

it.each(told)('%s and %s at once, beside writers', async (one, other) => {
  await host.reset({shop: 'cleaned_template'});
  const home = await freshHome(origin);
  const url = host.urlOf('shop');
  const writers = startWriters(host.at('shop'), 3);
  await writers.untilEachHasWritten(5);
  const before = writers.acknowledged();
  const runs = await Promise.all(
    [one, other].map((name) => runCli(commands[name], {cwd: home, env: {DIRECT_URL: url}})),
  );
  await writers.untilEachHasWritten(5);
  const writes = await writers.stop();

  // The swap ends the sessions of others, and says so; all others succeed or report the reason.
  const isSwapped = one === 'swap' || other === 'swap';
  for (const run of runs) {
    const said = run.stdout + run.stderr;
    expect(isSwapped ? [0, 1, 3, 4, 5] : [0, 5], said).toContain(run.status);
    expect(said).not.toContain('UNEXPECTED');
    expect(said).not.toContain('deadlock');
  }
  expect(runs.map(({status}) => status)).toContain(0);

  // Every acknowledged write is in the shop, or in the database that the swap set aside.
  const looks = await Promise.all((await databasesOfShop(host)).map((name) => lookAt(host.at(name))));
  for (const look of looks) expect(look.isOneMoment, JSON.stringify(look)).toBe(true);
  const found = new Set(looks.flatMap(({writes: seen}) => [...seen]));
  expect([...writes].filter((write) => !found.has(write))).toEqual([]);

  // A backup contains one snapshot: all writes to its database that were acknowledged before it began.
  const made = (await backupIds(home)).slice(
    0,
    runs.filter((run, index) => [one, other][index] === 'backup' && run.status === 0).length,
  );
  for (const [number, id] of made.entries()) {
    await mustRun(home, url, 'restore', '--backup-file', id, '--create-db', '--target-db', `look_${number}`);
    const look = await lookAt(host.at(`look_${number}`));
    expect(look.isOneMoment, JSON.stringify(look)).toBe(true);
    if (!isSwapped) expect([...before].filter((write) => !look.writes.has(write))).toEqual([]);
    await host.run(`DROP DATABASE look_${number}`);
  }
  const watched = {backupsDir: `${home}/backups`, server: host.server, databases: {}, kept: []};
  const broken = await checkPromises(watched, noTraces);
  expect(broken.filter((text) => !text.includes('"shop" was left behind'))).toEqual([]);
  await rm(home, {recursive: true, force: true});
  held.set(nameOf([one, other]), []);
});
