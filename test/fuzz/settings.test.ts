/** Input of people and machines in URLs, config, env files, flags and plans: accepted, or refused with a code. */
import {execFileSync} from 'node:child_process';
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {defined} from '../../src/lib/base/defined.js';
import {applyRetention, type RetentionCandidate} from '../../src/lib/catalog/retention.js';
import {backupId, fileNamePart} from '../../src/lib/catalog/backup-name.js';
import {AppError} from '../../src/lib/base/errors.js';
import {parseCriteria} from '../../src/lib/services/orders/rules/criteria.js';
import {parseDuration, parseSince} from '../../src/lib/base/parse-duration.js';
import {libpqEnvironment} from '../../src/lib/postgres/connect/connection.js';
import {parseConnectionUrl} from '../../src/lib/postgres/connect/connection-url.js';
import {parseOwnerComment} from '../../src/lib/postgres/databases/owner-comment.js';
import {findPassword} from '../../src/lib/postgres/connect/password-file.js';
import {parseServiceFile} from '../../src/lib/postgres/connect/service-file.js';
import {parseNamePattern} from '../../src/lib/postgres/inspect/table-pattern.js';
import {redact} from '../../src/lib/base/redact.js';
import {parseConfig} from '../../src/lib/settings/parse-config.js';
import {quoteForShell} from '../../src/lib/base/shell-quote.js';
import {cronBlock, cronTime, withCronBlock} from '../../src/lib/services/schedule/cron-block.js';
import {nextRuns} from '../../src/lib/services/schedule/next-runs.js';
import {parsePlan} from '../../src/lib/services/schedule/plan.js';
import {anyJson, anyText, orRefusal, runs, withOneChange} from '../support/fuzz.js';

const withoutNul = fc.string({unit: 'grapheme', minLength: 1}).filter((text) => !text.includes('\0'));

describe('connection URLs', () => {
  it('are parsed or refused, with any content', () => {
    const url = fc.oneof(
      anyText,
      fc
        .array(fc.oneof(fc.constantFrom('postgresql://', 'postgres:', ':', '@', '/', '?', '&', '=', '[', ']', ',', '%', '%00', '%zz', '::1', '5432', 'sslmode=require', 'host=', 'sslrootcert=system'), anyText), {maxLength: 12})
        .map((parts) => parts.join('')),
    ); // prettier-ignore
    fc.assert(
      fc.property(url, (text) => {
        const connection = orRefusal(['URL_INVALID'], () => parseConnectionUrl(text, 'the test'));
        if (!connection) return;
        expect(connection.port).toBeGreaterThan(0);
        for (const value of Object.values(libpqEnvironment(connection))) expect(value).not.toContain('\0');
      }),
      runs(500),
    );
  });

  it('return every user, password, host and database that was percent-encoded', () => {
    const encode = encodeURIComponent;
    fc.assert(
      fc.property(
        withoutNul,
        withoutNul,
        withoutNul,
        fc.integer({min: 1, max: 65535}),
        (user, password, database, port) => {
          const url = `postgresql://${encode(user)}:${encode(password)}@h.example:${port}/${encode(database)}?sslmode=require`;
          expect(parseConnectionUrl(url, 'the test')).toMatchObject({
            user,
            password,
            database,
            port,
            host: 'h.example',
          });
          expect(redact(`It said ${url} and ended`)).toBe(
            `It said postgresql://${encode(user)}:***@h.example:${port}/${encode(database)}?sslmode=require and ended`,
          );
        },
      ),
      runs(),
    );
  });

  it('never show a password in the error that refuses them', () => {
    const around = fc.string({
      unit: fc.constantFrom('a', '@', ':', '/', '?', '&', '=', '#', '%', ' ', "'", '[', ','),
      maxLength: 8,
    });
    fc.assert(
      fc.property(around, around, (before, behind) => {
        const url = `postgresql://u:${before}hunter2${behind}@h/d`;
        try {
          parseConnectionUrl(url, 'the test');
        } catch (error) {
          expect(error).toBeInstanceOf(AppError);
          expect(JSON.stringify([(error as AppError).message, (error as AppError).hint])).not.toContain(
            'hunter2',
          );
        }
      }),
      runs(500),
    );
  });
});

