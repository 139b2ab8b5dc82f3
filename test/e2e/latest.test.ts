/** The backup that a command chooses by default, from a shell: never a damaged one, a partial one, or one of another database. */
import {cp, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, it} from 'vitest';
import type {BackupList} from '../../src/lib/services/status/list-backups.js';
import {runCli, tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';
import {cases} from '../support/long-form.js';

let folder: string;
let shop: TempDatabase;
const inShop = (...args: string[]) => runCli(args, {cwd: folder, env: {DIRECT_URL: shop.url}});
const list = async (): Promise<BackupList> => (await inShop('list', '--json')).json() as BackupList;
const count = async (): Promise<string> => {
  const [row] = await shop.query('SELECT count(*) FROM customers');
  return row?.['count'] ?? '';
};

beforeAll(async () => {
  folder = await tempFolder();
  shop = await createTempDatabase('template0');
  await shop.run(`
    CREATE TABLE customers (id int PRIMARY KEY);
    CREATE TABLE invoices (id int PRIMARY KEY, customer int NOT NULL REFERENCES customers);
    INSERT INTO customers SELECT generate_series(1, 1975);
    INSERT INTO invoices SELECT id, id FROM customers WHERE id <= 75`);
});

afterAll(async () => {
  await shop.drop();
  await rm(folder, {recursive: true, force: true});
});

it('restore --latest --clean twice never restores the damage, and warns about the first one', async () => {
  const good = (await inShop('backup', '--json')).json() as {id: string};
  await shop.run('DELETE FROM customers WHERE id > 1075');
  expect((await inShop('restore', '--latest', '--clean', '--yes')).status).toBe(0);
  expect(await count()).toBe('1975');
  const again = await inShop('restore', '--latest', '--clean', '--yes');
  expect(again.status).toBe(0);
  expect(await count()).toBe('1975');
  const taken = String.raw`taken \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, 2,050 rows`;
  expect(again.stderr.replace(/\s+/g, ' ')).toMatch(
    new RegExp(
      String.raw`Warning: "${shop.name}" was restored (?:just now|.* ago), at \d{4}-\S+ \S+ UTC, from ${good.id} \(${taken}\)\. This restore replaces that content, and all changes since, by ${good.id} \(${taken}\)`,
    ),
  );
  // The warning is printed before the restore.
  expect(again.stderr.indexOf('Warning:')).toBeLessThan(again.stderr.indexOf('Dump: '));
  const verified = (await inShop('verify', '--latest', '--json')).json();
  expect(verified).toMatchObject({results: [{id: good.id, outcome: 'passed'}]});
});

it('a time copied from the list finds that backup', async () => {
  const {backups} = await list();
  const whole = backups.find(({label}) => label !== 'safety');
  const time = whole?.createdAt.slice(0, 19).replace('T', ' ') ?? '';
  expect(whole?.id).toContain(time.replace(' ', 'T').replaceAll(':', '-'));
  const preview = await inShop('restore', '--at', time, '--drop-existing', '--dry-run', '--json');
  expect(preview.json()).toMatchObject({backup: whole?.id});
});

const tested = {
  // The key to the missing table is left out and named.
  tables: {
    flags: ['--include-table', 'invoices'],
    status: 0,
    result: {outcome: 'passed', ok: true},
    listed: {verification: {level: 'restore', outcome: 'passed'}, notPossible: null},
  },
  data: {
    flags: ['--data-only'],
    status: 3,
    result: {
      outcome: 'not-possible',
      ok: false,
      hint: expect.stringMatching(/^Use --level archive.*whole database/) as string,
    },
    listed: {verification: {level: 'archive', outcome: 'passed'}, notPossible: {level: 'restore'}},
  },
};
it.each(cases(['tables', 'data'] as const))(
  'a backup of %s is never called damaged because it cannot be restored alone',
  async (content) => {
    const {flags, status, result, listed} = tested[content];
    const before = (await list()).backups;
    const newest = before.find((one) => one.content === 'whole' && one.label !== 'safety');
    const made = await inShop('backup', ...flags);
    expect(made.stdout).not.toContain('--level restore');
    const [partial] = (await list()).backups;
    expect(partial).toMatchObject({content, host: '127.0.0.1', verification: {outcome: 'passed'}});
    const proof = await inShop('verify', '--backup-file', partial?.id ?? '', '--level', 'restore', '--json');
    expect(proof.status).toBe(status);
    expect(proof.json()).toMatchObject({results: [result]});
    expect((await list()).backups[0]).toMatchObject(listed);
    const latest = await inShop('restore', '--latest', '--drop-existing', '--dry-run', '--json');
    expect(latest.json()).toMatchObject({backup: newest?.id, content: 'whole'});
  },
);

it('names the databases of the backups in a folder, and finds backups one level below', async () => {
  const other = await createTempDatabase('template0');
  try {
    const elsewhere = {cwd: await tempFolder(), env: {DIRECT_URL: other.url}};
    await cp(join(folder, 'backups'), join(elsewhere.cwd, 'copied'), {recursive: true});
    const from = ['--from', 'copied'];
    const refused = await runCli(['restore', '--latest', ...from, '--drop-existing', '--dry-run'], elsewhere);
    expect(refused.status).toBe(2);
    const said = refused.stderr.replace(/\s+/g, ' ');
    expect(said).toContain(`There is no usable backup of ${other.name} at 127.0.0.1:`);
    expect(said).toContain(`${shop.name} at 127.0.0.1:`);
    const {backups} = await list();
    const whole = backups.find((one) => one.content === 'whole' && one.label !== 'safety');
    const named = await runCli(
      ['restore', '--backup-file', whole?.id ?? '', ...from, '--drop-existing', '--dry-run', '--json'],
      elsewhere,
    );
    expect(named.json()).toMatchObject({backup: whole?.id});
    expect((await runCli(['list', ...from, '--json'], elsewhere)).json()).toMatchObject({
      folder: join(elsewhere.cwd, 'copied', 'database'),
    });
  } finally {
    await other.drop();
  }
});

it('the restore test of a backup that this server cannot restore removes no intact backup', async () => {
  const limited = await createTempDatabase('template0');
  const cwd = await tempFolder();
  const cli = (...args: string[]) => runCli(args, {cwd, env: {DIRECT_URL: limited.url}});
  try {
    await limited.run(`CREATE TABLE state AS SELECT generate_series(1, 10) AS id`);
    for (const at of [1, 2]) {
      await cli('backup', '--label', `b${at}`);
      const proof = await cli('verify', '--level', 'restore', '--scratch-url', 'postgresql://x@127.0.0.1:9/y?sslmode=disable', '--json'); // prettier-ignore
      expect(proof.status).toBe(3);
    }
    const {backups} = (await cli('list', '--json')).json() as BackupList;
    expect(backups.map(({verification}) => verification?.outcome)).toEqual(['passed', 'passed']);
    const pruned = await cli('prune', '--keep-last', '2', '--yes', '--json');
    expect(pruned.json()).toMatchObject({removed: []});
    const status = (await cli('status', '--json')).json();
    expect(status).toMatchObject({
      findings: [{code: 'RESTORE_TEST_NOT_POSSIBLE', severity: 'warning'}],
      databases: [{backups: {damaged: 0, archive: 2}}],
    });
    const shown = await cli('restore', '--latest', '--drop-existing', '--dry-run', '--json');
    expect(shown.json()).toMatchObject({backup: backups[0]?.id});
  } finally {
    await limited.drop();
    await rm(cwd, {recursive: true, force: true});
  }
});
