import {rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import {parseConfig} from '../../../src/lib/settings/parse-config.js';
import {defaultConfigName, readConfig} from '../../../src/lib/settings/read-config.js';
import {loadSettings} from '../../../src/lib/settings/settings.js';
import {tempFolder} from '../../support/run-cli.js';

let folder: string;
beforeEach(async () => {
  folder = await tempFolder();
});
afterEach(() => rm(folder, {recursive: true}));

const parse = (data: unknown) => parseConfig(JSON.stringify(data), 'x.json');

describe('parseConfig', () => {
  it('names an unknown key with its path and the nearest known key', () => {
    expect(() => parse({backupDir: 'x'})).toThrow('unknown key "backupDir" (did you mean "backupsDir"?)');
    expect(() => parse({backup: {formatt: 'sql'}})).toThrow(
      'unknown key "backup.formatt" (did you mean "format"?)',
    );
    expect(() => parse({retention: {keepDaysOrSo: 1}})).toThrow('unknown key "retention.keepDaysOrSo"');
    expect(() => parse({frobnicate: 1})).toThrow(/unknown key "frobnicate"\./);
  });

  it('reports all problems at once', () => {
    const wrong = {backup: {format: 'zip', parallelJobs: 0}, retention: {keepMin: 0}, other: 1};
    expect(() => parse(wrong)).toThrow(
      /backup\.format: .*backup\.parallelJobs: .*retention\.keepMin: .*unknown key "other"/,
    );
  });

  it.each(['{"lockDays": 30}', '{"lockMode": "COMPLIANCE"}'])(
    'refuses half of an object lock: %s',
    (storage) => {
      expect(() => parseConfig(`{"storage": ${storage}}`, 'file')).toThrow(
        'The config file file is not valid: storage: lockMode and lockDays go together.',
      );
      expect(() => parseConfig('{"storage": {"lockDay": 30}}', 'file')).toThrow('did you mean "lockDays"?');
    },
  );

  const root = {table: 'orders', email: 'mail', status: 'state', paymentStatus: 'paid'};
  const profile = (changes: object, roots: object[] = [root]) => ({
    orders: {profile: {name: 'shop', roots, ...changes}},
  });
  it.each([
    [
      profile({}, [{table: 'orders', total: 'sum'}]),
      'no order can ever be selected: set email, status or paymentStatus',
    ],
    [profile({paidPayments: ['DONE']}, [{table: 'orders', email: 'mail'}]), 'paidPayments has no effect'],
    [
      profile({cancelledStatuses: ['GONE']}, [{table: 'orders', email: 'mail'}]),
      'cancelledStatuses has no effect',
    ],
    [profile({failedPayments: ['PAID']}), '"PAID" cannot be a status of both failed and paid payments'],
    [profile({}, [{...root, joins: [{table: 'people', on: {}}]}]), 'roots.0.joins.0.on: names no column'],
    [
      profile({}, [
        {
          ...root,
          joins: [
            {table: 'people', on: {id: 'a'}},
            {table: 'people', on: {id: 'b'}},
          ],
        },
      ]),
      'two tables of the root "orders" are called "people"; name one with "as"',
    ],
    [
      profile({}, [{...root, total: {sqll: '1'}}]),
      'roots.0.total: takes a column or {"sql": "an expression"}',
    ],
    [{orders: {protected: ['*@*']}}, 'protects every address'],
    [{orders: {testWords: {remove: ['tset']}}}, '"tset" is not a built-in word'],
    [
      {notifications: {targets: [{type: 'ping', url: 'https://a.b', commands: ['bakup']}]}},
      '"bakup" is not a command of the audit log (did you mean "backup"?)',
    ],
  ])('refuses a value that can never have an effect: %j', (wrong, message) => {
    expect(() => parse(wrong)).toThrow(message);
  });

  it('accepts profiles that select by one column', () => {
    for (const column of ['email', 'status', 'paymentStatus'])
      expect(() => parse(profile({}, [{table: 'orders', [column]: 'x'}]))).not.toThrow();
    expect(() => parse(profile({failedPayments: ['LOST'], paidPayments: ['DONE']}))).not.toThrow();
  });

  it('reports text that is not JSON, and JSON of another type', () => {
    expect(() => parseConfig('{"a": 1,}', 'x.json')).toThrow(
      expect.objectContaining({code: 'CONFIG_INVALID', exitCode: 2}) as Error,
    );
    expect(() => parse([])).toThrow('The config file x.json is not valid');
  });
});

describe('readConfig', () => {
  it('reads a file with a byte order mark', () => {
    expect(parseConfig('\ufeff{"backupsDir": "b"}', 'file')).toEqual({backupsDir: 'b'});
  });

  it('treats a missing default file as an empty config, and a missing named file as an error', async () => {
    expect(await readConfig(folder)).toEqual({});
    await expect(readConfig(folder, 'gone.json')).rejects.toThrow(join(folder, 'gone.json'));
  });
});

describe('loadSettings', () => {
  it('prefers flag over environment over config file over default', async () => {
    const folderOf = async (flags: Record<string, string>, environment: Record<string, string>) =>
      (await loadSettings(flags, folder, environment)).backupsDir;
    expect(await folderOf({}, {})).toBe(join(folder, 'backups'));
    await writeFile(join(folder, defaultConfigName), '{"backupsDir": "from-config"}');
    expect(await folderOf({}, {})).toBe(join(folder, 'from-config'));
    await writeFile(join(folder, '.env'), 'DESTINO_DB_BACKUPS_DIR=from-file\n');
    expect(await folderOf({}, {})).toBe(join(folder, 'from-file'));
    expect(await folderOf({}, {DESTINO_DB_BACKUPS_DIR: '/from/environment'})).toBe('/from/environment');
    expect(await folderOf({'backups-dir': '../flag'}, {DESTINO_DB_BACKUPS_DIR: '/x'})).toBe(
      join(folder, '../flag'),
    );
  });
});
