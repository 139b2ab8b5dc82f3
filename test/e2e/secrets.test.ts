/** Secrets of a database are only inside the dump: searches everything that the program prints and writes. */
import {mkdir, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {gunzipSync} from 'node:zlib';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {type CliResult, runCli, tempFolder} from '../support/run-cli.js';
import {
  clusterConnection,
  createTempDatabase,
  dropDatabase,
  existingDatabase,
  onServer,
  type TempDatabase,
  urlOf,
} from '../support/temp-database.js';

const mark = 'pl4nted';
const [role, weak] = ['secrets_app', 'secrets_weak'];

let source: TempDatabase;
let folder: string;
let printed: string;

beforeAll(async () => {
  folder = await tempFolder();
  source = await createTempDatabase('template0');
  await onServer(async (session) => {
    await session.query(`CREATE ROLE ${role}`);
    await session.query(`CREATE ROLE ${weak} LOGIN CREATEDB PASSWORD 'weak'`);
    for (const sql of [
      `ALTER DATABASE ${source.name} SET app.settings.jwt_secret = '${mark} it''s \\ 1'`,
      `ALTER DATABASE ${source.name} SET search_path = "$user", 'odd schema', public`,
      `ALTER DATABASE ${source.name} SET app.harmless = '${mark} 2'`,
      `ALTER ROLE ${role} IN DATABASE ${source.name} SET app.api_key = '${mark} 3'`,
      `COMMENT ON DATABASE ${source.name} IS 'ä ${mark} 4'`,
    ]) await session.query(sql); // prettier-ignore
  });
  await source.run(`
    CREATE TABLE state AS SELECT 1 AS id; CREATE FOREIGN DATA WRAPPER away; COMMENT ON TABLE state IS '${mark} 5';
    CREATE SERVER elsewhere FOREIGN DATA WRAPPER away OPTIONS (api_token '${mark} 6');
    CREATE USER MAPPING FOR ${role} SERVER elsewhere OPTIONS (user 'u', password '${mark} 7', access_key '${mark} 8')`);
  await source.run(
    `CREATE SUBSCRIPTION secrets CONNECTION 'host=127.0.0.1 port=1 password=${mark}9 dbname=x' PUBLICATION p WITH (connect = false)`,
  );
  await mkdir(join(folder, 'backups'), {mode: 0o700});
  await writeFile(join(folder, 'passphrase'), 'a passphrase for this test\n', {mode: 0o600});
});

afterAll(async () => {
  await source.run('ALTER SUBSCRIPTION secrets SET (slot_name = NONE)');
  await source.run('DROP SUBSCRIPTION secrets');
  await source.drop();
  for (const name of ['secrets_new', 'secrets_old']) {
    await existingDatabase(name)
      .run('ALTER SUBSCRIPTION secrets SET (slot_name = NONE)')
      .catch(() => undefined);
    await existingDatabase(name)
      .run('DROP SUBSCRIPTION secrets')
      .catch(() => undefined);
    await dropDatabase(name);
  }
  await onServer((session) => session.query(`DROP ROLE ${role}; DROP ROLE ${weak}`));
  await rm(folder, {recursive: true, force: true});
});

async function run(args: readonly string[], url = source.url): Promise<CliResult> {
  const result = await runCli(args, {cwd: folder, env: {DIRECT_URL: url}});
  printed = `${result.stdout}\n${result.stderr}`;
  expect(printed, args.join(' ')).not.toContain(mark);
  return result;
}

/** Every file below the backups folder by its name, except dumps. */
async function written(): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const entry of await readdir(join(folder, 'backups'), {recursive: true, withFileTypes: true})) {
    if (entry.isFile()) files.set(entry.name, await readFile(join(entry.parentPath, entry.name), 'latin1'));
  }
  return files;
}

const properties = (name: string) =>
  onServer((session) =>
    session.query(
      `SELECT shobj_description(d.oid, 'pg_database') AS comment,
              (SELECT json_agg(json_build_array(setrole::regrole, ARRAY(SELECT unnest(setconfig) ORDER BY 1)) ORDER BY setrole)::text FROM pg_db_role_setting WHERE setdatabase = d.oid) AS settings
         FROM pg_database d WHERE datname = $1`,
      [name],
    ),
  );

