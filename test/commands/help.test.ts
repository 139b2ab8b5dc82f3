/** Help, suggestions and texts for people; other tests check the JSON. */
import {readFileSync} from 'node:fs';
import {rm, writeFile} from 'node:fs/promises';
import {createServer} from 'node:net';
import {join} from 'node:path';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {helpTopics} from '../../src/lib/cli/help/help-topics.js';
import {cases} from '../support/long-form.js';
import {program, runCli, runProgram, tempFolder} from '../support/run-cli.js';
import {writeSampleBackup} from '../support/sample-backups.js';

const manifest = JSON.parse(readFileSync(new URL('../../oclif.manifest.json', import.meta.url), 'utf8')) as {
  commands: Record<string, {hidden?: boolean; flags: Record<string, {helpGroup?: string; hidden?: boolean}>}>;
};

let folder: string;
beforeAll(async () => {
  folder = await tempFolder();
  await writeSampleBackup(join(folder, 'backups/database'), '2026-01-01T00:00:00Z');
  await writeSampleBackup(join(folder, 'backups/database'), '2026-01-02T00:00:00Z', {label: 'release'});
  await writeSampleBackup(join(folder, 'backups/database'), '2026-01-03T00:00:00Z');
  await writeSampleBackup(join(folder, 'backups/database'), '2026-01-04T00:00:00Z');
});
const made: string[] = [];
afterAll(() => Promise.all([folder, ...made].map((path) => rm(path, {recursive: true, force: true}))));

async function emptyFolder(): Promise<string> {
  const path = await tempFolder();
  made.push(path);
  return path;
}

const text = async (...args: string[]): Promise<{status: number | null; out: string; err: string}> => {
  const {status, stdout, stderr} = await runCli(args, {cwd: folder});
  return {status, out: stdout, err: stderr};
};

/** Flags that help explains only for this command. */
const ownFlags = ({flags}: {flags: Record<string, {helpGroup?: string; hidden?: boolean}>}): string[] =>
  Object.entries(flags).flatMap(([name, {helpGroup, hidden}]) =>
    helpGroup !== 'GLOBAL' && hidden !== true ? [name] : [],
  );
const globalNames = Object.entries(manifest.commands['list']?.flags ?? {}).flatMap(([name, {helpGroup}]) =>
  helpGroup === 'GLOBAL' ? [name] : [],
);
const shownCommands = Object.entries(manifest.commands).filter(([, {hidden}]) => hidden !== true);
const tallest = 24;
const widest = 80;

/** Lines, without the part after the last line break. */
const linesOf = (page: string): string[] => page.trimEnd().split('\n');

/** The lines below a heading. */
const below = (page: string, heading: string): string =>
  new RegExp(`^${heading}\\n((?:.+\\n)*)`, 'm').exec(page)?.[1] ?? '';

