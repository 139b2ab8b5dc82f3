/** Filters that no run in the audit log can match. */
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {expect, it} from 'vitest';
import {listRuns} from '../../../../src/lib/services/status/list-runs.js';
import {appendRun} from '../../../../src/lib/run/append-history.js';
import {tempFolder} from '../../../support/run-cli.js';
import {sampleRun} from '../../../support/sample-run.js';
import {testContext} from '../../../support/test-context.js';

it('refuses a command that is never recorded, and warns of a database without runs', async () => {
  const folder = await tempFolder();
  await appendRun(join(folder, 'backups'), sampleRun());
  const context = testContext(folder);
  await expect(listRuns(context, {command: 'bakup'})).rejects.toMatchObject({
    code: 'USAGE',
    message: '--command: "bakup" is not a command of the audit log (did you mean "backup"?).',
  });
  expect((await listRuns(context, {command: 'orders:clean'})).total).toBe(0);
  expect((await listRuns(context, {databases: ['shop']})).total).toBe(1);
  expect(context.warnings).toEqual([]);
  expect((await listRuns(context, {databases: ['shopp']})).total).toBe(0);
  expect(context.warnings).toEqual(['No run of the database "shopp" is recorded. Did you mean shop?']);
  await rm(folder, {recursive: true});
});