it('writes no secret beside the dumps, and prints none', async () => {
  const encrypted = ['--passphrase-file', 'passphrase'];
  expect((await run(['backup', '--json', ...encrypted, '--with-roles'])).status).toBe(0);
  expect((await run(['backup', '--format', 'sql', '--verbose'])).status).toBe(0);
  expect((await run(['backup', '--dry-run', '--json'])).status).toBe(0);
  for (const args of [
    ['list', '--json'],
    ['status'],
    ['history', '--json'],
    ['recover', '--guide'],
    ['doctor'],
  ])
    await run(args);
  const files = await written();
  const metadata = [...files].filter(([name]) => name.endsWith('.metadata.json'));
  expect(metadata).toHaveLength(2);
  for (const [name, text] of files) if (!/\.sql\.gz$/.test(name)) expect(text, name).not.toContain(mark);
  expect(metadata[0]?.[1]).toContain('"setting": "app.settings.jwt_secret"');
});

it('restores settings and comments from a plain dump and from an archive, which metadata does not contain', async () => {
  const [before] = await properties(source.name);
  expect((await run(['backup', '--format', 'custom'])).status).toBe(0);
  const names = [...(await written()).keys()];
  const dumps = [names.find((name) => /\.sql\.gz$/.test(name)), names.find((name) => /\.dump$/.test(name))];
  for (const dump of dumps) {
    const restore = [
      'restore',
      join('backups', 'database', dump ?? ''),
      '--target-db',
      'secrets_new',
      '--create-db',
    ];
    const file = ['restore', '--backup-file', ...restore.slice(1)];
    const {status} = await run([...file, '--yes', '--json']);
    expect(status, printed).toBe(0);
    expect(await properties('secrets_new')).toEqual([before]);
    expect(printed).toContain('"notCompared": []');
    await existingDatabase('secrets_new').run('ALTER SUBSCRIPTION secrets SET (slot_name = NONE)');
    await existingDatabase('secrets_new').run('DROP SUBSCRIPTION secrets');
    await dropDatabase('secrets_new');
  }
  const plain = gunzipSync(await readFile(join(folder, 'backups', 'database', dumps[0] ?? ''))).toString();
  expect(plain.trimEnd().split('\n').at(-1)).toMatch(
    /^-- destino-db: properties of the database: \{"settings":/,
  );
});

it('names settings that a role may not set, without the value, and keeps those of an existing database', async () => {
  const small = await createTempDatabase('template0');
  try {
    await small.run('CREATE TABLE state AS SELECT 1 AS id');
    await onServer(async (session) => {
      await session.query(`ALTER DATABASE ${small.name} SET app.settings.jwt_secret = '${mark} a'`);
      await session.query(`ALTER ROLE ${role} IN DATABASE ${small.name} SET app.api_key = '${mark} b'`);
      await session.query(`ALTER DATABASE ${small.name} SET app.lost = '${mark} c'`);
    });
    await run(['backup', '--label', 'small'], small.url);
    const connection = {...clusterConnection(), database: 'postgres', user: weak, password: 'weak'};
    const byWeak = ['restore', '--latest', '--create-db', '--yes', '--json', '--target-db', 'secrets_old'];
    await run(byWeak, urlOf({...connection, database: small.name}));
    expect(printed).toContain(`the setting app.api_key of the role \\"${role}\\" in the database`);
    await onServer(async (session) => {
      await session.query(`ALTER DATABASE ${small.name} SET app.settings.jwt_secret = '${mark} d'`);
      await session.query(`ALTER DATABASE ${small.name} RESET app.lost`);
    });
    const {status} = await run(['restore', '--latest', '--clean', '--yes', '--json'], small.url);
    expect(status, printed).toBe(0);
    expect(printed).toContain(
      'the setting app.settings.jwt_secret of the database is different here and was not changed',
    );
    const [after] = await properties(small.name);
    expect(after?.['settings']).toContain(`app.lost=${mark} c`);
    expect(after?.['settings']).toContain(`jwt_secret=${mark} d`);
  } finally {
    await small.drop();
  }
  for (const [name, text] of await written())
    if (!/\.(?:sql\.gz|dump|age)$/.test(name)) expect(text, name).not.toContain(mark);
});
