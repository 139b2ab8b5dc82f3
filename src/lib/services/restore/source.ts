/** Finds the backup for a restore, and verifies that it is intact before any target is touched. */
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
  /** The backup's id, or the file's name if it has no metadata. */
  readonly id: string;
  readonly path: string;
  /** Null for a file without metadata. */
  readonly backup: Backup | null;
  readonly dump: DetectedDump;
  readonly createdAt: Date;
  readonly sizeBytes: number;
  /** Requirements of the dump, if they were found while it was read to its end. */
  readonly needs?: DumpNeeds;
  /** Definitions in the dump, if they were read at the same time. */
  readonly definitions?: readonly DumpDefinition[];
}

/** The source with its contents, after its bytes were compared with their digests. */
export interface VerifiedSource extends RestoreSource {
  /** Whether it was read to its end. If not, the tables come from the metadata, and only the comparison after the load verifies their rows. */
  readonly isReadWhole: boolean;
  /** The tables with rows in the dump, counted and fingerprinted. */
  readonly tables: readonly DumpedTable[];
  /** Encoding of the tables' text. */
  readonly encoding: string;
  readonly sequences: DumpContents['sequences'];
  readonly refreshedViews: DumpContents['refreshedViews'];
}

/**
 * Finds the backup named by the flags, or a dump without metadata if its path is given.
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
    context.warn(`${path} has no metadata, so only its completeness can be checked, not its checksums.`);
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
 * Compares every byte with its digest and reads the dump to its end: a local file in two passes, an object of a bucket in one.
 * @throws CHECKSUM_MISMATCH, BACKUP_INCOMPLETE, VERIFY_FAILED, UNSAFE_DUMP and the codes of the location
 */
export async function verifySource(
  context: RunContext,
  source: RestoreSource,
  onBytes: (done: number, total: number) => void,
): Promise<VerifiedSource> {
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
 * This needs an earlier check that read the same bytes to their end, and metadata with the fingerprint of every table. The
 * comparison after the load then verifies the same rows as a second reading.
 * @returns undefined if the archive must be read first
 * @throws CHECKSUM_MISMATCH, BACKUP_INCOMPLETE
 */
export async function checkSource(
  {signal}: RunContext,
  source: RestoreSource,
  onBytes: (done: number, total: number) => void,
): Promise<VerifiedSource | undefined> {
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
  source: VerifiedSource,
  failure: unknown,
): Promise<AppError | undefined> {
  const statuses: readonly number[] = [exitStatus.failed, exitStatus.integrity];
  const canBeDamage = failure instanceof AppError && statuses.includes(failure.exitCode);
  if (source.isReadWhole || !canBeDamage || context.signal.aborted) return undefined;
  try {
    await readChecked(context, source);
    return undefined;
  } catch (error) {
    context.signal.throwIfAborted();
    return error instanceof AppError && error.exitCode === exitStatus.integrity ? error : undefined;
  }
}

/** Reads an archive to its end after `checkSource`. @throws the errors of `verifySource` */
export async function readChecked(context: RunContext, source: VerifiedSource): Promise<VerifiedSource> {
  return context.progress.step('Read the backup', (step) =>
    verifySource(context, source, (done, total) => step.advance(done, total, 'bytes')),
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

/** An archive lists needs and definitions in its head; a plain dump would have to be read again for them. */
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

/** @throws VERIFY_FAILED if the rows in the dump differ from the metadata */
function requireRecordedRows(record: BackupRecord | null, tables: readonly DumpedTable[]): void {
  if (!record) return;
  const read = new Map(tables.map((table) => [JSON.stringify([table.schema, table.name]), table]));
  const differing = record.tables.flatMap(({schema, name, rows, fingerprint}) => {
    const found = read.get(JSON.stringify([schema, name]));
    if (rows === null || record.config.schemaOnly) return [];
    if (!found) return [`${schema}.${name}: not in the dump`];
    if (found.rows !== rows) return [`${schema}.${name}: ${found.rows} rows, the metadata says ${rows}`];
    const isOther = fingerprint !== null && found.fingerprint !== null && fingerprint !== found.fingerprint;
    return isOther ? [`${schema}.${name}: different rows than recorded in the metadata`] : [];
  });
  if (differing.length === 0) return;
  throw new AppError('VERIFY_FAILED', `The content of the backup ${record.id} differs from its metadata.`, {
    details: differing,
  });
}

/** Reads the names of roles and extensions in the dump. */
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

/** Reads the definitions in the dump; those of an archive include settings, rights and comment of the database itself. */
export async function readDumpDefinitions(
  source: RestoreSource,
  pgRestore: Tool | null,
  signal: AbortSignal,
): Promise<readonly DumpDefinition[]> {
  if (source.definitions) return source.definitions;
  let definitions: DumpDefinition[] = [];
  // pg_restore refuses to write a name with a line break, because a \connect could end in it (CVE-2025-8715). The settings of such a database are not compared.
  const hasDatabase = !/[\r\n]/.test(source.backup?.database ?? '');
  await readHead(source, pgRestore, {hasDatabase}, signal, async (sql) => {
    definitions = await readDefinitions(sql, signal);
  });
  return definitions;
}

/** Selects the objects that belong to these tables, by the dependencies in the dump. */
export async function readTableSelection(
  source: VerifiedSource,
  pgRestore: Tool | null,
  tables: readonly ObjectName[],
  signal: AbortSignal,
): Promise<TableSelection> {
  const definitions = await readDumpDefinitions(source, pgRestore, signal);
  const dependencies = await readDependencies(source, pgRestore, definitions, source.encoding, signal);
  return selectTables(definitions, dependencies, tables);
}

/** Dependencies between the dump's definitions: as recorded in an archive, or by the names in a plain dump. */
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

/** Schemas created by extensions, according to the metadata. */
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

/** Reads a plain dump to its end, once, for its needs and definitions, because it has no head. */
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

/** Options with which pg_restore writes its SQL unchanged. */
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
