/** Replacing a database by a swap: the name always refers to all of the old or all of the new content. */
import {rm} from 'node:fs/promises';
import {afterAll, afterEach, beforeAll, beforeEach, expect, inject, it} from 'vitest';
import {AppError} from '../../src/lib/base/errors.js';
import {type FaultPoint, passBy} from '../../src/lib/run/fault-points.js';
import {advisoryKeys, withAdvisoryLock} from '../../src/lib/postgres/databases/advisory-lock.js';
import type {Session} from '../../src/lib/postgres/client.js';
import {withAppSession} from '../support/app-session.js';
import {restoreDatabase} from '../../src/lib/services/restore/execute.js';
import type {RestoreRequest} from '../../src/lib/services/restore/options.js';
import {databaseNameWith} from '../../src/lib/postgres/databases/owner-comment.js';
import {swapDatabases} from '../../src/lib/services/restore/swap-databases.js';
import type {Config} from '../../src/lib/settings/config-schema.js';
import {undoRestore} from '../../src/lib/services/restore/undo.js';
import {makeDump} from '../support/make-dump.js';
import {until} from '../support/observe.js';
import {losingRestore, replaceTools} from '../support/replaced-tools.js';
import {tempFolder} from '../support/run-cli.js';
import {
  clusterConnection,
  createTempDatabase,
  dropDatabase,
  onServer,
  type TempDatabase,
  urlOf,
} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

const name = `swap "it's" é`;
let folder: string;
let target: TempDatabase;

/** Databases that belong to the target, the target included. */
async function related(): Promise<string[]> {
  const rows = await onServer((session) =>
    session.query('SELECT datname FROM pg_database WHERE starts_with(datname, $1) ORDER BY 1', [name]),
  );
  return rows.map((row) => row['datname'] ?? '');
}

async function content(): Promise<string | null | undefined> {
  return (await target.query('SELECT note FROM public.state'))[0]?.['note'];
}

function context(env: Record<string, string> = {}) {
  return testContext(folder, {settings: {databaseUrl: target.url}, env});
}

const request: RestoreRequest = {backupFile: 'old.dump', dropExisting: true};

beforeAll(async () => {
  folder = await tempFolder();
  const source = await createTempDatabase('template0');
  await source.run(`CREATE TABLE state (note text); INSERT INTO state VALUES ('old');
    CREATE TABLE numbers AS SELECT n FROM generate_series(1, 1000) AS n`);
  await makeDump(source.connection, folder, 'custom', {name: 'old.dump'});
  await makeDump(source.connection, folder, 'sql.gz', {name: 'old.sql.gz'});
  await source.run(`CREATE FUNCTION helper(t text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT lower(t)';
    CREATE FUNCTION wrap(t text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT lower(t)';
    CREATE INDEX breaks ON state (public.wrap(note));
    -- From 17 on it would break CREATE INDEX already.
    CREATE OR REPLACE FUNCTION wrap(t text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT helper(t)'`);
  await makeDump(source.connection, folder, 'custom', {name: 'breaks.dump'});
  await source.drop();
});

beforeEach(async () => {
  target = await createTempDatabase('template0', name);
  await target.run(`CREATE TABLE state (note text); INSERT INTO state VALUES ('new')`);
});

afterEach(async () => {
  for (const database of await related()) await dropDatabase(database);
});

afterAll(() => rm(folder, {recursive: true, force: true}));

it('replaces the target by the backup, keeps the old database aside, and undo brings it back, repeatedly', async () => {
  for (const backupFile of ['old.dump', 'old.sql.gz']) {
    const result = await restoreDatabase(context(), {...request, backupFile});
    expect(await content()).toBe('old');
    expect(await related()).toContain(result.setAside);
    const undone = await undoRestore(context(), {});
    expect(undone).toMatchObject({broughtBack: result.setAside, target: name});
    expect(await content()).toBe('new');
    await undoRestore(context(), {});
    expect(await content()).toBe('old');
    await undoRestore(context(), {});
    expect(await content()).toBe('new');
  }
  expect((await related()).length).toBe(3);
});

it("records in the audit log which database an undo was of, if it is not the URL's", async () => {
  await restoreDatabase(context(), request);
  const elsewhere = testContext(folder, {settings: {databaseUrl: urlOf(clusterConnection())}});
  await undoRestore(elsewhere, {targetDb: name});
  const {host, port} = clusterConnection();
  expect(elsewhere.facts).toMatchObject([
    {database: {name}},
    {setAside: [{event: 'gone', database: name, host, port}]},
    {setAside: [{event: 'made', database: name, host, port, size: expect.any(Number) as number}]},
  ]);
});

