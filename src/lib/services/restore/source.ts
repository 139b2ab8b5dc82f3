/** Finds the backup that a restore is to use, and proves that it is whole before any target is touched. */
import {stat} from 'node:fs/promises';
import {basename, resolve} from 'node:path';
import {exists} from '../../base/safe-file.js';
import {formats} from '../../base/formats.js';
import {z} from 'zod';
import {
  type DumpContents,
  type DumpedTable,
  inOrder,
  largeObjectTable,
  type ObjectName,
} from '../../fingerprint/table-contents.js';
import {qualifiedName} from '../../base/qualified-name.js';
import {type DetectedDump, detectDump} from '../../dump/detect-format.js';
import {collectDefinitions, type DumpDefinition, readDefinitions} from '../../dump/dump-definitions.js';
import {collectDumpNeeds, type DumpNeeds} from '../../dump/dump-needs.js';
import {openPlainDump} from '../../dump/open-plain-dump.js';
import {filterPlainDump} from '../../dump/plain-dump-filter.js';
import type {CustomHead} from '../../dump/compress/custom-format.js';
import {readArchiveHead} from '../../dump/read-archive-head.js';
import {readDump, type ReadDumpOptions} from '../../dump/read-dump.js';
import type {RemoteDump} from '../../postgres/tools/archive-input.js';
import {
  type Dependencies,
  dependenciesByName,
  dependenciesInList,
  selectTables,
  type TableSelection,
} from '../../dump/select-tables.js';
import {type BackupRecord, standingOfRecord} from '../../catalog/backup-record.js';
import {isAtLeast} from '../../run/check-outcome.js';
import type {Backup} from '../../catalog/catalogue.js';
import {checkFiles} from '../../catalog/check-files.js';
import {sizeOf} from '../../base/checksum.js';
import {AppError, exitStatus} from '../../base/errors.js';
import type {Tool} from '../../postgres/tools/find-tools.js';
import {listArchive, type PgRestoreOptions, streamArchive} from '../../postgres/tools/pg-restore.js';
import type {RunContext} from '../../run/run-context.js';
import {chooseOwn} from '../../storage/choose-backup.js';
import {openSource} from '../../storage/open-place.js';
import type {RestoreRequest} from './options.js';

export interface RestoreSource {
  /** The backup's id, or the file's name where it has no metadata. */
  readonly id: string;
  readonly path: string;
  /** Null for a file without metadata. */
  readonly backup: Backup | null;
  readonly dump: DetectedDump;
  readonly createdAt: Date;
  readonly sizeBytes: number;
  /** What the dump needs of a server, where it was found while the dump was read whole. */
  readonly needs?: DumpNeeds;
  /** Its definitions, where they were read at the same time. */
  readonly definitions?: readonly DumpDefinition[];
}

/** The source with its contents, after its bytes were compared with their digests. */
export interface ProvenSource extends RestoreSource {
  /** Whether it was read to its end. Otherwise its tables are those of the metadata, and only the comparison after the load proves their rows. */
  readonly isReadWhole: boolean;
  /** The tables with rows in the dump, counted and fingerprinted. */
  readonly tables: readonly DumpedTable[];
  /** What their text is encoded in. */
  readonly encoding: string;
  readonly sequences: DumpContents['sequences'];
  readonly refreshedViews: DumpContents['refreshedViews'];
}

/**
 * The backup that the flags name; a dump without metadata is taken too when its path is given.
 * @throws BACKUP_NOT_FOUND, NOT_A_BACKUP, METADATA_INVALID, BACKUP_INCOMPLETE
 */
