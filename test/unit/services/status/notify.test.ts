import {chmod, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, describe, expect, it, vi} from 'vitest';
import {defined} from '../../../../src/lib/base/defined.js';
import {environmentOf} from '../../../../src/lib/settings/environment.js';
import {
  notificationsConfig,
  type NotificationsConfig,
} from '../../../../src/lib/settings/notifications-config.js';
import {
  endNotice,
  type Notice,
  staleNotice,
  startNotice,
} from '../../../../src/lib/services/status/notice.js';
import {notify} from '../../../../src/lib/services/status/notify.js';
import {type LocalServer, startLocalServer} from '../../../support/local-server.js';
import {tempFolder} from '../../../support/run-cli.js';
import {sampleRun} from '../../../support/sample-run.js';
import {statusAt} from '../../../support/simulated-status.js';

const servers: LocalServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function serve(answer?: (count: number) => number | undefined): Promise<LocalServer> {
  const server = await startLocalServer(answer);
  servers.push(server);
  return server;
}

const runId = '2b6e5b64-8f52-4f0c-9d9a-0c5f2f6f8a11';
const done = sampleRun({runId, size: 129_000_000, rows: 14_940, duration: 75_000});
const failed = sampleRun({
  runId,
  outcome: 'failed',
  exitCode: 3,
  errorCode: 'CONNECTION_REFUSED',
  errorMessage: 'Nothing answers at postgresql://shop:hunter2@db.example:5432/shop <now> & "then".',
});

const alarm = sampleRun({
  runId,
  outcome: 'alarm',
  exitCode: 4,
  alarms: ['public.orders has 0 rows, 12 before.'],
});
const stale = () => staleNotice(statusAt('2026-11-10T12:00:00Z'), 'ops.example');

async function send(
  notice: Notice,
  config: unknown,
  env: Record<string, string> = {},
  maxTimeoutMs?: number,
): Promise<string[]> {
  const parsed: NotificationsConfig = notificationsConfig.parse(config);
  const environment = environmentOf([{origin: 'environment', values: env}]);
  return notify(notice, defined({config: parsed, environment, maxTimeoutMs}));
}

it('sends each event to the targets that want it by default, and an alarm is not a success', async () => {
  const server = await serve();
  const folder = await tempFolder();
  const argv = ['/bin/sh', '-c', 'echo "$DESTINO_DB_RUN_EVENT" >>"$0"', join(folder, 'out')];
  const targets = [
    {type: 'ping', url: `${server.url}/ping`},
    {type: 'webhook', url: `${server.url}/hook`, template: {event: '{{event}}'}},
    {type: 'command', argv},
  ];
  const interrupted = {...failed, outcome: 'interrupted', exitCode: 130} as const;
  for (const notice of [
    startNotice(done),
    ...[done, failed, interrupted, alarm].map((run) => endNotice(run, [])),
    stale(),
  ])
    expect(await send(notice, {targets})).toEqual([]);
  const lines = server.received.map(({line, body}) =>
    `${line.replace(/\?.*/, '')} ${body.startsWith('{') ? body : ''}`.trim(),
  );
  expect(lines.filter((line) => line.includes('/ping'))).toEqual([
    'POST /ping/start',
    'POST /ping',
    'POST /ping/fail',
    'POST /ping/fail',
    'POST /ping/fail',
  ]);
  expect(lines.filter((line) => line.includes('/hook'))).toEqual(
    ['failure', 'failure', 'alarm', 'stale'].map((event) => `POST /hook {"event":"${event}"}`),
  );
  expect(await readFile(join(folder, 'out'), 'utf8')).toBe('success\nfailure\nfailure\nalarm\nstale\n');
  await rm(folder, {recursive: true});
});

it('reports stale backups to every target, because they do not belong to a command', async () => {
  const server = await serve();
  await send(stale(), {targets: [{type: 'webhook', url: server.url, commands: ['restore']}]});
  await send(endNotice(failed, []), {targets: [{type: 'webhook', url: server.url, commands: ['restore']}]});
  expect(server.received).toHaveLength(1);
});

