/** Names and passwords with special meaning for shells, SQL, HTML, cron, terminals and file systems, through every command. */
import {execFileSync} from 'node:child_process';
import {existsSync} from 'node:fs';
import {chmod, mkdir, readdir, readFile, rm, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {quoteIdentifier, quoteLiteral} from '../../src/lib/postgres/quote.js';
import {startLocalServer} from '../support/local-server.js';
import {requirePrograms} from '../support/require-programs.js';
import {type CliResult, runCli, tempFolder} from '../support/run-cli.js';
import {
  clusterConnection,
  databaseExists,
  dropDatabase,
  existingDatabase,
  onServer,
  urlOf,
} from '../support/temp-database.js';
import {cases} from '../support/long-form.js';

let folder: string;
let outside: string;
let proof: string;
let databaseName: string;
const id = (name: string): string => quoteIdentifier(name);

/** Text that runs or breaks out if a name is not quoted; each would leave the file `proof` behind. */
let evil: Record<'database' | 'role' | 'schema' | 'table' | 'column' | 'items' | 'label', string>;
/** A password full of special characters; the second URL contains it percent-encoded. */
const password = `p%40'"\`$(id)\\ ;ñ✓:/?#@ end`;

beforeAll(async () => {
  requirePrograms('ps');
  folder = await tempFolder();
  outside = await tempFolder();
  proof = join(outside, 'ran');
  const cut = (text: string): string => {
    let name = text;
    while (Buffer.byteLength(name) > 63) name = [...name].slice(0, -1).join('');
    return name;
  };
  evil = {
    database: cut(`-d"'; $(touch ${proof.slice(-8)}) ../%s\n<b>&ñ✓✓✓✓✓✓✓✓✓✓✓✓`),
    role: cut(`r'"; DROP TABLE x;--\n$(id)\`id\`<i>`),
    schema: cut(`s'"; \\! touch x\n-- $$ %n <script>`),
    table: cut(`t"' ; DELETE FROM x; --\r\n\\.\n\\! id $(id) 日本語<b>`),
    column: cut(`c"',) FROM stdin;\n\\.\n\\! id`),
    items: cut(`-rf ../../etc/passwd * ?[a]`),
    label: `l'"; $(touch ${proof}) \n<img src=x onerror=alert(1)> \u001b[2J\u202e`,
  };
  databaseName = evil.database;
  await onServer(async (session) => {
    await session.query(`CREATE ROLE ${id(evil.role)} LOGIN CREATEDB PASSWORD ${quoteLiteral(password)}`);
    await session.query(`CREATE DATABASE ${id(evil.database)} OWNER ${id(evil.role)} TEMPLATE template0`);
  });
  const [schema, table, items] = [id(evil.schema), id(evil.table), id(evil.items)];
  await existingDatabase(evil.database).run(`
    SET ROLE ${id(evil.role)};
    CREATE SCHEMA ${schema};
    CREATE TABLE ${schema}.${table} (id int PRIMARY KEY, ${id(evil.column)} text, mail text, state text, paid text, total numeric);
    CREATE TABLE ${schema}.${items} (id int PRIMARY KEY, "the order" int NOT NULL REFERENCES ${schema}.${table} ON DELETE CASCADE);
    CREATE INDEX ON ${schema}.${items} ("the order");
    INSERT INTO ${schema}.${table} SELECT n, ${quoteLiteral(evil.label.replaceAll('\0', ''))}, CASE WHEN n < 4 THEN 'test@example.org' ELSE 'anna' || n || '@x.org' END, 'new', 'no', n FROM generate_series(1, 9) n;
    INSERT INTO ${schema}.${items} SELECT n, n FROM generate_series(1, 9) n;
    COMMENT ON TABLE ${schema}.${table} IS ${quoteLiteral(`\\! touch ${proof}\n\\connect postgres`)};
    CREATE FUNCTION ${schema}.f() RETURNS text LANGUAGE sql AS ${quoteLiteral(`SELECT '\n\\! touch ${proof}\n'::text`)};`);
  const root = {
    schema: evil.schema,
    table: evil.table,
    email: 'mail',
    status: 'state',
    paymentStatus: 'paid',
    total: 'total',
  };
  await writeFile(
    join(folder, 'destino-db.config.json'),
    JSON.stringify({
      orders: {profile: {name: evil.label, roots: [root]}},
      retention: {keepLast: 50, keepLabels: [evil.label]},
    }),
    {mode: 0o600},
  );
});
afterAll(async () => {
  for (const {datname} of await onServer((session) =>
    session.query(`SELECT datname FROM pg_database WHERE datdba = $1::regrole`, [id(evil.role)]),
  ))
    await dropDatabase(datname ?? '');
  await onServer((session) => session.query(`DROP ROLE ${id(evil.role)}`));
  await rm(folder, {recursive: true, force: true});
  await rm(outside, {recursive: true, force: true});
});

const url = (database = databaseName): string =>
  urlOf({...clusterConnection(), user: evil.role, password, database});

/** Texts that must never appear: the password as it is, encoded, or a distinctive part of it. */
const secrets = [password, encodeURIComponent(password), '$(id)\\ ;ñ✓:/?#@ end', 'ñ✓:/?#@'];

function withoutSecrets(result: Pick<CliResult, 'stdout' | 'stderr'>): void {
  for (const secret of secrets) {
    expect(result.stdout).not.toContain(secret);
    expect(result.stderr).not.toContain(secret);
  }
  expect(existsSync(proof)).toBe(false);
}

async function run(args: readonly string[], env: Record<string, string> = {}): Promise<CliResult> {
  const result = await runCli(args, {cwd: folder, env: {DIRECT_URL: url(), ...env}});
  withoutSecrets(result);
  expect(result.stdout + result.stderr).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u202a-\u202e]/);
  return result;
}

