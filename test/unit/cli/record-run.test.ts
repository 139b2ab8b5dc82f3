/** Reports of a run while it is running and at its end. */
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, beforeEach, expect, it} from 'vitest';
import {AppError} from '../../../src/lib/base/errors.js';
import {silentProgress} from '../../../src/lib/progress/progress.js';
import {startRun} from '../../../src/lib/cli/record-run.js';
import {notificationsConfig} from '../../../src/lib/settings/notifications-config.js';
import {readHistory} from '../../../src/lib/run/read-history.js';
import {type LocalServer, startLocalServer} from '../../support/local-server.js';
import {tempFolder} from '../../support/run-cli.js';
import {testContext} from '../../support/test-context.js';

let folder: string;
let server: LocalServer;
beforeEach(async () => {
  folder = await tempFolder();
});
afterEach(async () => {
  await server.close();
  await rm(folder, {recursive: true, force: true});
});

/** A run of `backup` in the folder, with one target. */
function begin(target: object, {isPreview = false, isAttended = false} = {}) {
  const notifications = notificationsConfig.parse({timeoutSeconds: 60, targets: [target]});
  const {settings, clock} = testContext(folder, {settings: {config: {notifications}}});
  const start = {command: 'backup', hasDatabase: true, toolVersion: '0.1.0'};
  return startRun({...start, isPreview, isAttended, settings, clock});
}

const failure = new AppError('PG_DUMP_FAILED', 'pg_dump ended with 1.', {
  details: ['pg_dump: error: no room'],
});

it('a failure is reported with the steps before it and the last lines of the tool', async () => {
  server = await startLocalServer();
  const run = begin({type: 'ping', url: server.url, on: ['failure']});
  await run.follow(silentProgress).step('Dump', () => Promise.resolve());
  expect(await run.finish({error: failure, exitCode: 1, warnings: []})).toEqual([]);
  const [request] = server.received;
  expect(request?.line).toMatch(/^POST \/fail\?rid=/);
  expect(
    request?.body.split('\n').map((line) => line.replace(/^\S+Z /, '').replace(/ in .*? ms/, '')),
  ).toEqual([
    'Dump ...',
    'Dump done',
    'pg_dump: error: no room',
    expect.stringMatching(/^backup on .* failed after .*: PG_DUMP_FAILED pg_dump ended with 1\.$/),
  ]);
  expect((await readHistory(join(folder, 'backups'))).runs).toMatchObject([
    {outcome: 'failed', errorCode: 'PG_DUMP_FAILED'},
  ]);
});

it('the start is reported before the end, even if it has to be sent twice', async () => {
  server = await startLocalServer((count) => (count === 1 ? 503 : 200));
  const run = begin({type: 'ping', url: server.url});
  await run.finish({error: undefined, exitCode: 0, warnings: []});
  expect(server.received.map(({line}) => line.replace(/\?.*/, ''))).toEqual([
    'POST /start',
    'POST /start',
    'POST /',
  ]);
});

it('after Ctrl-C a target that hangs is not waited for as long as the config allows', async () => {
  server = await startLocalServer(() => undefined);
  const run = begin({type: 'ping', url: server.url, on: ['failure']});
  const error = new AppError('INTERRUPTED', 'Interrupted.');
  const [warning] = await run.finish({error, exitCode: 130, warnings: []});
  expect(warning).toContain('of failure was not delivered: no answer within 3 s.');
});

it('a preview is not reported', async () => {
  server = await startLocalServer();
  const run = begin({type: 'ping', url: server.url}, {isPreview: true});
  await run.finish({error: failure, exitCode: 1, warnings: []});
  expect(server.received).toEqual([]);
});

it.each([
  ['LOCKED', true, false],
  ['USAGE', true, false],
  ['LOCKED', false, true],
  ['CONNECTION_REFUSED', true, true],
] as const)('%s with somebody at a terminal (%s) is an incident: %s', async (code, isAttended, incident) => {
  server = await startLocalServer();
  const run = begin({type: 'ping', url: server.url}, {isAttended});
  const error = new AppError(code, 'It failed.');
  expect(await run.finish({error, exitCode: error.exitCode, warnings: []})).toEqual([]);
  const told = server.received.map(({line}) => line.replace(/\?.*/, ''));
  expect(told).toEqual([...(isAttended ? [] : ['POST /start']), ...(incident ? ['POST /fail'] : [])]);
  const {runs} = await readHistory(join(folder, 'backups'));
  expect(runs.map((one) => one.incident)).toEqual(code === 'USAGE' ? [] : [incident]);
});

it('a backup at a terminal is reported when it is done', async () => {
  server = await startLocalServer();
  const run = begin({type: 'ping', url: server.url}, {isAttended: true});
  await run.finish({error: undefined, exitCode: 0, warnings: []});
  expect(server.received.map(({line}) => line.replace(/\?.*/, ''))).toEqual(['POST /']);
});