it('reports an interrupted run as interrupted, not as failed', () => {
  const run = sampleRun({
    outcome: 'interrupted',
    exitCode: 130,
    errorCode: 'INTERRUPTED',
    errorMessage: 'Interrupted.',
  });
  expect(endNotice(run, []).summary).toContain(' was interrupted after 1.2 s: INTERRUPTED Interrupted.');
});

it('sends the last lines of a long log, without passwords', async () => {
  const server = await serve();
  const log = Array.from({length: 2000}, (_, index) => `line ${index}: postgresql://u:hunter2@h/d`);
  const targets = [
    {type: 'ping', url: server.url},
    {type: 'webhook', url: server.url},
  ];
  await send(endNotice(failed, log), {targets});
  for (const {body} of server.received) {
    expect(body).not.toContain('hunter2');
    expect(body).toContain('line 1999');
    expect(body).not.toContain('line 0:');
    expect(body.length).toBeLessThan(11_000);
  }
  expect(server.received.find(({body}) => !body.startsWith('{'))?.body).toMatch(/CONNECTION_REFUSED[^\n]*$/);
  expect(server.received).toHaveLength(2);
});

describe('a ping', () => {
  it('is sent at the start, on success and on failure, with the log and the id of the run', async () => {
    const server = await serve();
    const config = {targets: [{type: 'ping', url: `${server.url}/token/`}]};
    expect(await send(startNotice(done), config)).toEqual([]);
    expect(await send(endNotice(done, []), config)).toEqual([]);
    expect(await send(endNotice(failed, ['Dump failed']), config)).toEqual([]);
    expect(server.received.map(({line}) => line)).toEqual([
      `POST /token/start?rid=${runId}`,
      `POST /token?rid=${runId}`,
      `POST /token/fail?rid=${runId}`,
    ]);
    expect(server.received[1]?.body).toBe(
      'backup of shop (db.example:5432) on ops.example is done in 1 min 15 s: 129 MB, 14,940 rows.',
    );
    expect(server.received[2]?.body).toMatch(
      /^Dump failed\nbackup of shop .* failed after 1\.2 s: CONNECTION_REFUSED/,
    );
    expect(server.received[2]?.body).not.toContain('hunter2');
  });

  it('is sent only for backups, unless the config says otherwise', async () => {
    const server = await serve();
    const notice = endNotice({...done, command: 'restore'}, []);
    await send(notice, {targets: [{type: 'ping', url: server.url}]});
    expect(server.received).toEqual([]);
    await send(notice, {targets: [{type: 'ping', url: server.url, commands: ['restore']}]});
    expect(server.received).toHaveLength(1);
  });
});

describe('a webhook', () => {
  it('gets Slack text, with the log on failure, and nothing on success', async () => {
    const server = await serve();
    const config = {targets: [{type: 'webhook', urlEnv: 'SLACK_URL'}]};
    const env = {SLACK_URL: `${server.url}/services/T/B/secret`};
    await send(endNotice(done, []), config, env);
    await send(endNotice(failed, ['Dump failed']), config, env);
    expect(server.received).toHaveLength(1);
    expect(server.received[0]).toMatchObject({
      line: 'POST /services/T/B/secret',
      contentType: 'application/json',
    });
    expect(JSON.parse(server.received[0]?.body ?? '')).toEqual({
      text:
        'backup of shop (db.example:5432) on ops.example failed after 1.2 s: CONNECTION_REFUSED ' +
        'Nothing answers at postgresql://shop:***@db.example:5432/shop &lt;now&gt; &amp; "then".\n```\nDump failed\n```',
    });
  });

  it('fills a template with any facts', async () => {
    const server = await serve();
    const template = {
      title: '{{command}}/{{errorCode}}',
      fields: [{value: '{{errorMessage}}', short: true}],
      n: 1,
      x: '{{nothing}}',
    };
    await send(endNotice(failed, []), {targets: [{type: 'webhook', url: server.url, template}]});
    expect(JSON.parse(server.received[0]?.body ?? '')).toEqual({
      title: 'backup/CONNECTION_REFUSED',
      fields: [
        {value: 'Nothing answers at postgresql://shop:***@db.example:5432/shop <now> & "then".', short: true},
      ],
      n: 1,
      x: '',
    });
  });

  it('reports a shrink and stale backups', async () => {
    const server = await serve();
    const config = {targets: [{type: 'webhook', url: server.url}]};
    await send(endNotice(alarm, []), config);
    await send(stale(), config);
    expect(server.received.map(({body}) => JSON.parse(body) as unknown)).toEqual([
      {
        text: 'backup of shop (db.example:5432) on ops.example raised an alarm: public.orders has 0 rows, 12 before.',
      },
      {
        text:
          'Backups on ops.example need attention: shop: the newest usable backup is 2 d 9 h old, limit 26 h ' +
          '(shop-2026-11-08T03-00-00).',
      },
    ]);
  });
});

