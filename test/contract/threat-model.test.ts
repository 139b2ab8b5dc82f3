/** docs/threat-model.md names the attacking test for each protection. */
import {existsSync, readFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {expect, it} from 'vitest';

const tests = fileURLToPath(new URL('../', import.meta.url));
const page = readFileSync(fileURLToPath(new URL('../../docs/threat-model.md', import.meta.url)), 'utf8');

/** "postgres/tls", "faults/*" */
const named = (text: string): string[] =>
  [...text.matchAll(/`([a-z0-9]+\/[a-z0-9/*-]+)`/g)].map(([, path = '']) => path);
const rows = page.split('\n').filter((line) => line.startsWith('| ') && !/^\| (?:who|---) \|/.test(line));

it('names a test for every protection', () => {
  expect(rows.length).toBeGreaterThan(25);
  const without = rows.filter((row) => named(row.split(' | ').at(-1) ?? '').length === 0);
  expect(without).toEqual([]);
});

it('names only existing tests', () => {
  const missing = named(page).filter(
    (path) => !existsSync(`${tests}${path.endsWith('/*') ? path.slice(0, -2) : `${path}.test.ts`}`),
  );
  expect(missing).toEqual([]);
});
