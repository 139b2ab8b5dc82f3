import {readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {basename} from 'node:path';
import {afterEach, beforeEach, expect, it} from 'vitest';
import type {RowUndoMetadata} from '../../../../src/lib/rows/file/format.js';
import {makeRowFile} from '../../../../src/lib/rows/file/make-row-file.js';
import {tempFolder} from '../../../support/run-cli.js';
import {testContext} from '../../../support/test-context.js';

let folder: string;
beforeEach(async () => {
  folder = await tempFolder();
});
afterEach(() => rm(folder, {recursive: true}));

/** Names its file at once. @param plan written into the file */
async function make(plan: string, prefix = 'row-undo'): Promise<string> {
  const context = testContext(folder, {now: '2026-11-28T12:00:00Z'});
  const request = {
    folder: 'row-undo',
    prefix,
    command: 'restore:rows',
    titles: {write: 'Write', check: 'Check'},
    written: 'rows.undo-written',
    write: async (path: string, at: Date) => {
      const metadata: RowUndoMetadata = {
        schemaVersion: 1,
        kind: 'row-undo',
        toolVersion: '0.1.0',
        timestamp: at.toISOString(),
        database: {name: plan, systemIdentifier: '7', host: 'localhost', port: 5432, serverVersion: '15.1'},
        backup: 'shop',
        transaction: undefined,
        plan,
        tables: [],
        relinked: [],
        totalRows: 0,
      };
      const text = `{"metadata":${JSON.stringify(metadata)},\n"rows":[\n],\n"relinked":[\n]}\n`;
      await writeFile(path, text);
      return {metadata};
    },
  } as const;
  const made = await makeRowFile(context, request, context.signal);
  return made.publish();
}

it('gives files of the same second names of their own, however many runs make one at once', async () => {
  const plans = Array.from({length: 20}, (_, number) => `plan ${number}`);
  const paths = await Promise.all(plans.map((plan) => make(plan)));
  const texts = await Promise.all(paths.map((path) => readFile(path, 'utf8')));
  for (const [index, plan] of plans.entries()) expect(texts[index]).toContain(`"plan":"${plan}"`);
  const names = await readdir(`${folder}/backups/row-undo`);
  expect(names.sort()).toEqual(paths.map((path) => basename(path)).sort());
  expect(await readdir(`${folder}/backups/.journal`)).toEqual([]);
});

it('leaves nothing if the file cannot be created', async () => {
  // With ".partial" the name is too long.
  await expect(make('plan', 'x'.repeat(224))).rejects.toMatchObject({code: 'WRITE_FAILED'});
  expect(await readdir(`${folder}/backups/row-undo`)).toEqual([]);
  expect(await readdir(`${folder}/backups/.journal`)).toEqual([]);
});