it('names the backup whose test failed, not those that passed', () => {
  const proof = {level: 'restore', duration: 1, restoreDuration: null} as const;
  const run = sampleRun({
    command: 'verify',
    outcome: 'alarm',
    exitCode: 4,
    verifications: [
      {...proof, backupId: 'shop-2026-11-08T03-00-00', ok: true},
      {...proof, backupId: 'shop-2026-11-09T03-00-00', ok: false},
      {...proof, backupId: 'shop-2026-11-10T03-00-00', ok: false, outcome: 'not-possible'},
    ],
  });
  expect(endNotice(run, []).summary).toBe(
    'verify of shop (db.example:5432) on ops.example raised an alarm: shop-2026-11-09T03-00-00 is not proven by restore. shop-2026-11-10T03-00-00 could not be checked by restore here; this says nothing about the backup.',
  );
});

describe('a command', () => {
  it('gets its arguments without a shell, and the facts in its environment', async () => {
    const folder = await tempFolder();
    const hook = join(folder, 'hook.sh');
    await writeFile(
      hook,
      '#!/bin/sh\nprintf "%s\\n" "$1" "$DESTINO_DB_RUN_EVENT" "$DESTINO_DB_RUN_ERROR_CODE" "$DATABASE_URL" >"$2"\n',
    );
    await chmod(hook, 0o700);
    const argv = [hook, '$(touch x); *', join(folder, 'out')];
    expect(await send(endNotice(failed, []), {targets: [{type: 'command', argv}]})).toEqual([]);
    expect(await readFile(join(folder, 'out'), 'utf8')).toBe(
      '$(touch x); *\nfailure\nCONNECTION_REFUSED\n\n',
    );
    await rm(folder, {recursive: true});
  });

  it('is started even with a long log, because long variables are truncated', async () => {
    const warnings = Array.from({length: 3000}, (_, index) => `¡${index}! ${'warning '.repeat(10)}`);
    const argv = ['/bin/sh', '-c', 'test "${#DESTINO_DB_RUN_WARNINGS}" -gt 10000'];
    expect(
      await send(endNotice({...failed, warnings}, warnings), {targets: [{type: 'command', argv}]}),
    ).toEqual([]);
  });

  it.each([
    ['http://127.0.0.1:9/secret', 'bad port'],
    ['http://user:secret@127.0.0.1/x', 'Request cannot be constructed from a URL that includes credentials'],
  ])(
    'with an address that fetch refuses causes a warning with the reason, without the address: %s',
    async (url, why) => {
      const targets = [{type: 'webhook', url}];
      const [warning] = await send(endNotice(failed, []), {timeoutSeconds: 0.3, targets});
      expect(warning).toContain(`was not delivered: ${why}.`);
      expect(warning).not.toContain('secret');
    },
  );

  it('that fails, hangs or does not exist causes a warning, and does not keep running', async () => {
    const folder = await tempFolder();
    const pidFile = join(folder, 'pid');
    const deaf = 'trap "" TERM; echo $$ >"$1"; while :; do sleep 1; done';
    const sendTo = (timeoutSeconds: number, ...targets: object[]) =>
      send(endNotice(failed, []), {timeoutSeconds, targets});
    const failing = {type: 'command', argv: ['/bin/sh', '-c', 'exit 7']};
    const warnings = await sendTo(60, failing, {type: 'command', argv: ['/nowhere/hook']});
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toContain('"command" (/bin/sh) of failure was not delivered');
    expect(warnings[1]).toContain('Cannot start');
    const hanging = {type: 'command', argv: ['/bin/sh', '-c', deaf, 'deaf', pidFile], name: 'deaf'};
    expect(await sendTo(1, hanging)).toEqual([
      'The notification "deaf" (/bin/sh) of failure was not delivered: no answer within 1 s.',
    ]);
    const pid = Number(await readFile(pidFile, 'utf8'));
    await vi.waitFor(() => expect(() => process.kill(pid, 0)).toThrow('ESRCH'), 20_000);
    await rm(folder, {recursive: true});
  });
});

