/** Restores into new and empty databases: every format comes back whole, and what cannot work changes nothing. */
import {execFile} from 'node:child_process';
import {createReadStream, createWriteStream} from 'node:fs';
import {cp, readFile, rm, truncate, unlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {pipeline} from 'node:stream/promises';
import {promisify} from 'node:util';
import {createGzip, gzipSync} from 'node:zlib';
import {afterAll, afterEach, beforeAll, describe, expect, inject, it} from 'vitest';
import {restoreDatabase} from '../../src/lib/services/restore/execute.js';
import {restoreFrom} from '../../src/lib/services/restore/restore.js';
import type {RestoreRequest} from '../../src/lib/services/restore/options.js';
import {loadEveryType} from '../support/every-type.js';
import {makeDump} from '../support/make-dump.js';
import {replaceTools} from '../support/replaced-tools.js';
import {tempFolder} from '../support/run-cli.js';
import {
  createTempDatabase,
  databaseExists,
  dropDatabase,
  existingDatabase,
  onServer,
  type TempDatabase,
} from '../support/temp-database.js';
import {type TestContext, testContext} from '../support/test-context.js';
import {cases, isLongForm} from '../support/long-form.js';

const run = promisify(execFile);
const tool = (name: string): string => join(inject('serverBin'), name);

let folder: string;
let source: TempDatabase;
let sourceText: string;
const made: string[] = [];

/** The whole content of a database as pg_dump writes it: objects and rows. */
async function textOf(url: string): Promise<string> {
  const {stdout} = await run(tool('pg_dump'), [url], {maxBuffer: 1 << 28});
  return stdout.replaceAll(/^\\(un)?restrict .*$/gm, '');
}

async function dump(name: string, ...args: string[]): Promise<string> {
  const path = join(folder, name);
  await run(tool('pg_dump'), [...args, `--file=${path}`, source.url]);
  return path;
}

function context(url = source.url): TestContext {
  return testContext(folder, {settings: {databaseUrl: url}});
}

/** Restores, and remembers the target to drop it. */
function restore(request: RestoreRequest, url?: string) {
  if (request.targetDb !== undefined && request.targetDb !== 'template1') made.push(request.targetDb);
  return restoreDatabase(context(url), request);
}

beforeAll(async () => {
  folder = await tempFolder();
  source = await createTempDatabase('template0');
  await loadEveryType(source);
  await source.run(
    `CREATE TABLE public.plain (id int PRIMARY KEY, note text); INSERT INTO public.plain VALUES (1, 'one'), (2, 'two')`,
  );
  sourceText = await textOf(source.url);
  await dump('all.dump', '--format=custom');
  await dump('all.sql', '--format=plain');
  await dump('small.dump', '--format=custom', '--table=plain');
  await dump('small.sql', '--format=plain', '--table=plain');
  await dump('all.dir', '--format=directory');
  await pipeline(
    createReadStream(join(folder, 'all.sql')),
    createGzip(),
    createWriteStream(join(folder, 'all.sql.gz')),
  );
});

afterEach(async () => {
  for (const name of made.splice(0)) await dropDatabase(name);
});

afterAll(async () => {
  await source.drop();
  await rm(folder, {recursive: true, force: true});
});

describe('restore into a new database', () => {
  it.each(cases(['all.dump', 'all.sql', 'all.sql.gz', 'all.dir'], 2))(
    'restores every object and row of %s',
    async (file) => {
      const result = await restore({backupFile: file, targetDb: 'r_new', createDb: true});
      expect(result).toMatchObject({
        mode: 'execute',
        way: 'create',
        target: 'r_new',
        errors: [],
        setAside: null,
      });
      expect(result.tables.find(({table}) => table === 'public.plain')).toMatchObject({rows: 2});
      expect(await textOf(existingDatabase('r_new').url)).toBe(sourceText);
    },
  );

  it('has every table analyzed, partitioned ones included', async () => {
    await restore({backupFile: join(folder, 'all.dump'), targetDb: 'analyzed', createDb: true});
    const never = await existingDatabase('analyzed').query(
      `SELECT relname FROM pg_class WHERE relnamespace >= 16384 AND reltuples < 0
          AND (relkind = 'r' OR (relkind = 'p' AND EXISTS (SELECT FROM pg_inherits WHERE inhparent = pg_class.oid)))`,
    );
    expect(never).toEqual([]);
  });

  it('compresses large values as requested, and says so in the commands', async () => {
    await source.run(
      `CREATE TABLE public.wide AS SELECT 1 AS id, repeat('large and easy to pack ', 1000) AS text`,
    );
    try {
      const backupFile = await dump('wide.dump', '--format=custom', '--table=wide');
      const {commands} = await restore({
        backupFile, targetDb: 'packed', createDb: true, toastCompression: 'lz4',
      }); // prettier-ignore
      expect(commands[0]).toContain(` PGOPTIONS='-c default_toast_compression=lz4' `);
      const [row] = await existingDatabase('packed').query(
        'SELECT pg_column_compression(text) AS how, md5(text) AS content FROM wide',
      );
      const [before] = await source.query(
        'SELECT pg_column_compression(text) AS how, md5(text) AS content FROM wide',
      );
      expect([before?.['how'], row?.['how']]).toEqual(['pglz', 'lz4']);
      expect(row?.['content']).toBe(before?.['content']);
    } finally {
      await source.run('DROP TABLE public.wide');
    }
  });

  it('recognises the format by the content, not by the name', async () => {
    await writeFile(join(folder, 'misnamed.dump'), gzipSync(await readFile(join(folder, 'small.sql'))));
    await restore({backupFile: 'misnamed.dump', targetDb: 'r_new', createDb: true});
    expect(await existingDatabase('r_new').query('SELECT count(*) AS n FROM public.plain')).toEqual([
      {n: '2'},
    ]);
  });

  it('accepts any name that a database can have, without a shell or a conninfo string', async () => {
    const names = [`it's "q" = \\ $(touch PWNED) dbname=x`, 'é'.repeat(31) + 'x'];
    const files = ['small.dump', 'small.sql'];
    const restores = names.map((targetDb, index) => ({targetDb, backupFile: files[index] ?? ''}));
    const crossed = names.map((targetDb, index) => ({targetDb, backupFile: files[1 - index] ?? ''}));
    for (const {targetDb, backupFile} of cases([...restores, ...crossed], 2)) {
      await restore({backupFile, targetDb, createDb: true});
      expect(await existingDatabase(targetDb).query('SELECT count(*) AS n FROM public.plain')).toEqual([
        {n: '2'},
      ]);
      await dropDatabase(targetDb);
    }
  });
});

describe('restore into an existing database', () => {
  it.each(cases(['all.dir', 'all.dump', 'all.sql']))('fills an empty one from %s', async (file) => {
    const target = await createTempDatabase('template0');
    made.push(target.name);
    await restore({backupFile: file}, target.url);
    expect(await textOf(target.url)).toBe(sourceText);
  });

  it.each(cases(['all.sql.gz', 'all.dump']))('creates everything again over itself from %s', async (file) => {
    const target = await createTempDatabase('template0');
    made.push(target.name);
    await restore({backupFile: file}, target.url);
    await target.run(`DELETE FROM public.plain; ALTER TABLE public.plain ADD UNIQUE (note)`);
    const {way, commands} = await restore({backupFile: file, clean: true}, target.url);
    expect(way).toBe('clean');
    expect(commands).toHaveLength(file === 'all.dump' ? 1 : 0);
    expect(await textOf(target.url)).toBe(sourceText);
  });

  it('refuses a non-empty one', async () => {
    const target = await createTempDatabase('template0');
    made.push(target.name);
    await target.run('CREATE VIEW v AS SELECT 1 AS a');
    const before = await textOf(target.url);
    await expect(restore({backupFile: 'all.dump'}, target.url)).rejects.toMatchObject({
      code: 'TARGET_NOT_EMPTY',
      exitCode: 5,
    });
    expect(await textOf(target.url)).toBe(before);
  });

  it('leaves it empty when the restore fails half-way', async () => {
    const target = await createTempDatabase('template0');
    made.push(target.name);
    const before = await textOf(target.url);
    // A function in an index that relies on the search path fails in every restore, after all rows are loaded.
    await source.run(`CREATE FUNCTION public.helper(t text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT lower(t)';
      CREATE FUNCTION public.wrap(t text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT lower(t)';
      CREATE INDEX breaks ON public.plain (public.wrap(note));
      -- From 17 on it would break CREATE INDEX already.
      CREATE OR REPLACE FUNCTION public.wrap(t text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT helper(t)'`);
    try {
      for (const [file, format] of [
        ['broken.dump', 'custom'],
        ['broken.sql', 'plain'],
      ] as const) {
        await dump(file, `--format=${format}`);
        await expect(restore({backupFile: file}, target.url)).rejects.toMatchObject({
          code: 'RESTORE_FAILED',
          exitCode: 1,
        });
        expect(await textOf(target.url)).toBe(before);
        // A new database is filled in the same way from each.
        if (format === 'plain' && !isLongForm) continue;
        await expect(restore({backupFile: file, targetDb: 'r_broken', createDb: true})).rejects.toMatchObject(
          {code: 'RESTORE_FAILED'},
        );
        expect(await databaseExists('r_broken')).toBe(false);
      }
      const told = [expect.stringMatching(/^function helper\(text\) does not exist/)];
      const skipped = await restore({backupFile: 'broken.dump', skipErrors: true}, target.url);
      expect(skipped.errors).toEqual(told);
      const byPsql = {backupFile: 'broken.sql', skipErrors: true, targetDb: 'r_broken', createDb: true};
      expect((await restore(byPsql)).errors).toEqual(told);
      await dropDatabase('r_broken');
    } finally {
      await source.run('DROP INDEX breaks; DROP FUNCTION wrap; DROP FUNCTION helper');
    }
  });
});

describe('a restore that skips errors', () => {
  it('never drops restored objects, and reports the tables that differ because of skipped statements', async () => {
    const owner = await createTempDatabase('template0');
    made.push(owner.name);
    await owner.run(`CREATE TYPE status AS ENUM ('open'); CREATE TABLE orders (id int, status status); INSERT INTO orders VALUES (1, 'open');
      CREATE TABLE people AS SELECT 1 AS id UNION SELECT 2`);
    for (const format of cases(['custom', 'plain'])) {
      // The type is not restored with the tables.
      const path = join(folder, `partial.${format}`);
      await run(tool('pg_dump'), [
        `--format=${format}`,
        '--table=orders',
        '--table=people',
        `--file=${path}`,
        owner.url,
      ]);
      const created = {backupFile: path, skipErrors: true, createDb: true, targetDb: 'r_partial'};
      const target = await createTempDatabase('template0');
      made.push(target.name);
      const results = [
        await restore(created),
        await restore({backupFile: path, skipErrors: true}, target.url),
      ];
      for (const [index, result] of results.entries()) {
        expect(result.errors.join()).toMatch(
          /type "public.status" does not exist.*relation "public.orders" does not exist/,
        );
        expect(result.differences[0]).toBe('public.orders: missing');
        const people = await existingDatabase(index === 0 ? 'r_partial' : target.name).query(
          'SELECT id FROM people ORDER BY id',
        );
        expect(people).toEqual([{id: '1'}, {id: '2'}]);
      }
      await dropDatabase('r_partial');
    }
  });

  it('compares a table that lacks a column, and never fails for it', async () => {
    const owner = await createTempDatabase('template0');
    const target = await createTempDatabase('template0');
    made.push(owner.name, target.name);
    await owner.run(
      'CREATE TABLE changed AS SELECT 1 AS id, 2 AS added; CREATE TABLE other AS SELECT 1 AS id',
    );
    const path = join(folder, 'changed.sql');
    await run(tool('pg_dump'), ['--data-only', `--file=${path}`, owner.url]);
    await target.run('CREATE TABLE changed (id int); CREATE TABLE other (id int)');
    const result = await restore({backupFile: path, dataOnly: true, skipErrors: true}, target.url);
    expect(result.errors).toEqual([expect.stringContaining('column "added"')]);
    expect(result.differences).toContain('public.changed: the columns added are missing');
    expect(await target.query('SELECT id FROM other')).toEqual([{id: '1'}]);
  });
});

it('never commits a part of an archive when pg_restore is killed during the load', async () => {
  const target = await createTempDatabase('template0');
  made.push(target.name);
  const before = await textOf(target.url);
  // Ends between two statements, which a reader could take for the regular end.
  const cut = '"$real" "$@" | awk \'/^-- Data for Name: plain/ {exit} {print}\'; kill -9 $$';
  const pgBin = await replaceTools(folder, inject('serverBin'), {
    pg_restore: `case "$*" in *--file=-*--use-list*) ${cut};; esac\nexec "$real" "$@"`,
  });
  const killed = restoreDatabase(testContext(folder, {settings: {databaseUrl: target.url, pgBin}}), {
    backupFile: 'all.dump',
  });
  await expect(killed).rejects.toMatchObject({
    code: 'RESTORE_FAILED',
    message: expect.stringContaining('stopped before the end') as string,
  });
  expect(await textOf(target.url)).toBe(before);
});

describe('a damaged backup', () => {
  async function refused(file: string, code: string): Promise<void> {
    await expect(restore({backupFile: file, targetDb: 'r_damaged', createDb: true})).rejects.toMatchObject({
      code,
    });
    expect(await databaseExists('r_damaged')).toBe(false);
  }

  it('is refused: truncated, in every format', async () => {
    for (const file of ['all.dump', 'all.sql', 'all.sql.gz']) {
      await cp(join(folder, file), join(folder, `cut-${file}`));
      await truncate(
        join(folder, `cut-${file}`),
        Math.floor((await readFile(join(folder, file))).length * 0.6),
      );
      await refused(`cut-${file}`, 'VERIFY_FAILED');
    }
  });

  it('is refused: a file of the folder removed', async () => {
    await cp(join(folder, 'all.dir'), join(folder, 'holed.dir'), {recursive: true});
    const {stdout} = await run(tool('pg_restore'), ['--list', join(folder, 'all.dir')]);
    const id = /^(\d+);.* TABLE DATA public plain /m.exec(stdout)?.[1] ?? '';
    await unlink(join(folder, 'holed.dir', `${id}.dat.gz`));
    await refused('holed.dir', 'VERIFY_FAILED');
  });

  it('is refused: empty, not a dump, a folder without a dump, missing', async () => {
    await writeFile(join(folder, 'empty.dump'), '');
    await writeFile(join(folder, 'letter.dump'), 'Dear reader');
    await refused('empty.dump', 'NOT_A_BACKUP');
    await refused('letter.dump', 'NOT_A_BACKUP');
    await refused(folder, 'NOT_A_BACKUP');
    await refused('nowhere.dump', 'BACKUP_NOT_FOUND');
  });

  it('is refused: a pipe, which would wait for a writer for ever', async () => {
    await run('mkfifo', [join(folder, 'pipe.dump')]);
    await refused('pipe.dump', 'NOT_A_BACKUP');
  });

  it('is distinguished from one that a newer pg_dump wrote', async () => {
    const bytes = await readFile(join(folder, 'all.dump'));
    bytes[6] = 99;
    await writeFile(join(folder, 'newer.dump'), bytes);
    await refused('newer.dump', 'TOOL_TOO_OLD');
  });
});

describe('an impossible restore', () => {
  it('is reported with its own code', async () => {
    const wrong = new URL(source.url);
    wrong.password = 'wrong';
    const request: RestoreRequest = {backupFile: 'all.dump'};
    await expect(restore(request, wrong.href)).rejects.toMatchObject({
      code: 'AUTHENTICATION_FAILED',
      exitCode: 3,
    });
    await expect(restore({...request, targetDb: `${source.name}x`})).rejects.toMatchObject({
      code: 'DATABASE_NOT_FOUND',
      exitCode: 3,
      message: `The database "${source.name}x" does not exist. Nothing was changed. Did you mean "${source.name}"?`,
    });
    await expect(restore(request, 'postgresql://x@127.0.0.1:1/x')).rejects.toMatchObject({
      code: 'CONNECTION_REFUSED',
      exitCode: 3,
    });
    await expect(restore({...request, createDb: true})).rejects.toMatchObject({
      code: 'TARGET_EXISTS',
      exitCode: 5,
    });
    await expect(restore({...request, targetDb: 'template1'})).rejects.toMatchObject({
      code: 'NOT_SUPPORTED_HERE',
      message: expect.stringContaining('template') as string,
    });
    const both = {...request, clean: true, dropExisting: true};
    await expect(restoreFrom(context(source.url), {}, both)).rejects.toMatchObject({
      code: 'USAGE',
      exitCode: 2,
    });
  });

  it('is reported for a role without rights, and nothing is created', async () => {
    await onServer((session) => session.query(`CREATE ROLE r_weak LOGIN PASSWORD 'weak'`));
    try {
      const weak = new URL(source.url);
      weak.username = 'r_weak';
      weak.password = 'weak';
      await expect(
        restore(
          {backupFile: 'all.dump', targetDb: 'r_weak_db', createDb: true, allowOwnerChange: ['all']},
          weak.href,
        ),
      ).rejects.toMatchObject({
        code: 'PERMISSION_DENIED',
      });
      expect(await databaseExists('r_weak_db')).toBe(false);
    } finally {
      await onServer((session) => session.query('DROP ROLE r_weak'));
    }
  });

  it('leaves out owners that the role is a member of without their rights, because it could not continue with them', async () => {
    const target = await createTempDatabase('template0');
    made.push(target.name);
    const owned = await createTempDatabase('template0');
    made.push(owned.name);
    for (const sql of [`CREATE ROLE r_member LOGIN NOINHERIT PASSWORD 'x'`, 'CREATE ROLE r_owner', 'GRANT r_owner TO r_member', `GRANT CREATE ON DATABASE ${target.name} TO r_member`])
      await onServer((session) => session.query(sql)); // prettier-ignore
    try {
      await owned.run(`CREATE SCHEMA own; CREATE TABLE own.state AS SELECT 1 AS id; ALTER TABLE own.state ADD PRIMARY KEY (id);
        ALTER TABLE own.state OWNER TO r_owner; ALTER SCHEMA own OWNER TO r_owner`);
      await makeDump(owned.connection, folder, 'custom', {name: 'owned.dump'});
      const url = new URL(target.url);
      [url.username, url.password] = ['r_member', 'x'];
      const result = await restore({backupFile: 'owned.dump'}, url.href);
      expect(result.warnings.join()).toContain(
        'will belong to "r_member": r_owner (0 roles missing, 1 that "r_member" may not act for)',
      );
      expect(await target.query(`SELECT tableowner FROM pg_tables WHERE schemaname = 'own'`)).toEqual([
        {tableowner: 'r_member'},
      ]);
    } finally {
      await owned.drop();
      await target.drop();
      await onServer((session) => session.query('DROP ROLE r_member'));
      await onServer((session) => session.query('DROP ROLE r_owner'));
    }
  });
});

describe('a dry run', () => {
  it('reports what would happen and changes nothing', async () => {
    const result = await restore({backupFile: 'all.dump', targetDb: 'r_dry', createDb: true, dryRun: true});
    expect(result).toMatchObject({mode: 'dry-run', way: 'create', target: 'r_dry', present: null});
    expect(result.tables.find(({table}) => table === 'public.plain')).toMatchObject({rows: 2});
    expect(result.commands.join()).toContain('pg_restore');
    expect(result.commands.join()).not.toContain(new URL(source.url).password);
    expect(await databaseExists('r_dry')).toBe(false);
  });

  it('fails if the restore would', async () => {
    await expect(restore({backupFile: 'all.dump', dryRun: true})).rejects.toMatchObject({
      code: 'TARGET_NOT_EMPTY',
    });
  });
});

describe('a part of a backup', () => {
  it('lists objects that are not restored with chosen tables, and is refused if the tables would lose them', async () => {
    const target = await createTempDatabase('template0');
    made.push(target.name);
    const request = {includeTables: ['plain'], dryRun: true};
    const {warnings, commands} = await restore({backupFile: 'small.dump', ...request}, target.url);
    expect(warnings.join()).not.toContain('Chosen tables are restored');
    // No tool restores the objects that a table needs, so there is no command to type.
    expect(commands).toEqual([]);
    expect(await restore({backupFile: 'small.sql', ...request}, target.url)).toMatchObject({commands: []});
    const chosen = {backupFile: 'small.dump', clean: true, includeTables: ['plain']};
    await expect(restoreFrom(context(source.url), {}, chosen)).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringMatching(/--clean contradicts --include-table/) as string,
    });
  });

  it('needs no role that only left out objects name', async () => {
    const guarded = await createTempDatabase('template0');
    const target = await createTempDatabase('template0');
    made.push(guarded.name, target.name);
    await guarded.run(`CREATE ROLE r_left_out; CREATE TABLE plain AS SELECT 1 AS id; CREATE TABLE guarded (id int);
      CREATE POLICY mine ON guarded TO r_left_out USING (true)`);
    for (const kind of ['custom', 'sql'] as const)
      await makeDump(guarded.connection, folder, kind, {name: `guarded.${kind}`});
    await guarded.drop();
    await onServer((session) => session.query('DROP ROLE r_left_out'));
    const whole = restore({backupFile: 'guarded.custom'}, target.url);
    await expect(whole).rejects.toMatchObject({code: 'NOT_SUPPORTED_HERE'});
    for (const kind of ['custom', 'sql']) {
      await restore({backupFile: `guarded.${kind}`, includeTables: ['plain']}, target.url);
      expect(await target.query('SELECT id FROM plain')).toEqual([{id: '1'}]);
      await target.run('DROP TABLE plain');
    }
  });

  it('is only the schema, or only the rows', async () => {
    for (const file of ['small.dump', 'small.sql']) {
      const target = await createTempDatabase('template0');
      made.push(target.name);
      await restore({backupFile: file, schemaOnly: true}, target.url);
      expect(await target.query('SELECT count(*) AS n FROM public.plain')).toEqual([{n: '0'}]);
      const result = await restore({backupFile: file, dataOnly: true, includeTables: ['plain']}, target.url);
      expect(result.tables).toEqual([expect.objectContaining({table: 'public.plain', rows: 2})]);
      expect(await target.query('SELECT id, note FROM public.plain ORDER BY id')).toEqual([
        {id: '1', note: 'one'},
        {id: '2', note: 'two'},
      ]);
      await expect(
        restore({backupFile: file, dataOnly: true, includeTables: ['plain']}, target.url),
      ).rejects.toMatchObject({
        code: 'TARGET_NOT_EMPTY',
      });
      await expect(
        restore({backupFile: file, includeTables: ['plian'], targetDb: 'r_n', createDb: true}),
      ).rejects.toMatchObject({
        code: 'PATTERN_MATCHES_NOTHING',
        message: 'The backup has no table "plian". Nothing was changed. Did you mean "public.plain"?',
        details: expect.arrayContaining(['public.plain']) as unknown,
      });
    }
  });
});
