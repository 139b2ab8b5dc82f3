// The time that commands take before they do anything.
import {cp, mkdir, readFile, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {measure} from './measure.mjs';

/** With a folder of 100 backups for `list`. NODE_EXTRA_CA_CERTS slows every start of Node alike and flatters the ratios, so that where it is set both are measured. */
export async function benchStart({onServer, work, alternate, note, urlOf, runs, program, binFolder}) {
  const folder = join(work, 'hundred');
  await onServer('DROP DATABASE IF EXISTS tiny');
  await onServer('CREATE DATABASE tiny');
  await mkdir(folder, {recursive: true});
  const start = (env, ...args) =>
    measure(process.execPath, args, {cwd: folder, env: {DIRECT_URL: urlOf('tiny'), ...env}});
  const bare = {NODE_EXTRA_CA_CERTS: ''};
  const made = JSON.parse((await start(bare, program, 'backup', '--json', `--pg-bin=${binFolder}`)).stdout);
  const text = await readFile(made.metadataPath, 'utf8');
  for (let n = 0; n < 99; n++) {
    const id = `tiny-2026-01-01T00-${String(Math.floor(n / 60)).padStart(2, '0')}-${String(n % 60).padStart(2, '0')}`;
    await writeFile(join(dirname(made.metadataPath), `${id}.metadata.json`), text.replaceAll(made.id, id));
    await cp(made.path, join(dirname(made.path), `${id}.dump`));
  }
  const environments = [['start-up', bare]];
  if (process.env.NODE_EXTRA_CA_CERTS) environments.push(['start-up, with NODE_EXTRA_CA_CERTS', {}]);
  for (const [name, env] of environments) {
    const variants = {
      'node -e 0': () => start(env, '-e', '0'),
      '--version': () => start(env, program, '--version'),
      '--help': () => start(env, program, '--help'),
      'backup --help': () => start(env, program, 'backup', '--help'),
      'list (100 backups)': () => start(env, program, 'list'),
    };
    note(name, await alternate(variants, Math.max(runs, 10)), 'node -e 0');
  }
}
