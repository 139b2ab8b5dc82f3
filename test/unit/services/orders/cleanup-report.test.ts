import {readdir, readFile, rm} from 'node:fs/promises';
import {afterEach, beforeEach, expect, it} from 'vitest';
import {AppError} from '../../../../src/lib/base/errors.js';
import {
  type CleanupState,
  writeCleanupReport,
} from '../../../../src/lib/services/orders/workflow/cleanup-report.js';
import {tempFolder} from '../../../support/run-cli.js';
import {testContext} from '../../../support/test-context.js';

let folder: string;
beforeEach(async () => {
  folder = await tempFolder();
});
afterEach(() => rm(folder, {recursive: true}));

const stateOf = (database: string): CleanupState =>
  ({
    steps: [],
    backup: null,
    orders: {mode: 'execute', database, plan: 'p', backupPath: null, tables: {}, reasons: {}, guards: {}},
    undo: [],
  }) as unknown as CleanupState;

it('keeps the reports of all runs that end in the same second', async () => {
  const names = ['shop', 'town', 'farm', 'mill'];
  const reports = await Promise.all(
    names.map((name) =>
      writeCleanupReport(
        testContext(folder, {now: '2026-11-22T03:10:00.900Z'}),
        stateOf(name),
        new AppError('LOCKED', 'Another run.'),
      ),
    ),
  );
  for (const [index, name] of names.entries()) {
    const path = reports[index] ?? '';
    expect(await readFile(path, 'utf8')).toContain(`# Safe cleanup of ${name},`);
    expect(JSON.parse(await readFile(path.replace(/md$/, 'json'), 'utf8'))).toMatchObject({
      orders: {database: name},
    });
  }
  const base = 'safe-cleanup-2026-11-22T03-10-00';
  expect((await readdir(`${folder}/backups`)).sort()).toEqual(
    [base, `${base}-2`, `${base}-3`, `${base}-4`].flatMap((name) => [`${name}.json`, `${name}.md`]).sort(),
  );
});
