import {readFile, rm, writeFile} from 'node:fs/promises';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {
  type BackupRecord,
  formatBackupRecord,
  readBackupRecord,
  standingOfRecord,
} from '../../src/lib/catalog/backup-record.js';
import {AppError} from '../../src/lib/base/errors.js';
import {silentProgress} from '../../src/lib/progress/progress.js';
import {
  verifyBackups,
  type VerifyRequest,
  type VerifiedBackup,
} from '../../src/lib/services/verify/verify.js';
import {addFacts, noFacts} from '../../src/lib/run/run-record.js';
import {makeBackup} from '../support/make-backup.js';
import {dumpKinds, type DumpKind} from '../support/make-dump.js';
import {tempFolder} from '../support/run-cli.js';
import {
  createTempDatabase,
  existingDatabase,
  loadFixture,
  onServer,
  type TempDatabase,
  urlOf,
} from '../support/temp-database.js';
import {testContext, type TestContext} from '../support/test-context.js';
import {cases} from '../support/long-form.js';

let database: TempDatabase;
let folder: string;
let context: TestContext;
const backups = new Map<DumpKind, Awaited<ReturnType<typeof makeBackup>>>();

beforeAll(async () => {
  folder = await tempFolder();
  database = await createTempDatabase('template0');
  await loadFixture(database, 'every-type.sql');
  context = testContext(folder, {settings: {databaseUrl: database.url}});
  for (const [index, kind] of dumpKinds.entries()) {
    backups.set(
      kind,
      await makeBackup(context, database.connection, kind, `2025-06-0${index + 1}T03:00:00.000Z`),
    );
  }
});

afterAll(async () => {
  await database.drop();
  await rm(folder, {recursive: true, force: true});
});

function backupOf(kind: DumpKind): Awaited<ReturnType<typeof makeBackup>> {
  const backup = backups.get(kind);
  if (!backup) throw new Error(`there is no ${kind} backup`);
  return backup;
}

async function verify(
  kind: DumpKind,
  request: Partial<VerifyRequest> = {},
  within = context,
): Promise<VerifiedBackup> {
  const {results} = await verifyBackups(
    within,
    {},
    {
      backupFile: backupOf(kind).path,
      level: 'archive',
      scratch: {kind: 'same'},
      ...request,
    },
  );
  const [result] = results;
  if (results.length !== 1 || !result) throw new Error('one result was expected');
  return result;
}

/** Scratch databases of this file's sources. */
async function scratchDatabases(source = database.name): Promise<string[]> {
  const rows = await onServer((session) =>
    session.query(
      `SELECT datname FROM pg_database WHERE datname LIKE 'destino_scratch_%'
          AND shobj_description(oid, 'pg_database') LIKE '%' || $1 || '%'`,
      [JSON.stringify({database: source}).slice(1, -1)],
    ),
  );
  return rows.map((row) => row['datname'] ?? '');
}

it('tests a backup with a subscription without touching its slot, and leaves no database', async () => {
  const subscribed = await createTempDatabase('template0');
  const made = await (async () => {
    try {
      await subscribed.run('CREATE TABLE state AS SELECT 1 AS id');
      await subscribed.run(
        `CREATE SUBSCRIPTION verify_subscription CONNECTION 'host=127.0.0.1 port=1 dbname=nowhere' PUBLICATION any_one WITH (connect = false)`,
      );
      return await makeBackup(context, subscribed.connection, 'custom', '2025-07-01T03:00:00.000Z');
    } finally {
      await subscribed.run('ALTER SUBSCRIPTION verify_subscription SET (slot_name = NONE)');
      await subscribed.run('DROP SUBSCRIPTION verify_subscription');
      await subscribed.drop();
    }
  })();
  try {
    const proof = await verify('custom', {backupFile: made.path, level: 'restore'});
    expect(proof).toMatchObject({ok: true, level: 'restore'});
    expect(await scratchDatabases(subscribed.name)).toEqual([]);
  } finally {
    await rm(made.path);
    await rm(made.metadataPath);
  }
});

