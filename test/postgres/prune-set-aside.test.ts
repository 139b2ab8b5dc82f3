import {rm} from 'node:fs/promises';
import {afterAll, beforeAll, expect, inject, it} from 'vitest';
import {withAppSession} from '../support/app-session.js';
import {withDatabase} from '../../src/lib/postgres/connect/connection.js';
import {
  listDatabases,
  type OwnerCommentKind,
  ownerCommentStatement,
} from '../../src/lib/postgres/databases/owner-comment.js';
import {type LocalCluster, startLocalCluster} from '../../src/lib/postgres/tools/local-cluster.js';
import {quoteIdentifier} from '../../src/lib/postgres/quote.js';
import {prune} from '../../src/lib/services/prune/prune.js';
import {recoverLeftovers} from '../../src/lib/services/recover/recover.js';
import {undoRestore} from '../../src/lib/services/restore/undo.js';
import type {ConfirmRequest, RunContext} from '../../src/lib/run/run-context.js';
import type {Config} from '../../src/lib/settings/config-schema.js';
import {tempFolder} from '../support/run-cli.js';
import {urlOf} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

// A separate server, because every set-aside database of a server counts.
const [oldest, older, newest] = [
  'shop_before_20261120_031000',
  'shop_before_20261121_031000',
  'shop_before_20261122_031000',
];
const blogs = ['shop_copy_before_20260101_031000', 'shop_copy_before_20260102_031000'];
let cluster: LocalCluster;
let home = '';
beforeAll(async () => {
  home = await tempFolder();
  cluster = await startLocalCluster({binFolder: inject('serverBin')});
  await withAppSession(cluster.connection, async (session) => {
    const aside: [string, string, string][] = [
      [oldest, 'shop', '2026-11-20T03:10:00.000Z'],
      [older, 'shop', '2026-11-21T03:10:00.000Z'],
      [newest, 'shop', '2026-11-22T03:10:00.000Z'],
      [blogs[0] ?? '', 'shop_copy', '2026-01-01T03:10:00.000Z'],
      [blogs[1] ?? '', 'shop_copy', '2026-01-02T03:10:00.000Z'],
    ];
    for (const [name, database, at] of aside) {
      await session.query(`CREATE DATABASE ${quoteIdentifier(name)}`);
      await session.query(
        ownerCommentStatement(name, {kind: 'set-aside', database, at, owner: null, comment: null}),
      );
    }
    await session.query('CREATE DATABASE shop_before_20261119_031000');
    await session.query('CREATE DATABASE shop');
  });
});
afterAll(async () => {
  await cluster.stop();
  await rm(home, {recursive: true, force: true});
});

async function make(
  name: string,
  database: string,
  at: string,
  owner?: string,
  kind: OwnerCommentKind = 'set-aside',
): Promise<void> {
  await withAppSession(cluster.connection, async (session) => {
    await session.query(
      `CREATE DATABASE ${quoteIdentifier(name)}${owner === undefined ? '' : ` OWNER ${owner}`}`,
    );
    await session.query(ownerCommentStatement(name, {kind, database, at, owner: null, comment: null}));
  });
}

async function drop(...dropped: string[]): Promise<void> {
  await withAppSession(cluster.connection, async (session) => {
    for (const name of dropped) await session.query(`DROP DATABASE ${quoteIdentifier(name)}`);
  });
}

const options = {policy: {}, setAside: true};
const context = (confirm: RunContext['confirm'] = () => Promise.resolve(), config: Config = {}) =>
  testContext(home, {
    settings: {databaseUrl: urlOf(withDatabase(cluster.connection, 'shop')), config},
    confirm,
  });
const names = async () => (await withAppSession(cluster.connection, listDatabases)).map((one) => one.name);

