/** The picture in docs/architecture.md: its boxes are the folders of the source, its arrows what they import. */
import {readdirSync, readFileSync} from 'node:fs';
import {dirname, join, relative} from 'node:path';
import {fileURLToPath} from 'node:url';
import {expect, it} from 'vitest';
import {blocksOf} from '../support/doc-page.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const src = join(root, 'src');

const picture =
  blocksOf(readFileSync(join(root, 'docs/architecture.md'), 'utf8')).find(({lang}) => lang === 'mermaid')
    ?.text ?? '';
const drawn = [...picture.matchAll(/^ *(\w+) (<?)--> (\w+)$/gm)].flatMap(([, from = '', back, to = '']) => [
  `${from} -> ${to}`,
  ...(back === '<' ? [`${to} -> ${from}`] : []),
]);

/** "postgres" for src/lib/postgres/client.ts; undefined for files outside of folders. */
function folderOf(path: string): string | undefined {
  const [top, folder, file] = path.split('/');
  return top === 'commands' ? top : file === undefined ? undefined : folder;
}

const imports = new Set(
  readdirSync(src, {recursive: true, encoding: 'utf8'})
    .filter((path) => path.endsWith('.ts'))
    .flatMap((path) =>
      [...readFileSync(join(src, path), 'utf8').matchAll(/(?:from|import\() ?'(\.[^']*)'/g)].flatMap(
        ([, to = '']) => {
          const [from, target] = [folderOf(path), folderOf(relative(src, join(src, dirname(path), to)))];
          return from === undefined || target === undefined || from === target
            ? []
            : [`${from} -> ${target}`];
        },
      ),
    ),
);

it('has a box for every folder', () => {
  const folders = readdirSync(join(src, 'lib'), {withFileTypes: true}).filter((entry) => entry.isDirectory());
  const boxes = new Set(drawn.flatMap((arrow) => arrow.split(' -> ')));
  expect([...boxes].sort()).toEqual([...folders.map(({name}) => name), 'commands'].sort());
});

it('draws only arrows that are imports', () => {
  expect(drawn.filter((arrow) => !imports.has(arrow))).toEqual([]);
});

it('leads along its arrows to everything that is imported', () => {
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
