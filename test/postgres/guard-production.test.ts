import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {inspectIdentity} from '../../src/lib/postgres/inspect/inspect-database.js';
import {isProductionDatabase} from '../../src/lib/services/guards/production.js';
import type {Config} from '../../src/lib/settings/config-schema.js';
import {withAppSession} from '../support/app-session.js';
import {sampleRecord, writeSampleBackup} from '../support/sample-backups.js';
import {tempFolder} from '../support/run-cli.js';
import {clusterConnection, createTempDatabase, type TempDatabase} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

let home: string;
let target: TempDatabase;
beforeAll(async () => {
  home = await tempFolder();
  target = await createTempDatabase('template0');
});
afterAll(async () => {
  await target.drop();
  await rm(home, {recursive: true, force: true});
});

const isGuarded = (production: NonNullable<Config['production']>, connection = target.connection) =>
  isProductionDatabase(testContext(home, {settings: {config: {production}}}), connection);

it('recognises the server of a production host through a tunnel or under another name', async () => {
  const hosts = ['prod.example'];
  expect(await isGuarded({hosts})).toBe(false);
  const {systemIdentifier} = await withAppSession(clusterConnection(), inspectIdentity);
  const at = '2026-11-22T03:10:00.000Z';
  const {source} = sampleRecord(at);
  await writeSampleBackup(join(home, 'backups', 'database'), at, {
    source: {...source, host: 'PROD.example', systemIdentifier},
  });
  expect(await isGuarded({hosts})).toBe(true);
  expect(await isGuarded({hosts}, {...target.connection, database: 'not_there_yet'})).toBe(true);
  expect(await isGuarded({hosts: ['staging.example']})).toBe(false);
});

it('decides by its name alone about a server that cannot be asked', async () => {
  const unreachable = {...target.connection, port: 1};
  expect(await isGuarded({databases: ['shop']}, unreachable)).toBe(false);
  expect(await isGuarded({databases: [target.name]}, unreachable)).toBe(true);
});
