import {spawnSync} from 'node:child_process';
import {rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {tempFolder} from '../../support/run-cli.js';

const script = fileURLToPath(new URL('../../../scripts/count-tests.mjs', import.meta.url));
let folder: string;
beforeAll(async () => {
  folder = await tempFolder();
});
afterAll(() => rm(folder, {recursive: true}));

const file = (status: string, ...tests: string[]) => ({
  status,
  assertionResults: tests.map((test) => ({status: test})),
});

it.each([
  [
    'all passed',
    '0',
    [file('passed', 'passed', 'passed'), file('passed', 'passed')],
    '3 passed, 0 failed\n',
    0,
  ],
  ['one failed', '1', [file('failed', 'passed', 'failed')], '1 passed, 1 failed\n', 1],
  [
    'a file broke before its tests',
    '1',
    [file('passed', 'passed'), file('failed')],
    '1 passed, 1 failed\n',
    1,
  ],
  ['the tests passed and something else failed', '1', [file('passed', 'passed')], '1 passed, 1 failed\n', 1],
  ['a step before the tests failed', '2', undefined, '0 passed, 1 failed\n', 1],
  ['no test ran', '0', [], '0 passed, 1 failed\n', 1],
])('%s', async (_name, status, testResults, line, exit) => {
  const report = join(folder, 'report.json');
  await rm(report, {force: true});
  if (testResults) await writeFile(report, JSON.stringify({testResults}));
  const result = spawnSync(process.execPath, [script, status, report], {encoding: 'utf8'});
  expect(result.stdout).toBe(line);
  expect(result.status).toBe(exit);
});
