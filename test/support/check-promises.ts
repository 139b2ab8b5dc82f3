/** Inspects a backups folder and a server after a fault, and lists the broken promises. */
import {lstat, readFile, readdir} from 'node:fs/promises';
import {join} from 'node:path';
import {metadataSuffix} from '../../src/lib/catalog/backup-name.js';
import {partialSuffix} from '../../src/lib/base/file-names.js';
import {isGood, readCatalogue} from '../../src/lib/catalog/catalogue.js';
import {checkFiles} from '../../src/lib/catalog/check-files.js';
import {messageOf} from '../../src/lib/base/errors.js';
import type {OrderFile} from '../../src/lib/rows/file/order-file.js';
import {readOrderSnapshot} from '../../src/lib/rows/file/read-order-snapshot.js';
import {withAppSession} from './app-session.js';
import {type Connection, withDatabase} from '../../src/lib/postgres/connect/connection.js';
import {listDatabases} from '../../src/lib/postgres/databases/owner-comment.js';
import {listScratchRoles} from '../../src/lib/postgres/databases/scratch-role.js';
import {until} from './observe.js';

export interface Watched {
  readonly backupsDir: string;
  /** A connection to a database that does not change. */
  readonly server: Connection;
  /** Databases that may be on the server, each with the contents it may have; null for "does not exist". */
  readonly databases: Readonly<Record<string, readonly (string | null)[]>>;
  /** Ids of backups that must exist and be complete. */
  readonly kept: readonly string[];
  /** Another folder to which backups are copied. */
  readonly copies?: string;
  /** A database in which temporary indexes may be made. */
  readonly temporaryIndexes?: string;
  /** A database whose orders may be deleted, with its contents before and after, and the number of deleted rows. */
  readonly cleaned?: {database: string; after: string; rows: number};
  /** A database whose rows may have been restored, with its content afterwards. */
  readonly rowsBack?: {database: string; after: string};
}

/** Where a run may have left traces: after a kill everywhere, after an error only where it could not clean up. */
export interface Traces {
  readonly inFolder: boolean;
  readonly onServer: boolean;
}

export const noTraces: Traces = {inFolder: false, onServer: false};

/** @returns the broken promises, a sentence each; empty if all were kept */
export async function checkPromises(watched: Watched, traces: Traces): Promise<string[]> {
  return [
    ...(await checkBackups(join(watched.backupsDir, 'database'), watched.kept, traces)),
    ...(watched.copies === undefined ? [] : await checkBackups(watched.copies, [], traces)),
    ...(await checkJournals(watched, traces)),
    ...(await checkDatabases(watched, traces)),
    ...(await checkOrders(watched, traces)),
    ...(await checkUndoFiles(watched, traces)),
    ...(traces.onServer ? [] : await checkSessions(watched)),
    ...(traces.onServer ? [] : await checkIndexes(watched)),
  ];
}

async function checkBackups(folder: string, kept: readonly string[], traces: Traces): Promise<string[]> {
  const {backups, problems} = await readCatalogue(folder);
  const broken = problems.map(({path, reason}) => `${path} is metadata without its backup: ${reason}`);
  const known = new Set<string>();
  for (const backup of backups) {
    known.add(backup.metadataPath).add(backup.path);
    if (backup.record?.roles) known.add(join(folder, backup.record.roles.path));
    await checkFiles(backup).catch((error: unknown) => broken.push(`${backup.id}: ${messageOf(error)}`));
  }
  const good = new Set(backups.filter(isGood).map(({id}) => id));
  for (const id of kept) if (!good.has(id)) broken.push(`the good backup ${id} is gone`);
  for (const name of await namesIn(folder)) {
    const path = join(folder, name);
    if (known.has(path) || name.startsWith('.')) continue;
    if (name.endsWith(partialSuffix)) {
      if (!traces.inFolder) broken.push(`${name} was left behind`);
    } else if (!traces.inFolder || name.endsWith(metadataSuffix)) {
      broken.push(`${name} looks like a backup and is none`);
    } else if ((await lstat(path)).size === 0) {
      // The dump is renamed before its metadata: in between it is complete, but not a backup yet.
      broken.push(`${name} bears its name and is empty`);
    }
  }
  return broken;
}

async function checkJournals({backupsDir}: Watched, traces: Traces): Promise<string[]> {
  const folder = join(backupsDir, '.journal');
  const names: string[] = [];
  // A journal with an incomplete first line names nothing; `recover` removes it once no run can be writing it.
  for (const name of await namesIn(folder))
    if ((await readFile(join(folder, name), 'utf8')).includes('\n')) names.push(name);
  const isAllowed = traces.inFolder || traces.onServer || names.length === 0;
  return isAllowed ? [] : [`a journal was left behind: ${names.join()}`];
}

