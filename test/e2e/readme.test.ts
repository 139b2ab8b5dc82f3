/** The picture, commands and output in the README are those of the program. DESTINO_TEST_RECORD=1 records them again. */
import {execFile} from 'node:child_process';
import {readFile, writeFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import {expect, it} from 'vitest';
import {blocksOf, maskChanging} from '../support/doc-page.js';
import {beforeEachPage, type PageServer} from '../support/page-server.js';
import {edited, environmentOf, isRecording, runPage} from '../support/run-page.js';
import {
  pictureOf,
  plainText,
  promptLine,
  runInTerminal,
  screenOf,
  type TerminalLine,
  textOfPicture,
} from '../support/terminal-picture.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const shownFolder = '/srv/shop';

let server: PageServer;
let folder: string;

beforeEachPage((given, made) => {
  server = given;
  folder = made;
});

it('begins with a picture of its commands in a terminal, and the same as text', async () => {
  const env = await environmentOf({folder, env: {DIRECT_URL: server.url('shop')}});
  const lines: TerminalLine[] = [];
  for (const command of [
    'destino-db backup',
    'destino-db verify --latest --level restore',
    'destino-db restore --latest --drop-existing --yes',
  ]) {
    const shown = (await screenOf(await runInTerminal(command, {cwd: folder, env}))).map((line) =>
      line.map((run) => ({...run, text: run.text.replaceAll(folder, shownFolder)})),
    );
    lines.push(...(lines.length > 0 ? [[]] : []), promptLine(command), ...shown);
  }
  const text = plainText(lines);
  const path = `${root}docs/session.svg`;
  const readme = await readFile(`${root}README.md`, 'utf8');
  const [block] = blocksOf(readme);
  if (!block) throw new Error('README.md has no block');
  if (isRecording && essence(block.text) !== essence(text)) {
    await writeFile(path, pictureOf(lines, 'destino-db in a terminal'));
    await writeFile(`${root}README.md`, edited(readme, [{start: block.start, end: block.end, text}]));
  }
  const picture = await readFile(path, 'utf8');
  if (!isRecording) expect(essence(text)).toBe(essence(block.text));
  const written = isRecording ? blocksOf(await readFile(`${root}README.md`, 'utf8'))[0]?.text : block.text;
  expect(textOfPicture(picture).replace(/\s+/g, '')).toBe(written?.replace(/\s+/g, ''));
  expect(picture.length).toBeLessThan(30_000);
});

/** Without parts that a longer duration changes: line breaks, and the width of columns. */
function essence(text: string): string {
  return maskChanging(text.replace(/\s+/g, ' '));
}

it('shows valid commands with their output', async () => {
  await runPage('README.md', {
    folder,
    shown: [
      ["'postgresql://USER:PASSWORD@HOST:5432/shop?sslmode=verify-full'", `'${server.url('shop')}'`],
      [shownFolder, folder],
    ],
    elsewhere: {
      'npm ci': 'test/e2e/packed-program.test.ts',
      'npm ci && npm run demo': 'below, and .ci/run',
    },
  });
});

it('has a demo of the main task', async () => {
  const {stdout} = await promisify(execFile)(process.execPath, [`${root}scripts/demo.mjs`], {cwd: folder});
  expect(stdout).toContain('Every row of all 15 tables of shop_restored equals the shop');
  expect(stdout).toContain('Preview: 170 orders');
  expect(stdout).toContain(`The backups are in ${folder}/backups`);
});
