/** init writes three files, once, and changes no others. */
import {mkdir, readdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {PassThrough} from 'node:stream';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import {askInit} from '../../../../src/lib/cli/ask-init.js';
import {initCommand, showInit} from '../../../../src/lib/cli/show/show-init.js';
import {createStyle} from '../../../../src/lib/cli/show/style.js';
import {defaultAnswers, initProject, packageScripts} from '../../../../src/lib/services/init/init-project.js';
import {readConfig} from '../../../../src/lib/settings/read-config.js';
import {tempFolder} from '../../../support/run-cli.js';
import {testContext} from '../../../support/test-context.js';

let folder = '';
beforeEach(async () => {
  folder = await tempFolder();
});
afterEach(() => rm(folder, {recursive: true, force: true}));

const init = (changes: Partial<typeof defaultAnswers> = {}, options = {}) =>
  initProject(testContext(folder), {
    answers: {...defaultAnswers, ...changes},
    isDryRun: false,
    isForced: false,
    checkCommandLine: () => Promise.resolve(undefined),
    ...options,
  });
const read = (name: string) => readFile(`${folder}/${name}`, 'utf8');
const states = (result: Awaited<ReturnType<typeof init>>) => result.files.map((file) => file.state);

describe('initProject', () => {
  it('writes a config that the program reads, ignores the backups and adds the scripts', async () => {
    await mkdir(`${folder}/.git`);
    await writeFile(`${folder}/package.json`, '{"scripts": {"backup-db": "tsx old.ts"}}\n', {mode: 0o644});
    expect(states(await init({keepDays: 30, productionHosts: ['db.example.net']}))).toEqual([
      'created',
      'created',
      'changed',
    ]);
    expect(await readConfig(folder)).toMatchObject({
      backupsDir: 'backups',
      production: {hosts: ['db.example.net'], databases: []},
      retention: {keepDays: 30},
      schedule: {plan: defaultAnswers.plan},
    });
    expect(await read('.gitignore')).toBe('backups/\n.env\n.env.local\n');
    const scripts = (JSON.parse(await read('package.json')) as {scripts: Record<string, string>}).scripts;
    expect(scripts).toEqual({...packageScripts, 'backup-db': 'tsx old.ts'});
    expect((await stat(`${folder}/package.json`)).mode & 0o777).toBe(0o644);
  });

  it('writes the given locations and public keys, and refuses an invalid public key', async () => {
    const recipients = ['age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p'];
    await init({places: ['s3://bucket/shop'], recipients});
    expect(await readConfig(folder)).toMatchObject({
      storage: {places: ['s3://bucket/shop']},
      encryption: {recipients},
    });
    const wrong = init({recipients: ['AGE-SECRET-KEY-1XYZ']}, {isForced: true});
    await expect(wrong).rejects.toMatchObject({code: 'USAGE'});
    expect(await readConfig(folder)).toMatchObject({encryption: {recipients}});
  });

  it('changes nothing the second time or in a dry run', async () => {
    await mkdir(`${folder}/.git`);
    await writeFile(`${folder}/package.json`, '{}\n');
    expect(states(await init({}, {isDryRun: true}))).toEqual(['created', 'created', 'changed']);
    expect((await readdir(folder)).sort()).toEqual(['.git', 'package.json']);
    await init();
    const before = await Promise.all(['.gitignore', 'package.json', 'destino-db.config.json'].map(read));
    expect(states(await init())).toEqual(['unchanged', 'unchanged', 'unchanged']);
    expect(await Promise.all(['.gitignore', 'package.json', 'destino-db.config.json'].map(read))).toEqual(
      before,
    );
  });

  it('adds the backups folder to .gitignore, also for an absolute path and for an existing config file', async () => {
    await mkdir(`${folder}/.git`);
    await writeFile(`${folder}/.gitignore`, '.env*\n');
    await init({backupsDir: `${folder}/data/backups`});
    expect(await read('.gitignore')).toBe('.env*\ndata/backups/\n');
    await writeFile(`${folder}/destino-db.config.json`, '{"backupsDir": "mine"}');
    await init();
    expect(await read('.gitignore')).toBe('.env*\ndata/backups/\nmine/\n');
    for (const elsewhere of ['/var/backups', '../mine', '.'])
      await init({backupsDir: elsewhere}, {isForced: true});
    expect(await read('.gitignore')).toBe('.env*\ndata/backups/\nmine/\n');
  });

  it('keeps an existing config file, unless forced', async () => {
    await writeFile(`${folder}/destino-db.config.json`, '{"backupsDir": "mine"}');
    const kept = await init();
    expect(kept.files[0]).toMatchObject({state: 'unchanged', notes: [expect.stringContaining('--force')]});
    expect(await read('destino-db.config.json')).toBe('{"backupsDir": "mine"}');
    expect(states(await init({}, {isForced: true}))).toEqual(['changed']);
  });

  it.each([
    ['node_modules', 'node_modules\nbackups/\n.env\n.env.local\n'],
    ['/backups\n.env\n*.local\n', undefined],
    ['/backups/**\r\n**/.env*\r\n', undefined],
    // A pattern for folders does not ignore a file, and a longer name does not match.
    ['backups/*\n.env/\n.env.local', 'backups/*\n.env/\n.env.local\n.env\n'],
    ['back*\r\n.env.example\r\n', 'back*\r\n.env.example\r\n.env\r\n.env.local\r\n'],
  ])('adds to %j only what Git does not ignore yet', async (before, after = before) => {
    await writeFile(`${folder}/.gitignore`, before);
    await init();
    expect(await read('.gitignore')).toBe(after);
  });

  it('writes nothing if one of the files cannot be parsed', async () => {
    await writeFile(`${folder}/package.json`, '{');
    await expect(init()).rejects.toMatchObject({code: 'CONFIG_INVALID'});
    expect(await readdir(folder)).toEqual(['package.json']);
  });

  it('refuses an invalid plan', async () => {
    await expect(init({plan: ['dialy custom']})).rejects.toMatchObject({code: 'CONFIG_INVALID'});
    await expect(init({timeZone: 'Mars/Olympus'})).rejects.toMatchObject({code: 'CONFIG_INVALID'});
  });
});

it('a dry run shows each added and removed line, and the command that writes them', async () => {
  await mkdir(`${folder}/.git`);
  await writeFile(`${folder}/.gitignore`, 'dist\n');
  await writeFile(`${folder}/destino-db.config.json`, '{\n  "backupsDir": "mine"\n}\n');
  const answers = {
    ...defaultAnswers,
    keepDays: 30,
    productionHosts: ['db.example.net'],
    plan: ['daily sql', 'weekly restore test'],
  };
  const result = await init(answers, {isDryRun: true, isForced: true});
  const lines = showInit(
    result,
    initCommand('destino-db', answers, defaultAnswers, true),
    createStyle(false, {}),
  );
  expect(lines.map((line) => line.replace(folder, '/srv/shop'))).toEqual([
    'would be changed  /srv/shop/destino-db.config.json',
    '  -   "backupsDir": "mine"',
    '  +   "backupsDir": "backups",',
    '  +   "production": {',
    '  +     "hosts": [',
    '  +       "db.example.net"',
    '  +     ],',
    '  +     "databases": []',
    '  +   },',
    '  +   "backup": {',
    '  +     "format": "custom"',
    '  +   },',
    '  +   "retention": {',
    '  +     "keepDays": 30,',
    '  +     "keepMin": 2',
    '  +   },',
    '  +   "schedule": {',
    '  +     "plan": [',
    '  +       "daily sql",',
    '  +       "weekly restore test"',
    '  +     ]',
    '  +   }',
    'would be changed  /srv/shop/.gitignore',
    '  Git ignores backups/, .env, .env.local',
    '  + backups/',
    '  + .env',
    '  + .env.local',
    '',
    'Next:',
    "  destino-db init --yes --force --keep-days=30 --production-host=db.example.net '--plan=daily sql; weekly restore test'",
    '  destino-db doctor     # is everything there: connection, tools, rights, disk',
    '  destino-db backup     # the first backup',
    '  destino-db schedule   # the plan and how to install it',
  ]);
});

describe('askInit', () => {
  const terminal = () => {
    const input = Object.assign(new PassThrough(), {isTTY: true}) as unknown as typeof process.stdin;
    const output = Object.assign(new PassThrough(), {isTTY: true}) as unknown as typeof process.stderr;
    return {input, output};
  };
  const signal = new AbortController().signal;

  it('uses the default for an empty answer, and asks again after a wrong one', async () => {
    const {input, output} = terminal();
    const answers = ['', 'zip', 'sql', '30', 'a.example, b.example', '', 'daily custm', 'daily sql', 'UTC'];
    output.on('data', (chunk: Buffer) => {
      if (chunk.toString().endsWith(']: '))
        (input as unknown as PassThrough).write(`${answers.shift() ?? ''}\n`);
    });
    expect(await askInit(defaultAnswers, true, signal, {input, output})).toEqual({
      backupsDir: 'backups',
      format: 'sql',
      keepDays: 30,
      productionHosts: ['a.example', 'b.example'],
      productionDatabases: [],
      plan: ['daily sql'],
      timeZone: 'UTC',
    });
    expect(answers).toEqual([]);
  });

  it('writes nothing if the input ends before the last question', async () => {
    const {input, output} = terminal();
    (input as unknown as PassThrough).end('backups\n');
    await expect(askInit(defaultAnswers, true, signal, {input, output})).rejects.toMatchObject({
      code: 'NOT_CONFIRMED',
    });
  });

  it('is interrupted by Ctrl-C at a question', async () => {
    const {input, output} = terminal();
    output.on('data', (chunk: Buffer) => {
      if (chunk.toString().endsWith(']: ')) (input as unknown as PassThrough).write('\u0003');
    });
    await expect(askInit(defaultAnswers, true, signal, {input, output})).rejects.toMatchObject({
      code: 'INTERRUPTED',
    });
  });

  it('asks nothing without a terminal', async () => {
    const {input, output} = terminal();
    input.isTTY = false;
    expect(await askInit(defaultAnswers, true, signal, {input, output})).toBe(defaultAnswers);
  });
});
