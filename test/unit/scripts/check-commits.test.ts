/** The check of commit messages, run as a commit-msg hook runs it. */
import {rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {execa} from 'execa';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {tempFolder} from '../../support/run-cli.js';

const script = fileURLToPath(new URL('../../../scripts/check-commits.mjs', import.meta.url));

let folder: string;
beforeAll(async () => {
  folder = await tempFolder();
});
afterAll(() => rm(folder, {recursive: true}));

it.each([
  ['Fix row detection inside function bodies\n\nA dollar quote ended too early.\n', []],
  ['Fix row detection\n', ['the body that says why is missing']],
  ['Fix row detection\nA dollar quote ended too early.\n', ['the body that says why is missing']],
  [`Fix ${'x'.repeat(69)}\n\nWhy.\n`, ['the subject has more than 72 characters']],
  ['fix row detection.\n\nWhy.\n', ['does not begin with a capital letter', 'ends with a full stop']],
])('finds in %j: %j', async (message, faults) => {
  const file = join(folder, 'COMMIT_EDITMSG');
  await writeFile(file, message);
  const {stdout, exitCode} = await execa(process.execPath, [script, '--message', file], {reject: false});
  for (const fault of faults) expect(stdout).toContain(fault);
  expect(stdout.split('\n').filter((line) => line !== '')).toHaveLength(faults.length);
  expect(exitCode).toBe(faults.length === 0 ? 0 : 1);
});
