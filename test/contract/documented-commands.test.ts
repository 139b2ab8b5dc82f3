/** Commands that the documentation shows exist, with their flags; files that it links to exist. */
import {existsSync, readFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {expect, it} from 'vitest';
import {z} from 'zod';

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

/** What is wrong with the words after `destino-db`, or null. */
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

it.each(['README.md', 'docs/configuration.md'])('every command that %s shows can be typed', (page) => {
  const blocks = [...read(page).matchAll(/^```sh\n([^]*?)^```/gm)].map((match) => match[1] ?? '');
  const lines = blocks.flatMap((block) => block.split('\n')).filter((line) => /^destino-db [a-z]/.test(line));
  const faults = lines.map((line) => {
    const [, command = '', ...words] = line
      .replace(/"[^"]*"/g, 'VALUE')
      .replace(/ #.*/, '')
      .split(/\s+/);
    return [line, fault(command, words)];
  });
  expect(faults.filter(([, wrong]) => wrong !== null)).toEqual([]);
  if (page === 'README.md') expect(lines.length).toBeGreaterThan(15);
});

it('every flag of the commands now that the migration page calls the same is still there', () => {
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

it.each(['README.md', 'docs/migration.md', 'docs/configuration.md'])(
  'every link of %s leads somewhere',
  (page) => {
    const targets = [...read(page).matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)].map(
      (match) => match[1] ?? '',
    );
    expect(targets.filter((target) => !existsSync(join(root, dirname(page), target)))).toEqual([]);
  },
);
