import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdir, readdir, readFile, rm, utimes, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import {defined} from '../../src/lib/base/defined.js';
import {folderLockOwner, withFolderLock} from '../../src/lib/run/lock.js';
import {tempFolder} from '../support/run-cli.js';
import {testContext} from '../support/test-context.js';

const lockModule = fileURLToPath(new URL('../../dist/lib/run/lock.js', import.meta.url));

let home = '';
let folder = '';
let children: ChildProcess[] = [];
beforeEach(async () => {
  home = await tempFolder();
  folder = join(home, 'backups', 'database');
});
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  children = [];
  await rm(home, {recursive: true, force: true});
});

/** A process that takes the lock, says so on stdout, and runs `body` while it holds the lock. */
function holder(body: string, waitMs = 0, database?: string): ChildProcess {
  const script = `
    import {withFolderLock} from ${JSON.stringify(lockModule)};
    import {appendFile, readFile, writeFile} from 'node:fs/promises';
    const context = {
      settings: {backupsDir: ${JSON.stringify(join(home, 'backups'))}},
      clock: {now: () => new Date()}, signal: new AbortController().signal, warn: () => {},
      progress: {step: (title, work) => work({note: () => {}})},
    };
    await withFolderLock(context, ${JSON.stringify(folder)}, async () => {
      process.stdout.write('locked\\n');
      ${body}
    }, {command: 'backup', waitMs: ${waitMs}, database: ${JSON.stringify(database)}});`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  children.push(child);
  return child;
}

const holdsForEver = 'setInterval(() => {}, 1000); await new Promise(() => {});';
const lockFolder = () => join(home, 'backups', '.locks');
const take = (waitMs = 0, database?: string) =>
  withFolderLock(
    testContext(home),
    folder,
    () => Promise.resolve('done'),
    defined({command: 'prune', waitMs, database}),
  );

async function started(child: ChildProcess): Promise<void> {
  if (child.stdout) await once(child.stdout, 'data');
}

