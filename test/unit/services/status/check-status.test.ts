/** status --forget records a database by name or label, and refuses one in the config. */
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {beforeEach, expect, it} from 'vitest';
import {checkStatus} from '../../../../src/lib/services/status/check-status.js';
import type {Config} from '../../../../src/lib/settings/config-schema.js';
import {tempFolder} from '../../../support/run-cli.js';
import {sampleRecord, writeSampleBackup} from '../../../support/sample-backups.js';
import {testContext} from '../../../support/test-context.js';

const now = '2026-11-22T12:00:00Z';
let folder: string;

beforeEach(async () => {
  folder = await tempFolder();
  const database = join(folder, 'backups/database');
  const {source} = sampleRecord(now);
  await writeSampleBackup(database, '2026-11-22T02:00:00Z');
  await writeSampleBackup(database, '2026-01-01T02:00:00Z', {databaseName: 'retired'});
  await writeSampleBackup(database, '2026-11-22T03:00:00Z', {
    databaseName: 'crm',
    source: {...source, host: 'one', systemIdentifier: '1'},
  });
  await writeSampleBackup(database, '2026-11-22T04:00:00Z', {
    databaseName: 'crm',
    source: {...source, host: 'two', systemIdentifier: '2'},
  });
  return () => rm(folder, {recursive: true});
});

const context = (config: Config = {}) => testContext(folder, {now, settings: {config}});

it('is recorded, and the status no longer contains it', async () => {
  const ctx = context();
  const status = await checkStatus(ctx, {forget: ['retired']});
  expect(status).toMatchObject({ok: true, forgotten: ['retired']});
  expect(status.databases.map(({label}) => label)).toEqual(['crm@one:5432', 'crm@two:5432', 'shop']);
  expect(ctx.facts).toEqual([{forgotten: [expect.objectContaining({name: 'retired', host: 'db.example'})]}]);
});

it('accepts a label if several databases have the name', async () => {
  await expect(checkStatus(context(), {forget: ['crm']})).rejects.toMatchObject({
    code: 'USAGE',
    hint: 'Name one of: crm@one:5432, crm@two:5432.',
  });
  const {databases} = await checkStatus(context(), {forget: ['crm@one:5432', 'retired']});
  expect(databases.map(({label}) => label)).toEqual(['crm', 'shop']);
});

it.each([
  ['retierd', {}, /No database "retierd" is watched; nothing was forgotten\. Did you mean retired\?/],
  ['retired', {status: {databases: ['retired']}}, /retired is named in the config file and stays watched/],
])('refuses %s with %j', async (name, config, message) => {
  const ctx = context(config);
  await expect(checkStatus(ctx, {forget: [name]})).rejects.toThrow(message);
  expect(ctx.facts).toEqual([]);
});
