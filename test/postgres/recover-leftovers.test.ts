import {mkdir, readdir, rename, rm, symlink, truncate, utimes, writeFile} from 'node:fs/promises';
import {basename, join} from 'node:path';
import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it} from 'vitest';
import {readCatalogue} from '../../src/lib/catalog/catalogue.js';
import {withFolderLock} from '../../src/lib/run/lock.js';
import {withAppSession} from '../support/app-session.js';
import {withDatabase} from '../../src/lib/postgres/connect/connection.js';
import {
  listDatabases,
  ownerCommentStatement,
  timeForDatabaseName,
  timeInDatabaseName,
  type OwnerCommentKind,
} from '../../src/lib/postgres/databases/owner-comment.js';
import {type LocalCluster, startLocalCluster} from '../../src/lib/postgres/tools/local-cluster.js';
import {quoteIdentifier} from '../../src/lib/postgres/quote.js';
import {type ProcessIdentity, thisProcess} from '../../src/lib/base/process-identity.js';
import {recoverLeftovers, type RecoverResult} from '../../src/lib/services/recover/recover.js';
import type {JournalEntry} from '../../src/lib/run/journal.js';
import {until} from '../support/observe.js';
import {tempFolder} from '../support/run-cli.js';
import {writeSampleBackup} from '../support/sample-backups.js';
import {testContext} from '../support/test-context.js';
import {urlOf} from '../support/temp-database.js';

// A separate server, because recover looks at every database of a server.
let cluster: LocalCluster;
let home = '';
let database = '';
let dead: ProcessIdentity;
beforeAll(async () => {
  cluster = await startLocalCluster({binFolder: inject('serverBin')});
  dead = {...(await thisProcess()), processStart: 'an earlier boot'};
});
afterAll(async () => {
  await cluster.stop();
});
beforeEach(async () => {
  home = await tempFolder();
  database = join(home, 'backups', 'database');
  await mkdir(database, {recursive: true});
});
afterEach(async () => {
  await rm(home, {recursive: true, force: true});
  for (const name of await databaseNames()) {
    if (name !== 'postgres') await onServer(`DROP DATABASE ${quoteIdentifier(name)} WITH (FORCE)`);
  }
});

const onServer = (...statements: string[]) =>
  withAppSession(cluster.connection, async (session) => {
    for (const statement of statements) await session.query(statement);
  });
const databases = () => withAppSession(cluster.connection, listDatabases);
const databaseNames = async () => (await databases()).map((one) => one.name);
const server = () => ({host: cluster.connection.host, port: cluster.connection.port});
const context = (withServer = true) =>
  testContext(home, withServer ? {settings: {databaseUrl: urlOf(cluster.connection)}} : {});

async function createMarked(
  name: string,
  kind: OwnerCommentKind,
  owner: ProcessIdentity | null,
  changes: {database?: string; at?: string; comment?: string} = {},
): Promise<void> {
  const at = (timeInDatabaseName(name) ?? new Date()).toISOString();
  const mark = {kind, database: 'shop', at, owner, comment: null, ...changes};
  await onServer(`CREATE DATABASE ${quoteIdentifier(name)}`, ownerCommentStatement(name, mark));
}

