/** The story of `backup`: look, dump, sync, checksum, verify, name, record. */

import {join, resolve} from 'node:path';
import type {DumpContents} from '../archive/dump-contents.js';
import {readDump} from '../archive/read-dump.js';
import type {BackupRecord, RecordedTable, Verification} from '../backups/backup-record.js';
import {formatBackupRecord} from '../backups/backup-record.js';
import {type Backup, readCatalogue} from '../backups/catalogue.js';
import {digestFile, filesOfFolder, sizeOf} from '../backups/checksum.js';
import {estimateDumpSize, requireSpace} from '../backups/disk-space.js';
import {discardDump, type DumpPlace, publishDump, reserveDumpPlace, syncDump} from '../backups/dump-place.js';
import {writeFileSafely} from '../backups/safe-file.js';
import {AppError} from '../errors.js';
import {countOf, formatBytes} from '../format.js';
import {withSession} from '../postgres/client.js';
import {type Connection, refuseTransactionPooler, resolveConnection} from '../postgres/connection.js';
import {type DumpSelection, selectForDump} from '../postgres/dump-selection.js';
import {findTool, type Tool} from '../postgres/find-tools.js';
import {type DatabaseIdentity, inspectIdentity} from '../postgres/inspect-database.js';
import {inspectInventory} from '../postgres/inspect-inventory.js';
import {findSupabaseSchemas} from '../postgres/managed-schemas.js';
import {type DumpOptions, dumpArguments, runPgDump} from '../postgres/pg-dump.js';
import {withSnapshot} from '../postgres/snapshot.js';
import type {RunContext} from '../run-context.js';
import {type BackupOptions, type BackupRequest, resolveBackupOptions} from './backup-options.js';
import {trackDump} from './track-dump.js';

export interface BackupResult {
  readonly mode: 'dry-run' | 'execute';
  readonly id: string | null;
  readonly path: string | null;
  readonly metadataPath: string | null;
  readonly database: string;
  readonly format: string;
  /** Bytes; in a dry run the estimate. */
  readonly size: number;
  /** ms */
  readonly duration: number;
  readonly sha256: BackupRecord['sha256'] | null;
  readonly tables: readonly {table: string; rows: number | null; fingerprint: string | null}[];
  readonly verification: {level: string; ok: boolean} | null;
  readonly pruned: readonly {id: string; reason: string}[];
  readonly warnings: readonly string[];
  /** The pg_dump command line, without secrets; dry run only. */
  readonly commands: readonly string[];
}

/** What was found out before anything is written. */
interface BackupPlan {
  readonly connection: Connection;
  readonly options: BackupOptions;
  readonly folder: string;
  readonly identity: DatabaseIdentity;
  readonly selection: DumpSelection;
  readonly tool: Tool;
  readonly estimateBytes: number;
  readonly isEstimateMeasured: boolean;
  readonly previous: Backup | undefined;
  readonly warnings: string[];
}

/**
 * Makes a backup of the database that the settings name.
 * Whatever goes wrong, nothing is left that looks like a backup, and no older backup is touched.
 * @throws the codes of connection, tools and disk; PATTERN_MATCHES_NOTHING, ROW_SECURITY, PG_DUMP_FAILED, VERIFY_FAILED
 */
export async function backupDatabase(context: RunContext, request: BackupRequest): Promise<BackupResult> {
  const startedMs = context.clock.now().getTime();
  context.progress.plan(request.dryRun === true ? ['Look at the database'] : stepTitles(request));
  const plan = await context.progress.step('Look at the database', async (step) => {
    const made = await planBackup(context, request);
    step.note(
      `${made.identity.database}, ${formatBytes(made.identity.sizeBytes)}, ${countOf(made.selection.tables.length, 'table')}`,
    );
    return made;
  });
  for (const warning of plan.warnings) context.warn(warning);
  if (request.dryRun === true) return describePlan(plan);

  const place = await reserveDumpPlace(
    plan.folder,
    plan.identity.database,
    context.clock.now(),
    plan.options.format,
    plan.options.isCompressed,
  );
  try {
    const inventory = await dump(context, plan, place);
    const {sha256, size} = await context.progress.step('Checksum', async () => digestDump(context, place));
    const proof = await verify(context, plan, place);
    const roles = request.withRoles === true ? await dumpRoles(context, plan, place) : null;
    const record = toRecord({context, plan, place, startedMs, sha256, size, proof, inventory, roles, request});
    await publishDump(place, roles !== null);
    await writeFileSafely(place.metadataPath, formatBackupRecord(record));
    return toResult(record, place, plan.warnings);
  } catch (error) {
    await discardDump(place);
    throw error;
  }
}

function stepTitles(request: BackupRequest): string[] {
  return ['Look at the database', 'Dump', 'Checksum', ...(request.verify === false ? [] : ['Verify'])];
}

