/** A new machine has few programs. Each test file asks for the programs that it starts and Debian's minimal base lacks. */
import {readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {expect, it} from 'vitest';

const tests = fileURLToPath(new URL('../', import.meta.url));

/** From packages that are essential in Debian (bash, coreutils, diffutils, gzip, mount, util-linux, bsdutils), and npm, which installs the tests. */
const base = [
  'bash',
  'sh',
  'chown',
  'mkfifo',
  'mknod',
  'diff',
  'gunzip',
  'mount',
  'umount',
  'unshare',
  'setpriv',
  'script',
  'npm',
];

/** Programs that come with another required one, or with a server that the whole project starts. */
const comesWith: Readonly<Record<string, string>> = {'radosgw-admin': 'scripts/ceph-rgw.sh'};

const starts = /\b(?:execFile|execFileSync|spawn|spawnSync|run|runProgram)\(\s*'([a-z][a-z0-9-]*)',/g;

/** Programs that a file starts without asking for them. */
function notAskedFor(text: string): string[] {
  const asked = [...text.matchAll(/requirePrograms\(([^)]*)\)/g)].flatMap(([, names = '']) =>
    [...names.matchAll(/'([^']+)'/g)].map(([, name = '']) => name),
  );
  // makeKey() requires age.
  if (text.includes('makeKey(')) asked.push('age', 'age-keygen');
  return [...text.matchAll(starts)]
    .map(([, name = '']) => name)
    .filter((name) => !base.includes(name) && !asked.includes(name) && !Object.hasOwn(comesWith, name));
}

it('every test file requires the programs that it starts', () => {
  const files = readdirSync(tests, {recursive: true, encoding: 'utf8'}).filter((path) =>
    path.endsWith('.ts'),
  );
  const missing = files.flatMap((path) =>
    notAskedFor(readFileSync(join(tests, path), 'utf8')).map((name) => `${path} starts ${name}`),
  );
  expect(missing, "call requirePrograms('NAME') in the file, or name it among those of the base").toEqual([]);
});

it('finds a program that is not required', () => {
  expect(notAskedFor("execFileSync('jq', ['.'])")).toEqual(['jq']);
  expect(notAskedFor("requirePrograms('jq');\nexecFileSync('jq', ['.'])")).toEqual([]);
});