/** Runs `work` with another metadata file, and restores the original. */
async function withRecord<T>(
  kind: DumpKind,
  change: (record: BackupRecord) => BackupRecord,
  work: () => Promise<T>,
): Promise<T> {
  const {metadataPath, record} = backupOf(kind);
  const before = await readFile(metadataPath, 'utf8');
  try {
    await writeFile(metadataPath, formatBackupRecord(change(record)));
    return await work();
  } finally {
    await writeFile(metadataPath, before);
  }
}

async function standing(kind: DumpKind): Promise<ReturnType<typeof standingOfRecord>> {
  return standingOfRecord(await readBackupRecord(backupOf(kind).metadataPath));
}

/** A context in which something happens to the scratch database when a step begins. */
function during(
  title: string | RegExp,
  act: (scratch: TempDatabase) => Promise<void>,
  signal?: AbortSignal,
): TestContext {
  const base = testContext(folder, {settings: {databaseUrl: database.url}, ...(signal ? {signal} : {})});
  return {
    ...base,
    progress: {
      ...silentProgress,
      step: async (name, work) => {
        if (name.match(title))
          for (const scratch of await scratchDatabases()) await act(existingDatabase(scratch));
        return silentProgress.step(name, work);
      },
    },
  };
}

describe('verify', () => {
  it.each(cases(dumpKinds, 2))('verifies a %s backup by its bytes and by its content', async (kind) => {
    const checksum = await verify(kind, {level: 'checksum'});
    expect(checksum).toMatchObject({ok: true, level: 'checksum', findings: [], rows: null});
    const archive = await verify(kind);
    expect(archive).toMatchObject({ok: true, level: 'archive', findings: [], restoreDuration: null});
    expect(archive.rows).toBeGreaterThan(100);
  });

  it.each(cases(dumpKinds))(
    'restores a %s backup into a scratch database, finds it equal and drops it',
    async (kind) => {
      const result = await verify(kind, {level: 'restore'});
      expect(result.findings).toEqual([]);
      expect(result).toMatchObject({ok: true, level: 'restore'});
      expect(result.restoreDuration).toBeGreaterThan(0);
      expect(await scratchDatabases()).toEqual([]);
      const {proofs} = await readBackupRecord(backupOf(kind).metadataPath);
      expect(proofs.at(-1)).toMatchObject({
        level: 'restore',
        ok: true,
        restoreDuration: result.restoreDuration,
      });
    },
  );

  it('names the table whose row count or rows differ from the metadata', async () => {
    const changed = (record: BackupRecord): BackupRecord => ({
      ...record,
      tables: record.tables.map((table) => {
        if (table.name === 'composite') return {...table, rows: 4};
        if (table.name === 'watched') return {...table, fingerprint: `mmh3-sum:${'0'.repeat(32)}`};
        return table;
      }),
    });
    const result = await withRecord('custom', changed, () => verify('custom'));
    expect(result.ok).toBe(false);
    expect(result.findings).toEqual([
      'kinds.composite has 3 rows in the dump, 4 in the metadata.',
      'kinds.watched has different rows in the dump and in the metadata.',
    ]);
  });

  it('keeps unknown keys of the metadata and records the check in the audit log', async () => {
    const {metadataPath} = backupOf('sql');
    const before = await readFile(metadataPath, 'utf8');
    try {
      await writeFile(metadataPath, before.replace('{', '{\n  "fromLater": {"a": [1.10]},'));
      context.facts.length = 0;
      await verify('sql', {level: 'checksum'});
      const after = await readFile(metadataPath, 'utf8');
      expect(after.startsWith('{\n  "fromLater"')).toBe(true);
      expect(context.facts.reduce(addFacts, noFacts)).toMatchObject({
        database: {name: database.name},
        backupId: backupOf('sql').record.id,
        verifications: [{level: 'checksum', ok: true, restoreDuration: null}],
      });
    } finally {
      await writeFile(metadataPath, before);
    }
  });

  it('continues after a backup that fails if all are requested', async () => {
    const {path} = backupOf('directory');
    await writeFile(`${path}/4711.dat.gz`, 'not mine');
    try {
      const {results} = await verifyBackups(
        context,
        {},
        {
          isAll: true,
          level: 'checksum',
          scratch: {kind: 'same'},
        },
      );
      expect(results.map(({ok}) => ok).sort()).toEqual([false, true, true, true]);
      expect(results.find(({ok}) => !ok)?.findings[0]).toContain('4711.dat.gz');
    } finally {
      await rm(`${path}/4711.dat.gz`);
      await verify('directory', {level: 'checksum'}); // or the folder counts as known to be bad in the next tests
    }
  });

  it('passes if the outcome cannot be recorded, with a warning', async () => {
    const locks = `${folder}/backups/.locks`;
    await rm(locks, {recursive: true, force: true});
    await writeFile(locks, 'a file in the way');
    const reader = testContext(folder, {settings: {databaseUrl: database.url}});
    try {
      expect(await verify('custom', {level: 'checksum'}, reader)).toMatchObject({ok: true});
      expect(reader.warnings).toEqual([expect.stringContaining('could not be recorded in') as string]);
    } finally {
      await rm(locks);
    }
  });

  it('chooses as many backups at random as requested', async () => {
    const sample = async (count: number): Promise<string[]> => {
      const {results} = await verifyBackups(
        context,
        {},
        {
          sample: count,
          level: 'checksum',
          scratch: {kind: 'same'},
        },
      );
      return results.map(({id}) => id);
    };
    expect(new Set(await sample(3)).size).toBe(3);
    expect(new Set(await sample(9)).size).toBe(4);
  });

  it('says which host does not answer when the scratch URL is wrong', async () => {
    const url = 'postgresql://nobody@127.0.0.1:9/x?sslmode=disable';
    expect(await verify('custom', {level: 'restore', scratch: {kind: 'url', url}})).toMatchObject({
      outcome: 'not-possible',
      ok: false,
      code: 'CONNECTION_REFUSED',
    });
    const record = await readBackupRecord(backupOf('custom').metadataPath);
    expect(record.proofs.at(-1)).toMatchObject({level: 'archive', outcome: 'passed'});
    expect(record.notPossible).toMatchObject([
      {level: 'restore', outcome: 'not-possible', code: 'CONNECTION_REFUSED'},
    ]);
  });

  it('names the table in which the last digit of one row is changed after the restore', async () => {
    const within = during('Compare', (scratch) =>
      scratch.run("UPDATE kinds.numbers SET exact = exact + '1e-30' WHERE id = 2"),
    );
    const result = await verify('custom', {level: 'restore'}, within);
    expect(result).toMatchObject({
      ok: false,
      findings: ['kinds.numbers has different values after the restore.'],
    });
    const {proofs} = await readBackupRecord(backupOf('custom').metadataPath);
    expect(proofs.at(-1)).toMatchObject({ok: false, level: 'restore'});
    expect(await scratchDatabases()).toEqual([]);
  });

  it('reports incomplete objects beside the rows, and parts that could not be compared', async () => {
    const within = during('Compare', (scratch) =>
      scratch.run(`
        DROP TABLE kinds.empty;
        DROP EXTENSION pgcrypto;
        REFRESH MATERIALIZED VIEW kinds.on_top WITH NO DATA;
        SELECT setval('kinds.serials_id_seq', 1);
        UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'kinds.texts_lower'::regclass;
        UPDATE pg_constraint SET convalidated = false WHERE conname = 'chickens_egg_fkey'`),
    );
    const {findings} = await verify('directory', {level: 'restore'}, within);
    expect(findings[0]).toContain(
      'The rows cannot be compared: Reading rows failed: relation "kinds.empty" does not exist',
    );
    expect(findings).toEqual(
      expect.arrayContaining([
        'The sequence kinds.serials_id_seq is at 1 instead of 2.',
        'The index kinds.texts_lower is not valid.',
        'The materialized view kinds.on_top is not filled.',
        'EXTENSION pgcrypto: missing',
        'TABLE kinds.empty: missing',
        'FK CONSTRAINT kinds.chickens chickens_egg_fkey: another state',
      ]),
    );
  });

  it('never reports a backup as failed if this server refuses the restore, and drops the scratch database', async () => {
    const within = during(/^Restore /, (scratch) => scratch.run('CREATE SCHEMA kinds'));
    const before = standing('custom');
    const result = await verify('custom', {level: 'restore'}, within);
    expect(result).toMatchObject({outcome: 'not-possible', ok: false, hint: expect.any(String) as string});
    expect(result.findings[0]).toMatch(/schema "kinds" already exists/);
    expect((await standing('custom')).failure).toEqual((await before).failure);
    expect(await scratchDatabases()).toEqual([]);
  });

  it.each(cases(['custom', 'sql'] as const))(
    'never reports a %s backup as failed if the connection of the restore is ended',
    async (kind) => {
      const within = during(/^Restore /, async (scratch) => {
        // Every session in the scratch database is ended, for any purpose.
        await scratch.run(`
          CREATE FUNCTION end_session() RETURNS event_trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid()); END';
          CREATE EVENT TRIGGER ends ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION end_session()`);
      });
      const result = await verify(kind, {level: 'restore'}, within);
      expect(result).toMatchObject({outcome: 'not-possible', code: 'CONNECTION_LOST'});
      expect(await scratchDatabases()).toEqual([]);
    },
  );

  it.each(cases(['custom', 'sql'] as const))(
    'never reports a %s backup as failed if a limit of the server ends the restore',
    async (kind) => {
      const within = during(/^Restore /, (scratch) =>
        scratch.run(`
          CREATE FUNCTION is_full() RETURNS event_trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION USING ERRCODE = '53400', MESSAGE = 'temporary file size exceeds temp_file_limit'; END $$;
          CREATE EVENT TRIGGER full_disk ON ddl_command_end WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION is_full()`),
      );
      const result = await verify(kind, {level: 'restore'}, within);
      expect(result.outcome).toBe('not-possible');
      expect(result.findings[0]).toContain('temp_file_limit');
    },
  );

  it('names the full folder of this machine, and not the server', async () => {
    const hint = 'Free space there, or choose another folder with the variable TMPDIR.';
    const cause = Object.assign(new Error('no space left on device'), {code: 'ENOSPC'});
    const full = new AppError('DISK_FULL', 'The temporary folder /tmp is full.', {hint, cause});
    const within = during(/^Restore /, () => Promise.reject(full));
    const result = await verify('custom', {level: 'restore'}, within);
    expect(result).toMatchObject({outcome: 'not-possible', hint});
  });

  it('reports a backup as failed if the server refuses its rows', async () => {
    const within = during(/^Restore /, (scratch) =>
      scratch.run(`
        CREATE FUNCTION no_rows() RETURNS trigger LANGUAGE plpgsql AS $$
          BEGIN RAISE EXCEPTION USING ERRCODE = '23505', MESSAGE = 'duplicate key value violates unique constraint "x"'; END $$;
        CREATE FUNCTION guard() RETURNS event_trigger LANGUAGE plpgsql AS $$
          DECLARE made text;
          BEGIN FOR made IN SELECT object_identity FROM pg_catalog.pg_event_trigger_ddl_commands()
                             WHERE object_identity = 'kinds.numbers' LOOP
            EXECUTE 'CREATE TRIGGER no_rows BEFORE INSERT ON ' || made || ' FOR EACH ROW EXECUTE FUNCTION public.no_rows()';
          END LOOP; END $$;
        CREATE EVENT TRIGGER guards ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION guard()`),
    );
    const result = await verify('custom', {level: 'restore'}, within);
    expect(result).toMatchObject({outcome: 'failed', code: null});
    expect(result.findings[0]).toContain('duplicate key');
    expect((await standing('custom')).failure).toMatchObject({level: 'restore'});
    // A weaker level does not contradict it.
    await verify('custom');
    expect((await standing('custom')).failure).toMatchObject({level: 'restore'});
    await verify('custom', {level: 'restore'});
    expect(await standing('custom')).toMatchObject({failure: null, proof: {level: 'restore'}});
  });

  it('drops the scratch database after an interruption, which is not a failure of the backup', async () => {
    await verify('sql', {level: 'restore'});
    const interruption = new AbortController();
    const within = during(
      /^Restore /,
      () => {
        interruption.abort(new AppError('INTERRUPTED', 'Interrupted.'));
        return Promise.resolve();
      },
      interruption.signal,
    );
    await expect(verify('sql', {level: 'restore'}, within)).rejects.toMatchObject({code: 'INTERRUPTED'});
    expect(await scratchDatabases()).toEqual([]);
    expect((await readBackupRecord(backupOf('sql').metadataPath)).notPossible?.at(-1)).toMatchObject({
      level: 'restore',
      code: 'INTERRUPTED',
    });
    expect(await standing('sql')).toMatchObject({failure: null, proof: {level: 'restore'}});
  });

  it('tests a backup on a temporary server without any database URL', async () => {
    const alone = testContext(folder);
    const result = await verify('custom', {level: 'restore', scratch: {kind: 'local'}}, alone);
    expect(result.findings).toEqual([]);
    expect(result.ok).toBe(true);
  });

  it('restores objects there that only superusers may own, from a superuser with another name at the source', async () => {
    const owned = await createTempDatabase('template0');
    try {
      await onServer((session) => session.query('CREATE ROLE verify_boss SUPERUSER'));
      await owned.run(`CREATE TABLE state AS SELECT 1 AS id;
        CREATE FUNCTION look() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
        CREATE EVENT TRIGGER looks ON ddl_command_end EXECUTE FUNCTION look();
        CREATE FOREIGN DATA WRAPPER elsewhere;
        ALTER EVENT TRIGGER looks OWNER TO verify_boss; ALTER FOREIGN DATA WRAPPER elsewhere OWNER TO verify_boss`);
      const away = testContext(await tempFolder());
      const {path} = await makeBackup(away, owned.connection, 'custom', '2025-07-02T03:00:00.000Z');
      const local = {level: 'restore', scratch: {kind: 'local'}} as const;
      expect(await verify('custom', {backupFile: path, ...local}, away)).toMatchObject({ok: true});
    } finally {
      await owned.drop();
      await onServer((session) => session.query('DROP ROLE verify_boss'));
    }
  });

  it('opens at most as many sessions as the server has, with any number of cores', async () => {
    const wide = await createTempDatabase('template0');
    try {
      await wide.run(`DO $$ BEGIN
        FOR i IN 1..80 LOOP EXECUTE format('CREATE TABLE t%s AS SELECT generate_series(1, 1000) AS id', i); END LOOP; END $$`);
      const many = testContext(await tempFolder(), {settings: {cores: 64}});
      const {path} = await makeBackup(many, wide.connection, 'custom', '2025-07-03T03:00:00.000Z');
      const local = {level: 'restore', scratch: {kind: 'local'}} as const;
      expect(await verify('custom', {backupFile: path, ...local}, many)).toMatchObject({ok: true});
    } finally {
      await wide.drop();
    }
  });

  it('uses the server of a scratch URL', async () => {
    const url = urlOf({...database.connection, database: 'postgres'});
    const result = await verify(
      'sql.gz',
      {level: 'restore', scratch: {kind: 'url', url}},
      testContext(folder),
    );
    expect(result.findings).toEqual([]);
  });
});
