/** A real pgbouncer in its three modes, on an unknown port, with pgbench as its client. */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, inject, it} from 'vitest';
import {startPooler} from '../support/pooler.js';
import {type CliResult, runCli, runProgram, tempFolder} from '../support/run-cli.js';
import {cases} from '../support/long-form.js';
import {clusterConnection, createTempDatabase, databaseExists, dropDatabase, type TempDatabase} from '../support/temp-database.js'; // prettier-ignore

let folder: string;
let shop: TempDatabase;

beforeAll(async () => {
  folder = await tempFolder();
  shop = await createTempDatabase();
  const made = await runProgram(join(inject('serverBin'), 'pgbench'), ['-q', '-i', '-s', '1', shop.url]);
  expect(made.status, made.stderr).toBe(0);
});
afterAll(async () => {
  await shop.drop();
  await rm(folder, {recursive: true, force: true});
});

/** Runs `work` while six clients of the application use the pooler, with 60 transactions a second, and returns the output of pgbench at its end. */
async function besideApplication(url: string, work: () => Promise<void>): Promise<string> {
  const args = ['-n', '-c', '6', '-R', '60', '-T', '300', '-P', '1', '-N', url];
  const application = spawn(join(inject('serverBin'), 'pgbench'), args, {stdio: ['ignore', 'pipe', 'pipe']});
  let said = '';
  const hasBegun = new Promise<void>((resolve) => {
    application.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      if (said.includes('progress: ')) resolve();
    });
  });
  const ended = once(application, 'exit');
  await Promise.race([hasBegun, ended]);
  try {
    await work();
    expect(application.exitCode, said).toBe(null);
  } finally {
    application.kill('SIGKILL');
    await ended;
  }
  return said;
}

it.each(cases(['transaction', 'statement'] as const))(
  'a pooler in %s mode is refused on any port, and its clients get no error',
  async (mode) => {
    const pooler = await startPooler(clusterConnection(), mode);
    const env = {DIRECT_URL: pooler.url(shop.name)};
    const run = (...args: string[]): Promise<CliResult> => runCli([...args, '--json'], {cwd: folder, env});
    const made = await runCli(['backup', '--json'], {cwd: folder, env: {DIRECT_URL: shop.url}});
    const {id} = made.json() as {id: string};
    try {
      // pgbench needs transactions, which a pooler in statement mode refuses.
      const refuse = async (): Promise<void> => {
        for (const args of [
          ['backup'],
          ['restore', `--backup-file=${id}`, '--drop-existing', '--yes'],
          ['orders:clean', '--execute', '--yes'],
          ['undo', '--yes'],
        ]) {
          const result = await run(...args);
          expect([args[0], result.status, result.json()]).toMatchObject([
            args[0],
            3,
            {error: {code: 'TRANSACTION_POOLER'}},
          ]);
        }
        const proof = await run(...['verify', `--backup-file=${id}`, '--level=restore']);
        expect([proof.status, proof.json()]).toMatchObject([
          3,
          {results: [{outcome: 'not-possible', findings: [expect.stringContaining('transaction pooler')]}]},
        ]);
        const doctor = (await run('doctor')).json() as {
          checks: {name: string; ok: boolean; message: string}[];
        };
        expect(doctor.checks).toContainEqual(
          expect.objectContaining({
            name: 'connection',
            ok: false,
            message: expect.stringContaining('transaction pooler') as string,
          }),
        );
      };
      if (mode === 'statement') await refuse();
      else {
        const said = await besideApplication(pooler.url(shop.name), refuse);
        expect(said).not.toMatch(/error|aborted/i);
      }
    } finally {
      await pooler.stop();
    }
  },
);

it('a pooler in session mode works throughout, beside its other clients', async () => {
  const pooler = await startPooler(clusterConnection(), 'session');
  const copy = `${shop.name}_copy`;
  try {
    const said = await besideApplication(pooler.url(shop.name), async () => {
      const env = {DIRECT_URL: pooler.url(shop.name)};
      for (const args of [
        ['backup', '--format=directory'],
        ['restore', '--latest', `--target-db=${copy}`, '--create-db', '--yes'],
        // The pooler does not log in roles that were just created, so the restore test runs as the superuser.
        ['verify', '--latest', '--level=restore', '--yes'],
      ]) {
        const result = await runCli([...args, '--json'], {cwd: folder, env});
        expect([args[0], result.status], result.stdout + result.stderr).toEqual([args[0], 0]);
      }
    });
    expect(said).not.toMatch(/error|aborted/i);
    expect(await databaseExists(copy)).toBe(true);
  } finally {
    await pooler.stop();
    await dropDatabase(copy);
  }
});
