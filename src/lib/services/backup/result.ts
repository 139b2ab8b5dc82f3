/** A finished backup as its metadata and as the result of the run. */
import {createHash} from 'node:crypto';
import {join} from 'node:path';
import {isWithoutRows} from '../../base/left-out-rows.js';
import {qualifiedName} from '../../base/qualified-name.js';
import {formats} from '../../base/formats.js';
import type {DumpContents} from '../../fingerprint/table-contents.js';
import {elapsedMs} from '../../base/clock.js';
import {
  type BackupRecord,
  contentOf,
  type RecordedTable,
  type Shrink,
  type Verification,
} from '../../catalog/backup-record.js';
import type {DumpPlace} from '../../catalog/dump-place.js';
import type {BackupContent, Outcome} from '../../run/check-outcome.js';
import {outsideDatabase} from '../../catalog/outside-database.js';
import {compressArgument, dumpArguments} from '../../postgres/tools/pg-dump.js';
import type {RunContext} from '../../run/run-context.js';
import type {BackupRequest} from './options.js';
import type {Settings} from '../../settings/settings.js';
import {keyWords} from '../../encryption/settings.js';
import {type BackupPlan, dumpOptions, plannedInventory} from './plan.js';
import {shellCommand, shellVariables} from '../../base/shell-quote.js';
import {supabaseProject} from '../../postgres/connect/supabase-project.js';

export interface BackupResult {
  readonly mode: 'dry-run' | 'execute';
  readonly id: string | null;
  readonly path: string | null;
  readonly metadataPath: string | null;
  readonly database: string;
  readonly format: string;
  /** Bytes; estimated in a dry run. */
  readonly size: number;
  /** ms */
  readonly duration: number;
  readonly sha256: BackupRecord['sha256'] | null;
  readonly encrypted: boolean;
  /** Flags that decrypt it, with a name to fill in; empty if it is unencrypted or the config file names the key. */
  readonly keyFlags: readonly string[];
  readonly tables: readonly {table: string; rows: number | null; fingerprint: string | null}[];
  readonly content: BackupContent;
  readonly verification: {level: string; ok: boolean; outcome: Outcome} | null;
  /** Tables and sequences of the platform that this role may not read, with the reason. */
  readonly unreadable: readonly {table: string; reason: string}[];
  /** Tables without their rows, as a pattern excludes these, with the reason. */
  readonly withoutRows: readonly {table: string; reason: string}[];
  /** Data that the service keeps outside the database, in words; the counts are known once the backup was read back. */
  readonly outside: readonly string[];
  readonly pruned: readonly {id: string; reason: string}[];
  /** The earlier backup with the same content, whose stored bytes this one shares; null if it has its own. */
  readonly equalTo: string | null;
  /** Tables that lost suspiciously many rows; the exit status is then 4. */
  readonly shrink: readonly Shrink[];
  readonly warnings: readonly string[];
  /** The pg_dump command line, without secrets; dry run only. */
  readonly commands: readonly string[];
}

/** A dump that was read back, with its contents. */
export interface VerifiedDump {
  readonly verification: Verification;
  readonly contents: DumpContents;
}

export interface RecordParts {
  readonly context: RunContext;
  readonly plan: BackupPlan;
  readonly place: DumpPlace;
  /** When the name was made, just before the data were read. */
  readonly createdAt: Date;
  readonly startedMs: number;
  readonly sha256: BackupRecord['sha256'];
  readonly size: number;
  readonly verified: VerifiedDump | undefined;
  /** Settings, privileges and comment of the database. */
  readonly properties: string;
  readonly inventory: BackupRecord['inventory'];
  readonly roles: BackupRecord['roles'];
  readonly shrink: readonly Shrink[];
  readonly request: BackupRequest;
}