export async function findRestoreSource(
  context: RunContext,
  request: RestoreRequest,
): Promise<RestoreSource> {
  const {settings} = context;
  try {
    const backup = await chooseOwn(context, await openSource(settings, undefined), request);
    return await describe(backup.path, backup);
  } catch (error) {
    const isNewest = request.backupFile === undefined || request.backupFile === 'latest';
    const isUnknown = error instanceof AppError && error.code === 'BACKUP_NOT_FOUND';
    const path = resolve(settings.cwd, request.backupFile ?? '');
    if (!isUnknown || isNewest || !(await exists(path))) throw error;
    context.warn(
      `${path} has no metadata: whether it is what was once written cannot be proven, only that it is complete.`,
    );
    return describe(path, null);
  }
}

async function describe(path: string, backup: Backup | null): Promise<RestoreSource> {
  return {
    id: backup?.id ?? basename(path),
    path,
    backup,
    dump: await detectDump(path),
    createdAt: backup?.createdAt ?? (await stat(path)).mtime,
    sizeBytes: await sizeOf(path),
  };
}

/**
 * Compares every byte with its digest and reads the dump to its end: a file here in two passes, what comes from a store in one.
 * @throws CHECKSUM_MISMATCH, BACKUP_INCOMPLETE, VERIFY_FAILED, UNSAFE_DUMP and the codes of the store
 */
export async function proveSource(
  context: RunContext,
  source: RestoreSource,
  onBytes: (done: number, total: number) => void,
): Promise<ProvenSource> {
  const {signal, settings} = context;
  const {remote} = source.dump;
  const total = source.sizeBytes * 2;
  if (!remote && source.backup)
    await checkFiles(source.backup, {signal, onBytes: (done) => onBytes(done, total)});
  const collector = headCollector();
  const contents = await readDump(remote ? {...source.dump, remote: counted(remote, onBytes)} : source.dump, {
    settings,
    signal,
    fingerprints: true,
    ...(remote ? {} : {onBytes: (done: number) => onBytes(source.sizeBytes + done, total)}),
    ...alsoReading(source, collector, signal),
  });
  requireRecordedRows(source.backup?.record ?? null, contents.tables);
  const {tables, encoding, sequences, refreshedViews} = contents;
  return {
    ...source,
    ...collected(source, collector),
    isReadWhole: true,
    tables,
    encoding,
    sequences,
    refreshedViews,
  };
}

/**
 * Compares every byte of an archive with its digest without reading the rows, for a restore into a database that is compared before use.
 * An earlier check must have read the same bytes to their end, and the metadata must have the fingerprint of every table: then the
 * comparison after the load proves the same rows as another reading.
 * @returns undefined if the archive must be read first
 * @throws CHECKSUM_MISMATCH, BACKUP_INCOMPLETE
 */
export async function checkSource(
  {signal}: RunContext,
  source: RestoreSource,
  onBytes: (done: number, total: number) => void,
): Promise<ProvenSource | undefined> {
  const {dump, backup} = source;
  const record = backup?.record;
  if (!record || !formats[dump.format].isArchive || dump.remote) return undefined;
  const {proof} = standingOfRecord(record);
  if (!proof || !isAtLeast(proof.level, 'archive')) return undefined;
  const head = await readArchiveHead(dump);
  const tables = head && tablesOf(head, record);
  if (!tables) return undefined;
  await checkFiles(backup, {signal, onBytes});
  const {encoding, sequences, refreshedViews} = head;
  return {...source, isReadWhole: false, tables, encoding, sequences, refreshedViews};
}

/** The tables of the metadata with their columns from the archive; undefined if the two name different tables, or a table has no fingerprint. */
function tablesOf({entries}: CustomHead, {tables}: BackupRecord): DumpedTable[] | undefined {
  const columns = new Map(
    entries.map(({copy}) =>
      copy ? [qualifiedName(copy), copy.columns] : [qualifiedName(largeObjectTable), ['loid', 'data']],
    ),
  );
  const known = tables.flatMap(({schema, name, rows, fingerprint}) => {
    const found = columns.get(qualifiedName({schema, name}));
    return found && rows !== null && fingerprint !== null
      ? [{schema, name, columns: found, rows, fingerprint}]
      : [];
  });
  return known.length === tables.length && known.length === columns.size ? inOrder(known) : undefined;
}

