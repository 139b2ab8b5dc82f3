/** Commands report a missing folder of --from in the same words; existing copies are not changed. */
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {beforeEach, expect, it} from 'vitest';
import {defined} from '../../../src/lib/base/defined.js';
import {copyBackups} from '../../../src/lib/services/copy/copy-backups.js';
import {copyOrders} from '../../../src/lib/services/copy/copy-orders.js';
import {restoreOrdersFrom} from '../../../src/lib/services/orders/restore/restore.js';
import {restoreFrom} from '../../../src/lib/services/restore/restore.js';
import {verifyBackups} from '../../../src/lib/services/verify/verify.js';
import {tempFolder} from '../../support/run-cli.js';
import {writeSampleBackup} from '../../support/sample-backups.js';
import {testContext, type TestContext} from '../../support/test-context.js';

let folder: string;
let context: TestContext;
beforeEach(async () => {
  folder = await tempFolder();
  context = testContext(folder);
  return () => rm(folder, {recursive: true});
});

const from = 'nowhere';
const orders = {execute: false, failOnConflicts: false, onlyOrders: []};
it.each<[string, () => Promise<unknown>]>([
  ['restore', () => restoreFrom(context, {from}, {isLatest: true})],
  ['verify', () => verifyBackups(context, {from}, {level: 'archive', scratch: {kind: 'same'}})],
  ['copy', () => copyBackups(context, {from, to: ['copies']})],
  ['copy --orders', () => copyOrders(context, {from, to: ['copies']})],
  ['orders:restore', () => restoreOrdersFrom(context, {from}, {...orders, backupFile: 'latest'})],
])('%s names the missing folder', async (_command, work) => {
  await expect(work()).rejects.toMatchObject({
    code: 'BACKUP_NOT_FOUND',
    message: `The folder ${join(folder, from)} does not exist.`,
  });
});

it('warns of an existing unencrypted copy if an encrypted one was requested', async () => {
  await writeSampleBackup(join(folder, 'backups/database'), '2026-11-22T03:10:00.000Z');
  const copy = (recipients?: string[]) =>
    copyBackups(context, defined({to: ['copies'], isAll: true, recipients}));
  expect((await copy()).copies).toMatchObject([{outcome: 'copied', encrypted: false}]);
  expect(context.warnings).toEqual([]);
  const recipient = 'age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p';
  expect((await copy([recipient])).copies).toMatchObject([{outcome: 'present', encrypted: false}]);
  expect(context.warnings).toEqual([
    `shop-2026-11-22T03-10-00 already exists unencrypted in ${join(folder, 'copies')} and stays unencrypted: an existing backup is never replaced.`,
  ]);
});
