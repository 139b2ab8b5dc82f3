/** An argument that is not given is missing: oclif would take it from stdin, the list itself in a `while read` loop. */
import {readdirSync, readFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {expect, it} from 'vitest';

const folder = new URL('../../src/', import.meta.url);

it('no argument of a command is read from stdin', () => {
  const files = readdirSync(fileURLToPath(folder), {recursive: true, encoding: 'utf8'});
  const found = files
    .filter((name) => name.endsWith('.ts'))
    .flatMap(
      (name) => readFileSync(new URL(name, folder), 'utf8').match(/\bArgs\.\w+\(\{[\s\S]*?\}\)/g) ?? [],
    );
  expect(found.length).toBeGreaterThanOrEqual(5);
  expect(found.filter((argument) => !argument.includes('ignoreStdin: true'))).toEqual([]);
});