describe('withFolderLock', () => {
  it('refuses while another process holds the lock of the folder, naming it, and runs after that one has ended', async () => {
    const other = holder("await new Promise((resolve) => process.stdin.once('end', resolve).resume());");
    await started(other);
    await expect(take()).rejects.toMatchObject({
      code: 'LOCKED',
      exitCode: 5,
      message: expect.stringMatching(
        new RegExp(`"backup" \\(pid ${other.pid} on .*started (?:just now|.* ago)`),
      ) as string,
    });
    expect(await folderLockOwner(join(home, 'backups'), folder)).toMatchObject({
      pid: other.pid,
      command: 'backup',
    });
    other.stdin?.end();
    await once(other, 'exit');
    expect(await take()).toBe('done');
    expect(await readdir(lockFolder())).toEqual([]);
  });

  it('takes over at once after its owner was killed', async () => {
    const other = holder(holdsForEver);
    await started(other);
    other.kill('SIGKILL');
    await once(other, 'exit');
    expect(await readdir(lockFolder())).toEqual(['database.lock']);
    expect(await folderLockOwner(join(home, 'backups'), folder)).toBeUndefined();
    expect(await take()).toBe('done');
    expect(await readdir(lockFolder())).toEqual([]);
  });

  it('waits as long as requested', async () => {
    const other = holder("await new Promise((resolve) => process.stdin.once('end', resolve).resume());");
    await started(other);
    const waiting = take(60_000);
    other.stdin?.end();
    expect(await waiting).toBe('done');
    const third = holder(holdsForEver);
    await started(third);
    await expect(take(300)).rejects.toMatchObject({
      code: 'LOCKED',
      message: expect.stringContaining('did not end within 300 ms') as string,
    });
  });

  it('lets one of many waiting processes run at a time, even after a kill', async () => {
    const dead = holder(holdsForEver);
    await started(dead);
    dead.kill('SIGKILL');
    await once(dead, 'exit');
    const counter = join(home, 'counter');
    await writeFile(counter, '0');
    const path = JSON.stringify(counter);
    // Without the lock, these reads and writes overlap and increments get lost.
    const body = `for (let i = 0; i < 20; i++) await writeFile(${path}, String(Number(await readFile(${path}, 'utf8')) + 1));`;
    const runs = Array.from({length: 6}, () => holder(body, 60_000));
    const exits = await Promise.all(runs.map(async (run) => ((await once(run, 'exit')) as [number])[0]));
    expect(exits).toEqual([0, 0, 0, 0, 0, 0]);
    expect(await readFile(counter, 'utf8')).toBe('120');
    expect(await readdir(lockFolder())).toEqual([]);
  });

  it('is not confused by a reused process number', async () => {
    const other = holder(holdsForEver);
    await started(other);
    const path = join(lockFolder(), 'database.lock');
    const lock = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
    await writeFile(path, JSON.stringify({...lock, processStart: 'an earlier boot'}));
    expect(await take()).toBe('done');
  });

  it('does not take over a lock of another machine until its heartbeat has been silent for long', async () => {
    const path = join(lockFolder(), 'database.lock');
    await mkdir(lockFolder(), {recursive: true});
    const lock = {pid: 1, host: 'another', pidNamespace: null, processStart: null, command: 'backup', startedAt: new Date().toISOString(), token: 'aa'}; // prettier-ignore
    await writeFile(path, JSON.stringify(lock));
    await expect(take()).rejects.toMatchObject({
      code: 'LOCKED',
      message: expect.stringContaining('pid 1 on another') as string,
    });
    const longAgo = new Date(Date.now() - 6 * 60_000);
    await utimes(path, longAgo, longAgo);
    expect(await take()).toBe('done');
  });

  it('takes over a lock whose owner was stopped before it wrote its name', async () => {
    const path = join(lockFolder(), 'database.lock');
    await mkdir(lockFolder(), {recursive: true});
    await writeFile(path, '{"pid":');
    await expect(take()).rejects.toMatchObject({code: 'LOCKED'});
    const aMinuteAgo = new Date(Date.now() - 60_000);
    await utimes(path, aMinuteAgo, aMinuteAgo);
    expect(await take()).toBe('done');
  });

  it('lets two databases of a folder work at the same time, and no run for the whole folder beside them', async () => {
    const untilEnd = "await new Promise((resolve) => process.stdin.once('end', resolve).resume());";
    const shop = holder(untilEnd, 0, 'shop');
    await started(shop);
    expect(await take(0, 'books')).toBe('done');
    await expect(take(0, 'shop')).rejects.toMatchObject({code: 'LOCKED'});
    await expect(take()).rejects.toMatchObject({
      code: 'LOCKED',
      message: expect.stringContaining(`pid ${shop.pid} on`) as string,
    });
    expect(await folderLockOwner(join(home, 'backups'), folder)).toMatchObject({pid: shop.pid});
    const whole = take(60_000);
    shop.stdin?.end();
    expect(await whole).toBe('done');
    const other = holder(untilEnd);
    await started(other);
    await expect(take(0, 'shop')).rejects.toMatchObject({code: 'LOCKED'});
    other.stdin?.end();
    expect(await take(60_000, 'shop')).toBe('done');
    expect(await readdir(lockFolder())).toEqual([]);
  });

  it('of runs for the folder and for its databases that start together, none overlaps where it must not', async () => {
    const counter = join(home, 'counter');
    await writeFile(counter, '0');
    const path = JSON.stringify(counter);
    const body = `for (let i = 0; i < 20; i++) await writeFile(${path}, String(Number(await readFile(${path}, 'utf8')) + 1));`;
    const runs = ['shop', undefined, 'shop', undefined, 'shop'].map((one) => holder(body, 60_000, one));
    const exits = await Promise.all(runs.map(async (run) => ((await once(run, 'exit')) as [number])[0]));
    expect(exits).toEqual([0, 0, 0, 0, 0]);
    expect(await readFile(counter, 'utf8')).toBe('100');
    expect(await readdir(lockFolder())).toEqual([]);
  });

  it('a database locks again after its run was killed', async () => {
    const dead = holder(holdsForEver, 0, 'shop');
    await started(dead);
    dead.kill('SIGKILL');
    await once(dead, 'exit');
    expect(await take()).toBe('done');
    expect(await take(0, 'shop')).toBe('done');
    expect(await readdir(lockFolder())).toEqual([]);
  });

  it('releases the lock when the work fails', async () => {
    const failing = withFolderLock(testContext(home), folder, () => Promise.reject(new Error('broken')), {
      command: 'x',
    });
    await expect(failing).rejects.toThrow('broken');
    expect(await readdir(lockFolder())).toEqual([]);
  });
});