it('copies owner, settings, rights, limit, encoding and comment, in both directions', async () => {
  const quoted = `"${name.replaceAll('"', '""')}"`;
  await onServer(async (session) => {
    for (const sql of [
      'CREATE ROLE swap_owner', 'CREATE ROLE swap_app',
      `ALTER DATABASE ${quoted} OWNER TO swap_owner`, `ALTER DATABASE ${quoted} CONNECTION LIMIT 42`,
      `ALTER DATABASE ${quoted} SET search_path TO "$user", 'odd schema', public`,
      `ALTER DATABASE ${quoted} SET work_mem = '7MB'`, `ALTER ROLE swap_app IN DATABASE ${quoted} SET app.tenant = 'it''s'`,
      `REVOKE ALL ON DATABASE ${quoted} FROM PUBLIC`, `GRANT CONNECT ON DATABASE ${quoted} TO swap_app WITH GRANT OPTION`,
      `COMMENT ON DATABASE ${quoted} IS 'the shop'`,
    ]) await session.query(sql); // prettier-ignore
  });
  const properties = () =>
    onServer((session) =>
      session.query(
        `SELECT pg_get_userbyid(datdba), datconnlimit, datacl::text[], datcollate, encoding, shobj_description(oid, 'pg_database'),
                (SELECT array_agg(coalesce(setrole::regrole::text, '') || setconfig::text ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = d.oid)
           FROM pg_database d WHERE datname = $1`,
        [name],
      ),
    );
  try {
    const before = await properties();
    const run = context();
    await restoreDatabase(run, request);
    expect(run.warnings.filter((warning) => warning.startsWith('Not carried'))).toEqual([]);
    expect(await properties()).toEqual(before);
    await undoRestore(context(), {});
    expect(await properties()).toEqual(before);
  } finally {
    for (const database of await related()) await dropDatabase(database);
    await onServer((session) => session.query('DROP ROLE swap_owner')).then(() =>
      onServer((session) => session.query('DROP ROLE swap_app')),
    );
  }
});

it('leaves the target and no other database when the restore fails', async () => {
  await expect(restoreDatabase(context(), {...request, backupFile: 'breaks.dump'})).rejects.toMatchObject({
    code: 'RESTORE_FAILED',
    message: expect.stringMatching(
      new RegExp(`"${name}" is unchanged\\. The temporary database "${name}_restore_\\w+" was dropped\\.$`),
    ) as string,
  });
  expect(await content()).toBe('new');
  expect(await related()).toEqual([name]);
});

it('leaves the target and no other database when the restored content differs from the backup', async () => {
  const scripts = {pg_restore: losingRestore('DELETE FROM public.numbers WHERE n = 7')};
  const pgBin = await replaceTools(folder, inject('serverBin'), scripts);
  const losing = testContext(folder, {settings: {databaseUrl: target.url, pgBin}});
  await expect(restoreDatabase(losing, request)).rejects.toMatchObject({
    code: 'RESTORED_DIFFERS',
    exitCode: 4,
    message: expect.stringContaining('is unchanged') as string,
    details: [expect.stringContaining('public.numbers') as string],
  });
  expect(await content()).toBe('new');
  expect(await related()).toEqual([name]);
});

it('ends sessions that stay connected and do nothing', async () => {
  await withAppSession(target.connection, async (idle) => {
    await idle.query('SELECT 1');
    await restoreDatabase(context(), request);
    await expect(idle.query('SELECT 1')).rejects.toMatchObject({code: 'CONNECTION_LOST'});
  });
  expect(await content()).toBe('old');
});

it('changes nothing, and names the session, when a session cannot be ended', async () => {
  const held = {
    ...context(),
    checkpoint: async (point: FaultPoint) => {
      if (point !== 'staging.finished') return;
      await target.run(`BEGIN; INSERT INTO state VALUES ('pending'); PREPARE TRANSACTION 'stays'`);
    },
  };
  try {
    await expect(restoreDatabase(held, request)).rejects.toMatchObject({
      code: 'RESTORE_FAILED',
      message: expect.stringContaining('is unchanged') as string,
      details: [expect.stringContaining(`prepared transaction 'stays'`) as string],
    });
    expect(await content()).toBe('new');
    expect(await related()).toEqual([name]);
  } finally {
    await target.run(`ROLLBACK PREPARED 'stays'`);
  }
});

