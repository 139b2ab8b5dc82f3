/** Help, suggestions and the words people read, where other tests look at JSON. */
import {readFileSync} from 'node:fs';
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {runCli, tempFolder} from '../support/run-cli.js';
import {writeSampleBackup} from '../support/sample-backups.js';

const manifest = JSON.parse(readFileSync(new URL('../../oclif.manifest.json', import.meta.url), 'utf8')) as {
  commands: Record<string, {flags: Record<string, {helpGroup?: string; hidden?: boolean}>}>;
};

let folder: string;
beforeAll(async () => {
  folder = await tempFolder();
  await writeSampleBackup(join(folder, 'backups/database'), '2026-01-01T00:00:00Z');
  await writeSampleBackup(join(folder, 'backups/database'), '2026-01-02T00:00:00Z', {label: 'release'});
  await writeSampleBackup(join(folder, 'backups/database'), '2026-01-03T00:00:00Z');
  await writeSampleBackup(join(folder, 'backups/database'), '2026-01-04T00:00:00Z');
});
afterAll(() => rm(folder, {recursive: true, force: true}));

const text = async (...args: string[]): Promise<{status: number | null; out: string; err: string}> => {
  const {status, stdout, stderr} = await runCli(args, {cwd: folder});
  return {status, out: stdout, err: stderr};
};

describe('help', () => {
  it('of the program names every command, in 80 columns', async () => {
    const {status, out} = await text('--help');
    expect(status).toBe(0);
    for (const id of Object.keys(manifest.commands))
      expect(out).toMatch(new RegExp(`^  ${id.split(':')[0] ?? ''} `, 'm'));
    for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  });

  it.each(['backup', 'orders:clean', 'restore'])(
    'of %s has usage, examples, its own flags and exit codes',
    async (id) => {
      const {out} = await text(id, '--help');
      for (const heading of ['USAGE', 'EXAMPLES', 'EXIT CODES', 'GLOBAL FLAGS'])
        expect(out).toContain(heading);
      for (const [name, flag] of Object.entries(manifest.commands[id]?.flags ?? {}))
        if (flag.helpGroup !== 'GLOBAL' && flag.hidden !== true)
          expect(out).toMatch(new RegExp(`--(?:\\[no-\\])?${name}\\b`));
      for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
    },
  );

  it('of a topic names its commands', async () => {
    const {out} = await text('orders', '--help');
    expect(out).toContain('orders:clean');
    expect(out).toContain('orders:restore');
  });

  it('is offered for a command that nobody knows, with the nearest one', async () => {
    expect(await text('bakcup')).toMatchObject({
      status: 2,
      out: '',
      err: expect.stringContaining('Did you mean "backup"?') as string,
    });
    expect((await text('zzzzzzzzzz')).err).not.toContain('Did you mean');
  });
});

describe('what people read', () => {
  it('of status says what is too old', async () => {
    const {status, out} = await text('status', '--max-age=26h');
    expect(status).toBe(4);
    expect(out).toMatch(/shop/);
    expect(out).toMatch(/^(?:Problem|shop).*(?:old|ago)/m);
  });

  it('of prune says what would go and what stays, and why', async () => {
    const {status, out} = await text('prune', '--keep-label=release', '--dry-run');
    expect(status).toBe(0);
    expect(out).toContain('shop-2026-01-01T00-00-00');
    expect(out).toContain('label release');
    expect(out).toContain('no rule keeps it');
  });

  it('of copy and init says what was done', async () => {
    const copied = await text('copy', '--from', 'backups/database', '--to', 'elsewhere');
    expect(copied).toMatchObject({
      status: 0,
      out: expect.stringContaining('shop-2026-01-04T00-00-00') as string,
    });
    const made = await text('init', '--yes');
    expect(made).toMatchObject({status: 0, out: expect.stringContaining('destino-db.config.json') as string});
  });
});
