/** orders:clean and workflow:safe-cleanup from a shell: flags, exit codes, kills, memory. */
import type {ChildProcess} from 'node:child_process';
import {mkdir, readdir, readFile, stat, symlink, writeFile} from 'node:fs/promises';
import {afterEach, beforeEach, describe, expect, it, vi} from 'vitest';
import {readOrderSnapshot} from '../../src/lib/rows/file/read-order-snapshot.js';
import {withAppSession} from '../support/app-session.js';
import {program, runCli, runProgram, tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';
import {isLongForm} from '../support/long-form.js';

let shop: TempDatabase;
let folder: string;
beforeEach(async () => {
  shop = await createTempDatabase();
  folder = await tempFolder();
});
afterEach(() => shop.drop());

const run = (args: readonly string[], options: Parameters<typeof runCli>[1] = {}) =>
  runCli(args, {cwd: folder, env: {DIRECT_URL: shop.url}, ...options});

async function orderCount(): Promise<number> {
  const [row] = await shop.query('SELECT count(*) AS count FROM orders');
  return Number(row?.['count']);
}

const orderFiles = async () => (await readdir(`${folder}/backups/order-cleanup`).catch(() => [])).sort();

describe('orders:clean', () => {
  it('ends its preview with the command that executes exactly that, once', async () => {
    const seen = await run(['orders:clean', '--from=2025-01-01', '--test-emails-only', '--no-color']);
    expect(seen.status).toBe(0);
    const next = /^Next: destino-db (.*)$/m.exec(seen.stdout)?.[1] ?? '';
    expect(next).toMatch(
      /^orders:clean --from=2025-01-01 --test-emails-only --no-color --execute --plan [0-9a-f]{16}$/,
    );
    expect(await orderCount()).toBe(404);
    const unconfirmed = await run([...next.split(' '), '--json']);
    expect(unconfirmed.status).toBe(5);
    expect(unconfirmed.json()).toMatchObject({error: {code: 'CONFIRMATION_NEEDED'}});
    const done = await run([...next.split(' '), '--yes', '--json']);
    expect(done.stderr).toBe('');
    expect(done.json()).toMatchObject({schemaVersion: 1, mode: 'execute', plan: next.slice(-16)});
    expect(await orderFiles()).toHaveLength(1);
    const again = await run([...next.split(' '), '--yes']);
    expect(again.status).toBe(5);
    expect(again.stderr).toContain('PLAN_CHANGED');
  });

  it('requires the name of the database without a backup', async () => {
    const refused = await run(['orders:clean', '--execute', '--no-backup', '--yes']);
    expect(refused.status).toBe(5);
    expect(refused.stderr).toContain(`--confirm-db ${shop.name}`);
    expect(await orderCount()).toBe(404);
    const done = await run(['orders:clean', '--execute', '--no-backup', '--confirm-db', shop.name]);
    expect(done.stdout).toContain('There is no order backup');
    expect(await orderCount()).toBe(252);
  });

  it('does not accept --yes for a production database', async () => {
    const env = {DIRECT_URL: shop.url, NODE_ENV: 'production'};
    const refused = await run(['orders:clean', '--execute', '--yes'], {env});
    expect(refused.status).toBe(5);
    expect(refused.stderr).toContain(`--confirm-db ${shop.name}`);
    expect(await orderCount()).toBe(404);
  });

  it.each([
    ['--dry-run', '--execute'],
    ['--test-emails-only', '--include-old'],
    ['--confirm', '--no-confirm'],
  ])('refuses %s with %s, naming both', async (one, other) => {
    const {status, stderr} = await run(['orders:clean', one, other]);
    expect(status).toBe(2);
    for (const flag of [one, other.replace('no-confirm', 'yes')]) expect(stderr).toContain(flag);
  });

  /** Blocks the cleaning in its first DELETE, and interrupts it there. */
  async function interruptedBy(signal: NodeJS.Signals) {
    return withAppSession(shop.connection, async (holder) => {
      await holder.query('BEGIN');
      // Rows without dependent rows are locked only by the DELETE.
      await holder.query('SELECT 1 FROM order_items FOR UPDATE');
      let child: ChildProcess | undefined;
      const running = run(['orders:clean', '--execute', '--yes'], {onStart: (started) => (child = started)});
      await vi.waitFor(
        async () => {
          expect(
            await shop.query(
              `SELECT 1 FROM pg_stat_activity WHERE ${holder.backendPid} = ANY (pg_blocking_pids(pid)) AND query LIKE '%DELETE FROM%'`,
            ),
          ).not.toEqual([]);
        },
        {timeout: 60_000, interval: 50},
      );
      child?.kill(signal);
      const result = await running;
      await holder.query('ROLLBACK');
      return result;
    });
  }

  it('leaves the database unchanged and no file under its final name when it is killed during the deletion', async () => {
    const {signal} = await interruptedBy('SIGKILL');
    expect(signal).toBe('SIGKILL');
    expect(await orderCount()).toBe(404);
    const named = async () => (await orderFiles()).filter((name) => name.endsWith('.json'));
    expect(await named()).toEqual([]);
    expect((await run(['orders:clean', '--execute', '--yes', '--wait', '60'])).status).toBe(0);
    const [file, ...others] = await named();
    expect(others).toEqual([]);
    expect((await readOrderSnapshot(`${folder}/backups/order-cleanup/${String(file)}`)).tables).toHaveLength(
      7,
    );
  });

  it('removes its file when it is terminated during the deletion', async () => {
    const {status, stderr} = await interruptedBy('SIGTERM');
    expect(status).toBe(143);
    expect(stderr).toContain('TERMINATED');
    expect(await orderCount()).toBe(404);
    expect(await orderFiles()).toEqual([]);
  });

  const itInLongForm = isLongForm ? it : () => {};
  itInLongForm('needs no more memory for a file that is larger than its memory', async () => {
    await shop.run(`
      INSERT INTO orders (id, total, "customerName", email, phone, "rawData", "updatedAt")
      SELECT gen_random_uuid(), 1, 'x', 'test' || n || '@mass.org', '-', jsonb_build_object('n', n, 'text', repeat(md5(n::text), 200)), now()
        FROM generate_series(1, 20000) n; ANALYZE orders`);
    let peakBytes = 0;
    const done = await run(['orders:clean', '--execute', '--yes'], {
      onStart: (child) => {
        child.stderr?.on('data', () => {
          void readFile(`/proc/${String(child.pid)}/status`, 'utf8').then(
            (text) => (peakBytes = Number(/VmHWM:\s+(\d+)/.exec(text)?.[1]) * 1024),
            () => undefined, // it has ended
          );
        });
      },
    });
    expect(done.status).toBe(0);
    const [file] = await orderFiles();
    const {size} = await stat(`${folder}/backups/order-cleanup/${String(file)}`);
    expect(size).toBeGreaterThan(125e6);
    expect(peakBytes).toBeGreaterThan(30e6);
    expect(peakBytes).toBeLessThan(200e6);
  });
});

describe('the command lines of the old scripts', () => {
  // Through npm and the package.json from init, as a user would type them.
  beforeEach(async () => {
    await writeFile(`${folder}/package.json`, '{}\n');
    expect((await run(['init', '--yes'])).status).toBe(0);
    await mkdir(`${folder}/node_modules/.bin`, {recursive: true});
    await symlink(program, `${folder}/node_modules/.bin/destino-db`);
  });
  const script = (name: string, ...more: string[]) =>
    runProgram('npm', ['run', '--silent', name, '--', ...more], {cwd: folder, env: {DIRECT_URL: shop.url}});

  it('preview', async () => {
    const clean = await script('clean-orders:preview', '--json');
    expect(clean.json()).toMatchObject({mode: 'preview', roots: {'public.orders': 152}});
    const workflow = await script('safe-cleanup:preview', '--json');
    expect(workflow.json()).toMatchObject({mode: 'preview', orders: {roots: {'public.orders': 152}}});
    expect(await orderCount()).toBe(404);
  });

  it('ask before they delete, and select only test addresses if their name says so', async () => {
    expect((await script('clean-orders:execute')).status).toBe(5);
    const cleaned = await script('clean-orders:test-emails', '--no-confirm', '--json');
    expect(cleaned.json()).toMatchObject({
      mode: 'execute',
      roots: {'public.orders': 139},
      criteria: {testEmailsOnly: true},
    });
    const {backupPath} = cleaned.json() as {backupPath: string};
    const restored = await script(
      'restore-orders',
      `--backup-file=${backupPath}`,
      '--execute',
      '--no-confirm',
    );
    expect(restored.status).toBe(0);
    expect(await orderCount()).toBe(404);
    const workflow = await script(
      'safe-cleanup:test-emails',
      '--no-confirm',
      '--from=2025-01-01',
      '--to',
      '2026-12-31',
      '--json',
    );
    expect(workflow.status).toBe(0);
    expect(workflow.json()).toMatchObject({
      mode: 'execute',
      orders: {criteria: {testEmailsOnly: true, from: '2025-01-01'}},
    });
  });
});