it('recognises connected sessions in every language of the server', async () => {
  let attempts = 0;
  const german: Session['query'] = (sql) => {
    if (!sql.startsWith('ALTER')) return Promise.resolve([]);
    attempts += 1;
    const cause = Object.assign(new Error('auf Datenbank wird zugegriffen'), {code: '55006'});
    return Promise.reject(new AppError('QUERY_FAILED', cause.message, {cause}));
  };
  const swap = {
    name: 'no_such',
    incoming: 'no_such_either',
    setAside: null,
    ownerComment: {
      kind: 'set-aside',
      database: 'no_such',
      at: '2026-11-22T03:10:00Z',
      owner: null,
      comment: null,
    },
    comment: null,
    lockWaitMs: 10_000,
  } as const;
  const swapping = onServer((session) =>
    swapDatabases(passBy, clusterConnection(), {...session, query: german}, swap),
  );
  await expect(swapping).rejects.toMatchObject({code: 'RESTORE_FAILED'});
  expect(attempts).toBe(3);
});

it('is not stopped by sessions that keep reconnecting, and they see old or new content at every moment', async () => {
  const seen = new Set<string | null | undefined>();
  const troubles = new Set<string>();
  let isOver = false;
  const client = async (): Promise<void> => {
    for (let isLast = false; !isLast;) {
      isLast = isOver; // one more check after the restore has ended
      await withAppSession(target.connection, async (session) => {
        for (let n = 0; n < 20; n++) seen.add((await session.query('SELECT note FROM state'))[0]?.['note']);
      }).catch((error: unknown) => troubles.add((error as {code: string}).code));
    }
  };
  const clients = [client(), client(), client()];
  try {
    await until('a client has seen the content', () => seen.has('new'));
    await restoreDatabase(context(), request);
  } finally {
    isOver = true;
    await Promise.all(clients);
  }
  expect([...seen].sort()).toEqual(['new', 'old']);
  // A session that is ended, or that waited for the name during the swap, has to connect again.
  for (const code of troubles) expect(['CONNECTION_LOST', 'DATABASE_NOT_FOUND']).toContain(code);
});

/** Ids of the sessions that hold the lock for changes of the target. */
async function lockHolders(session: Session): Promise<string[]> {
  const rows = await session.query(
    `SELECT pid::text FROM pg_locks WHERE locktype = 'advisory' AND granted
        AND classid = ($1::int8 & 4294967295)::oid AND objid = ($2::int8 & 4294967295)::oid`,
    advisoryKeys('change', name),
  );
  return rows.map(({pid}) => pid ?? '');
}

/** A run whose lock is lost after it has filled the new database. */
function losingItsLock(checkpoint: (point: FaultPoint) => Promise<void>) {
  return {
    ...context(),
    checkpoint: async (point: FaultPoint) => {
      if (point === 'staging.filled') {
        await onServer(async (session) => {
          const held = await lockHolders(session);
          expect(held).toHaveLength(1);
          await session.query('SELECT pg_terminate_backend($1, 60000)', held);
        });
      }
      await checkpoint(point);
    },
  };
}

it('takes its lock again when the session that held it was ended, and renames in the session with the lock', async () => {
  const atSwap: string[][] = [];
  const run = losingItsLock(async (point) => {
    if (point === 'swap.renamed') atSwap.push(await onServer(lockHolders));
  });
  const {setAside} = await restoreDatabase(run, request);
  expect(atSwap).toEqual([[expect.any(String)]]);
  expect(await content()).toBe('old');
  expect(await related()).toEqual([name, setAside]);
});

it('stops before the swap when another run has taken the lock that it lost', async () => {
  await onServer(async (other) => {
    let release = (): void => undefined;
    let holding: Promise<unknown> = Promise.resolve();
    const run = losingItsLock(async (point) => {
      if (point !== 'staging.filled') return;
      await new Promise<void>((taken) => {
        holding = withAdvisoryLock(other, {purpose: 'change', database: name}, () => {
          taken();
          return new Promise<void>((resolve) => (release = resolve));
        });
      });
    });
    await expect(restoreDatabase(run, request)).rejects.toMatchObject({code: 'LOCKED'});
    release();
    await holding;
  });
  expect(await content()).toBe('new');
  expect(await related()).toEqual([name]);
});