it("drops set-aside databases of the URL's database except the newest, those in use, and those without an owner comment", async () => {
  const before = await names();
  const dry = await prune(
    context(() => Promise.reject(new Error('asked'))),
    {...options, dryRun: true},
  );
  expect(dry.setAside?.removed.map((one) => one.id)).toEqual([older, oldest]);
  const asked: ConfirmRequest[] = [];
  const refuse = (request: ConfirmRequest) => (asked.push(request), Promise.reject(new Error('no')));
  await expect(prune(context(refuse), {...options, dryRun: false})).rejects.toThrow('no');
  expect(await names()).toEqual(before);
  expect(asked).toMatchObject([
    {
      host: `${cluster.connection.host}:${cluster.connection.port}`,
      database: 'shop',
      isProduction: false,
      plan: [older, oldest].map(
        (name) =>
          expect.stringMatching(new RegExp(`^drop  ${name}: .*B, owner .*, set aside .* ago$`)) as string,
      ),
    },
  ]);
  await withAppSession(withDatabase(cluster.connection, oldest), async () => {
    const result = await prune(context(), {...options, dryRun: false});
    expect(result.setAside?.removed.map((one) => one.id)).toEqual([older]);
    expect(result.setAside?.kept.find((one) => one.id === oldest)?.reason).toBe('in use: 1 session');
  });
  expect(await names()).toEqual([
    'postgres',
    'shop',
    'shop_before_20261119_031000',
    oldest,
    newest,
    ...blogs,
  ]);
  const run = context();
  expect((await prune(run, {...options, dryRun: false})).setAside?.removed.map((one) => one.id)).toEqual([
    oldest,
  ]);
  expect(run.facts).toMatchObject([{setAside: [{event: 'gone', name: oldest, database: 'shop'}]}]);
});

it('drops the newest only with its own flag, after a separate question', async () => {
  const asked: string[] = [];
  const run = context(({action}) => Promise.resolve(void asked.push(action)));
  expect((await prune(run, {...options, dryRun: false})).setAside?.removed).toEqual([]);
  expect(asked).toEqual([]);
  const all = {...options, setAsideChoice: {isNewestToo: true}, dryRun: false};
  const no = context(() => Promise.reject(new Error('no')));
  await expect(prune(no, all)).rejects.toThrow('no');
  expect(await names()).toContain(newest);
  expect((await prune(run, all)).setAside?.removed.map((one) => one.id)).toEqual([newest]);
  expect(asked).toEqual([expect.stringContaining('undo is then impossible')]);
  expect(await names()).toEqual(expect.arrayContaining(blogs));
});

it('refuses a database that does not exist on the server, with the most similar name', async () => {
  const choose = (setAsideChoice: {targetDb?: string; names?: string[]}) =>
    prune(context(), {...options, setAsideChoice, dryRun: true});
  await expect(choose({targetDb: 'shpo'})).rejects.toMatchObject({
    code: 'DATABASE_NOT_FOUND',
    message: expect.stringContaining('Nothing was dropped. Did you mean "shop"?') as string,
  });
  await expect(
    choose({targetDb: 'shop_copy', names: ['shop_copy_before_20260101_03100']}),
  ).rejects.toMatchObject({
    code: 'BACKUP_NOT_FOUND',
    message: expect.stringContaining(`Did you mean "${blogs[0] ?? ''}"?`) as string,
  });
  // "shop_copy" itself is gone; the database that was set aside for it exists.
  expect((await choose({targetDb: 'shop_copy'})).setAside?.kept).toHaveLength(1);
  await expect(undoRestore(context(), {targetDb: 'shop_cpy'})).rejects.toMatchObject({
    message: expect.stringContaining('Nothing was changed. Did you mean "shop_copy"?') as string,
  });
  await expect(
    undoRestore(context(), {targetDb: 'shop_copy', setAsideDb: 'shop_copy_before_20260101_03100'}),
  ).rejects.toMatchObject({message: expect.stringContaining(`Did you mean "${blogs[0] ?? ''}"?`) as string});
});

it('asks for the name if the database is production', async () => {
  await make('shop_before_20261123_031000', 'shop', '2026-11-23T03:10:00.000Z');
  const asked: boolean[] = [];
  for (const production of [
    {databases: ['shop']},
    {databases: ['shop_before_20261123_031000']},
    {hosts: ['LOCALHOST.']},
  ]) {
    const run = context(({isProduction}) => (asked.push(isProduction), Promise.reject(new Error('no'))), {
      production,
    });
    await expect(
      prune(run, {...options, setAsideChoice: {isNewestToo: true}, dryRun: false}),
    ).rejects.toThrow('no');
  }
  expect(asked).toEqual([true, true, true]);
  await drop('shop_before_20261123_031000');
});