async function planBackup(context: RunContext, request: BackupRequest): Promise<BackupPlan> {
  const {settings, signal} = context;
  const connection = resolveConnection(settings);
  refuseTransactionPooler(connection);
  const asked = resolveBackupOptions(request, settings.config, settings.cores);
  const folder = resolve(settings.cwd, request.outputDir ?? join(settings.backupsDir, 'database'));
  const warnings: string[] = [];
  return withSession(
    connection,
    async (session) => {
      const identity = await inspectIdentity(session);
      const tool = await findTool('pg_dump', settings, identity.major);
      const managed = request.preset === 'none' || asked.includeSchemas.length + asked.includeTables.length > 0 ? [] : await findSupabaseSchemas(session);
      if (managed.length > 0) warnings.push(`Left out, as Supabase manages them: ${managed.join(', ')} (--preset none includes them).`);
      const options = {...asked, excludeSchemas: [...asked.excludeSchemas, ...managed]};
      const selection = await selectForDump(session, options);
      if (identity.isStandby) warnings.push('The server is a standby: replication may cancel the dump.');
      const previous = await lastOfKind(folder, identity, options);
      const estimate = estimateDumpSize(
        identity.sizeBytes,
        options.isCompressed,
        previous?.record ? {sizeBytes: previous.sizeBytes, databaseBytes: previous.record.source.sizeBytes} : undefined,
      );
      if (!options.schemaOnly) await requireSpace(folder, estimate);
      return {
        connection,
        options,
        folder,
        identity,
        selection,
        tool,
        estimateBytes: estimate.bytes,
        isEstimateMeasured: estimate.basis === 'measured',
        previous,
        warnings,
      };
    },
    {signal},
  );
}

/** The newest backup of the same database in the same form, whose size tells about the next one's. */
async function lastOfKind(folder: string, identity: DatabaseIdentity, options: BackupOptions): Promise<Backup | undefined> {
  const {backups} = await readCatalogue(folder);
  return backups.find(
    ({record, database, format, compressed}) =>
      record !== null &&
      database === identity.database &&
      record.source.systemIdentifier === identity.systemIdentifier &&
      format === options.format &&
      compressed === options.isCompressed &&
      record.config.schemaOnly === options.schemaOnly,
  );
}

function dumpOptions(plan: BackupPlan, snapshot: string | undefined): DumpOptions {
  const {options} = plan;
  return {
    format: options.format,
    compress: options.compression,
    schemaOnly: options.schemaOnly,
    dataOnly: options.dataOnly,
    includeTables: options.includeTables,
    excludeTables: options.excludeTables,
    includeSchemas: options.includeSchemas,
    excludeSchemas: options.excludeSchemas,
    jobs: options.parallelJobs,
    lockWaitMs: options.lockWaitMs,
    snapshot,
  };
}

/** Runs pg_dump within one snapshot and reads the inventory in the same one. */
async function dump(context: RunContext, plan: BackupPlan, place: DumpPlace): Promise<BackupRecord['inventory']> {
  return context.progress.step('Dump', async (step) =>
    withSnapshot(plan.connection, context.signal, async (session, snapshot) => {
      const inventory = await inspectInventory(session);
      const tracker = trackDump(step, {
        tables: plan.selection.tables,
        outputPath: place.partialPath,
        expectedBytes: plan.estimateBytes,
        isMeasured: plan.isEstimateMeasured,
      });
      try {
        await runPgDump({
          tool: plan.tool,
          connection: plan.connection,
          options: dumpOptions(plan, snapshot),
          output: place.partialPath,
          onTable: tracker.onTable,
          signal: context.signal,
        });
      } finally {
        tracker.stop();
      }
      await syncDump(place);
      return {...inventory, leftOut: [...plan.selection.leftOut]};
    }),
  );
}

async function digestDump(
  context: RunContext,
  place: DumpPlace,
): Promise<{sha256: BackupRecord['sha256']; size: number}> {
  const {signal} = context;
  if (!place.isFolder) {
    const digest = await digestFile(place.partialPath, {signal});
    return {sha256: digest.sha256, size: digest.sizeBytes};
  }
  const digests: Record<string, string> = {};
  for (const name of await filesOfFolder(place.partialPath)) {
    digests[name] = (await digestFile(join(place.partialPath, name), {signal})).sha256;
  }
  return {sha256: digests, size: await sizeOf(place.partialPath)};
}

interface Proof {
  readonly verification: Verification;
  readonly contents: DumpContents;
}

