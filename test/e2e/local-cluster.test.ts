/** Nothing of a temporary server remains, however the program that started it ends. */
import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {chmod, mkdtemp, readdir, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {afterEach, beforeEach, expect, inject, it, vi} from 'vitest';

const built = fileURLToPath(new URL('../../dist/lib/postgres/tools/local-cluster.js', import.meta.url));

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(`/tmp/${'long-'.repeat(20)}`); // the path of a socket must be shorter (107 bytes)
  await chmod(folder, 0o755);
});
afterEach(() => rm(folder, {recursive: true, force: true}));

/** A program that starts a server in the folder, says so, and waits until it is ended. */
function programWith(binFolder: string): ChildProcess {
  const script = `const {startLocalCluster} = await import(${JSON.stringify(built)});
    const {pid} = await startLocalCluster({binFolder: ${JSON.stringify(binFolder)}});
    console.log(pid);
    setInterval(() => {}, 1000);`;
  const env = {...process.env, TMPDIR: folder};
  return spawn(process.execPath, ['--input-type=module', '-e', script], {env, stdio: ['ignore', 'pipe', 2]});
}

async function expectNothingLeft(): Promise<void> {
  await vi.waitFor(async () => expect(await readdir(folder)).toEqual([]), {timeout: 60_000});
}

it('a running server is stopped and removed when its program is killed', async () => {
  const program = programWith(inject('serverBin'));
  const [told] = (await once(program.stdout ?? program, 'data')) as [Buffer];
  program.kill('SIGKILL');
  await expectNothingLeft();
  expect(() => process.kill(Number(told), 0)).toThrow('ESRCH');
});

it('a server that is being created is removed too', async () => {
  const bin = await mkdtemp('/tmp/bin-');
  await writeFile(join(bin, 'initdb'), '#!/bin/sh\nexec sleep 5\n', {mode: 0o755});
  await chmod(bin, 0o755);
  const program = programWith(bin);
  const isBegun = async (): Promise<boolean> =>
    (await readdir(folder, {recursive: true})).some((path) => path.endsWith('/password'));
  await vi.waitFor(async () => expect(await isBegun()).toBe(true), {timeout: 60_000});
  program.kill('SIGKILL');
  await expectNothingLeft();
  await rm(bin, {recursive: true});
});
