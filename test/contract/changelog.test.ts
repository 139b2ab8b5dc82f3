/** The form of CHANGELOG.md: groups in order, and one sentence for each entry. */
import {readFileSync} from 'node:fs';
import {expect, it} from 'vitest';

const lines = readFileSync(new URL('../../CHANGELOG.md', import.meta.url), 'utf8').split('\n');
const versions = lines.flatMap((line, index) => (line.startsWith('## ') ? [index] : []));

it('has its entries in groups, in one order', () => {
  for (const [number, start] of versions.entries()) {
    const part = lines.slice(start + 1, versions[number + 1]);
    const groups = part.filter((line) => line.startsWith('### ')).map((line) => line.slice(4));
    expect(groups).toEqual(
      ['Added', 'Changed', 'Fixed', 'Security'].filter((group) => groups.includes(group)),
    );
    const first = part.findIndex((line) => line.startsWith('### '));
    expect(part.slice(0, first).filter((line) => line.startsWith('- '))).toEqual([]);
  }
});

it('has one sentence for each entry', () => {
  const entries = lines.filter((line) => line.startsWith('- '));
  expect(entries.length).toBeGreaterThan(20);
  const wrong = entries.filter((entry) => {
    const text = entry.replaceAll(/`[^`]*`/gu, 'x');
    return !/[^.]\.$/u.test(text) || /[.!?] +\p{Lu}/u.test(text) || entry.length > 300;
  });
  expect(wrong).toEqual([]);
});
