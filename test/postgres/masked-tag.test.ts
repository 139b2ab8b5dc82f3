/** A masked copy that gets rows that are not masked is not a masked copy any more, whatever restores them. */
import {rm} from 'node:fs/promises';
import {afterAll, beforeAll, beforeEach, expect, it} from 'vitest';
import {formatMaskedComment} from '../../src/lib/postgres/inspect/masked-comment.js';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import {cleanOrders} from '../../src/lib/services/orders/clean/execute.js';
import {restoreOrders} from '../../src/lib/services/orders/restore/execute.js';
import {restoreRows} from '../../src/lib/services/rows/restore-rows.js';
import {cleanRequest} from '../support/clean-request.js';
import {rowsRequest} from '../support/rows-request.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';
import {type TestContext, testContext} from '../support/test-context.js';

let folder: string;
let database: TempDatabase;
let context: TestContext;

beforeAll(async () => {
  folder = await tempFolder();
  database = await createTempDatabase();
});

afterAll(async () => {
  await database.drop();
  await rm(folder, {recursive: true, force: true});
});

beforeEach(() => {
  context = testContext(folder, {settings: {databaseUrl: database.url}});
});

async function tagAt(at: string): Promise<void> {
  const comment = formatMaskedComment({at, backup: 'shop-2026', comment: 'staging'});
  await database.run(`COMMENT ON DATABASE ${database.name} IS '${comment}'`);
}

async function comment(): Promise<string | null | undefined> {
  const [row] = await database.query(
    `SELECT shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = current_database()`,
  );
  return row?.['comment'];
}

const warning = expect.stringMatching(/is a masked copy, and these rows are not masked/) as string;

it('after restore:rows from a backup that is not masked, as the preview warns', async () => {
  await backupDatabase(context, {format: 'custom'});
  await tagAt('2020-01-01T00:00:00.000Z');
  await database.run('DELETE FROM public.email_alerts');
  const request = {tables: ['public.email_alerts'], isLatest: true} as const;
  await restoreRows(context, {}, rowsRequest({...request, execute: false}), () => []);
  expect(context.warnings).toContainEqual(warning);
  expect(await comment()).toMatch(/^destino-db masked /);
  await restoreRows(context, {}, rowsRequest(request), () => []);
  expect(await comment()).toBe('staging');
});

it('after orders:restore, unless the order backup was taken from the masked copy itself', async () => {
  await tagAt('2020-01-01T00:00:00.000Z');
  const {backupPath} = await cleanOrders(context, cleanRequest({selection: {testEmailsOnly: true}}));
  const request = {backupFile: backupPath ?? '', execute: true, failOnConflicts: true, onlyOrders: []};
  await restoreOrders(context, request);
  expect(context.warnings).not.toContainEqual(warning);
  expect(await comment()).toMatch(/^destino-db masked /);

  const again = await cleanOrders(context, cleanRequest({selection: {testEmailsOnly: true}}));
  await tagAt('2999-01-01T00:00:00.000Z');
  await restoreOrders(context, {...request, backupFile: again.backupPath ?? ''});
  expect(context.warnings).toContainEqual(warning);
  expect(await comment()).toBe('staging');
});
