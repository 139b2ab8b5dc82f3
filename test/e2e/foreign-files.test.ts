/** Foreign files in the backups folder: no command follows, removes or waits for them. */
import {cp, mkdir, readdir, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {closeThings, fingerprintOf, foreignThings, plant} from '../support/foreign-things.js';
import {type CliResult, runCli, tempFolder} from '../support/run-cli.js';
import {createTempDatabase, dropDatabase, type TempDatabase} from '../support/temp-database.js';

const hangsAfterMs = 30_000;
const id = 'shop-2026-11-20T03-10-00';
const run = '1b4e28ba-2fa1-41d2-883f-0016d3cca427';

/** Names of files and folders that the program creates. */
const fileNames = [
  'history.jsonl',
  `.runs/${run}.json`,
  '.journal/2026-11-20T03-10-00-000Z-0123ab.jsonl',
  '.locks/database.lock',
  `database/${id}.metadata.json`,
  `database/${id}.dump.partial`,
  'order-cleanup/orders-backup-2026-12-20T03-10-00.json',
  'report.html',
];
const folderNames = ['.runs', '.journal', '.locks', 'database', 'order-cleanup'];

const commands: readonly (readonly string[])[] = [
  ['backup'],
  ['list'],
  ['status'],
  ['history'],
  ['report'],
  ['doctor'],
  ['verify', '--all'],
  ['restore', '--latest', '--dry-run', '--target-db', 'nowhere', '--create-db'],
  ['prune', '--keep-last', '1', '--keep-min', '1', '--yes'],
  ['recover', '--yes'],
  ['recover', '--guide'],
  ['orders:restore', '--backup-file', 'latest'],
  ['copy', '--to', 'copied'],
];

let shop: TempDatabase;
let home: string;
let template: string;
beforeAll(async () => {
  shop = await createTempDatabase('template0');
  await shop.run('CREATE TABLE t AS SELECT 1 AS n');
  home = await tempFolder();
  template = join(home, 'template');
  await runCli(['backup', '--backups-dir', template], {cwd: home, env: {DIRECT_URL: shop.url}});
});
afterAll(async () => {
  await closeThings();
  await shop.drop();
  await rm(home, {recursive: true, force: true});
});

let number = 0;

/** Plants things in a copy of the backups, and runs `command` on it. */
async function runBeside(
  command: readonly string[],
  plants: Readonly<Record<string, string>>,
): Promise<{result: CliResult; before: unknown; after: unknown}> {
  const place = join(home, String((number += 1)));
  const [backups, outside] = [join(place, 'backups'), join(place, 'outside')];
  await cp(template, backups, {recursive: true});
  await mkdir(join(outside, 'folder'), {recursive: true});
  await writeFile(join(outside, 'precious'), 'precious');
  await writeFile(join(outside, 'folder', `${run}.json`), 'notes');
  for (const [name, thing] of Object.entries(plants)) await plant(join(backups, name), thing, outside);
  const paths = Object.keys(plants).map((name) => join(backups, name));
  const before = await fingerprintOf(paths, outside);
  const result = await runCli(command, {
    cwd: place,
    env: {DIRECT_URL: shop.url},
    onStart: (child) => setTimeout(() => child.kill('SIGKILL'), hangsAfterMs).unref(),
  });
  return {result, before, after: await fingerprintOf(paths, outside)};
}

/** Each name with one of the things; another one in each round. */
function assign(names: readonly string[], things: readonly string[], round: number): Record<string, string> {
  return Object.fromEntries(
    names.map((name, index) => [name, things[(index + round) % things.length] ?? '']),
  );
}

const things = Object.keys(foreignThings);
const fileThings = things.filter((thing) => thing !== "another user's folder");
const folderThings = things.filter(
  (thing) => thing !== "another user's file" && thing !== 'link to a folder',
);
/** Each name with every thing takes minutes. */
const rounds = process.env['DESTINO_TEST_FOREIGN'] === 'all' ? things.length : 1;

it.each(commands.map((words) => [words.join(' '), words] as const))(
  '%s does not follow, remove or wait for anything with the name of its files and folders',
  async (_, words) => {
    for (let round = 0; round < rounds; round += 1) {
      const offset = round + commands.indexOf(words);
      const runs = await Promise.all([
        runBeside(words, assign(fileNames, fileThings, offset)),
        runBeside(words, assign(folderNames, folderThings, offset)),
      ]);
      for (const {result, before, after} of runs) {
        expect(result.signal).toBeNull();
        expect(after).toEqual(before);
        expect(result.stdout + result.stderr).not.toContain('UNEXPECTED');
      }
    }
  },
);

it('reports once what it did not touch, and does the work', async () => {
  const {result} = await runBeside(['backup'], {'history.jsonl': 'pipe', '.runs': 'link to a file'});
  expect(result.status).toBe(0);
  expect(result.stderr.match(/history\.jsonl is a pipe; it was left unchanged/g)).toHaveLength(1);
  expect(result.stderr.match(/\.runs is a symbolic link/g)).toHaveLength(1);
});

it('restores even if it cannot record anything in the backups folder', async () => {
  const {result} = await runBeside(
    ['restore', '--latest', '--create-db', '--target-db', `${shop.name}_copy`, '--yes'],
    {'history.jsonl': 'link to a file', '.journal': 'link to a folder', '.runs': 'pipe', '.locks': 'pipe'},
  );
  expect(result.status).toBe(0);
  expect(result.stderr).toContain('The crash journal cannot be written');
  await dropDatabase(`${shop.name}_copy`);
});

it("does not touch the user's notes in a folder of that name, and names them", async () => {
  const place = join(home, 'notes');
  await mkdir(join(place, '.runs'), {recursive: true});
  await writeFile(join(place, '.runs', 'notes.txt'), 'mine');
  await writeFile(join(place, '.runs', `${run}.json`), '{"mine": true}');
  const result = await runCli(['backup', '--backups-dir', '.'], {cwd: place, env: {DIRECT_URL: shop.url}});
  expect(result.status).toBe(0);
  expect((await readdir(join(place, '.runs'))).sort()).toEqual([`${run}.json`, 'notes.txt']);
  expect(result.stderr).toContain('notes.txt');
});