it('gives up and changes nothing when the target has a prepared transaction', async () => {
  await target.run(`BEGIN; INSERT INTO state VALUES ('pending'); PREPARE TRANSACTION 'swap_pending'`);
  try {
    await expect(restoreDatabase(context(), request)).rejects.toMatchObject({
      code: 'NOT_SUPPORTED_HERE',
      exitCode: 3,
    });
    expect(await related()).toEqual([name]);
  } finally {
    await target.run(`ROLLBACK PREPARED 'swap_pending'`);
  }
});

it('asks for confirmation, and is refused for a database of the server itself', async () => {
  const unconfirmed = testContext(folder, {
    settings: {databaseUrl: target.url},
    confirm: (asked) => Promise.reject(new Error(`asked for ${asked.database}`)),
  });
  await expect(restoreDatabase(unconfirmed, request)).rejects.toThrow(`asked for ${name}`);
  expect(await related()).toEqual([name]);
  await expect(restoreDatabase(context(), {...request, targetDb: 'postgres'})).rejects.toMatchObject({
    code: 'NOT_SUPPORTED_HERE',
    hint: expect.stringContaining('--clean') as string,
  });
  await expect(undoRestore(context(), {})).rejects.toMatchObject({code: 'BACKUP_NOT_FOUND'});
});

it.each(['', 'GRANT swap_owner TO maker'])(
  'is refused for a database of another owner before anything is created, with the remaining way: %s',
  async (grant) => {
    // It could neither rename nor drop a database through rights that the role does not inherit.
    for (const sql of [
      `CREATE ROLE maker LOGIN CREATEDB NOINHERIT PASSWORD 'x'`,
      'CREATE ROLE swap_owner',
      grant,
    ])
      if (sql !== '') await onServer((session) => session.query(sql));
    const owned = (owner: string) =>
      onServer((session) =>
        session.query(`ALTER DATABASE "${name.replaceAll('"', '""')}" OWNER TO ${owner}`),
      );
    try {
      await owned('swap_owner');
      const url = target.url.replace(/\/\/[^@]+@/, '//maker:x@');
      const stranger = testContext(folder, {settings: {databaseUrl: url}});
      await expect(restoreDatabase(stranger, request)).rejects.toMatchObject({
        code: 'NOT_SUPPORTED_HERE',
        message: expect.stringContaining('this role may not act for that role') as string,
        hint: expect.stringContaining('--clean') as string,
      });
      expect(await related()).toEqual([name]);
    } finally {
      for (const database of await related()) if (database !== name) await dropDatabase(database);
      await owned('postgres');
      for (const role of ['maker', 'swap_owner'])
        await onServer((session) => session.query(`DROP ROLE ${role}`));
    }
  },
);

it('asks for its name before it replaces or brings back a production database', async () => {
  const asked: boolean[] = [];
  const run = (config: Config, env: Record<string, string> = {}) =>
    testContext(folder, {
      settings: {databaseUrl: target.url, config},
      env,
      confirm: ({isProduction}) => Promise.resolve(void asked.push(isProduction)),
    });
  const listed = {production: {databases: [name]}};
  await restoreDatabase(run(listed), request);
  await undoRestore(run(listed), {});
  await undoRestore(run({}, {NODE_ENV: 'production'}), {});
  await undoRestore(run({production: {databases: ['another']}}), {});
  expect(asked).toEqual([true, true, true, false]);
});

it('is not undone when another run brought the database back while the question was open', async () => {
  await restoreDatabase(context(), request);
  const run = testContext(folder, {
    settings: {databaseUrl: target.url},
    confirm: () => undoRestore(context(), {}).then(() => undefined),
  });
  await expect(undoRestore(run, {})).rejects.toMatchObject({code: 'PLAN_CHANGED', exitCode: 5});
  expect(await content()).toBe('new');
});

it('shortens long names between characters', () => {
  expect(databaseNameWith('shop', '_before_x')).toBe('shop_before_x');
  const cut = databaseNameWith('é'.repeat(31), '_before_20261122_031005');
  expect(cut).toBe(`${'é'.repeat(20)}_before_20261122_031005`);
  expect(Buffer.byteLength(databaseNameWith('👩‍👩‍👧'.repeat(3), '_x'.repeat(12)))).toBeLessThanOrEqual(63);
});