async function ok(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Record<string, unknown>> {
  const result = await run([...args, '--json'], env);
  expect([args[0], result.status], result.stdout + result.stderr).toEqual([args[0], 0]);
  return result.json() as Record<string, unknown>;
}

const rowsOf = async (database: string): Promise<unknown> =>
  existingDatabase(database).query(
    `SELECT (SELECT json_agg(t ORDER BY id)::text FROM ${id(evil.schema)}.${id(evil.table)} t) AS t, (SELECT count(*) FROM ${id(evil.schema)}.${id(evil.items)}) AS i, ${id(evil.schema)}.f() AS f`,
  );

describe('hostile names', () => {
  let backupId: string;

  it.each(cases(['sql', 'directory', 'custom']))(
    'are backed up, listed and proven by a restore test as %s',
    async (format) => {
      const made = await ok(['backup', `--format=${format}`, `--label=${evil.label}`]);
      backupId = String(made['id']);
      expect(made['database']).toBe(evil.database);
      expect(backupId).toMatch(/^[A-Za-z0-9_%.-]+$/);
      const {backups} = (await ok(['list'])) as {backups: {id: string; database: string; label: string}[]};
      expect(backups).toContainEqual(
        expect.objectContaining({id: backupId, database: evil.database, label: evil.label}),
      );
      const {results} = (await ok(['verify', `--backup-file=${backupId}`, '--level=restore'])) as {
        results: {ok: boolean}[];
      };
      expect(results).toEqual([expect.objectContaining({ok: true})]);
      expect((await run(['list'])).status).toBe(0);
      expect((await run(['verify', `--backup-file=${backupId}`])).status).toBe(0);
    },
  );

  it('are restored into a new database with such a name, swapped and undone', async () => {
    const before = await rowsOf(evil.database);
    const copy = `${evil.database.slice(0, 20)}-copy"'`;
    await ok(['restore', `--backup-file=${backupId}`, `--target-db=${copy}`, '--create-db', '--yes']);
    expect(await rowsOf(copy)).toEqual(before);
    const preview = await run([
      'restore',
      `--backup-file=${backupId}`,
      `--target-db=${copy}`,
      '--drop-existing',
      '--dry-run',
    ]);
    expect(preview.status).toBe(0);
    const {setAside} = await ok([
      'restore',
      `--backup-file=${backupId}`,
      `--target-db=${copy}`,
      '--drop-existing',
      '--confirm-db',
      copy,
    ]);
    expect(await databaseExists(String(setAside))).toBe(true);
    expect(await rowsOf(copy)).toEqual(before);
    await ok(['undo', `--target-db=${copy}`, '--confirm-db', copy]);
    expect(await rowsOf(copy)).toEqual(before);
    expect((await run(['prune', '--set-aside', '--dry-run'])).status).toBe(0);
  });

  it('are cleaned and restored', async () => {
    const before = await rowsOf(evil.database);
    const {plan, tables} = (await ok(['orders:clean'])) as {
      plan: string;
      tables: Record<string, {deleted: number}>;
    };
    expect(Object.values(tables).map(({deleted}) => deleted)).toEqual([3, 3]);
    expect((await run(['orders:clean'])).status).toBe(0);
    const done = await ok(['orders:clean', '--execute', '--plan', plan, '--confirm-db', evil.database]);
    expect(await rowsOf(evil.database)).not.toEqual(before);
    await ok([
      'orders:restore',
      '--backup-file',
      String(done['backupPath']),
      '--execute',
      '--confirm-db',
      evil.database,
    ]);
    expect(await rowsOf(evil.database)).toEqual(before);
  });

  it('are shown in the report without becoming HTML, in metrics, in notifications and in history', async () => {
    const server = await startLocalServer();
    const config = JSON.parse(await readFile(join(folder, 'destino-db.config.json'), 'utf8')) as object;
    const told = join(folder, 'notified.json');
    await writeFile(
      told,
      JSON.stringify({
        ...config,
        notifications: {
          targets: [
            {type: 'webhook', url: server.url, on: ['success']},
            {
              type: 'command',
              on: ['success'],
              argv: ['/bin/sh', '-c', 'cat > "$0"', join(folder, 'told.txt')],
            },
          ],
        },
      }),
      {mode: 0o600},
    );
    try {
      await ok([
        'backup',
        `--label=${evil.label}`,
        `--config=${told}`,
        `--metrics-file=${join(folder, 'm.prom')}`,
      ]);
    } finally {
      await server.close();
    }
    expect(server.received.map(({body}) => (JSON.parse(body) as {text: string}).text).join()).toContain(
      'backup',
    );
    expect((await run(['report', '--output', 'report.html'])).status).toBe(0);
    const page = await readFile(join(folder, 'report.html'), 'utf8');
    expect(page).not.toContain('<img src=x');
    expect(page).not.toContain('<b>&ñ');
    expect(page).toContain('&lt;b&gt;&amp;ñ');
    const metrics = await readFile(join(folder, 'm.prom'), 'utf8');
    for (const line of metrics.split('\n').filter((text) => text !== '' && !text.startsWith('#')))
      expect(line).toMatch(/^[a-z_]+(?:\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*\})? [-+0-9.e]+$/);
    expect((await run(['history'])).status).toBe(0);
    expect((await run(['status'])).status).toBe(0);
    const stored = [
      page,
      metrics,
      await readFile(join(folder, 'told.txt'), 'utf8').catch(() => ''),
      ...(await everyText(join(folder, 'backups'))),
    ];
    for (const text of stored) for (const secret of secrets) expect(text).not.toContain(secret);
  });

  it('of a working directory reach the program unchanged through cron and its shell', async () => {
    const odd = join(folder, `wo"r'k $(touch ran) \`id\` %d; & -x`);
    await mkdir(odd);
    await writeFile(
      join(odd, 'destino-db.config.json'),
      JSON.stringify({
        schedule: {plan: [`daily run backup "--label=a'b $(touch ran) % x"`], timeZone: 'UTC'},
      }),
    );
    const result = await runCli(['schedule', '--as=cron'], {cwd: odd});
    expect(result.status).toBe(0);
    const [line = ''] = result.stdout.split('\n').filter((text) => /^\d+ \d+ \* \* \*/.test(text));
    const command = line
      .replace(/^(?:\S+ ){5}/, '')
      .replaceAll('\\%', '%')
      .replace(/PATH=\S+ \S+ \S+ /, 'printf \'%s\\n\' "$PWD" ');
    const output = execFileSync('/bin/sh', ['-c', command], {cwd: outside, encoding: 'utf8'});
    expect(output.split('\n').slice(0, 3)).toEqual([odd, 'backup', `--label=a'b $(touch ran) % x`]);
    expect(existsSync(join(odd, 'ran'))).toBe(false);
  });
});