/**
 * Reads an archive to its end after a failure, if it was not read before: the cause may be damage.
 * @returns the damage; undefined if there is none, or the archive was read before
 * @throws INTERRUPTED
 */
export async function findDamage(
  context: RunContext,
  source: ProvenSource,
  failure: unknown,
): Promise<AppError | undefined> {
  const statuses: readonly number[] = [exitStatus.failed, exitStatus.integrity];
  const isTelling = failure instanceof AppError && statuses.includes(failure.exitCode);
  if (source.isReadWhole || !isTelling || context.signal.aborted) return undefined;
  try {
    await readChecked(context, source);
    return undefined;
  } catch (error) {
    context.signal.throwIfAborted();
    return error instanceof AppError && error.exitCode === exitStatus.integrity ? error : undefined;
  }
}

/** Reads an archive to its end that `checkSource` has checked. @throws as `proveSource` does */
export async function readChecked(context: RunContext, source: ProvenSource): Promise<ProvenSource> {
  return context.progress.step('Read the backup', (step) =>
    proveSource(context, source, (done, total) => step.advance(done, total, 'bytes')),
  );
}

function counted(remote: RemoteDump, onBytes: (done: number, total: number) => void): RemoteDump {
  async function* open(): AsyncGenerator<Buffer> {
    let done = 0;
    for await (const chunk of remote.open()) {
      onBytes((done += chunk.length), remote.sizeBytes);
      yield chunk;
    }
  }
  return {...remote, open};
}

/** An archive tells its needs and definitions in its head; a plain dump would have to be read once more for them. */
function alsoReading(
  {dump}: RestoreSource,
  collector: HeadCollector,
  signal: AbortSignal,
): Pick<ReadDumpOptions, 'alsoRead'> {
  return formats[dump.format].isArchive ? {} : {alsoRead: (sql) => collector.readAll(sql, signal)};
}

function collected(
  {dump}: RestoreSource,
  collector: HeadCollector,
): Pick<RestoreSource, 'needs' | 'definitions'> {
  return formats[dump.format].isArchive
    ? {}
    : {needs: collector.needs(), definitions: collector.definitions()};
}

/** @throws VERIFY_FAILED when the dump does not hold what its metadata says */
function requireRecordedRows(record: BackupRecord | null, tables: readonly DumpedTable[]): void {
  if (!record) return;
  const read = new Map(tables.map((table) => [JSON.stringify([table.schema, table.name]), table]));
  const differing = record.tables.flatMap(({schema, name, rows, fingerprint}) => {
    const found = read.get(JSON.stringify([schema, name]));
    if (rows === null || record.config.schemaOnly) return [];
    if (!found) return [`${schema}.${name}: not in the dump`];
    if (found.rows !== rows) return [`${schema}.${name}: ${found.rows} rows, the metadata says ${rows}`];
    const isOther = fingerprint !== null && found.fingerprint !== null && fingerprint !== found.fingerprint;
    return isOther ? [`${schema}.${name}: other rows than the metadata says`] : [];
  });
  if (differing.length === 0) return;
  throw new AppError('VERIFY_FAILED', `The backup ${record.id} does not hold what its metadata says.`, {
    details: differing,
  });
}

/** Reads which roles and extensions the dump names. */
export async function readDumpNeeds(
  source: RestoreSource,
  pgRestore: Tool | null,
  signal: AbortSignal,
): Promise<DumpNeeds> {
  if (source.needs) return source.needs;
  const {readAll, needs} = headCollector();
  await readHead(source, pgRestore, {}, signal, (sql) => readAll(sql, signal));
  return needs();
}