async function writeJournal(owner: ProcessIdentity, ...entries: JournalEntry[]): Promise<void> {
  const folder = join(home, 'backups', '.journal');
  await mkdir(folder, {recursive: true});
  const head = {run: 'run', command: 'restore', startedAt: '2026-11-22T03:10:00.000Z', owner};
  const lines = [head, ...entries.map((entry, index) => ({begin: index + 1, entry}))];
  const name = `2026-11-22T03-10-00-000Z-00000${(await readdir(folder)).length}.jsonl`;
  await writeFile(join(folder, name), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
}

const abandoned = 'shop_restore_20260101_000000';

const journals = () => readdir(join(home, 'backups', '.journal'));
const done = (result: RecoverResult) => result.recovered.map((one) => `${one.action} ${one.what}`);

describe('recover on the server', () => {
  it('drops working databases of ended runs, without any journal, and nothing else', async () => {
    const [scratch, alive] = ['destino_scratch_0123456789ab', 'destino_scratch_0123456789ac'];
    const staging = 'my "shop"_restore_20261122_031000';
    const elsewhere = `shop_restore_${timeForDatabaseName(new Date())}`;
    await createMarked(scratch, 'scratch', dead);
    await createMarked(staging, 'staging', dead, {database: 'my "shop"'});
    await createMarked(alive, 'scratch', await thisProcess());
    await createMarked(elsewhere, 'staging', {...dead, host: 'another'});
    await createMarked(abandoned, 'staging', {...dead, host: 'another'});
    await createMarked('shop_before_20261122_031000', 'set-aside', null);
    await onServer(
      'CREATE DATABASE shop',
      `COMMENT ON DATABASE shop IS 'destino-db staging is what we test'`,
    );
    const before = await databaseNames();
    const dry = await recoverLeftovers(context(), {dryRun: true});
    expect(await databaseNames()).toEqual(before);
    const result = await recoverLeftovers(context(), {dryRun: false});
    expect(done(result)).toEqual([`drop ${scratch}`, `drop ${staging}`, `drop ${abandoned}`]);
    expect(result.recovered.map(({what}) => what)).toEqual(dry.recovered.map(({what}) => what));
    expect(result.left.map((one) => one.what)).toEqual([alive, elsewhere]);
    expect(await databaseNames()).toEqual(
      [alive, 'postgres', 'shop', 'shop_before_20261122_031000', elsewhere].sort(),
    );
  });

  it('refuses to drop a database that no run left, because its name may be mistyped', async () => {
    await expect(recoverLeftovers(context(), {dryRun: false, dropDbs: ['no_such']})).rejects.toMatchObject({
      code: 'USAGE',
      message: '--drop-db: no run left a database "no_such"; nothing was done.',
    });
  });

  it('drops a database that its run created closed and did not comment before it was killed', async () => {
    await onServer('CREATE DATABASE closed ALLOW_CONNECTIONS false');
    await writeJournal(dead, {kind: 'scratch-database', server: server(), database: 'closed'});
    expect(done(await recoverLeftovers(context(), {dryRun: false}))).toEqual(['drop closed']);
    expect(await databaseNames()).toEqual(['postgres']);
    expect(await journals()).toEqual([]);
  });

  it('ends sessions that are still connected to a database of a dead run', async () => {
    await createMarked(abandoned, 'staging', dead);
    const orphan = withAppSession(withDatabase(cluster.connection, abandoned), async (session) => {
      await session.query('SELECT pg_catalog.pg_advisory_lock(1)');
      expect(done(await recoverLeftovers(context(), {dryRun: false}))).toEqual([`drop ${abandoned}`]);
    });
    await orphan;
    expect(await databaseNames()).toEqual(['postgres']);
  });

  it('drops one into which a subscription was restored, without its slot', async () => {
    await createMarked(abandoned, 'staging', dead);
    await withAppSession(withDatabase(cluster.connection, abandoned), (session) =>
      session.query(
        `CREATE SUBSCRIPTION restored CONNECTION 'host=127.0.0.1 port=1 dbname=nowhere' PUBLICATION any_one WITH (connect = false)`,
      ),
    );
    expect(done(await recoverLeftovers(context(), {dryRun: false}))).toEqual([`drop ${abandoned}`]);
    expect(await databaseNames()).toEqual(['postgres']);
  });

  it('never drops the database that a staging database has become; its own comment is restored', async () => {
    await createMarked('shop', 'staging', dead, {comment: "the shop's"});
    await onServer('CREATE DATABASE shop_before_20261122_031000');
    const swap = {kind: 'swap', server: server(), target: 'shop', setAside: 'shop_before_20261122_031000', staging: 'shop_staging'} as const; // prettier-ignore
    await writeJournal(dead, swap);
    const result = await recoverLeftovers(context(), {dryRun: false});
    expect(done(result)).toEqual(['unmark shop', 'mark as set aside shop_before_20261122_031000']);
    const listed = await databases();
    expect(listed.find((one) => one.name === 'shop')?.mark).toBeUndefined();
    expect(listed.find((one) => one.name === 'shop_before_20261122_031000')?.mark).toMatchObject({kind: 'set-aside', database: 'shop', at: '2026-11-22T03:10:00.000Z'}); // prettier-ignore
    expect(await journals()).toEqual([]);
  });

  it('opens a database again that a dead run had closed to sessions', async () => {
    await onServer('CREATE DATABASE shop', 'CREATE DATABASE blog');
    await onServer(
      'ALTER DATABASE shop ALLOW_CONNECTIONS false',
      'ALTER DATABASE blog ALLOW_CONNECTIONS false',
    );
    await writeJournal(dead, {kind: 'no-connections', server: server(), database: 'shop'});
    expect(done(await recoverLeftovers(context(), {dryRun: false}))).toEqual(['allow connections shop']);
    const listed = await databases();
    expect(listed.find((one) => one.name === 'shop')?.allowsConnections).toBe(true);
    expect(listed.find((one) => one.name === 'blog')?.allowsConnections).toBe(false);
  });

  it('does not fail if another run has dropped or renamed a database since it was looked at', async () => {
    await onServer('CREATE DATABASE shop', 'ALTER DATABASE shop ALLOW_CONNECTIONS false');
    await createMarked(abandoned, 'staging', dead);
    await writeJournal(dead, {kind: 'no-connections', server: server(), database: 'shop'});
    const confirm = () =>
      onServer('ALTER DATABASE shop RENAME TO blog', `DROP DATABASE ${quoteIdentifier(abandoned)}`);
    const settings = {databaseUrl: urlOf(cluster.connection)};
    const result = await recoverLeftovers(testContext(home, {settings, confirm}), {dryRun: false});
    expect(result.failed).toEqual([]);
    expect(done(result)).not.toContain('allow connections shop');
  });

  it('does not trust a journal that names a non-empty database', async () => {
    await onServer('CREATE DATABASE shop', 'CREATE DATABASE fresh');
    await withAppSession(withDatabase(cluster.connection, 'shop'), (session) =>
      session.query('CREATE TABLE orders (id int)'),
    );
    await writeJournal(
      dead,
      {kind: 'scratch-database', server: server(), database: 'shop'},
      {kind: 'staging-database', server: server(), database: 'fresh', target: 'shop'},
      {kind: 'scratch-database', server: server(), database: 'never made'},
    );
    const result = await recoverLeftovers(context(), {dryRun: false});
    expect(done(result)).toEqual(['drop fresh']);
    expect(result.left).toEqual([expect.objectContaining({what: 'shop', reason: expect.stringContaining('has tables') as string})]); // prettier-ignore
    expect(await databaseNames()).toEqual(['postgres', 'shop']);
    expect(await journals()).toHaveLength(1);
  });

  it('waits for a database that the server is still creating for a killed program', async () => {
    await writeJournal(dead, {kind: 'scratch-database', server: server(), database: 'late'});
    let recovering: Promise<RecoverResult> | undefined;
    await withAppSession(cluster.connection, async (session) => {
      recovering = recoverLeftovers(context(), {dryRun: false});
      const isLooking = `SELECT 1 FROM pg_stat_activity WHERE query LIKE '%AS sessions' AND pid <> pg_backend_pid()`;
      await until('recover looks', async () => (await session.query(isLooking)).length > 0);
      await session.query('CREATE DATABASE late');
    });
    expect((await recovering)?.recovered.map(({action, what}) => `${action} ${what}`)).toEqual(['drop late']);
    expect(await databaseNames()).toEqual(['postgres']);
    expect(await journals()).toEqual([]);
  });

  it('keeps the journal while a session may still create its database', async () => {
    await writeJournal(dead, {kind: 'staging-database', server: server(), database: 'late', target: 'shop'});
    await withAppSession(cluster.connection, async (session) => {
      const {left} = await recoverLeftovers(context(), {dryRun: false});
      expect(left).toMatchObject([
        {what: 'late', reason: expect.stringContaining('may still be created') as string},
      ]);
      expect(await journals()).toHaveLength(1);
      await session.query('CREATE DATABASE late');
    });
    expect(done(await recoverLeftovers(context(), {dryRun: false}))).toEqual(['drop late']);
    expect(await journals()).toEqual([]);
  });

  it('keeps the journal while the server is unreachable, and says why', async () => {
    await writeJournal(dead, {kind: 'scratch-database', server: server(), database: 'x'});
    const without = await recoverLeftovers(context(false), {dryRun: false});
    expect(without.serverNotLookedAt).toContain('No database was given');
    expect(without.left.map((one) => one.reason)).toEqual([
      expect.stringContaining('run recover with the URL'),
    ]);
    expect(await journals()).toHaveLength(1);
    await recoverLeftovers(context(), {dryRun: false});
    expect(await journals()).toEqual([]);
  });

  it('does not touch the journal and the objects of a running run', async () => {
    await onServer('CREATE DATABASE fresh');
    const path = join(database, 'shop-2026-11-22T03-10-00.dump.partial');
    await writeFile(path, 'x');
    await writeJournal(
      await thisProcess(),
      {kind: 'scratch-database', server: server(), database: 'fresh'},
      {kind: 'partial', path},
    );
    const result = await recoverLeftovers(context(), {dryRun: false});
    expect(result.recovered).toEqual([]);
    expect(result.left.map((one) => one.what)).toEqual(['fresh', path]);
    expect(await readdir(database)).toHaveLength(1);
  });
});

describe('recover in the folders', () => {
  it('removes its own unfinished files and folders, and no link, no note of the user and no backup', async () => {
    const backup = await writeSampleBackup(database, '2026-11-22T03:10:00.000Z');
    await writeFile(join(database, 'shop-2026-11-23T03-10-00.dump.partial'), 'PGDMP');
    await mkdir(join(database, 'shop-2026-11-23T03-11-00.dir.partial'));
    await writeFile(join(database, 'shop-2026-11-23T03-11-00.dir.partial', 'toc.dat'), 'x');
    await writeFile(join(home, 'precious'), 'mine');
    const link = join(database, 'shop-2026-11-23T03-12-00.dump.partial');
    await symlink(join(home, 'precious'), link);
    await writeFile(join(database, 'notes.partial'), 'mine');
    await mkdir(join(home, 'backups', 'order-cleanup'));
    await writeFile(
      join(home, 'backups', 'order-cleanup', 'orders-backup-2026-11-23T03-10-00.json.partial'),
      'x',
    );
    const fresh = join(database, 'shop-2026-11-22T03-10-00.metadata.json.0123abcd.partial');
    await writeFile(fresh, '{');
    const result = await recoverLeftovers(context(false), {dryRun: false});
    expect(result.recovered).toHaveLength(3);
    expect(result.left).toMatchObject([
      {what: fresh, reason: expect.stringContaining('within the last minute') as string},
      {what: link, reason: 'it is a symbolic link'},
    ]);
    expect((await readdir(database)).sort()).toEqual(
      [
        backup.backupPath,
        `${backup.id}.metadata.json`,
        basename(fresh),
        basename(link),
        'notes.partial',
      ].sort(),
    );
    expect(await readdir(home)).toContain('precious');
    const longAgo = new Date(Date.now() - 3_600_000);
    await utimes(fresh, longAgo, longAgo);
    expect((await recoverLeftovers(context(false), {dryRun: false})).recovered).toHaveLength(1);
  });

  it('removes a dump that never got its metadata, in every folder, but none with metadata', async () => {
    const elsewhere = join(home, 'elsewhere');
    const whole = await writeSampleBackup(elsewhere, '2026-11-22T03:10:00.000Z');
    const cut = await writeSampleBackup(elsewhere, '2026-11-22T04:10:00.000Z', {format: 'directory'});
    await rm(join(elsewhere, `${cut.id}.metadata.json`));
    await writeFile(join(elsewhere, `${cut.id}.roles.sql`), 'x');
    await writeFile(join(elsewhere, 'notes.dump'), 'mine');
    const entryOf = (name: string, dump: string): JournalEntry => ({
      kind: 'dump-without-metadata',
      path: join(elsewhere, dump),
      metadataPath: join(elsewhere, `${name}.metadata.json`),
    });
    await writeJournal(dead, entryOf(whole.id, whole.backupPath), entryOf(cut.id, cut.backupPath), entryOf('notes', 'notes.dump'), entryOf(cut.id, 'notes.dump')); // prettier-ignore
    const result = await recoverLeftovers(context(false), {dryRun: false});
    expect(done(result)).toEqual([`remove ${join(elsewhere, cut.backupPath)}`, `remove ${join(elsewhere, `${cut.id}.roles.sql`)}`]); // prettier-ignore
    expect((await readdir(elsewhere)).sort()).toEqual(
      ['notes.dump', whole.backupPath, `${whole.id}.metadata.json`].sort(),
    );
    expect(await journals()).toEqual([]);
  });

  it('completes a backup whose metadata had no name yet, and removes an incomplete one', async () => {
    const whole = await writeSampleBackup(database, '2026-11-22T03:10:00.000Z');
    const damaged = await writeSampleBackup(database, '2026-11-22T04:10:00.000Z');
    const cut = await writeSampleBackup(database, '2026-11-22T05:10:00.000Z');
    for (const {id, backupPath} of [whole, damaged, cut]) {
      const [path, metadataPath] = [join(database, backupPath), join(database, `${id}.metadata.json`)];
      await rename(metadataPath, `${metadataPath}.partial`);
      await writeJournal(dead, {kind: 'partial', path: `${path}.partial`}, {kind: 'dump-without-metadata', path, metadataPath}); // prettier-ignore
    }
    await writeFile(join(database, damaged.backupPath), 'PGDUMP'); // of the same length
    await truncate(join(database, `${cut.id}.metadata.json.partial`), 100);
    const before = await readdir(database);
    const dry = await recoverLeftovers(context(false), {dryRun: true});
    expect(done(dry).sort()).toEqual([
      `finish ${join(database, whole.backupPath)}`,
      `finish ${join(database, damaged.backupPath)}`,
      `remove ${join(database, cut.backupPath)}`,
      `remove ${join(database, `${cut.id}.metadata.json.partial`)}`,
    ]);
    expect(await readdir(database)).toEqual(before);
    const run = context(false);
    expect((await recoverLeftovers(run, {dryRun: false})).failed).toEqual([]);
    expect((await readdir(database)).sort()).toEqual([whole.backupPath, `${whole.id}.metadata.json`]);
    expect(run.warnings).toEqual([
      expect.stringContaining(`${damaged.backupPath} was not a complete backup`),
    ]);
    const {backups, problems} = await readCatalogue(database);
    expect({ids: backups.map(({id}) => id), problems}).toEqual({ids: [whole.id], problems: []});
    expect(await journals()).toEqual([]);
  });

  it('changes nothing in a folder that a run is using', async () => {
    await writeFile(join(database, 'shop-2026-11-23T03-10-00.dump.partial'), 'PGDMP');
    const work = () => recoverLeftovers(context(false), {dryRun: false});
    const result = await withFolderLock(context(false), database, work, {command: 'backup'});
    expect(result.recovered).toEqual([]);
    expect(result.left[0]?.reason).toMatch(/^"backup" \(pid \d+ on .*\) is running in its folder$/);
  });
});