async function everyText(path: string): Promise<string[]> {
  const texts: string[] = [];
  for (const entry of await readdir(path, {withFileTypes: true, recursive: true})) {
    if (entry.isFile())
      texts.push(
        await readFile(join(entry.parentPath, entry.name), 'latin1').then((text) =>
          Buffer.from(text, 'latin1').toString('utf8'),
        ),
      );
  }
  return texts;
}

describe('hostile arguments', () => {
  const hostile: readonly (readonly [string[], number])[] = [
    [['restore', '--backup-file', '-rf', '--dry-run'], 2],
    [['restore', '--backup-file', '/etc/passwd', '--dry-run'], 4],
    [['restore', '--backup-file', '/dev/zero', '--dry-run'], 4],
    [['backup', '--include-table', '$(id); DROP TABLE x'], 2],
    [['backup', '--database-url', 'postgresql://u:hunter2@h/d?x=1'], 2],
    [['orders:clean', '--from', "2026-01-01'; DROP"], 2],
    [['restore', '--backup-file=-rf', '--dry-run'], 2],
    [['verify', '--backup-file', '$(id)'], 2],
    [['backup', '--output-dir', ''], 2],
    [['list', '--from', 'file:///etc'], 2],
    [['status', '--max-age', `${'9'.repeat(400)}w`], 2],
    [['history', '--last', '-1'], 2],
  ];
  it.each(cases(hostile, 6))('%j exit with status %i and a code', async (args, status) => {
    const result = await run([...args, '--json']);
    expect([result.status, result.stdout]).toEqual([status, expect.any(String)]);
    const document = result.json() as {error?: {code: string; exitCode: number}};
    if (status !== 0)
      expect(document.error).toMatchObject({
        code: expect.not.stringMatching('UNEXPECTED') as string,
        exitCode: status,
      });
    expect(result.stdout).not.toContain('hunter2');
  });

  it('a password with any characters is in no list of processes', async () => {
    let seen = '';
    let running = true;
    const watch = (async () => {
      while (running) {
        seen += execFileSync('ps', ['-eo', 'args'], {encoding: 'utf8', maxBuffer: 1 << 26});
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    await ok(['backup', '--database-url', url()], {DIRECT_URL: ''});
    running = false;
    await watch;
    const own = seen.split('\n').filter((line) => line.includes('pg_dump'));
    expect(own.length).toBeGreaterThan(0);
    for (const line of own) for (const secret of secrets) expect(line).not.toContain(secret);
  });

  it('a wrong password is not repeated', async () => {
    const wrong = urlOf({
      ...clusterConnection(),
      user: evil.role,
      password: `${password}x`,
      database: evil.database,
    });
    const result = await runCli(['backup', '--verbose'], {cwd: folder, env: {DIRECT_URL: wrong}});
    expect(result.status).toBe(3);
    withoutSecrets(result);
  });
});

describe('hostile files', () => {
  it('an env file with commands is read, and not executed', async () => {
    await writeFile(
      join(folder, '.env.local'),
      `X=$(touch ${proof})\nY=\`touch ${proof}\`\n; touch ${proof}\nDESTINO_DB_BACKUPS_DIR="$(touch ${proof})"\n`,
      {mode: 0o600},
    );
    const result = await runCli(['list', '--json'], {cwd: folder, env: {}});
    await rm(join(folder, '.env.local'));
    expect(result.status).toBe(0);
    expect(existsSync(proof)).toBe(false);
  });

  it('secrets that others can read cause a warning for each file', async () => {
    const files = ['.env.local', 'key.txt', 'phrase.txt', 'pgpass', 'open.config.json'].map((name) =>
      join(folder, name),
    );
    const [env = '', key = '', phrase = '', pgpass = '', config = ''] = files;
    await writeFile(env, `DIRECT_URL='postgresql://u:secret@127.0.0.1:1/d'\n`);
    await writeFile(key, 'AGE-SECRET-KEY-1');
    await writeFile(phrase, 'words\n');
    await writeFile(pgpass, '*:*:*:*:secret\n');
    await writeFile(
      config,
      JSON.stringify({
        notifications: {targets: [{type: 'webhook', url: 'https://user:token@hooks.example/x'}]},
      }),
    );
    const args = [
      'restore',
      '--latest',
      '--dry-run',
      '--identity',
      key,
      '--passphrase-file',
      phrase,
      '--config',
      config,
    ];
    const warned = async (): Promise<string[]> => {
      const {stderr} = await runCli(args, {cwd: folder, env: {PGPASSFILE: pgpass, HOME: folder}});
      expect(stderr).not.toContain('secret@');
      return files.filter((file) => stderr.includes(`Warning: ${file} contains secrets`));
    };
    for (const file of files) await chmod(file, 0o644);
    expect(await warned()).toEqual(files);
    for (const file of files) await chmod(file, 0o600);
    expect(await warned()).toEqual([]);
    for (const file of files) await rm(file);
  });

  it('links in the backups folder are not followed: they are not listed, restored, pruned or copied', async () => {
    const backups = join(folder, 'linked');
    const place = join(backups, 'database');
    await ok(['backup', `--backups-dir=${backups}`]);
    const [first = ''] = (await readdir(place)).filter((name) => name.endsWith('.metadata.json'));
    const record = JSON.parse(await readFile(join(place, first), 'utf8')) as Record<string, unknown>;
    await writeFile(join(outside, 'precious.dump'), 'precious');
    await symlink(join(outside, 'precious.dump'), join(place, 'a-2026-01-01T00-00-00.dump'));
    await writeFile(
      join(place, 'a-2026-01-01T00-00-00.metadata.json'),
      JSON.stringify({
        ...record,
        id: 'a-2026-01-01T00-00-00',
        backupPath: 'a-2026-01-01T00-00-00.dump',
        timestamp: '2026-01-01T00:00:00Z',
      }),
    );
    await writeFile(
      join(place, 'b.metadata.json'),
      JSON.stringify({...record, id: 'b', backupPath: '../../outside.dump'}),
    );
    await symlink(outside, join(place, 'c-2026-01-01T00-00-00.dir'));
    await symlink('d.metadata.json', join(place, 'd.metadata.json'));
    await symlink(join(outside, 'precious.dump'), join(place, 'e-2026-01-01T00-00-00.dump.partial'));
    await symlink(outside, join(place, 'f.dir.partial'));
    const at = `--backups-dir=${backups}`;
    const {backups: listed} = (await ok(['list', at])) as {backups: unknown[]};
    expect(listed).toHaveLength(1);
    for (const name of ['a-2026-01-01T00-00-00', 'b', 'd']) {
      const result = await run(['restore', `--backup-file=${name}`, '--dry-run', '--json', at]);
      expect([2, 4, 5]).toContain(result.status);
    }
    await run(['prune', '--keep-last', '1', '--yes', at]);
    await run(['recover', '--yes', at]);
    await run(['copy', '--from', place, '--to', join(folder, 'copied')]);
    expect(await readFile(join(outside, 'precious.dump'), 'utf8')).toBe('precious');
    expect((await everyText(join(folder, 'copied'))).join()).not.toContain('precious');
  });
});