async function verify(context: RunContext, plan: BackupPlan, place: DumpPlace): Promise<Proof | undefined> {
  const {options} = plan;
  if (!options.isVerified) return undefined;
  return context.progress.step('Verify', async (step) => {
    const startedMs = context.clock.now().getTime();
    const contents = await readDump(
      {path: place.partialPath, format: options.format, compressed: options.isCompressed},
      {
        settings: context.settings,
        signal: context.signal,
        fingerprints: options.hasFingerprints,
        onBytes: (bytes) => step.advance(bytes),
      },
    );
    if (!options.schemaOnly) requireEveryTable(plan.selection, contents);
    return {
      contents,
      verification: {
        level: 'archive',
        at: context.clock.now().toISOString(),
        ok: true,
        duration: context.clock.now().getTime() - startedMs,
        findings: [],
      },
    };
  });
}

/** @throws VERIFY_FAILED when a table that was chosen is not in the dump, however it came about */
function requireEveryTable(selection: DumpSelection, contents: DumpContents): void {
  const held = new Set(contents.tables.map((table) => `${table.schema}.${table.name}`));
  const missing = selection.tables.map((table) => `${table.schema}.${table.name}`).filter((name) => !held.has(name));
  if (missing.length === 0) return;
  throw new AppError('VERIFY_FAILED', `The dump lacks ${countOf(missing.length, 'table')} of the database; it was discarded.`, {
    details: missing,
    hint: 'Were tables dropped or renamed while the dump ran? Run again; if it stays so, report it.',
  });
}

/** pg_dump takes no roles along; pg_dumpall writes them without passwords (it needs no superuser then). */
async function dumpRoles(context: RunContext, plan: BackupPlan, place: DumpPlace): Promise<BackupRecord['roles']> {
  const {writeRoles} = await import('./write-roles.js');
  return writeRoles(context, plan.connection, plan.identity.major, place);
}

interface RecordParts {
  readonly context: RunContext;
  readonly plan: BackupPlan;
  readonly place: DumpPlace;
  readonly startedMs: number;
  readonly sha256: BackupRecord['sha256'];
  readonly size: number;
  readonly proof: Proof | undefined;
  readonly inventory: BackupRecord['inventory'];
  readonly roles: BackupRecord['roles'];
  readonly request: BackupRequest;
}

function toRecord(parts: RecordParts): BackupRecord {
  const {context, plan, place, proof} = parts;
  const {identity, options, connection} = plan;
  return {
    schemaVersion: 1,
    toolVersion: context.toolVersion,
    id: place.id,
    timestamp: new Date(parts.startedMs).toISOString(),
    databaseName: identity.database,
    format: options.format,
    compressed: options.isCompressed,
    size: parts.size,
    duration: context.clock.now().getTime() - parts.startedMs,
    postgresVersion: identity.version,
    backupPath: place.finalName,
    config: {
      compression: options.compression ?? null,
      schemaOnly: options.schemaOnly,
      dataOnly: options.dataOnly,
      includeTables: [...options.includeTables],
      excludeTables: [...options.excludeTables],
      includeSchemas: [...options.includeSchemas],
      excludeSchemas: [...options.excludeSchemas],
      parallelJobs: options.format === 'directory' ? options.parallelJobs : 1,
    },
    clientVersion: plan.tool.version,
    serverMajor: identity.major,
    source: {
      systemIdentifier: identity.systemIdentifier,
      host: connection.host,
      port: connection.port,
      owner: identity.owner,
      locale: identity.locale,
      sizeBytes: identity.sizeBytes,
    },
    sha256: parts.sha256,
    tables: recordedTables(plan, proof?.contents),
    inventory: parts.inventory,
    roles: parts.roles,
    verification: proof?.verification ?? null,
    proofs: [],
    label: parts.request.label ?? null,
    warnings: plan.warnings,
  };
}

function recordedTables(plan: BackupPlan, contents: DumpContents | undefined): RecordedTable[] {
  const tables = contents?.tables ?? plan.selection.tables.map((table) => ({...table, rows: null, fingerprint: null}));
  return tables
    .map(({schema, name, rows, fingerprint}) => ({schema, name, rows, fingerprint}))
    .sort((a, b) => compareText(a.schema, b.schema) || compareText(a.name, b.name));
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function toResult(record: BackupRecord, place: DumpPlace, warnings: readonly string[]): BackupResult {
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
    tables: record.tables.map((table) => ({
      table: `${table.schema}.${table.name}`,
      rows: table.rows,
      fingerprint: table.fingerprint,
    })),
    verification: record.verification ? {level: record.verification.level, ok: record.verification.ok} : null,
    pruned: [],
    warnings,
    commands: [],
  };
}

function describePlan(plan: BackupPlan): BackupResult {
  const output = join(plan.folder, '<name>');
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
    tables: plan.selection.tables.map((table) => ({
      table: `${table.schema}.${table.name}`,
      rows: null,
      fingerprint: null,
    })),
    verification: null,
    pruned: [],
    warnings: plan.warnings,
    commands: [[plan.tool.path, ...dumpArguments(dumpOptions(plan, undefined), output)].join(' ')],
  };
}
