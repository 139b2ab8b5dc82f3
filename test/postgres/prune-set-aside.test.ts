import {rm} from 'node:fs/promises';
import {afterAll, beforeAll, expect, inject, it} from 'vitest';
import {withAppSession} from '../support/app-session.js';
import {withDatabase} from '../../src/lib/postgres/connection.js';
import {listDatabases, markStatement} from '../../src/lib/postgres/database-mark.js';
import {type LocalCluster, startLocalCluster} from '../../src/lib/postgres/local-cluster.js';
import {quoteIdentifier} from '../../src/lib/postgres/quote.js';
import {prune} from '../../src/lib/services/prune-backups.js';
import {tempFolder} from '../support/run-cli.js';
import {urlOf} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

// A server of its own: every set-aside database of a server is looked at.
let cluster: LocalCluster;
let home = '';
beforeAll(async () => {
  home = await tempFolder();
  cluster = await startLocalCluster({binFolder: inject('serverBin')});
  await withAppSession(cluster.connection, async (session) => {
    const aside: [string, string, string][] = [
      ['shop_before_1', 'shop', '2026-11-20T03:10:00.000Z'],
      ['shop "before" 2', 'shop', '2026-11-21T03:10:00.000Z'],
      ['shop_before_3', 'shop', '2026-11-22T03:10:00.000Z'],
      ['blog_before_1', 'blog', '2026-01-01T03:10:00.000Z'],
    ];
    for (const [name, database, at] of aside) {
      await session.query(`CREATE DATABASE ${quoteIdentifier(name)}`);
      await session.query(markStatement(name, {kind: 'set-aside', database, at, owner: null, comment: null}));
    }
    await session.query('CREATE DATABASE shop_before_0');
  });
});
afterAll(async () => {
  await cluster.stop();
  await rm(home, {recursive: true, force: true});
});

const options = {policy: {}, setAside: true};
const context = (confirm = () => Promise.resolve()) =>
  testContext(home, {settings: {databaseUrl: urlOf(cluster.connection)}, confirm});
const names = async () => (await withAppSession(cluster.connection, listDatabases)).map((one) => one.name);

it('drops set-aside databases but the newest of each name, those in use, and those without a mark', async () => {
  const before = await names();
  const dry = await prune(
    context(() => Promise.reject(new Error('asked'))),
    {...options, dryRun: true},
  );
  expect(dry.setAside?.removed.map((one) => one.id)).toEqual(['shop "before" 2', 'shop_before_1']);
  await expect(
    prune(
      context(() => Promise.reject(new Error('no'))),
      {...options, dryRun: false},
    ),
  ).rejects.toThrow('no');
  expect(await names()).toEqual(before);
  await withAppSession(withDatabase(cluster.connection, 'shop_before_1'), async () => {
    const result = await prune(context(), {...options, dryRun: false});
    expect(result.setAside?.removed.map((one) => one.id)).toEqual(['shop "before" 2']);
    expect(result.setAside?.kept.find((one) => one.id === 'shop_before_1')?.reason).toBe('in use: 1 session');
  });
  expect(await names()).toEqual([
    'blog_before_1',
    'postgres',
    'shop_before_0',
    'shop_before_1',
    'shop_before_3',
  ]);
  expect(
    (await prune(context(), {...options, dryRun: false})).setAside?.removed.map((one) => one.id),
  ).toEqual(['shop_before_1']);
});

it('keeps one that somebody connects to while the question is open, drops the others, and says so', async () => {
  await withAppSession(cluster.connection, async (session) => {
    for (const name of ['late_1', 'late_2', 'late_3']) {
      await session.query(`CREATE DATABASE ${name}`);
      const at = `2026-11-20T0${name.at(-1) ?? ''}:00:00.000Z`;
      await session.query(markStatement(name, {kind: 'set-aside', database: 'late', at, owner: null, comment: null})); // prettier-ignore
    }
  });
  let leave = (): void => undefined;
  const stay = new Promise<void>((resolve) => (leave = resolve));
  let visit: Promise<void> | undefined;
  const run = context(
    () =>
      new Promise((resolve) => {
        visit = withAppSession(withDatabase(cluster.connection, 'late_2'), () => (resolve(), stay));
      }),
  );
  try {
    const {setAside} = await prune(run, {...options, dryRun: false});
    expect(setAside?.removed.map((one) => one.id)).toEqual(['late_1']);
    expect(setAside?.kept.find((one) => one.id === 'late_2')?.reason).toBe('in use: 1 session');
    expect(run.warnings).toEqual(['"late_2" was left alone: it is in use, or no longer set aside.']);
  } finally {
    leave();
    await visit;
  }
});