/** Reads what the dump defines, the database's own settings, rights and comment among it where it is an archive. */
export async function readDumpDefinitions(
  source: RestoreSource,
  pgRestore: Tool | null,
  signal: AbortSignal,
): Promise<readonly DumpDefinition[]> {
  if (source.definitions) return source.definitions;
  let definitions: DumpDefinition[] = [];
  // pg_restore refuses to write such a name, as a \connect could end in the middle of it (CVE-2025-8715); the settings of that database are not compared then.
  const hasDatabase = !/[\r\n]/.test(source.backup?.database ?? '');
  await readHead(source, pgRestore, {hasDatabase}, signal, async (sql) => {
    definitions = await readDefinitions(sql, signal);
  });
  return definitions;
}

/** What comes with these tables, from what the dump records of dependencies. */
export async function readTableSelection(
  source: ProvenSource,
  pgRestore: Tool | null,
  tables: readonly ObjectName[],
  signal: AbortSignal,
): Promise<TableSelection> {
  const definitions = await readDumpDefinitions(source, pgRestore, signal);
  const dependencies = await readDependencies(source, pgRestore, definitions, source.encoding, signal);
  return selectTables(definitions, dependencies, tables);
}

/** What the dump's definitions need: as an archive records it, or by the names in a plain dump. */
export async function readDependencies(
  source: RestoreSource,
  pgRestore: Tool | null,
  definitions: readonly DumpDefinition[],
  encoding: string,
  signal: AbortSignal,
): Promise<Dependencies> {
  if (!pgRestore) return dependenciesByName(definitions, makersOf(source));
  const lines = await listArchive(pgRestore, source.dump, encoding, signal, 'PG_RESTORE_FAILED', true);
  return dependenciesInList(definitions, lines);
}

/** Which schemas extensions made themselves, as the metadata tells. */
function makersOf({backup}: RestoreSource): ReadonlyMap<string, readonly string[]> {
  const {data} = madeSchemas.safeParse(backup?.record?.inventory['extensions']);
  return new Map(data?.map(({name, schemas}) => [name, schemas]));
}

const madeSchemas = z.array(z.object({name: z.string(), schemas: z.array(z.string()).default([])}));

async function readHead(
  source: RestoreSource,
  pgRestore: Tool | null,
  choice: Pick<PgRestoreOptions, 'hasDatabase'>,
  signal: AbortSignal,
  read: (sql: AsyncIterable<Buffer>) => Promise<void>,
): Promise<void> {
  if (!pgRestore) return read(openPlainDump(source.dump));
  const options = {...readingOptions, schemaOnly: true, ...choice};
  await streamArchive(pgRestore, source.dump, options, read, signal);
}

/** A plain dump has no head: it is read whole, once, for its needs and definitions. */
export async function withDefinitions(source: RestoreSource, signal: AbortSignal): Promise<RestoreSource> {
  if (formats[source.dump.format].isArchive) return source;
  const collector = headCollector();
  await collector.readAll(openPlainDump(source.dump), signal);
  return {...source, ...collected(source, collector)};
}

interface HeadCollector {
  readonly readAll: (sql: AsyncIterable<Buffer>, signal: AbortSignal) => Promise<void>;
  readonly needs: () => DumpNeeds;
  readonly definitions: () => DumpDefinition[];
}

function headCollector(): HeadCollector {
  const needs = collectDumpNeeds();
  const {reads, definitions} = collectDefinitions();
  const rules = {
    keeps: () => true,
    leavesOut: (line: string): boolean => {
      needs.read(line);
      return true;
    },
    reads,
  };
  return {
    async readAll(sql, signal) {
      const rest = filterPlainDump(sql, rules);
      while ((await rest.next()).done !== true) signal.throwIfAborted();
    },
    needs: needs.needs,
    definitions,
  };
}

/** Options that change nothing about the SQL that pg_restore writes. */
export const readingOptions = {
  jobs: 1,
  isSingleTransaction: false,
  isCleaning: false,
  schemaOnly: false,
  dataOnly: false,
  stopsOnError: false,
  noOwner: false,
  noAcl: false,
};
