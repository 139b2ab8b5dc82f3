// Runs the tests that have a server against each major version of PostgreSQL that is installed, oldest first; words name other projects, or files.
// scripts/install-postgres18.sh puts 18 beside what the distribution has.
import {spawnSync} from 'node:child_process';
import {fileURLToPath} from 'node:url';
import {serverBinFolders} from '../dist/lib/postgres/tools/local-cluster.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const words = process.argv.slice(2);
const files = words.filter((word) => word.includes('/'));
const named = words.filter((word) => !word.includes('/'));
const projects = named.length > 0 ? named : ['postgres', 'e2e', 'faults'];
const servers = (await serverBinFolders()).reverse();
if (servers.length === 0)
  throw new Error('no PostgreSQL server was found; scripts/install-programs.sh postgres installs one');

const failed = [];
for (const {major, folder} of servers) {
  process.stdout.write(`\nPostgreSQL ${major} (${folder})\n`);
  const {status} = spawnSync(
    'npx',
    ['vitest', 'run', ...projects.map((name) => `--project=${name}`), ...files],
    {
      cwd: root,
      env: {...process.env, DESTINO_TEST_PG: String(major)},
      stdio: 'inherit',
    },
  );
  if (status !== 0) failed.push(major);
}
process.stdout.write(
  `\nPostgreSQL ${servers.map(({major}) => major).join(', ')}: ${failed.length === 0 ? 'all passed' : `failed on ${failed.join(', ')}`}\n`,
);
process.exitCode = failed.length === 0 ? 0 : 1;
