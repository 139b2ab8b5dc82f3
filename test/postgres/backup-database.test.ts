import {chmod, mkdir, readdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {defined} from '../../src/lib/base/defined.js';
import {fingerprintDatabase} from '../../src/lib/fingerprint/fingerprint.js';
import {afterAll, beforeAll, beforeEach, describe, expect, inject, it} from 'vitest';
import {readBackupRecord} from '../../src/lib/catalog/backup-record.js';
import {readBackup} from '../../src/lib/catalog/catalogue.js';
import {checkFiles} from '../../src/lib/catalog/check-files.js';
import type {Config} from '../../src/lib/settings/config-schema.js';
import {digestFile} from '../../src/lib/base/checksum.js';
import {AppError, type ErrorCode} from '../../src/lib/base/errors.js';
import {withAppSession} from '../support/app-session.js';
import type {Connection} from '../../src/lib/postgres/connect/connection.js';
import {type Progress, silentStep, type Step} from '../../src/lib/progress/progress.js';
import type {RunContext} from '../../src/lib/run/run-context.js';
import {installedTools} from '../../src/lib/postgres/tools/find-tools.js';
import {supportsMethod} from '../../src/lib/postgres/tools/compress-methods.js';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import type {BackupRequest} from '../../src/lib/services/backup/options.js';
import {makeDump} from '../support/make-dump.js';
import {losingReader, replaceTools} from '../support/replaced-tools.js';
import {tempFolder} from '../support/run-cli.js';
import {
  clusterConnection,
  createTempDatabase,
  onServer,
  type TempDatabase,
  urlOf,
} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

let shop: TempDatabase;
let folder: string;

beforeAll(async () => {
  shop = await createTempDatabase();
});
afterAll(() => shop.drop());
beforeEach(async () => {
  folder = await tempFolder();
  return () => rm(folder, {recursive: true, force: true});
});

interface Changes {
  connection?: Connection;
  pgBin?: string;
  now?: string;
  signal?: AbortSignal;
  progress?: Progress;
}

function context({connection = shop.connection, pgBin, now, signal, progress}: Changes = {}): RunContext {
  const made = testContext(folder, {
    settings: {databaseUrl: urlOf(connection), pgBin},
    ...(now === undefined ? {} : {now}),
    ...(signal === undefined ? {} : {signal}),
  });
  return progress === undefined ? made : {...made, progress};
}

const backup = (request: BackupRequest = {}, changes: Changes = {}) =>
  backupDatabase(context(changes), request);

async function failure(work: Promise<unknown>): Promise<AppError> {
  const error: unknown = await work.then(
    () => new Error('did not fail'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof AppError)) throw error;
  return error;
}

async function expectNothingWritten(): Promise<void> {
  const names = await readdir(join(folder, 'backups', 'database')).catch(() => []);
  expect(names).toEqual([]);
}

async function liveCounts(): Promise<Record<string, number>> {
  const tables = await shop.query(
    "SELECT relname AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
  );
  const counts: Record<string, number> = {};
  for (const {name} of tables) {
    const [row] = await shop.query(`SELECT count(*) AS count FROM public."${name ?? ''}"`);
    counts[`public.${name ?? ''}`] = Number(row?.['count']);
  }
  return counts;
}

describe('a backup', () => {
  it.each([
    ['custom', undefined, '.dump'],
    ['sql', undefined, '.sql.gz'],
    ['sql', false, '.sql'],
    ['directory', undefined, '.dir'],
  ] as const)(
    'in format %s (compress: %s) is complete, private and described',
    async (format, compress, extension) => {
      const result = await backup(defined({format, compress, label: 'nightly'}));
      expect(result.path?.endsWith(extension)).toBe(true);
      const record = await readBackupRecord(result.metadataPath ?? '');
      expect(record.verification).toMatchObject({level: 'archive', ok: true});
      expect(record.label).toBe('nightly');
      expect(record.postgresVersion).toMatch(/^\d+/);
      expect(
        Object.fromEntries(record.tables.map((table) => [`${table.schema}.${table.name}`, table.rows])),
      ).toEqual(await liveCounts());
      if (typeof record.sha256 === 'string') {
        expect((await digestFile(result.path ?? '')).sha256).toBe(record.sha256);
        expect((await stat(result.path ?? '')).size).toBe(record.size);
        expect((await stat(result.path ?? '')).mode & 0o777).toBe(0o600);
      } else {
        expect(Object.keys(record.sha256).sort()).toEqual((await readdir(result.path ?? '')).sort());
        for (const name of Object.keys(record.sha256)) {
          expect((await stat(join(result.path ?? '', name))).mode & 0o777).toBe(0o600);
        }
      }
      expect((await stat(join(folder, 'backups'))).mode & 0o777).toBe(0o700);
      const names = await readdir(join(folder, 'backups', 'database'));
      expect(names.filter((name) => name.includes('partial'))).toEqual([]);
      expect(await readFile(result.metadataPath ?? '', 'utf8')).not.toContain(clusterConnection().password);
    },
  );

  it('is refused when its file contains different rows than pg_dump wrote, even if the file is valid', async () => {
    const path = join(folder, 'backups', 'database');
    const checkpoint = async (point: string): Promise<void> => {
      if (point !== 'backup.synced') return;
      const [name = ''] = (await readdir(path)).filter((each) => each.endsWith('.partial'));
      await shop.run(`UPDATE payments SET "updatedAt" = "updatedAt" + interval '1 second'`);
      await makeDump(shop.connection, path, 'custom', {name, major: inject('serverMajor')});
    };
    // With zstd, no data passes through this program for a comparison.
    const error = await failure(backupDatabase({...context(), checkpoint}, {compressMethod: 'gzip'}));
    expect(error.code).toBe('VERIFY_FAILED');
    expect(error.details).toEqual([
      'The bytes on the disk differ from those that were read while they were written.',
    ]);
    await expectNothingWritten();
  });

  it('is compressed with zstd if server and pg_dump support it', async () => {
    const settings = context().settings;
    const tool = (await installedTools('pg_dump', settings)).at(-1);
    const isKnown = tool !== undefined && (await supportsMethod(tool, 'zstd'));
    expect(isKnown).toBe((tool?.major ?? 0) >= 16);
    const {metadataPath, warnings} = await backup({excludeTables: ['orders']});
    const isUsed = isKnown && inject('serverMajor') >= 16;
    const {config} = await readBackupRecord(metadataPath ?? '');
    expect(config.compression).toBe(isUsed ? 'zstd:3' : 'gzip:5');
    expect(warnings).toEqual([]);
  });

  it.each(['lz4', 'zstd'] as const)(
    'is compressed with %s on request, if a pg_dump supports it, and otherwise names the package to install',
    async (method) => {
      const {settings} = context();
      const tools = await installedTools('pg_dump', settings);
      const knowing = await Promise.all(tools.map((tool) => supportsMethod(tool, method)));
      if (!knowing.includes(true)) {
        const error = await failure(backup({compressMethod: method}));
        expect(error).toMatchObject({code: 'TOOL_TOO_OLD', hint: expect.stringContaining('16') as string});
        return expectNothingWritten();
      }
      const {metadataPath, path, warnings} = await backup({compressMethod: method});
      // The tools of the server's version could not read it.
      expect(warnings.some((warning) => warning.includes('pg_restore 16'))).toBe(inject('serverMajor') < 16);
      const {config, tables} = await readBackupRecord(metadataPath ?? '');
      expect(config.compression).toBe(method === 'zstd' ? 'zstd:3' : 'lz4');
      expect(Object.fromEntries(tables.map(({schema, name, rows}) => [`${schema}.${name}`, rows]))).toEqual(
        await liveCounts(),
      );
      // The byte after the version and the sizes (archive version 1.15 and newer): gzip 1, lz4 2, zstd 3 (src/common/compression.h).
      expect((await readFile(path ?? ''))[11]).toBe(method === 'lz4' ? 2 : 3);
    },
  );

  it('takes the next free name if two start in the same second', async () => {
    const now = '2026-11-22T03:10:05.123Z';
    const ids = [await backup({}, {now}), await backup({}, {now})].map((result) => result.id);
    expect(ids).toEqual([`${shop.name}-2026-11-22T03-10-05`, `${shop.name}-2026-11-22T03-10-05-2`]);
  });

  it('contains only definitions with schemaOnly, and only rows with dataOnly', async () => {
    const schemaOnly = await backup({format: 'sql', compress: false, schemaOnly: true});
    expect(await readFile(schemaOnly.path ?? '', 'utf8')).not.toMatch(/^COPY /m);
    const dataOnly = await backup({format: 'sql', compress: false, dataOnly: true});
    expect(await readFile(dataOnly.path ?? '', 'utf8')).not.toMatch(/^CREATE TABLE /m);
    expect(dataOnly.tables.find((table) => table.table === 'public.orders')?.rows).toBeGreaterThan(0);
  });

  it('records its content in the audit log', async () => {
    const made = testContext(folder, {settings: {databaseUrl: urlOf(shop.connection)}});
    await backupDatabase(made, {includeTables: ['orders']});
    expect(made.facts).toContainEqual(expect.objectContaining({content: 'tables', schemaOnly: false}));
  });

  it('says which tables were left out and why', async () => {
    const result = await backup({excludeTables: ['email_*']});
    const record = await readBackupRecord(result.metadataPath ?? '');
    expect(record.inventory.leftOut).toEqual([
      {table: 'public.email_alerts', reason: '--exclude-table email_*'},
    ]);
    expect(record.tables.map((table) => table.name)).not.toContain('email_alerts');
  });

  it('counts a named table as included although its schema is excluded, as pg_dump does', async () => {
    const result = await backup({includeTables: ['orders'], excludeSchemas: ['public']});
    expect(result.warnings).toEqual([
      expect.stringContaining('ignores schemas when tables are given: public had no effect'),
    ]);
    const {tables, inventory} = await readBackupRecord(result.metadataPath ?? '');
    expect(tables.map((table) => [table.name, (table.sizeBytes ?? 0) > 0])).toEqual([['orders', true]]);
    expect(inventory.leftOut.map((table) => table.table)).not.toContain('public.orders');
  });

  it('contains the roles without passwords on request', async () => {
    await onServer((session) => session.query("CREATE ROLE backup_tester PASSWORD 'no-one-may-see'"));
    try {
      const result = await backup({withRoles: true});
      const record = await readBackupRecord(result.metadataPath ?? '');
      const text = await readFile(join(folder, 'backups', 'database', record.roles?.path ?? ''), 'utf8');
      expect(text).toContain('CREATE ROLE backup_tester');
      expect(text).not.toContain('PASSWORD');
      await writeFile(
        join(folder, 'backups', 'database', record.roles?.path ?? ''),
        text.replace('tester', 'toaster'),
      );
      const damaged = await failure(checkFiles(await readBackup(result.metadataPath ?? '')));
      expect(damaged).toMatchObject({
        code: 'CHECKSUM_MISMATCH',
        message: expect.stringContaining('.roles.sql') as string,
      });
    } finally {
      await onServer((session) => session.query('DROP ROLE backup_tester'));
    }
  });

  it('has the fingerprints of the live tables even if the database has its own formats of bytea and times', async () => {
    const odd = await createTempDatabase('template0');
    try {
      await odd.run(
        `CREATE TABLE t (b bytea, at timestamptz, i interval); INSERT INTO t VALUES ('\\x00ff5c', '2026-11-22 03:10:05+00', '1 day 2 hours');
         ALTER DATABASE ${odd.name} SET bytea_output = 'escape'; ALTER DATABASE ${odd.name} SET timezone = 'America/New_York';
         ALTER DATABASE ${odd.name} SET datestyle = 'German'; ALTER DATABASE ${odd.name} SET intervalstyle = 'sql_standard'`,
      );
      const result = await backup({}, {connection: odd.connection});
      const live = await fingerprintDatabase(
        odd.connection,
        [{schema: 'public', name: 't', columns: ['b', 'at', 'i']}],
        {},
      );
      expect(result.tables).toMatchObject([{table: 'public.t', rows: 1, fingerprint: live[0]?.fingerprint}]);
    } finally {
      await odd.drop();
    }
  });

  it('contains large objects even with chosen tables, because rows may refer to them', async () => {
    const pictures = await createTempDatabase('template0');
    try {
      await pictures.run(
        "CREATE TABLE t AS SELECT lo_from_bytea(0, '\\x00ff') AS picture; CREATE TABLE other (i int)",
      );
      const result = await backup({includeTables: ['t']}, {connection: pictures.connection});
      expect(result.tables.map(({table, rows}) => [table, rows])).toEqual([
        ['pg_catalog.pg_largeobject', 1],
        ['public.t', 1],
      ]);
    } finally {
      await pictures.drop();
    }
  });

  it('sees one snapshot while others write', async () => {
    const writer = withAppSession(shop.connection, async (session) => {
      for (let index = 0; index < 40; index += 1) {
        await session.query('BEGIN');
        await session.query(
          `INSERT INTO profiles (id, email, updated_at) VALUES (gen_random_uuid(), 'w${index}@shop.example', now())`,
        );
        await session.query(
          `INSERT INTO customer_email_preferences (id, email, updated_at) VALUES (gen_random_uuid(), 'w${index}@shop.example', now())`,
        );
        await session.query('COMMIT');
      }
    });
    const [result] = await Promise.all([backup({format: 'directory', parallelJobs: 2}), writer]);
    const rows = (table: string): number =>
      result.tables.find((entry) => entry.table === table)?.rows ?? Number.NaN;
    const [fixed] = await shop.query(
      `SELECT (SELECT count(*) FROM profiles WHERE email NOT LIKE 'w%@shop.example') AS profiles,
              (SELECT count(*) FROM customer_email_preferences WHERE email NOT LIKE 'w%@shop.example') AS preferences`,
    );
    expect(rows('public.profiles') - Number(fixed?.['profiles'])).toBe(
      rows('public.customer_email_preferences') - Number(fixed?.['preferences']),
    );
  });

  it('writes nothing in a dry run, and prints the command', async () => {
    const result = await backup({dryRun: true, format: 'directory', excludeTables: ['pay*']});
    expect(result).toMatchObject({mode: 'dry-run', path: null});
    const {port, database} = shop.connection;
    expect(result.commands[0]).toMatch(
      new RegExp(
        `^PGHOST=127.0.0.1 PGPORT=${port} PGUSER=postgres PGDATABASE=${database} \\S+/pg_dump --format=d `,
      ),
    );
    expect(result.commands[0]).toContain(` '--exclude-table=pay*' `);
    await expectNothingWritten();
  });

  it('uses only a harmless form of a hostile database name in its file name', async () => {
    const name = `../a "b" $(touch x);'; -- ñ=1`;
    const hostile = await createTempDatabase('template0', name);
    try {
      await hostile.run('CREATE TABLE t (i int); INSERT INTO t VALUES (1)');
      const result = await backup({}, {connection: hostile.connection});
      expect(result.database).toBe(name);
      expect(result.path?.startsWith(join(folder, 'backups', 'database', '%2E.%2Fa%20%22b%22'))).toBe(true);
      expect(result.tables).toMatchObject([{table: 'public.t', rows: 1}]);
    } finally {
      await hostile.drop();
    }
  });
});

it('reports that it was written when it is interrupted while it prunes', async () => {
  for (const hour of [1, 2, 3]) await backup({schemaOnly: true}, {now: `2026-11-22T0${hour}:00:00.000Z`});
  const interruption = new AbortController();
  const made = context({now: '2026-11-22T04:00:00.000Z', signal: interruption.signal});
  const checkpoint = (point: string): Promise<void> => {
    if (point === 'prune.removed') interruption.abort(new AppError('INTERRUPTED', 'Interrupted.'));
    return Promise.resolve();
  };
  const settings = {...made.settings, config: {retention: {keepLast: 1, keepMin: 1}}};
  await expect(backupDatabase({...made, settings, checkpoint}, {schemaOnly: true})).rejects.toMatchObject({
    code: 'INTERRUPTED',
    message: expect.stringMatching(/The backup .*T04-00-00 was written before that\.$/) as string,
  });
});

it('a backup that lost rows prunes nothing, even if the clock went back', async () => {
  const shrinking = await createTempDatabase('template0');
  try {
    await shrinking.run('CREATE TABLE t AS SELECT n FROM generate_series(1, 100) AS n');
    const at = (hour: number, retention: Config['retention'] = {}) =>
      testContext(folder, {
        settings: {databaseUrl: shrinking.url, config: {retention}},
        now: `2026-11-22T0${hour}:00:00.000Z`,
      });
    for (const hour of [1, 2, 4]) await backupDatabase(at(hour), {});
    await shrinking.run('DELETE FROM t WHERE n > 3');
    const lost = await backupDatabase(at(3, {keepLast: 1, keepMin: 1}), {});
    expect(lost).toMatchObject({shrink: [{table: 'public.t', rowsNow: 3}], pruned: []});
    const accepted = await backupDatabase(at(5, {keepLast: 1, keepMin: 1}), {acceptShrink: true});
    expect(accepted.pruned).toHaveLength(4);
  } finally {
    await shrinking.drop();
  }
});

describe('a backup that cannot be complete', () => {
  const cases: [string, BackupRequest, ErrorCode][] = [
    ['an included table that is not there', {includeTables: ['orders', 'nope']}, 'PATTERN_MATCHES_NOTHING'],
    ['an excluded table that is not there', {excludeTables: ['nope*']}, 'PATTERN_MATCHES_NOTHING'],
    ['an included schema that is not there', {includeSchemas: ['nope']}, 'PATTERN_MATCHES_NOTHING'],
    ['an excluded schema that is not there', {excludeSchemas: ['nope']}, 'PATTERN_MATCHES_NOTHING'],
    ['schema-only with data-only', {schemaOnly: true, dataOnly: true}, 'USAGE'],
    ['no compression with a level', {compress: false, compressLevel: 3}, 'USAGE'],
    ['no compression with a method', {compress: false, compressMethod: 'lz4'}, 'USAGE'],
    ['plain SQL in zstd', {format: 'sql', compressMethod: 'zstd'}, 'USAGE'],
    ['a level that the method does not have', {compressMethod: 'lz4', compressLevel: 13}, 'USAGE'],
    ['parallel jobs for one file', {parallelJobs: 3}, 'USAGE'],
  ];
  it.each(cases)('is refused: %s', async (_what, request, code) => {
    expect((await failure(backup(request))).code).toBe(code);
    await expectNothingWritten();
  });

  it.each([
    ['a host that does not answer', {port: 1}, 'CONNECTION_REFUSED'],
    ['a wrong password', {password: 'wrong'}, 'AUTHENTICATION_FAILED'],
    ['a database that is not there', {database: 'no_such_database'}, 'DATABASE_NOT_FOUND'],
    ['a transaction pooler', {port: 6543}, 'TRANSACTION_POOLER'],
  ] as const)('is refused: %s', async (_what, change, code) => {
    const error = await failure(backup({}, {connection: {...shop.connection, ...change}}));
    expect(error.code).toBe(code);
    expect(error.exitCode).toBe(3);
    expect(error.hint).toBeTruthy();
    await expectNothingWritten();
  });

  it('is refused when row level security hides rows, and when a right is missing', async () => {
    await onServer((session) => session.query("CREATE ROLE limited LOGIN PASSWORD 'limited'"));
    const limited = {...shop.connection, user: 'limited', password: 'limited'};
    try {
      await shop.run(
        'GRANT SELECT ON ALL TABLES IN SCHEMA public TO limited; ALTER TABLE orders ENABLE ROW LEVEL SECURITY',
      );
      const hidden = await failure(backup({}, {connection: limited}));
      expect(hidden).toMatchObject({code: 'ROW_SECURITY', details: ['public.orders (row security)']});
      await shop.run('ALTER TABLE orders DISABLE ROW LEVEL SECURITY; REVOKE SELECT ON payments FROM limited');
      expect(await failure(backup({}, {connection: limited}))).toMatchObject({
        code: 'PERMISSION_DENIED',
        details: ['public.payments (rights)'],
      });
      await expectNothingWritten();
    } finally {
      await shop.run('ALTER TABLE orders DISABLE ROW LEVEL SECURITY; DROP OWNED BY limited');
      await onServer((session) => session.query('DROP ROLE limited'));
    }
  });

  it('leaves nothing behind when pg_dump fails in the middle', async () => {
    const full = 'pg_dump: error: could not write to output file: No space left on device';
    const pgBin = await replaceTools(folder, inject('serverBin'), {
      pg_dump: `for word; do case "$word" in --file=*) echo junk > "\${word#--file=}";; esac; done; echo "${full}" >&2; exit 1`,
    });
    expect((await failure(backup({}, {pgBin}))).code).toBe('DISK_FULL');
    await expectNothingWritten();
  });

  it('is refused when pg_dump leaves out a table', async () => {
    const scripts = {pg_dump: 'exec "$real" "$@" --exclude-table=public.profiles'};
    const pgBin = await replaceTools(folder, inject('serverBin'), scripts);
    for (const format of ['custom', 'sql', 'directory'] as const) {
      expect(await failure(backup({format}, {pgBin}))).toMatchObject({
        code: 'VERIFY_FAILED',
        details: ['public.profiles'],
      });
      await expectNothingWritten();
    }
  });

  it('never replaces a file that appeared meanwhile', async () => {
    const at = '2026-11-22T03:10:05.000Z';
    const path = join(folder, 'backups', 'database', `${shop.name}-2026-11-22T03-10-05.dump`);
    const run = context({now: at});
    const checkpoint = async (point: string): Promise<void> => {
      if (point === 'backup.dumped') await writeFile(path, 'of somebody else');
    };
    expect(await failure(backupDatabase({...run, checkpoint}, {}))).toMatchObject({code: 'WRITE_FAILED'});
    expect(await readFile(path, 'utf8')).toBe('of somebody else');
    await rm(path);
    await expectNothingWritten();
  });

  it('does not miss a table that is dropped after the look at the database', async () => {
    await shop.run('CREATE TABLE public.passing AS SELECT 1 AS id');
    const run = context();
    const checkpoint = async (point: string): Promise<void> => {
      if (point === 'backup.reserved') await shop.run('DROP TABLE public.passing');
    };
    const made = await backupDatabase({...run, checkpoint}, {});
    expect(made.path).not.toBeNull();
    await rm(join(folder, 'backups'), {recursive: true});
  });

  it('is removed again when its metadata cannot be renamed', async () => {
    const run = context();
    const checkpoint = async (point: string): Promise<void> => {
      if (point !== 'backup.published') return;
      for (const name of await readdir(join(folder, 'backups', 'database')))
        if (name.endsWith('.metadata.json.partial')) await rm(join(folder, 'backups', 'database', name));
    };
    await failure(backupDatabase({...run, checkpoint}, {}));
    await expectNothingWritten();
  });

  it('is refused when pg_restore reads different rows than pg_dump wrote', async () => {
    const pgBin = await replaceTools(folder, inject('serverBin'), {pg_restore: losingReader});
    const lost = await failure(backup({compressMethod: 'gzip'}, {pgBin}));
    expect(lost).toMatchObject({
      code: 'VERIFY_FAILED',
      message: expect.stringContaining('differs from the output of pg_dump') as string,
    });
    await expectNothingWritten();
  });

  it('is refused when the tools are missing or too old, with the command that installs them', async () => {
    const bin = join(folder, 'bin');
    await mkdir(bin);
    expect(await failure(backup({}, {pgBin: bin}))).toMatchObject({
      code: 'PG_DUMP_NOT_FOUND',
      exitCode: 3,
      hint: expect.stringContaining('--pg-bin') as string,
    });
    await writeFile(join(bin, 'pg_dump'), '#!/bin/sh\necho "pg_dump (PostgreSQL) 9.6.24"\n');
    await chmod(join(bin, 'pg_dump'), 0o755);
    const old = await failure(backup({}, {pgBin: bin}));
    expect(old.code).toBe('TOOL_TOO_OLD');
    expect(old.hint).toContain('install');
  });

  it('is refused if a file has the name of the folder', async () => {
    await writeFile(join(folder, 'file'), '');
    expect((await failure(backup({outputDir: join(folder, 'file')}))).code).toBe('FOLDER_NOT_WRITABLE');
  });

  it('ends at once when it is interrupted, and leaves nothing', async () => {
    const interruption = new AbortController();
    const progress = {
      plan: () => undefined,
      close: () => Promise.resolve(),
      step: <T>(title: string, work: (step: Step) => Promise<T>) => {
        if (title === 'Dump') interruption.abort(new AppError('INTERRUPTED', 'stopped by the test'));
        return work(silentStep);
      },
    };
    expect((await failure(backup({}, {signal: interruption.signal, progress}))).code).toBe('INTERRUPTED');
    await expectNothingWritten();
  });
});