describe('an unreachable target', () => {
  it('is retried after the answer 429', async () => {
    const server = await serve((count) => (count === 1 ? 429 : 200));
    expect(await send(endNotice(failed, []), {targets: [{type: 'webhook', url: server.url}]})).toEqual([]);
    expect(server.received).toHaveLength(2);
  });

  it('does not delay Ctrl-C beyond its limit', async () => {
    const server = await serve(() => undefined);
    const config = {timeoutSeconds: 60, targets: [{type: 'webhook', url: server.url}]};
    const [warning] = await send(endNotice(failed, []), config, {}, 200);
    expect(warning).toContain('no answer within 0.2 s');
  });

  it('is retried after the answer 503', async () => {
    const server = await serve((count) => (count < 3 ? 503 : 200));
    expect(await send(endNotice(failed, []), {targets: [{type: 'webhook', url: server.url}]})).toEqual([]);
    expect(server.received).toHaveLength(3);
  });

  it('causes a warning that hides the address if it hangs, fails, refuses or does not exist', async () => {
    const [hanging, broken, refusing, gone] = [
      await serve(() => undefined),
      await serve(() => 500),
      await serve(() => 404),
      await serve(),
    ];
    await gone.close();
    const targets = [hanging, broken, refusing, gone].map(({url}) => ({
      type: 'webhook',
      url: `${url}/secret?token=secret`,
    }));
    const warnings = await send(endNotice(failed, []), {
      timeoutSeconds: 2,
      targets: [...targets, {type: 'ping', urlEnv: 'UNSET'}],
    });
    expect(warnings.map((text) => text.replace(/^.*was not delivered: /, ''))).toEqual([
      'no answer within 2 s.',
      'it answered 500.',
      'it answered 404.',
      'ECONNREFUSED.',
      'UNSET is not set.',
    ]);
    expect(warnings[0]).toContain(`"webhook" (${hanging.url}/***) of failure`);
    expect(warnings.join('\n')).not.toContain('secret');
    expect(broken.received.length).toBeGreaterThan(1);
    expect(refusing.received).toHaveLength(1);
  });
});

describe('the config', () => {
  it.each([
    [{type: 'ping'}, 'url'],
    [{type: 'ping', url: 'https://a.example', urlEnv: 'A'}, 'url'],
    [{type: 'ping', url: 'file:///etc/passwd'}, 'url'],
    [{type: 'command', argv: []}, 'argv'],
    [{type: 'webhook', url: 'https://a.example', on: ['sometimes']}, 'on'],
    [{type: 'mail', url: 'https://a.example'}, 'type'],
  ])('refuses %j', (target, key) => {
    const parsed = notificationsConfig.safeParse({targets: [target]});
    expect(JSON.stringify(parsed.error?.issues)).toContain(key);
  });
});