async function checkDatabases({server, databases}: Watched, traces: Traces): Promise<string[]> {
  const broken: string[] = [];
  const listed = await withAppSession(server, listDatabases);
  for (const [name, allowed] of Object.entries(databases)) {
    const found = listed.find((database) => database.name === name);
    if (found?.allowsConnections === false) broken.push(`"${name}" lets nobody in`);
    else if (!found && !allowed.includes(null)) broken.push(`"${name}" is gone`);
    else if (found && !allowed.includes(await contentOf(withDatabase(server, name))))
      broken.push(`"${name}" holds neither all of the old nor all of the new`);
  }
  for (const {name, mark} of listed) {
    const isWork = mark?.kind === 'staging' || mark?.kind === 'scratch';
    const isKnown = name in databases || mark?.kind === 'set-aside' || standing.has(name);
    if (!traces.onServer && (isWork || !isKnown)) broken.push(`the database "${name}" was left behind`);
  }
  const roles = traces.onServer ? [] : await withAppSession(server, listScratchRoles);
  for (const {name} of roles) broken.push(`the role "${name}" was left behind`);
  return broken;
}

const standing = new Set([
  'postgres',
  'template0',
  'template1',
  'shop_template',
  'small_template',
  'changed_template',
  'platform_template',
  'application_template',
  'cleaned_template',
  'damaged_template',
  'back_template',
]);

async function checkIndexes({server, temporaryIndexes}: Watched): Promise<string[]> {
  if (temporaryIndexes === undefined) return [];
  const names = await withAppSession(withDatabase(server, temporaryIndexes), (session) =>
    session.query(`SELECT relname FROM pg_class WHERE starts_with(relname, 'destino_db_')`),
  );
  return names.map(({relname}) => `the index ${relname ?? ''} was left behind`);
}

/** If rows were restored, a complete undo file exists. */
async function checkUndoFiles({backupsDir, server, rowsBack}: Watched, traces: Traces): Promise<string[]> {
  if (!rowsBack) return [];
  const folder = join(backupsDir, 'row-undo');
  const names = await namesIn(folder);
  const broken: string[] = [];
  for (const name of names.filter((each) => !each.endsWith(partialSuffix)))
    await readOrderSnapshot(join(folder, name)).catch((error: unknown) => broken.push(messageOf(error)));
  if (!traces.inFolder)
    broken.push(
      ...names.filter((name) => name.endsWith(partialSuffix)).map((name) => `${name} was left behind`),
    );
  const isBack = (await contentOf(withDatabase(server, rowsBack.database))) === rowsBack.after;
  if (isBack && !names.some((name) => name.endsWith('.json')))
    broken.push('rows were put back without an undo file');
  return broken;
}

/** The server takes a moment to notice that a session's program has ended. */
async function checkSessions({server}: Watched): Promise<string[]> {
  return withAppSession(server, async (session) => {
    const look = async (): Promise<string[]> => {
      const rows = await session.query(
        `SELECT format('%s (%s) still runs: %s', application_name, state, left(query, 80)) AS who FROM pg_stat_activity
          WHERE application_name IN ('destino-db', 'pg_dump', 'pg_restore', 'psql') AND pid <> pg_backend_pid()`,
      );
      return rows.map(({who}) => who ?? '');
    };
    let found: string[] = [];
    const isEmpty = async () => (found = await look()).length === 0;
    return until('no session is left', isEmpty).then(
      () => [],
      () => found,
    );
  });
}

async function checkOrders({backupsDir, server, cleaned}: Watched, traces: Traces): Promise<string[]> {
  const broken: string[] = [];
  const files: OrderFile[] = [];
  const folder = join(backupsDir, 'order-cleanup');
  for (const name of await namesIn(folder)) {
    if (name.endsWith('.json')) {
      const read = await readOrderSnapshot(join(folder, name)).catch((error: unknown) => messageOf(error));
      if (typeof read === 'string') broken.push(`${name}: ${read}`);
      else files.push(read);
    } else if (!traces.inFolder) broken.push(`${name} was left behind`);
  }
  if (!cleaned) return broken;
  const isGone = (await contentOf(withDatabase(server, cleaned.database))) === cleaned.after;
  const rowsOf = ({tables}: OrderFile): number => tables.reduce((sum, {rows}) => sum + rows, 0);
  if (isGone && !files.some((file) => rowsOf(file) === cleaned.rows))
    broken.push('rows are gone and in no order backup');
  return broken;
}

/** A digest of every row of every table, computed by the server without this program's own fingerprints. */
export async function contentOf(connection: Connection): Promise<string> {
  return withAppSession(connection, async (session) => {
    const tables = await session.query(
      `SELECT format('SELECT %L || coalesce(md5(string_agg(md5(t::text), '''' ORDER BY md5(t::text))), '''') AS part FROM %s t', c.oid::regclass, c.oid::regclass) AS sql
         FROM pg_class c WHERE relkind = 'r' AND relpersistence = 'p'
          AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
        ORDER BY c.oid::regclass::text`,
    );
    if (tables.length === 0) return 'no tables';
    const parts = tables.map(({sql}) => sql ?? '').join(' UNION ALL ');
    const [row] = await session.query(
      `SELECT md5(string_agg(part, ',' ORDER BY part)) AS content FROM (${parts}) p`,
    );
    return row?.['content'] ?? '';
  });
}

async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => []); // not created yet
}
