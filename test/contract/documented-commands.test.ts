/** Commands and flags in the documentation exist, and so do the files and headings that it links to. */
import {existsSync, readdirSync, readFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {expect, it} from 'vitest';
import {z} from 'zod';
import {packageScripts} from '../../src/lib/services/init/init-project.js';
import {blocksOf} from '../support/doc-page.js';
import {readExamples} from '../support/help-examples.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

const {commands} = z
  .object({
    commands: z.record(
      z.string(),
      z.object({
        flags: z.record(
          z.string(),
          z.object({
            type: z.string(),
            aliases: z.array(z.string()).optional(),
            allowNo: z.boolean().optional(),
            options: z.array(z.string()).optional(),
          }),
        ),
      }),
    ),
  })
  .parse(JSON.parse(read('oclif.manifest.json')));

/** The fault in the words after `destino-db`, or null. */
function fault(command: string, words: readonly string[]): string | null {
  const flags = commands[command]?.flags;
  if (!flags) return `no command ${command}`;
  for (const word of words) {
    const [name = '', value] = word.replace(/^--/, '').split('=');
    const flag = flags[name] ?? Object.values(flags).find(({aliases}) => aliases?.includes(name));
    if (!word.startsWith('--')) continue;
    if (name.startsWith('no-') && flags[name.slice(3)]?.allowNo === true) continue;
    if (!flag) return `no flag --${name}`;
    if (value !== undefined && flag.type !== 'option') return `--${name} takes no value`;
    if (value !== undefined && flag.options && !flag.options.includes(value))
      return `no choice ${value} of --${name}`;
  }
  return null;
}

const pages = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

/** Every `destino-db ...` in shell blocks and in text, up to a pipe, the end of the command or of the code. */
function commandsOf(page: string): string[] {
  const markdown = read(page);
  const blocks = blocksOf(markdown);
  const shell = blocks
    .filter(({lang}) => lang === 'sh' || lang === 'bash')
    .map(({text}) => text.replace(/ #.*/g, ''));
  const prose = blocks.reduce((text, block) => text.replace(block.text, ''), markdown);
  return [...shell.join('\n').matchAll(command), ...prose.matchAll(/`(destino-db [^`]*)`/g)]
    .map((match) => match[1] ?? '')
    .filter((line) => !/^destino-db (?:-|$)/.test(line));
}
const command = /(?:^|[ !(])(destino-db [a-z][^\n|;&>]*)/gm;

it('every command on a page is valid', () => {
  const shown = pages.flatMap((page) => commandsOf(page).map((line) => ({page, line})));
  const faults = shown.flatMap(({page, line}) => {
    const [, id = '', ...words] = line
      .replace(/"[^"]*"|'[^']*'/g, 'VALUE')
      .trim()
      .split(/\s+/);
    const wrong = fault(id, words);
    return wrong === null ? [] : [`${page}: ${line}: ${wrong}`];
  });
  expect(faults).toEqual([]);
  expect(shown.length).toBeGreaterThan(80);
});

it('every flag that the migration page maps to a current flag still exists', () => {
  const faults: string[] = [];
  for (const section of read('docs/migration.md').split(/^## /m).slice(1)) {
    const command = /`destino-db ([a-z:-]+)`/.exec(section)?.[1] ?? '';
    for (const row of section.matchAll(/^\| (`--[^|]*) \| ([^|]*) \|$/gm)) {
      const [, old = '', now = ''] = row;
      const named = /^(?:the same|accepted|they limit)/.test(now) ? `${old} ${now}` : now;
      for (const [, flag = ''] of named.matchAll(/(--[a-z-]+)/g)) {
        const wrong = fault(flag === '--backups-dir' ? 'backup' : command, [flag]);
        if (wrong !== null) faults.push(`${command}: ${wrong}`);
      }
    }
  }
  expect(faults).toEqual([]);
});

/** Every flag of the old scripts except --help. */
const oldFlags: readonly [section: string, flags: string][] = [
  ['backup-database', 'format compress no-compress verify no-verify output-dir schema-only data-only exclude-table include-table use-database-url retention-days parallel-jobs'],
  ['restore-database', 'backup-file target-db create-db drop-existing clean data-only schema-only parallel-jobs use-database-url dry-run skip-errors no-verbose'],
  ['clean-testing-orders', 'dry-run execute backup no-backup confirm no-confirm test-emails-only include-old from to exclude-id batch-size'],
  ['restore-orders-from-backup', 'backup-file dry-run execute no-confirm fail-on-conflicts'],
  ['safe-cleanup-workflow', 'preview execute test-emails-only from to include-old exclude-id no-full-backup no-order-backup backup-format no-compress no-verify no-confirm pause-steps retention-days parallel-jobs'],
]; // prettier-ignore

it.each(oldFlags)('the migration page explains every flag of %s', (script, flags) => {
  const section = read('docs/migration.md')
    .split(/^## /m)
    .find((text) => text.startsWith(script));
  const rows = [...(section ?? '').matchAll(/^\| ([^|]*) \|/gm)].map(([, cell = '']) => cell).join(' ');
  const named = new Set([...rows.matchAll(/--([a-z-]+)/g)].map(([, flag = '']) => flag));
  expect(flags.split(' ').filter((flag) => !named.has(flag))).toEqual([]);
});

it('the migration page names the package scripts that init writes', () => {
  const page = read('docs/migration.md');
  expect(Object.keys(packageScripts).filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
});

/** The anchor of a heading, as GitHub creates it. */
function anchorsOf(page: string): string[] {
  const markdown = blocksOf(read(page)).reduce((text, block) => text.replace(block.text, ''), read(page));
  return [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

it('every link of a page leads to an existing file and heading', () => {
  const links = pages.flatMap((page) =>
    [...read(page).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)].map(([, path = '', anchor]) => ({
      page,
      target: path === '' ? page : join(dirname(page), path),
      anchor,
    })),
  );
  const broken = links.filter(
    ({target, anchor}) =>
      !existsSync(join(root, target)) || (anchor !== undefined && !anchorsOf(target).includes(anchor)),
  );
  expect(broken).toEqual([]);
  expect(links.length).toBeGreaterThan(70);
});

it('the pages name tests that exist', () => {
  const named = pages.flatMap((page) => read(page).match(/\btest\/[a-z\d/-]+\.test\.ts/gu) ?? []);
  expect(named.length).toBeGreaterThan(20);
  expect([...new Set(named)].filter((path) => !existsSync(join(root, path)))).toEqual([]);
});

it('the README leads to every page', () => {
  const readme = read('README.md');
  expect(pages.filter((page) => page !== 'README.md' && !readme.includes(`](${page})`))).toEqual([]);
});

it('the help has two to four examples for every command', async () => {
  const counts = new Map<string, number>();
  for (const {id} of await readExamples()) counts.set(id, (counts.get(id) ?? 0) + 1);
  expect([...counts].filter(([, count]) => count < 2 || count > 4)).toEqual([]);
});
