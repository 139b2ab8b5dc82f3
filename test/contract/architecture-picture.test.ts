/** The picture in docs/architecture.md: its boxes are the folders of the source, its arrows the imports. */
import {readdirSync, readFileSync} from 'node:fs';
import {dirname, join, relative} from 'node:path';
import {fileURLToPath} from 'node:url';
import {expect, it} from 'vitest';
import {blocksOf} from '../support/doc-page.js';
import {floors, roomOf} from '../support/rooms.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const src = join(root, 'src');

const page = readFileSync(join(root, 'docs/architecture.md'), 'utf8');
const picture = blocksOf(page).find(({lang}) => lang === 'mermaid')?.text ?? '';
const drawn = [...picture.matchAll(/^ *(\w+) --> (\w+)$/gm)].map(
  ([, from = '', to = '']) => `${from} -> ${to}`,
);

/** "services" for src/lib/services/backup/plan.ts: the picture shows the levels, the table below it their rooms. */
const topOf = (path: string): string => roomOf(path).split('/')[0] ?? '';

const imports = new Set(
  readdirSync(src, {recursive: true, encoding: 'utf8'})
    .filter((path) => path.endsWith('.ts'))
    .flatMap((path) =>
      [...readFileSync(join(src, path), 'utf8').matchAll(/(?:from|import\() ?'(\.[^']*)'/g)].flatMap(
        ([, to = '']) => {
          const [from, target] = [topOf(path), topOf(relative(src, join(src, dirname(path), to)))];
          return from === target ? [] : [`${from} -> ${target}`];
        },
      ),
    ),
);

it('has a box for every room, and so has the list of levels', () => {
  const folders = readdirSync(join(src, 'lib'), {withFileTypes: true}).filter((entry) => entry.isDirectory());
  const rooms = [...folders.map(({name}) => name), 'commands'].sort();
  expect([...new Set(drawn.flatMap((arrow) => arrow.split(' -> ')))].sort()).toEqual(rooms);
  expect(floors.flat().sort()).toEqual(rooms);
});

it('has a line for every room in the map below it', () => {
  const map = page.split('\n').flatMap((line) => /^src\/(?:lib\/)?([a-z0-9/-]+)\/ /.exec(line)?.[1] ?? []);
  const rooms = readdirSync(join(src, 'lib'), {recursive: true, encoding: 'utf8'})
    .filter((path) => path.endsWith('.ts'))
    .map((path) => roomOf(`lib/${path}`));
  expect(map.sort()).toEqual([...new Set([...rooms, 'commands'])].sort());
});

it('draws only arrows that are imports', () => {
  expect(drawn.filter((arrow) => !imports.has(arrow))).toEqual([]);
});

it('has a path of arrows for every import', () => {
  const reached = (from: string, seen = new Set([from])): Set<string> => {
    for (const arrow of drawn) {
      const [start = '', end = ''] = arrow.split(' -> ');
      if (start !== from || seen.has(end)) continue;
      seen.add(end);
      reached(end, seen);
    }
    return seen;
  };
  const missing = [...imports].filter((arrow) => {
    const [from = '', to = ''] = arrow.split(' -> ');
    return !reached(from).has(to);
  });
  expect(imports.size).toBeGreaterThan(20);
  expect(missing).toEqual([]);
});