describe('files of settings', () => {
  const config = {
    backupsDir: 'b', production: {hosts: ['h'], databases: ['d']}, backup: {format: 'custom', compress: true, compressLevel: 5},
    retention: {keepDays: 3, keepLabels: ['x']}, schedule: {plan: ['daily custom'], timeZone: 'UTC'}, status: {maxAge: '26h'},
    notifications: {targets: [{type: 'webhook', url: 'https://x.example/', template: {a: {b: '{{command}}'}}}, {type: 'command', argv: ['a']}]},
    orders: {roots: [{table: 'orders'}]},
  }; // prettier-ignore

  it('a config file is accepted or refused, with any content', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          anyText,
          anyJson.map((json) => JSON.stringify(json)),
          withOneChange(config).map((json) => JSON.stringify(json)),
        ),
        (text) => {
          orRefusal(['CONFIG_INVALID'], () => parseConfig(text, 'c.json'));
          expect(({} as {polluted?: unknown}).polluted).toBeUndefined();
        },
      ),
      runs(400),
    );
    const deep = '['.repeat(200_000) + ']'.repeat(200_000);
    orRefusal(['CONFIG_INVALID'], () => parseConfig(deep, 'c.json'));
    const target = `{"type":"webhook","url":"https://x.example","template":{"a":${deep}}}`;
    orRefusal(['CONFIG_INVALID'], () => parseConfig(`{"notifications":{"targets":[${target}]}}`, 'c.json'));
  });

  it('service files and password files are read to their end, with any content', () => {
    const connection = parseConnectionUrl('postgresql://u@h/d', 'the test');
    const text = fc
      .array(fc.oneof(anyText, fc.constantFrom(':', '\\', '*', '\n', '[', ']', '=', '#', 'h:5432:d:u:p')), {
        maxLength: 20,
      })
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(text, (content) => {
        orRefusal([], () => parseServiceFile(content));
        orRefusal([], () => findPassword(content, connection));
        orRefusal([], () => parseOwnerComment(content));
      }),
      runs(),
    );
    orRefusal([], () => findPassword(`${'\\'.repeat(100_000)}\n${':'.repeat(100_000)}`, connection));
  });
});

describe('flags', () => {
  it('durations and times are finite, or refused', () => {
    const text = fc.oneof(
      anyText,
      fc.stringMatching(/^(\d{1,400}(\.\d{1,20})?[smhdw]){1,3}$/),
      fc.stringMatching(/^\d{4}-\d\d-\d\d([T ]\d\d:\d\d)?Z?$/),
    );
    fc.assert(
      fc.property(text, (value) => {
        const duration = orRefusal(['USAGE'], () => parseDuration(value, '--max-age'));
        if (duration !== undefined) expect(Number.isSafeInteger(Math.round(duration))).toBe(true);
        const since = orRefusal(['USAGE'], () => parseSince(value, '--since', new Date()));
        if (since !== undefined) expect(Number.isNaN(since.getTime())).toBe(false);
      }),
      runs(500),
    );
  });

  it('days and time zones are valid, or refused', () => {
    const day = fc.option(fc.oneof(anyText, fc.stringMatching(/^\d{4}-\d\d-\d\d$/)), {nil: undefined});
    fc.assert(
      fc.property(day, day, anyText, (from, to, timeZone) => {
        const flags = {
          testEmailsOnly: false,
          includeOld: false,
          includeCustomers: false,
          from,
          to,
          excludeIds: [],
        };
        orRefusal(['USAGE', 'CONFIG_INVALID'], () => parseCriteria(flags, {timeZone}));
      }),
      runs(),
    );
  });

  it('patterns of tables are accepted, or refused', () => {
    const pattern = fc.array(
      fc.oneof(anyText, fc.constantFrom('"', '""', '.', '*', '?', '[', ']', '(', '|', '\\', '$')),
      {maxLength: 12},
    );
    fc.assert(
      fc.property(pattern, (parts) => void orRefusal(['USAGE'], () => parseNamePattern(parts.join('')))),
      runs(),
    );
  });

  it('names of files stay in their folder, and distinguish databases', () => {
    fc.assert(
      fc.property(fc.string({unit: 'grapheme', minLength: 1, maxLength: 63}), (database) => {
        expect(fileNamePart(database)).toMatch(/^[A-Za-z0-9_%][A-Za-z0-9_.%-]*$/);
        // The longest name of a database with every byte escaped, and all suffixes, still fit into 255 bytes.
        const cut = Buffer.from(database)
          .subarray(0, 63)
          .toString('utf8')
          .replace(/\ufffd$/, '');
        expect(`${backupId(cut, new Date(0), 99)}.metadata.json.12345678.partial`.length).toBeLessThanOrEqual(
          255,
        );
      }),
      runs(),
    );
  });
});

