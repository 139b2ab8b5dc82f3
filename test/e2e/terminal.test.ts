/** Commands on a real terminal of a given width: nothing is broken in the middle of a word, nothing is left behind by what moved. */
import {rm} from 'node:fs/promises';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {program, runProgram, tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';

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

/** All that a terminal of this width received. */
async function onTerminal(
  width: number,
  command: string,
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const line = `stty cols ${width} rows 24; '${process.execPath}' '${program}' ${command}`;
  const {status, stdout} = await runProgram(
    'script',
    ['--quiet', '--return', '--command', line, '/dev/null'],
    {
      cwd: folder,
      env: {DIRECT_URL: database.url, TERM: 'xterm-256color', LANG: 'C.UTF-8', ...env},
    },
  );
  expect([command, status, status === 0 ? '' : stdout]).toEqual([command, 0, '']);
  return stdout.replaceAll('\r\n', '\n');
}

const withoutColour = (text: string): string => text.replace(/\u001b\[[0-9;]*m/g, '');

describe.each([120, 80, 40])('on %i columns', (width) => {
  it.each([
    'backup',
    'list',
    'orders:clean',
    'restore --latest --drop-existing --dry-run',
    'workflow:safe-cleanup',
    'status',
    'history',
    'doctor',
    '',
  ])('%s fits', async (command) => {
    const lines = withoutColour(await onTerminal(width, `${command} 2>/dev/null`)).split('\n');
    expect(lines.length).toBeGreaterThan(2);
    // Commands, paths and URLs are left whole, so that they can be pasted.
    const wide = lines.filter((line) => line.length > width && !/destino-db |\/|\S{30}/.test(line));
    expect(wide).toEqual([]);
  });
});

it('the live list leaves one line for each step', async () => {
  const text = await onTerminal(80, 'backup');
  expect(text).toContain('\u001b[?25l'); // the cursor was hidden while lines moved
  const last = withoutColour(text.slice(text.lastIndexOf('\u001b[1A')));
  expect(last.match(/✔/g)?.length).toBeGreaterThanOrEqual(4);
  expect(last).not.toMatch(/ %|\/s/);
});

it.each([
  ['where the results go into a file', 'backup >out', {}],
  ['where the locale is not UTF-8', 'backup', {LANG: 'C'}],
  ['in CI', 'backup', {CI: 'true'}],
])('steps are plain, dated lines %s', async (_where, command, env) => {
  const text = withoutColour(await onTerminal(80, command, env));
  expect(text).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ Dump: done in /m);
  expect(text).toMatch(/^[\x20-\x7e\n]*$/);
});

it('NO_COLOR leaves no escape in what is printed', async () => {
  expect(await onTerminal(80, 'list', {NO_COLOR: '1'})).toMatch(/^[\x20-\x7e\n]*$/);
  expect(await onTerminal(80, 'list')).toContain('\u001b[1m');
});
