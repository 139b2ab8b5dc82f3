/** A partial backup is restored only in ways that can work, and never replaces a whole database. */
import {rm, writeFile} from 'node:fs/promises';
import {afterEach, beforeEach, expect, it} from 'vitest';
import {restoreDatabase} from '../../../../src/lib/services/restore/execute.js';
import {tempFolder} from '../../../support/run-cli.js';
import {sampleRecord, writeSampleBackup} from '../../../support/sample-backups.js';
import {testContext} from '../../../support/test-context.js';

const at = '2026-11-20T02:00:00Z';
let home: string;
beforeEach(async () => {
  home = await tempFolder();
});
afterEach(() => rm(home, {recursive: true, force: true}));

it.each([
  [{dataOnly: true}, {}, /rows without their tables\. Nothing/, /^Use --data-only, which/],
  [{dataOnly: true}, {clean: true}, /rows without their tables/, /--data-only in place of --clean, which/],
  [{dataOnly: true}, {createDb: true, dryRun: true}, /rows without their tables/, /in place of --create-db/],
  [{dataOnly: true}, {dropExisting: true}, /rows without their tables/, /in place of --drop-existing/],
  [{dataOnly: true}, {schemaOnly: true}, /rows without their tables/, /in place of --schema-only/],
  [{schemaOnly: true}, {dataOnly: true}, /definitions without rows/, /Omit --data-only/],
  [{schemaOnly: true}, {dropExisting: true}, /replaces the whole database/, /--create-db/],
  [{includeTables: ['a']}, {dropExisting: true}, /only chosen tables or schemas/, /--create-db/],
])('refuses a backup of %j with %j at once', async (content, request, message, hint) => {
  const {config} = sampleRecord(at);
  const folder = `${home}/backups/database`;
  const {id, backupPath} = await writeSampleBackup(folder, at, {
    config: {...config, ...content},
    format: 'sql',
  });
  await writeFile(`${folder}/${backupPath}`, '--\n-- PostgreSQL database dump\n--\n\n');
  // Nothing answers there.
  const context = testContext(home, {settings: {databaseUrl: 'postgresql://u@127.0.0.1:1/shop'}});
  await expect(restoreDatabase(context, {backupFile: id, ...request})).rejects.toMatchObject({
    code: 'USAGE',
    message: expect.stringMatching(message) as string,
    hint: expect.stringMatching(hint) as string,
  });
});
