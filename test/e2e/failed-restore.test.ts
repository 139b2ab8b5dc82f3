/** The check that a failed refresh or restore prints: it runs as printed, on the backup that failed and not on the newest one. */
import {cp, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {cases} from '../support/long-form.js';
import {makeBackup} from '../support/make-backup.js';
import {runCli, runProgram, tempFolder} from '../support/run-cli.js';
import {environmentOf} from '../support/run-page.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

let folder: string;
let production: TempDatabase;
let staging: TempDatabase;

/** The named backup; another one is newer. */
const older = 'shop-2026-11-01T03-00-00';
const elsewhere = "it's elsewhere";

/** Runs a command that fails with `code`, and then the command at the end of its next step, in a shell with the program in PATH. */
async function runAndCheck(args: readonly string[], env: Record<string, string>, code: string) {
  const {stderr} = await runCli(args, {cwd: folder, env});
  expect(stderr).toContain(`Error ${code}: `);
  const command = /^Next: .*: (destino-db .*)$/m.exec(stderr)?.[1] ?? '';
  const checked = await runProgram('/bin/sh', ['-c', command], {
    cwd: folder,
    env: await environmentOf({folder, env}),
  });
  expect(checked.stdout).toMatch(new RegExp(`^ok +${older}: restored, every row equal`));
  return command;
}

beforeAll(async () => {
  folder = await tempFolder();
  production = await createTempDatabase('template0');
  staging = await createTempDatabase('template0');
  // The index can be built over these names, and not over masked ones.
  await production.run(`CREATE TABLE people (id int PRIMARY KEY, name text); INSERT INTO people VALUES (1, 'Anna'), (2, 'Anna');
    CREATE INDEX known ON people ((1 / strpos(name, 'Anna')))`);
  // Rows of each restore into this database are lost.
  await staging.run(`CREATE FUNCTION lose() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN DELETE FROM public.people WHERE id = 2; END$$;
    CREATE EVENT TRIGGER lose ON ddl_command_end WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION lose()`);
  const masks = {'public.people.name': {mask: 'name'}};
  await writeFile(join(folder, 'destino-db.config.json'), JSON.stringify({masks}));
  for (const day of ['01', '02'])
    await makeBackup(testContext(folder), production.connection, 'custom', `2026-11-${day}T03:00:00.000Z`);
  await cp(join(folder, 'backups/database'), join(folder, elsewhere), {recursive: true});
});

afterAll(async () => {
  await production.drop();
  await staging.drop();
  await rm(folder, {recursive: true, force: true});
});

const named = [
  {by: 'its id', backup: older, printed: older},
  {by: 'its path', backup: join(elsewhere, `${older}.dump`), printed: `/it'\\''s elsewhere/${older}.dump'`},
];
it.each(cases(named))('is of the backup that was named by $by', async ({backup, printed}) => {
  const args = ['restore', backup, '--clean', '--yes'];
  const command = await runAndCheck(args, {DIRECT_URL: staging.url}, 'RESTORED_DIFFERS');
  expect(command).toContain(`${printed} --level restore`);
});

it('is of a backup in another location, on the server of the target if the settings name none', async () => {
  await rm(join(folder, 'backups/database'), {recursive: true});
  const args = ['refresh', older, '--from', elsewhere, '--target-url-env', 'STAGING_URL', '--yes'];
  const command = await runAndCheck(args, {STAGING_URL: staging.url}, 'RESTORE_FAILED');
  expect(command).toBe(
    `destino-db verify ${older} --from 'it'\\''s elsewhere' --level restore --scratch-url "$STAGING_URL"`,
  );
});