describe('help', () => {
  it.each(['--help', 'help'])(
    'of the program (%s) has every command in a group, topics and global flags',
    async (word) => {
      const {status, out} = await text(word);
      expect(status).toBe(0);
      const headings = ['BACK UP', 'RESTORE', 'TESTING ORDERS', 'MONITOR', 'GET STARTED'];
      const grouped = headings.map((heading) => below(out, heading)).join('');
      for (const [id] of shownCommands) expect(grouped).toMatch(new RegExp(`^  ${id}  `, 'm'));
      for (const topic of Object.keys(helpTopics))
        expect(below(out, 'TOPICS')).toMatch(new RegExp(`^  ${topic}  `, 'm'));
      for (const name of globalNames)
        expect(below(out, 'GLOBAL')).toMatch(new RegExp(`^ .*--${name}\\b.*  \\w`, 'm'));
      for (const line of linesOf(out)) expect(line.length).toBeLessThanOrEqual(widest);
    },
  );

  it('in short (-h) names every command and topic on one screen', async () => {
    const {status, out} = await text('-h');
    expect(status).toBe(0);
    for (const [id] of shownCommands) expect(out).toMatch(new RegExp(`[ ]${id}(?: |$)`, 'm'));
    for (const topic of Object.keys(helpTopics)) expect(out).toMatch(new RegExp(`[ ]${topic}(?: |$)`, 'm'));
    expect(linesOf(out).length).toBeLessThan(tallest);
    for (const line of linesOf(out)) expect(line.length).toBeLessThanOrEqual(widest);
  });

  it.each(shownCommands)(
    'of %s in short (-h) fits a screen: usage, flags in groups, exit codes',
    async (id, command) => {
      const {status, out, err} = await text(...id.split(':'), '-h');
      expect([status, err]).toEqual([0, '']);
      // The last line is the prompt below it.
      expect(linesOf(out).length).toBeLessThan(tallest);
      for (const line of linesOf(out)) expect(line.length).toBeLessThanOrEqual(widest);
      const examples = linesOf(out).filter((line) => /^ {2}(?!#).*destino-db /.test(line));
      expect(examples.length).toBeGreaterThanOrEqual(2);
      expect(examples.length).toBeLessThanOrEqual(4);
      expect(examples[0]).toContain(`destino-db ${id}`);
      expect(out).toMatch(/^EXIT CODES +0 /m);
      const own = ownFlags(command);
      for (const name of own) expect(out).toMatch(new RegExp(`--(?:\\[no-\\])?${name}\\b`));
      if (own.length > 8) expect(out.match(/^[A-Z][A-Z -]+ {2}/gm)?.length).toBeGreaterThan(2);
      expect(out).toContain(`destino-db ${id} --help`);
    },
  );

  it.each(shownCommands)('of %s (--help) explains every flag on its own line', async (id, command) => {
    const {status, out} = await text(...id.split(':'), '--help');
    expect(status).toBe(0);
    // Examples come first, without escape codes.
    expect(out).toMatch(/^[^\n]+\n\nEXAMPLES\n/);
    expect(out).not.toContain('\u001b');
    for (const heading of ['EXAMPLES', 'USAGE', 'GLOBAL', 'EXIT CODES'])
      expect(out).toContain(`\n${heading}\n`);
    for (const name of ownFlags(command))
      expect(out).toMatch(new RegExp(`^ .*--(?:\\[no-\\])?${name}(?: \\S+)?(?:\\n)? +\\w`, 'm'));
    for (const name of globalNames)
      expect(below(out, 'GLOBAL')).toMatch(new RegExp(`^ .*--${name}\\b.*  \\w`, 'm'));
    for (const line of linesOf(out)) expect(line.length).toBeLessThanOrEqual(widest);
    expect((await text('help', ...id.split(':'))).out).toBe(out);
  });

  it('of the help command, which is from a plugin, has no gaps', async () => {
    const {status, out} = await text('help', 'help');
    expect(status).toBe(0);
    expect(out).toContain('display help for destino-db');
    expect(out).not.toMatch(/<%|EXIT CODES/);
  });

  it('is the same for both spellings of a command, prepared or created on request', async () => {
    for (const flag of ['--help', '-h']) {
      const prepared = await text('orders:clean', flag);
      expect(await text('orders', 'clean', flag)).toEqual(prepared);
      // With another flag beside it, oclif answers, which does not use prepared pages.
      expect(await text('orders:clean', '--execute', flag)).toEqual(prepared);
    }
    expect(await text('help', 'orders:clean')).toEqual(await text('help', 'orders', 'clean'));
  });

  it('does not read the value of a global flag as a command', async () => {
    expect(await text('--config', 'list', '--help')).toEqual(await text('--help'));
    expect(await text('--config=x.json', '--json', 'orders', 'clean', '-h')).toEqual(
      await text('orders:clean', '-h'),
    );
    expect(await text('--backups-dir', 'x', 'help', 'formats')).toEqual(await text('help', 'formats'));
  });

  it.each(Object.entries(helpTopics))('has a page about %s', async (topic, summary) => {
    const {status, out, err} = await text('help', topic);
    expect([status, err]).toEqual([0, '']);
    expect(out.startsWith(`${summary}\n\n`)).toBe(true);
    for (const line of linesOf(out)) expect(line.length).toBeLessThanOrEqual(widest);
  });

  it('of a topic names its commands', async () => {
    const {out} = await text('orders', '--help');
    expect(out).toContain('orders:clean');
    expect(out).toContain('orders:restore');
  });

  it.each([
    [['bakcup'], 'backup'],
    [['bakcup', '--help'], 'backup'],
    [['help', 'bakcup'], 'backup'],
    [['help', 'exit-code'], 'exit-codes'],
    [['help', 'enviroment'], 'environment'],
    [['orders', 'claen'], 'orders:clean'],
    [['orders:restor', '--execute'], 'orders:restore'],
    [['clean-orders'], 'orders:clean'],
    [['safe-cleanup'], 'workflow:safe-cleanup'],
    [['snapshots'], 'list'],
    [['check'], 'verify'],
    [['forget', '--dry-run'], 'prune'],
  ])('is refused for the unknown %j, with the nearest command', async (words, guess) => {
    expect(await text(...words)).toMatchObject({
      status: 2,
      out: '',
      err: expect.stringContaining(`Did you mean "${guess}"?`) as string,
    });
  });

  it('is offered if a topic is used as a command', async () => {
    expect(await text('formats')).toMatchObject({
      status: 2,
      err: expect.stringContaining('destino-db help formats explains this topic.') as string,
    });
    expect(await text('version')).toEqual(await text('--version'));
  });

  it('is required after a flag at the beginning', async () => {
    expect(await text('--dry-run', 'backup')).toMatchObject({
      status: 2,
      err: expect.stringContaining('There is no command before --dry-run.') as string,
    });
  });

  it('suggests nothing if no command is similar', async () => {
    const {status, err} = await text('zzzzzzzzzz');
    expect(status).toBe(2);
    expect(err).not.toContain('Did you mean');
  });

  it.each([
    [['backup', '--lable=x'], '--label'],
    [['restore', '--latset', '--dry-run'], '--latest'],
    [['orders', 'clean', '--exectue'], '--execute'],
    [['list', '--jsno'], '--json'],
  ])('suggests a flag for %j', async (words, guess) => {
    expect(await text(...words)).toMatchObject({
      status: 2,
      out: '',
      err: expect.stringContaining(`Did you mean ${guess}?`) as string,
    });
  });
});

describe('destino-db alone', () => {
  it('says what to do first if nothing is set up', async () => {
    const {status, stdout} = await runCli([], {cwd: await emptyFolder()});
    expect(status).toBe(0);
    expect(stdout).toMatch(/DIRECT_URL and DATABASE_URL are not set/);
    expect(stdout).toMatch(/Next steps\n {2}destino-db doctor .*\n {2}destino-db init /);
  });

  it('asks for the first backup if a database is configured, and never shows its password', async () => {
    const env = {DIRECT_URL: 'postgresql://shop:geheim@db.example.net/shop'};
    const {stdout} = await runCli([], {cwd: await emptyFolder(), env});
    expect(stdout).toMatch(/shop@db\.example\.net:5432\/shop \(DIRECT_URL\)/);
    expect(stdout).toMatch(/\n {2}destino-db backup +make the first backup\n/);
    expect(stdout).not.toContain('geheim');
  });

  it('shows the newest backup, and how to make and verify one', async () => {
    const env = {DIRECT_URL: 'postgresql://shop:geheim@db.example.net/shop'};
    const {status, stdout} = await runCli([], {cwd: folder, env});
    expect(status).toBe(0);
    expect(stdout).toMatch(/4 backups in /);
    expect(stdout).toMatch(/shop-2026-01-04T00-00-00, .* ago, not checked/);
    expect(stdout).toMatch(
      /Next steps\n {2}destino-db backup +.*\n {2}destino-db verify --latest --level restore /,
    );
  });

  it('begins with the verdict of status, and does not connect to anything', async () => {
    const connections: unknown[] = [];
    const server = createServer((socket) => {
      connections.push(socket.remotePort);
      socket.destroy();
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const address = server.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    const cwd = await emptyFolder();
    const storage = {places: ['s3://bucket/db'], region: 'us-east-1', endpoint: `http://127.0.0.1:${port}`};
    await writeFile(join(cwd, 'destino-db.config.json'), JSON.stringify({storage}));
    const env = {
      DIRECT_URL: `postgresql://shop@127.0.0.1:${port}/shop`,
      AWS_ACCESS_KEY_ID: 'tester',
      AWS_SECRET_ACCESS_KEY: 'tester',
    };
    try {
      const none = await runCli([], {cwd, env});
      expect(none.stdout).toMatch(/^CRITICAL There is no backup at all in .*\n\nDatabase /);
      await writeSampleBackup(join(cwd, 'backups/database'), '2026-01-01T00:00:00Z');
      expect((await runCli([], {cwd, env})).stdout).toMatch(
        /^CRITICAL shop: the newest usable backup is .* old/,
      );
      await writeSampleBackup(join(cwd, 'backups/database'), new Date().toISOString());
      const good = await runCli([], {cwd, env});
      expect(good.stdout).toMatch(
        /^OK The backups are young enough\. Copies in other locations are not checked here\.\n/,
      );
      expect((await runCli(['--json'], {cwd, env})).json()).toMatchObject({
        ok: true,
        findings: [],
        uncheckedPlaces: ['s3://bucket/db'],
      });
      expect(connections).toEqual([]);
      // A connection to this server would be noticed.
      await runCli(['status'], {cwd, env});
      expect(connections.length).toBeGreaterThan(0);
    } finally {
      await new Promise((closed) => server.close(closed));
    }
  });

  it('gives all of it as JSON', async () => {
    const result = await runCli(['overview', '--json'], {cwd: folder});
    expect(result.json()).toMatchObject({
      schemaVersion: 1,
      database: null,
      backups: 4,
      problem: {code: 'NO_DATABASE_URL'},
    });
  });
});

describe('texts for people', () => {
  it('of status say what is too old', async () => {
    const {status, out} = await text('status', '--max-age=26h');
    expect(status).toBe(4);
    expect(out).toMatch(/shop/);
    expect(out).toMatch(/^(?:Problem|shop).*(?:old|ago)/m);
  });

  it('of prune say what would be removed and kept, and why', async () => {
    const {status, out} = await text('prune', '--keep-label=release', '--dry-run');
    expect(status).toBe(0);
    expect(out).toContain('shop-2026-01-01T00-00-00');
    expect(out).toContain('label release');
    expect(out).toContain('no rule keeps it');
  });

  it('of copy and init say what was done', async () => {
    const copied = await text('copy', '--from', 'backups/database', '--to', 'elsewhere');
    expect(copied).toMatchObject({
      status: 0,
      out: expect.stringContaining('shop-2026-01-04T00-00-00') as string,
    });
    const made = await text('init', '--yes');
    expect(made).toMatchObject({status: 0, out: expect.stringContaining('destino-db.config.json') as string});
  });
});

describe('flags of the program, not of Node.js', () => {
  it.each([
    ['list', '--env-file', 'nope.env'],
    ['--env-file=nope.env', 'list'],
  ])('report a missing environment file as an error of this program: %s %s %s', async (...args) => {
    const {status, stderr} = await runProgram(program, args, {cwd: folder});
    expect({status, stderr}).toEqual({
      status: 2,
      stderr: `Error CONFIG_INVALID: The environment file ${join(folder, 'nope.env')} does not exist.\nNext: Check the path given with --env-file, and the rights of the file.\n`,
    });
  });

  const lines = [
    ['--backups-dir', 'backups', '--json', 'list', '--label', 'release'],
    ['--config=empty.json', '--quiet', '--json', 'prune', '--keep-last=1', '--dry-run'],
    ['--json', '--database-url=nothing', 'restore', 'rows', '--table=orders'],
    ['--json', 'list'],
    ['--json', '--backups-dir=backups', 'list'],
    ['--config', 'empty.json', '--json', 'list'],
    ['--json', 'orders', 'clean'],
    ['--database-url', 'nothing', '--json', 'orders', 'restore', '--backup-file=latest'],
  ];
  it.each(cases(lines, 3).map((words) => [words]))(
    'mean the same before and after the command: %j',
    async (words) => {
      await writeFile(join(folder, 'empty.json'), '{}');
      const command = words.findIndex(
        (word, index) =>
          /^[a-z]/.test(word) && !/^--(?:config|backups-dir|database-url)$/.test(words[index - 1] ?? ''),
      );
      const behind = [...words.slice(command), ...words.slice(0, command)];
      const [before, after] = [await text(...words), await text(...behind)];
      expect(JSON.parse(before.out)).toMatchObject({schemaVersion: 1});
      const timeless = ({status, out, err}: typeof before) => [status, out.replace(/"now": .*/, ''), err];
      expect(timeless(before)).toEqual(timeless(after));
    },
  );

  it('may all stand before the command; without a command they apply to the overview', async () => {
    const start = readFileSync(program, 'utf8');
    for (const name of globalNames) expect(start).toContain(`'--${name}'`);
    const plain = await text();
    expect(await text('-q', '--pg-bin', folder, 'list')).toEqual({status: 0, out: '', err: ''});
    expect(await text('--no-color')).toEqual(plain);
  });
});
