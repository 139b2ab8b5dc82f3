/** The emergency checklist: runs its commands unchanged. */
import {execFile} from 'node:child_process';
import {readFile, rm} from 'node:fs/promises';
import {promisify} from 'node:util';
import {afterAll, beforeAll, describe, expect, inject, it} from 'vitest';
import {runCli, tempFolder} from '../support/run-cli.js';
import {
  createTempDatabase,
  databaseExists,
  dropDatabase,
  existingDatabase,
  type TempDatabase,
} from '../support/temp-database.js';

let folder = '';
let shop: TempDatabase;

beforeAll(async () => {
  folder = await tempFolder();
  shop = await createTempDatabase('shop_template', "shop's $HOME");
});
afterAll(async () => {
  await shop.drop();
  await dropDatabase(`${shop.name}_check`);
  await rm(folder, {recursive: true, force: true});
});

/** The shell blocks under the heading. */
function blocks(markdown: string, heading: string): string[] {
  const section = markdown.split(/^## /m).find((text) => text.startsWith(heading)) ?? '';
  return [...section.matchAll(/```sh\n([^]*?)```/g)].map((match) => match[1] ?? '');
}

describe('recover --guide', () => {
  it('works before there are any backups, with placeholders, and leaves no trace in the audit log', async () => {
    const empty = await tempFolder();
    const {status, stdout} = await runCli(['recover', '--guide'], {cwd: empty});
    expect(status).toBe(0);
    expect(stdout).toContain('There is no usable backup of this database here');
    expect((await runCli(['history', '--json'], {cwd: empty})).json()).toMatchObject({runs: []});
    await rm(empty, {recursive: true});
  });

  it('names the newest backup, and its commands restore it without this program', async () => {
    const env = {DIRECT_URL: shop.url};
    const backup = await runCli(['backup', '--json'], {cwd: folder, env});
    expect(backup.status).toBe(0);
    const {id} = backup.json() as {id: string};
    const written = await runCli(['recover', '--guide', '--output', 'RECOVERY.md'], {cwd: folder, env});
    expect([written.status, written.stderr]).toEqual([0, '']);
    const markdown = await readFile(`${folder}/RECOVERY.md`, 'utf8');
    expect(markdown).toContain(`| ${id} |`);
    expect(markdown.match(/^## \d\. .*$/gm)).toHaveLength(8);
    const password = shop.connection.password ?? '';
    if (password !== '') expect(markdown).not.toContain(password);

    // The tools are given by path, so that newer ones in PATH do not come before those of the server's version.
    expect(markdown).toContain(`\n${inject('serverBin')}/pg_restore `);
    expect(markdown).toContain(`\n${inject('serverBin')}/psql `);

    const [checksum = '', restore = ''] = blocks(markdown, 'Without this program');
    const run = (script: string) =>
      promisify(execFile)('/bin/sh', ['-ec', script], {
        cwd: folder,
        env: {PATH: process.env['PATH'], PGPASSWORD: password, PGSSLMODE: 'disable'},
      });
    expect((await run(checksum)).stdout).toContain(': OK');
    await run(restore);
    expect(await databaseExists(`${shop.name}_check`)).toBe(true);
    const count = 'SELECT count(*) AS orders FROM orders';
    const restored = await existingDatabase(`${shop.name}_check`).query(count);
    expect(restored).toEqual(await shop.query(count));
  });

  it('shows previews that the program accepts unchanged', async () => {
    const markdown = await readFile(`${folder}/RECOVERY.md`, 'utf8');
    const previews = [
      blocks(markdown, '5. Execute')[0]?.split('\n')[0] ?? '',
      blocks(markdown, '3. Choose a strategy')[2]?.trim() ?? '',
    ];
    const program = new URL('../../bin/run.js', import.meta.url).pathname;
    for (const preview of previews) {
      const {stdout} = await promisify(execFile)(
        '/bin/sh',
        ['-ec', preview.replace(/^destino-db/, `node ${program}`)],
        {
          cwd: folder,
          env: {PATH: process.env['PATH'], HOME: folder, DIRECT_URL: shop.url},
        },
      );
      expect(preview).toContain('--dry-run');
      expect(stdout).toContain(shop.name);
    }
  });
});
