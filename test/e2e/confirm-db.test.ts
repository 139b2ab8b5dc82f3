/** --confirm-db with a name other than the target's is refused before any work, even if nothing is asked. */
import {rm} from 'node:fs/promises';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {cases} from '../support/long-form.js';
import {runCli, tempFolder} from '../support/run-cli.js';
import {
  createTempDatabase,
  databaseExists,
  dropDatabase,
  type TempDatabase,
} from '../support/temp-database.js';

let folder: string;
let shop: TempDatabase;
let copy: string;
let orders: string;
const cli = (...args: string[]) => runCli(args, {cwd: folder, env: {DIRECT_URL: shop.url}});

beforeAll(async () => {
  folder = await tempFolder();
  shop = await createTempDatabase();
  copy = `${shop.name}_copy`;
  for (let count = 0; count < 3; count += 1) expect((await cli('backup')).status).toBe(0);
  const cleaned = await cli('orders:clean', '--execute', '--test-emails-only', '--yes', '--json');
  expect(cleaned.status, cleaned.stdout).toBe(0);
  orders = (cleaned.json() as {backupPath: string}).backupPath;
  const replaced = await cli('restore', '--latest', '--drop-existing', '--yes');
  expect(replaced.status, replaced.stderr).toBe(0);
});
afterAll(async () => {
  await cli('prune', '--set-aside', '--all-of-them', '--confirm-db', shop.name);
  await dropDatabase(copy);
  await shop.drop();
  await rm(folder, {recursive: true, force: true});
});

/** The words of a command, and its database. */
const commands = (): (readonly [string[], string])[] => [
  [['restore', '--latest', '--clean', '--dry-run'], shop.name],
  [['restore', '--latest', '--create-db', `--target-db=${copy}`], copy],
  [['undo', '--dry-run'], shop.name],
  [['orders:clean'], shop.name],
  [['orders:restore', `--backup-file=${orders}`], shop.name],
  [['workflow:safe-cleanup'], shop.name],
  [['prune', '--keep-last=1', '--keep-min=1', '--dry-run'], shop.name],
  [['prune', '--set-aside', '--dry-run'], shop.name],
  [['recover', '--dry-run'], shop.name],
  [['recover', '--yes'], shop.name],
];

it('a wrong name is refused by every command with the flag, and the right one is accepted', async () => {
  for (const [words, target] of commands()) {
    const wrong = await cli(...words, '--confirm-db', 'shpo');
    expect([words, wrong.status, wrong.stderr]).toEqual([
      words,
      5,
      expect.stringContaining(
        `--confirm-db names "shpo", but the target is "${target}"; nothing was changed.`,
      ),
    ]);
    expect(await databaseExists(copy)).toBe(false);
  }
  for (const [words, target] of cases(commands(), 5)) {
    const right = await cli(...words, '--confirm-db', target);
    expect([words, right.status, right.stderr]).toEqual([
      words,
      0,
      expect.not.stringContaining('--confirm-db "'),
    ]);
  }
});

it('a name in a run that asks nothing causes a warning', async () => {
  const {status, stderr} = await cli('verify', '--latest', '--confirm-db', 'shpo');
  expect([status, stderr]).toEqual([
    0,
    expect.stringContaining('--confirm-db "shpo" was compared with nothing'),
  ]);
});
