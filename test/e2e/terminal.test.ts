/** Commands on a real terminal of a given width: no word is broken, and no moving line is left behind. */
import {mkdtemp, rm} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {program, runCli, tempFolder} from '../support/run-cli.js';
import {createTempDatabase, dropDatabase, onServer, type TempDatabase} from '../support/temp-database.js';
import {answerInTerminal, plainText, runInTerminal, screenOf} from '../support/terminal-picture.js';
import {cases} from '../support/long-form.js';

let folder: string;
let database: TempDatabase;
beforeAll(async () => {
  folder = await tempFolder();
  database = await createTempDatabase();
});
afterAll(async () => {
  await database.drop();
  await rm(folder, {recursive: true, force: true});
});

/** All output that a terminal of this width received. */
async function onTerminal(
  columns: number,
  command: string,
  env: Readonly<Record<string, string>> = {},
  cwd = folder,
): Promise<string> {
  return runInTerminal(`'${process.execPath}' '${program}' ${command}`, {
    cwd,
    columns,
    env: {DIRECT_URL: database.url, ...env},
  });
}

/** Without colours, and with the line ends of a file. */
const plain = (sent: string): string => sent.replace(/\u001b\[[0-9;]*m/g, '').replaceAll('\r\n', '\n');

describe.each([80])('on %i columns', (width) => {
  const commands = [
    'backup',
    'list',
    'orders:clean',
    'restore --latest --drop-existing --dry-run',
    'doctor',
    'workflow:safe-cleanup',
    'status',
    'history',
    '',
  ];
  it.each(cases(commands, 5))('%s fits', async (command) => {
    const lines = plain(await onTerminal(width, `${command} 2>/dev/null`)).split('\n');
    expect(lines.length).toBeGreaterThan(2);
    // Commands, paths and URLs are kept in one piece, so that they can be pasted.
    const wide = lines.filter((line) => line.length > width && !/destino-db |\/|\S{30}/.test(line));
    expect(wide).toEqual([]);
  });
});

describe('final state of the screen', () => {
  const clock = {
    NODE_OPTIONS: `--import=${fileURLToPath(new URL('../support/frozen-clock.mjs', import.meta.url))}`,
    CLOCK: '2026-11-25T02:00:04Z',
  };
  let shop: TempDatabase;
  let srv: string;
  beforeAll(async () => {
    // Names of realistic length, because lines are broken by their length.
    shop = await createTempDatabase('shop_template', 'eshop');
    srv = await mkdtemp('/tmp/shop-');
    await runCli(['backup'], {cwd: srv, env: {...clock, DIRECT_URL: shop.url}});
  });
  afterAll(async () => {
    await shop.drop();
    await rm(srv, {recursive: true, force: true});
  });

  /** Parts that differ between machines and versions of PostgreSQL, replaced by placeholders of the same length. */
  const everywhere = (text: string): string =>
    text
      .replaceAll(srv, '/srv/online/shop')
      .replace(/PGPORT=\d+/, 'PGPORT=54321')
      .replace(/postgresql\/\d+/, 'postgresql/15')
      .replace(/--jobs=\d+/, '--jobs=2')
      .replace(/\b\d{3} kB/g, '203 kB')
      .replace(/[\d.]+ ([MG]B)/g, '1.2 $1')
      .replace(/\b[0-9a-f]{16}\b/, '1509044230e1693d');

  describe.each(cases([80, 40, 120]))('of %i columns', (width) => {
    it.each([
      ['restore-preview', 'restore --latest --drop-existing --dry-run'],
      ['restore', 'restore --latest --target-db eshop_new --create-db'],
      ['orders-clean', 'orders:clean'],
      ['safe-cleanup', 'workflow:safe-cleanup'],
    ])('%s', async (name, command) => {
      await dropDatabase('eshop_new');
      const sent = await onTerminal(width, command, {...clock, DIRECT_URL: shop.url}, srv);
      const screen = plainText(await screenOf(sent, width));
      await expect(everywhere(screen)).toMatchFileSnapshot(`../golden/${name}-${width}.txt`);
    });
  });

  // In every theme: yellow and cyan are invisible on white, blue on black, grey and the bright colours on one of the two.
  const readable = ['bold 1', 'dim 2', 'usual weight 22', 'red 31', 'green 32', 'usual colour 39'];

  const coloured = [
    'list',
    'doctor',
    'restore --latest || true',
    'list --colour || true',
    'status --max-age 1s --require restore || true',
    'verify --latest',
    'prune --keep-last 1 --dry-run',
    'orders:clean',
    'restore --latest --drop-existing --dry-run',
  ];
  it.each(cases(coloured, 3))('%s: the same on white, on black and without colours', async (command) => {
    const env = {...clock, DIRECT_URL: shop.url};
    const sent = await onTerminal(100, command, env, srv);
    const codes = new Set([...sent.matchAll(/\u001b\[([\d;]*)m/g)].map(([, code]) => code));
    expect([...codes].filter((code) => !readable.some((one) => one.endsWith(` ${code}`)))).toEqual([]);
    const screen = await screenOf(sent);
    const green = screen.flat().filter(({colour}) => colour === 2);
    expect(green.filter(({text}) => text.trim().length > 'kept'.length)).toEqual([]);
    const colourless = await screenOf(await onTerminal(100, command, {...env, NO_COLOR: '1'}, srv));
    expect(everywhere(plainText(screen))).toBe(everywhere(plainText(colourless)));
  });
});

it('the live list leaves one line for each step', async () => {
  const text = await onTerminal(80, 'backup');
  expect(text).toContain('\u001b[?25l'); // the cursor was hidden while lines moved
  const steps = plainText(await screenOf(text))
    .split('\n')
    .slice(0, 4);
  expect(steps).toEqual(
    ['Look at the database', 'Dump', 'Checksum', 'Verify'].map((title): unknown =>
      expect.stringMatching(new RegExp(`^✔ ${title}: .* in `)),
    ),
  );
});

it.each([
  ['where the results go into a file', 'backup >out', {}],
  ['where the locale is not UTF-8', 'backup', {LANG: 'C'}],
  ['in CI', 'backup', {CI: 'true'}],
])('steps are plain, dated lines %s', async (_where, command, env) => {
  const text = plain(await onTerminal(80, command, env));
  expect(text).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ Dump: 15 tables, [\d,]+ rows, [\d.]+ kB in /m);
  expect(text).toMatch(/^[\x20-\x7e\n]*$/);
});

it('NO_COLOR leaves no escape codes in the output', async () => {
  expect(await onTerminal(80, 'list', {NO_COLOR: '1'})).toMatch(/^[\x20-\x7e\r\n]*$/);
  expect(await onTerminal(80, 'list')).toContain('\u001b[1m');
});

it.each(cases([' --quiet', '']))(
  'no warning that matters for a question is shown after the answer: restore%s',
  async (flag) => {
    const shop = await createTempDatabase();
    const cwd = await tempFolder();
    try {
      // An address of this machine that the program does not recognise as local, so that it cannot see the disk.
      const env = {DIRECT_URL: shop.url.replace('127.0.0.1', '127.1')};
      await runCli(['backup'], {cwd, env});
      await shop.run('TRUNCATE order_items CASCADE');
      const shrunk = await runCli(['backup', '--verify'], {cwd, env});
      expect(shrunk.status).toBe(4);
      const {before, after} = await answerInTerminal(
        `'${process.execPath}' '${program}' restore --latest --drop-existing${flag}`,
        {cwd, env, question: 'to go ahead: ', answer: shop.name},
      );
      const lines = plain(before).split('\n').join(' ').replace(/ +/g, ' ');
      expect(lines).toMatch(/Warning: \S+ has fewer rows than the backup before it.*Restore the backup/);
      expect(lines).toMatch(/Warning: [^:]*whose free space is not visible from here.*Restore the backup/);
      expect(after).not.toContain('Warning:');
      if (flag === '') expect(plain(after)).toContain('Compared with the backup');
    } finally {
      const rows = await onServer((session) =>
        session.query('SELECT datname FROM pg_database WHERE starts_with(datname, $1)', [shop.name]),
      );
      for (const row of rows) await dropDatabase(row['datname'] ?? '');
      await rm(cwd, {recursive: true, force: true});
    }
  },
);
