/** Files that the build writes and that are committed are the result of a fresh build. */
import {execFileSync} from 'node:child_process';
import {existsSync, readFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {expect, it} from 'vitest';
import {requirePrograms} from '../support/require-programs.js';

const root = fileURLToPath(new URL('../../', import.meta.url));

it.each(['oclif.manifest.json', 'src/lib/base/command-facts.ts', 'docs/configuration.md', 'docs/errors.md'])(
  '%s matches the code',
  (path) => {
    const built = readFileSync(root + path, 'utf8');
    // A staged file counts as committed. Outside a repository the file is compared with itself only.
    const isRepository = existsSync(`${root}.git`);
    if (isRepository) requirePrograms('git');
    const committed = isRepository
      ? execFileSync('git', ['show', `:${path}`], {cwd: root, encoding: 'utf8', maxBuffer: 50_000_000})
      : built;
    expect(built === committed, `run "npm run build" and commit ${path}`).toBe(true);
  },
);