export function toRecord(parts: RecordParts): BackupRecord {
  const {context, plan, place, verified} = parts;
  const {identity, options, connection} = plan;
  const project = supabaseProject(connection);
  return {
    schemaVersion: 1,
    toolVersion: context.toolVersion,
    id: place.id,
    timestamp: parts.createdAt.toISOString(),
    databaseName: identity.database,
    format: options.format,
    compressed: options.isCompressed,
    size: parts.size,
    duration: elapsedMs(context.clock, parts.startedMs),
    postgresVersion: identity.version,
    backupPath: place.finalName,
    config: {
      compression:
        options.recompressLevel === undefined
          ? (compressArgument(options) ?? null)
          : `gzip:${options.recompressLevel}`,
      schemaOnly: options.schemaOnly,
      dataOnly: options.dataOnly,
      includeTables: [...options.includeTables],
      excludeTables: [...options.excludeTables],
      excludeTableData: [...(options.excludeTableData ?? [])],
      includeSchemas: [...options.includeSchemas],
      excludeSchemas: [...options.excludeSchemas],
      parallelJobs: formats[options.format].takesJobs ? options.parallelJobs : 1,
    },
    content: contentOf({config: options}),
    clientVersion: plan.tool.version,
    serverMajor: identity.major,
    source: {
      systemIdentifier: identity.systemIdentifier,
      host: connection.host,
      port: connection.port,
      ...(project === undefined ? {} : {project}),
      owner: identity.owner,
      locale: identity.locale,
      sizeBytes: identity.sizeBytes,
    },
    sha256: parts.sha256,
    tables: recordedTables(plan, verified?.contents),
    ...definitionsOf(verified?.contents, parts.properties),
    inventory: parts.inventory,
    roles: parts.roles,
    verification: verified?.verification ?? null,
    proofs: [],
    shrink: [...parts.shrink],
    label: parts.request.label ?? null,
    warnings: plan.warnings,
  };
}

/** pg_restore prints the properties of the database only for --create, so that readers of archives do not see them. */
function definitionsOf(
  contents: DumpContents | undefined,
  properties: string,
): Pick<BackupRecord, 'definitions'> | undefined {
  const digest = contents?.definitions ?? null;
  if (digest === null) return undefined;
  return {definitions: createHash('sha256').update(`${digest}\n${properties}`).digest('hex')};
}

function recordedTables(plan: BackupPlan, contents: DumpContents | undefined): RecordedTable[] {
  const tables =
    contents?.tables ?? plan.selection.tables.map((table) => ({...table, rows: null, fingerprint: null}));
  const sizes = new Map(plan.selection.tables.map((table) => [qualifiedName(table), table.sizeBytes]));
  return tables
    .map(({schema, name, rows, fingerprint}) => {
      const sizeBytes = sizes.get(qualifiedName({schema, name}));
      return {schema, name, rows, fingerprint, ...(sizeBytes === undefined ? {} : {sizeBytes})};
    })
    .sort((a, b) => compareText(a.schema, b.schema) || compareText(a.name, b.name));
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export function toResult(
  settings: Settings,
  record: BackupRecord,
  place: DumpPlace,
  warnings: readonly string[],
  pruned: BackupResult['pruned'],
): BackupResult {
  return {
    mode: 'execute',
    id: record.id,
    path: place.finalPath,
    metadataPath: place.metadataPath,
    database: record.databaseName,
    format: record.format,
    size: record.size,
    duration: record.duration,
    sha256: record.sha256,
    encrypted: record.encryption !== undefined,
    keyFlags: keyWords(settings, record),
    tables: record.tables.map((table) => ({
      table: qualifiedName(table),
      rows: table.rows,
      fingerprint: table.fingerprint,
    })),
    content: contentOf(record),
    verification: record.verification
      ? {level: record.verification.level, ok: record.verification.ok, outcome: 'passed'}
      : null,
    unreadable: record.inventory.unreadable ?? [],
    withoutRows: record.inventory.leftOut.filter(({reason}) => isWithoutRows(reason)),
    outside: outsideDatabase(record),
    pruned,
    equalTo: record.equalTo ?? null,
    shrink: record.shrink,
    warnings,
    commands: [],
  };
}

export function describePlan(plan: BackupPlan): BackupResult {
  const {host, port, user, database} = plan.connection;
  const server = shellVariables({PGHOST: host, PGPORT: port, PGUSER: user, PGDATABASE: database});
  const dump = [plan.tool.path, ...dumpArguments(dumpOptions(plan, undefined), join(plan.folder, 'NAME'))];
  return {
    mode: 'dry-run',
    id: null,
    path: null,
    metadataPath: null,
    database: plan.identity.database,
    format: plan.options.format,
    size: plan.estimateBytes,
    duration: 0,
    sha256: null,
    encrypted: plan.encryption.to !== undefined && plan.encryption.isLocal,
    keyFlags: [],
    tables: plan.selection.tables.map((table) => ({
      table: qualifiedName(table),
      rows: null,
      fingerprint: null,
    })),
    content: contentOf({config: plan.options}),
    unreadable: plan.selection.unreadable,
    withoutRows: plan.selection.leftOut.filter(({reason}) => isWithoutRows(reason)),
    outside: outsideDatabase({inventory: plannedInventory(plan.selection), tables: []}),
    verification: null,
    pruned: [],
    equalTo: null,
    shrink: [],
    warnings: plan.warnings,
    commands: [`${server} ${shellCommand(dump)}`],
  };
}