it('retention decides on every backup, and keeps the newest usable one, for any numbers', () => {
  const count = fc.option(
    fc.oneof(fc.nat(5), fc.constantFrom(0, 1, 2 ** 31, Number.MAX_SAFE_INTEGER, 1e308)),
    {nil: undefined},
  );
  const date = fc.date({min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true});
  const backup: fc.Arbitrary<RetentionCandidate> = fc.record({
    id: anyText, identity: fc.constantFrom('a', '__proto__'), createdAt: date, label: fc.option(anyText), isGood: fc.boolean(),
    isProvenByRestore: fc.boolean(), isShrunk: fc.boolean(),
  }); // prettier-ignore
  const policy = fc.record({
    keepDays: count, keepLast: count, keepHourly: count, keepDaily: count, keepWeekly: count, keepMonthly: count, keepYearly: count,
    keepLabels: fc.option(fc.array(anyText), {nil: undefined}), keepMin: count,
  }); // prettier-ignore
  fc.assert(
    fc.property(fc.array(backup, {maxLength: 30}), policy, date, (backups, rules, now) => {
      const decisions = orRefusal(['USAGE'], () => applyRetention(backups, defined(rules), now));
      if (!decisions) return;
      expect(decisions).toHaveLength(backups.length);
      for (const identity of ['a', '__proto__']) {
        const good = decisions.filter(
          ({backup: {identity: of, isGood, createdAt}}) => of === identity && isGood && createdAt <= now,
        );
        if (good[0]) expect(good[0].isKept).toBe(true);
      }
    }),
    runs(),
  );
});

describe('plans', () => {
  const word = fc.constantFrom(
    'hourly',
    'daily',
    'weekly',
    'monthly',
    'on',
    'sunday',
    '1',
    '31',
    'at',
    '02:00',
    ':15',
    '25:99',
    'every',
    'monday',
    'weekdays',
    'cron',
    '*',
    '*/7',
    '1-5',
    'custom',
    'sql',
    'restore test',
    'keep',
    '30',
    'days',
    'run',
    'backup',
    '--label=x y',
    '"a b"',
    "'c'",
    ';',
    '%',
    '\n',
    '$(id)',
  );
  const plan = fc.array(
    fc
      .array(fc.oneof({weight: 4, arbitrary: word}, {weight: 1, arbitrary: anyText}), {maxLength: 9})
      .map((words) => words.join(' ')),
    {maxLength: 4},
  );

  it('are accepted, or refused; accepted plans have times', () => {
    fc.assert(
      fc.property(plan, (sentences) => {
        for (const job of orRefusal(['CONFIG_INVALID'], () => parsePlan(sentences)) ?? []) {
          expect(cronTime(job.every)).toMatch(/^[\d*,-]+(?: [\d*,-]+){4}$/);
          expect(job.name).toMatch(/^[a-z0-9-]+$/);
          const times = nextRuns(job.every, 'America/New_York', new Date('2026-03-07T00:00:00Z'), 4).map(
            Number,
          );
          expect(times).toEqual([...new Set(times)].sort((a, b) => a - b));
        }
      }),
      runs(),
    );
  });

  it('reach the program unchanged through cron and its shell', () => {
    const words = fc.array(
      anyText.filter((text) => !/[\0\r\n\ud800]/.test(text)),
      {minLength: 1, maxLength: 5},
    );
    fc.assert(
      fc.property(fc.array(words, {minLength: 1, maxLength: 40}), (lists) => {
        const jobs = lists.map((list) => ({
          sentence: 'x',
          name: 'x',
          times: [{unit: 'hour', minute: 0} as const],
          args: [],
          words: ['node', ...list],
        }));
        const block = cronBlock(jobs, '/srv/a b');
        const commands = block
          .split('\n')
          .filter((line) => line.startsWith('0 * '))
          .map((line) => line.slice('0 * * * * '.length));
        expect(commands).toHaveLength(lists.length);
        // cron(8): "%" ends the command unless escaped, and cron removes the backslash before it.
        const scripts = commands.map((command) =>
          command.replaceAll('\\%', '%').replace(/^.* node/s, "printf '%s\\0'"),
        );
        const output = execFileSync('/bin/sh', ['-c', scripts.join('\n')], {encoding: 'utf8'});
        expect(output).toBe(
          lists
            .flat()
            .map((text) => `${text}\0`)
            .join(''),
        );
        expect(withCronBlock(withCronBlock('MAILTO=x\n', '/srv/a b', block), '/srv/a b', undefined)).toBe(
          'MAILTO=x\n',
        );
      }),
      runs(100),
    );
  });

  it('remain single words for a shell, even with line breaks', () => {
    fc.assert(
      fc.property(
        fc.array(
          anyText.filter((text) => !text.includes('\0') && !text.includes('\ud800')),
          {minLength: 1, maxLength: 60},
        ),
        (words) => {
          const output = execFileSync(
            '/bin/sh',
            ['-c', `printf '%s\\0' ${words.map(quoteForShell).join(' ')}`],
            {encoding: 'utf8'},
          );
          expect(output).toBe(words.map((text) => `${text}\0`).join(''));
        },
      ),
      runs(60),
    );
  });
});
