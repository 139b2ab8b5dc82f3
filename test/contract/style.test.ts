/** Checks every text against docs/style.md: comments and messages in src, the pages, the help, the names of tests. */
import {readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {describe, expect, it} from 'vitest';
import {
  longParagraphs,
  proseOfPage,
  proseOfSource,
  styleFindings,
  styleRules,
  type Prose,
} from '../support/style.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const page = readFileSync(join(root, 'docs/style.md'), 'utf8');
const rules = styleRules(page);

const filesBelow = (folder: string, ending: string): string[] =>
  readdirSync(join(root, folder), {recursive: true, encoding: 'utf8'})
    .filter((path) => path.endsWith(ending))
    .map((path) => join(folder, path));

function proseOf(path: string): Prose[] {
  const text = readFileSync(join(root, path), 'utf8');
  if (path.endsWith('.md')) return proseOfPage(text);
  return proseOfSource(path, text, path.startsWith('test/') ? 'test names' : 'all');
}

const findingsIn = (paths: readonly string[]): string[] =>
  paths.flatMap((path) =>
    styleFindings(proseOf(path), rules).map(
      ({line, rule, instead, text}) => `${path}:${line}: "${text}": ${rule}: write ${instead}`,
    ),
  );

describe('docs/style.md', () => {
  it('is followed by the source', () => {
    expect(findingsIn(filesBelow('src', '.ts'))).toEqual([]);
  });

  it('is followed by the pages', () => {
    const pages = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...filesBelow('docs', '.md')];
    expect(findingsIn(pages.filter((path) => path !== 'docs/style.md'))).toEqual([]);
  });

  it('has short paragraphs on every page', () => {
    const pages = ['README.md', 'CONTRIBUTING.md', ...filesBelow('docs', '.md')];
    const long = pages.flatMap((path) =>
      longParagraphs(readFileSync(join(root, path), 'utf8')).map(
        ({line, sentences}) => `${path}:${line}: ${sentences} sentences`,
      ),
    );
    expect(long).toEqual([]);
  });

  it('is followed by the tests', () => {
    expect(findingsIn(filesBelow('test', '.ts'))).toEqual([]);
  });

  it.each([
    ['What is missing is told.', ['told', 'a clause as the subject: What …']],
    ['What is missing?', []],
    ['A closed pipe is no error.', ['X is no Y']],
    ['There is no backup, and it is no longer listed.', []],
    ['It works for whoever asks.', ['a clause as the subject: Whoever …']],
    ['The dump ended. That a row is missing is found later.', ['a clause as the subject: That …']],
    ['That file is missing.', []],
    ['The key `told` stays.', []],
    ['It holds the lock of the folder.', []],
    ['It holds three tables.', ['holds']],
    ['Mends the list.', ['mends']],
  ])('finds in %j: %j', (text, expected) => {
    const found = styleFindings([{line: 1, text}], rules).map(({rule}) => rule);
    expect(found.toSorted()).toEqual(expected.toSorted());
  });
});