it('trusts no owner comment of a role that may only create databases, and drops nothing real for it', async () => {
  const forged = 'shop_before_20990101_000000';
  const past = 'shop_before_20261124_031000';
  const real = ['shop_before_20261120_031000', 'shop_before_20261121_031000'];
  await make(real[0] ?? '', 'shop', '2026-11-20T03:10:00.000Z');
  await make(real[1] ?? '', 'shop', '2026-11-21T03:10:00.000Z');
  await withAppSession(cluster.connection, (session) => session.query('CREATE ROLE mallory CREATEDB'));
  await make(forged, 'shop', '2099-01-01T00:00:00.000Z', 'mallory');
  await make(past, 'shop', '2026-11-24T03:10:00.000Z', 'mallory');
  await make('mallorys', 'shop', '2026-11-25T03:10:00.000Z', 'mallory');
  const working = ['shop_restore_20260101_000000', 'destino_scratch_0123456789ab'];
  for (const [index, name] of working.entries())
    await make(name, 'shop', '2026-01-01T00:00:00.000Z', 'mallory', index === 0 ? 'staging' : 'scratch');
  try {
    const plan = (await prune(context(), {...options, dryRun: true})).setAside;
    expect(plan?.removed.map(({id}) => id)).toEqual([real[0]]);
    expect(plan?.kept).toMatchObject([
      {
        id: forged,
        owner: 'mallory',
        reason: expect.stringContaining('has a time in the future') as string,
      },
      {id: 'mallorys', reason: expect.stringContaining('does not have a name of this program') as string},
      {id: past, reason: expect.stringContaining('belongs to "mallory"') as string},
      {id: real[1], reason: expect.stringContaining('the newest') as string},
    ]);
    const undo = context();
    expect((await undoRestore(undo, {dryRun: true})).broughtBack).toBe(real[1]);
    expect(undo.warnings).toHaveLength(3);
    const recovered = await recoverLeftovers(context(), {dryRun: false});
    expect(recovered.recovered).toEqual([]);
    expect(recovered.left.map(({what, reason}) => [what, reason.includes('owner mallory')])).toEqual(
      working.toSorted().map((name) => [name, true]),
    );
    expect(await names()).toEqual(expect.arrayContaining(working));
    // If the user names them, they are dropped.
    expect((await undoRestore(context(), {dryRun: true, setAsideDb: past})).broughtBack).toBe(past);
    const chosen = {...options, setAsideChoice: {names: [forged]}, dryRun: false};
    expect((await prune(context(), chosen)).setAside?.removed.map(({id}) => id)).toEqual([forged]);
    await recoverLeftovers(context(), {dryRun: false, dropDbs: working});
    expect(await names()).not.toEqual(expect.arrayContaining([working[0]]));
    const unknown = {...options, setAsideChoice: {names: ['postgres']}, dryRun: false};
    await expect(prune(context(), unknown)).rejects.toMatchObject({code: 'BACKUP_NOT_FOUND'});
  } finally {
    await drop(...real, past, 'mallorys');
  }
});

it('says that nothing trusted is set aside, and which databases claim to be', async () => {
  await make('shop_before_20261124_031000', 'shop', '2026-11-24T03:10:00.000Z', 'mallory');
  await expect(undoRestore(context(), {})).rejects.toMatchObject({
    code: 'BACKUP_NOT_FOUND',
    details: [expect.stringContaining('belongs to "mallory"')],
  });
  await drop('shop_before_20261124_031000');
});

it('keeps one that a client connects to while the question is open, drops the others, and says so', async () => {
  const late = [1, 2, 3].map((hour) => `shop_before_20261120_0${hour}0000`);
  for (const [index, name] of late.entries()) await make(name, 'shop', `2026-11-20T0${index + 1}:00:00.000Z`);
  let leave = (): void => undefined;
  const stay = new Promise<void>((resolve) => (leave = resolve));
  let visit: Promise<void> | undefined;
  const run = context(
    () =>
      new Promise((resolve) => {
        visit = withAppSession(withDatabase(cluster.connection, late[1] ?? ''), () => (resolve(), stay));
      }),
  );
  try {
    const {setAside} = await prune(run, {...options, dryRun: false});
    expect(setAside?.removed.map((one) => one.id)).toEqual([late[0]]);
    expect(setAside?.kept.find((one) => one.id === late[1])?.reason).toBe('in use: 1 session');
    expect(run.warnings).toEqual([`"${late[1]}" was not dropped: it is in use, or no longer set aside.`]);
  } finally {
    leave();
    await visit;
  }
});
