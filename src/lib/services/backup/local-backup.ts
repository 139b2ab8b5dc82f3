/** Implements `backup`: inspect, dump, sync, checksum, verify, name, record, prune. */
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {formats} from '../../base/formats.js';
import {propertiesLine} from '../../dump/dumped-properties.js';
import {elapsedMs} from '../../base/clock.js';
import {type BackupRecord, contentOf, formatBackupRecord, rowsOf} from '../../catalog/backup-record.js';
import {
  type Backup,
  databaseIdentity,
  readBackup,
  readCatalogue,
  safetyLabel,
} from '../../catalog/catalogue.js';
import {digestFile, digestWithBeginning, filesOfFolder, sizeOf} from '../../base/checksum.js';
import {
  discardDump,
  type DumpPlace,
  emptyDump,
  publishDump,
  requireFreeName,
  reserveDumpPlace,
  syncDump,
  unnamedMetadata,
} from '../../catalog/dump-place.js';
import {withFolderLock} from '../../run/lock.js';
import {type RetentionPolicy, ruleNames} from '../../catalog/retention.js';
import {renameSafely} from '../../base/safe-file.js';
import {AppError, messageOf, withState} from '../../base/errors.js';
import {countOf, formatBytes} from '../../base/format.js';
import type {DumpSelection} from '../../postgres/inspect/dump-selection.js';
import type {Session} from '../../postgres/client.js';
import {inspectDatabaseProperties} from '../../postgres/databases/database-properties.js';
import {inspectInventory, type Inventory} from '../../postgres/inspect/inspect-inventory.js';
import {withLockWatch} from '../../postgres/databases/lock-watch.js';
import {inspectToolEnvironment} from '../../postgres/tools/tool-environment.js';
import {readWithoutLocks, withSnapshot} from '../../postgres/snapshot.js';
import type {RunContext} from '../../run/run-context.js';
import {runHook} from '../../run/run-hook.js';
import {openJournal} from '../../run/journal.js';
import type {BackupRequest} from './options.js';
import {type BackupResult, describePlan, toRecord, toResult, type VerifiedDump} from './result.js';
import {besideSnapshot, dumpAgainOnce, dumpWatch} from './dump-again.js';
import {
  type BackupPlan,
  currentSelection,
  dumpOptions,
  planBackup,
  plannedInventory,
  volatileTables,
} from './plan.js';
import {findShrink} from './shrink-check.js';
import {notWhatWasWritten, verifyDump, verifyStream} from './verify-dump.js';
import {describeDump, rowsRead, trackDump} from './dump-progress.js';
import {writeDump, type WrittenDump} from './run-dump.js';
import type {DumpedRoles} from './dump-roles.js';
import {databaseInNames, supabaseProject} from '../../postgres/connect/supabase-project.js';

/**
 * Makes a backup of the database in the settings.
 * After a failure no file looks like a backup, and older backups are unchanged.
 * @throws the codes of connection, tools and disk; PATTERN_MATCHES_NOTHING, ROW_SECURITY, PG_DUMP_FAILED, VERIFY_FAILED, LOCKED
 */
export async function backupDatabase(context: RunContext, request: BackupRequest): Promise<BackupResult> {
  const startedMs = context.clock.now().getTime();
  context.progress.plan(stepTitles(request));
  const plan = await context.progress.step('Look at the database', async (step) => {
    const made = await planBackup(context, request);
    const {database, sizeBytes} = made.identity;
    step.note(`${database}, ${formatBytes(sizeBytes)}, ${countOf(made.selection.tables.length, 'table')}`);
    return made;
  });
  recordDatabase(context, plan);
  for (const warning of plan.warnings) context.warn(warning);
  if (request.dryRun === true) return describePlan(plan);
  return withFolderLock(context, plan.folder, () => makeBackup(context, request, plan, startedMs), {
    command: 'backup',
    waitMs: request.waitMs ?? 0,
    database: identityOfPlan(plan),
  });
}

/** As `databaseIdentity` of its backups. */
function identityOfPlan({identity, connection}: BackupPlan): string {
  const {host, port} = connection;
  const {systemIdentifier, database} = identity;
  const project = supabaseProject(connection);
  return databaseIdentity({
    record: {source: {systemIdentifier, host, port, ...(project === undefined ? {} : {project})}},
    database,
  });
}

function stepTitles(request: BackupRequest): string[] {
  if (request.dryRun === true) return ['Look at the database'];
  return ['Look at the database', 'Dump', 'Checksum', ...(request.verify === false ? [] : ['Verify'])];
}

async function makeBackup(
  context: RunContext,
  request: BackupRequest,
  planned: BackupPlan,
  startedMs: number,
): Promise<BackupResult> {
  // A safety backup belongs to a restore, which a hook about dumps must not stop.
  if (request.label !== safetyLabel) await runHook(context, 'beforeDump', planned.connection);
  let plan = planned;
  const {format, isCompressed} = plan.options;
  const journal = openJournal(context, 'backup');
  const createdAt = context.clock.now();
  const name = databaseInNames(plan.identity.database, plan.connection);
  let place = await reserveDumpPlace(plan.folder, name, createdAt, format, isCompressed);
  let record: BackupRecord;
  let discarded: (() => Promise<void>) | undefined;
  let named: (() => Promise<void>) | undefined;
  let isPublished = false;
  try {
    discarded = await journal.begin({kind: 'partial', path: place.partialPath});
    await context.checkpoint('backup.reserved');
    const {selection, inventory, properties, passed} = await dump(context, planned, place);
    plan = {...planned, selection};
    const digest = await context.progress.step('Checksum', async (step) => {
      const made = await digestDump(context, place, passed);
      step.note(formatBytes(made.size));
      return made;
    });
    await context.checkpoint('backup.digested');
    const verified = await verify(context, plan, place, passed);
    await context.checkpoint('backup.verified');
    const roles = plan.options.hasRoles ? await dumpRolesOrWarn(context, plan, place) : null;
    const parts = {
      context,
      plan,
      place,
      createdAt,
      startedMs,
      ...digest,
      verified,
      properties,
      inventory,
      roles: roles?.record ?? null,
      request,
    };
    const earlier = async () => (await readCatalogue(plan.folder)).backups;
    const shrink = await findShrink(context, request, {
      record: toRecord({...parts, shrink: []}),
      earlier,
      volatile: volatileTables(selection),
    });
    record = toRecord({...parts, shrink});
    ({place, record} = await shareOrEncrypt(
      context,
      plan,
      {place, record, secretRoles: roles?.secret},
      earlier,
    ));
    record = {...record, duration: elapsedMs(context.clock, startedMs)};
    await context.checkpoint('backup.sealed');
    named = await journal.begin({
      kind: 'dump-without-metadata',
      path: place.finalPath,
      metadataPath: place.metadataPath,
    });
    await requireFreeName(place);
    isPublished = true;
    await publishDump(place, formatBackupRecord(record), roles !== null);
    await context.checkpoint('backup.published');
    await renameSafely(unnamedMetadata(place), place.metadataPath);
    await context.checkpoint('backup.recorded');
    await named();
    await discarded();
  } catch (error) {
    const remains = await discardDump(place, isPublished);
    if (remains !== 'stays') {
      await named?.();
      await discarded?.();
    }
    throw withStateAfter(error, remains, place);
  } finally {
    await journal.close();
  }
  recordBackup(context, record);
  const pruned = await prune(context, request, plan, place).catch((error: unknown) => {
    throw withStateAfter(error, 'stands', place);
  });
  await context.checkpoint('backup.pruned');
  return toResult(context.settings, record, place, plan.warnings, pruned);
}

/** Without them, the backup of the database is complete. */
async function dumpRolesOrWarn(
  context: RunContext,
  plan: BackupPlan,
  place: DumpPlace,
): Promise<DumpedRoles | null> {
  const {dumpRoles} = await import('./dump-roles.js');
  try {
    return await dumpRoles(context, plan, place);
  } catch (error) {
    if (!plan.options.areRolesOptional || !(error instanceof AppError) || error.code === 'INTERRUPTED')
      throw error;
    await rm(place.rolesPartialPath, {force: true});
    const message = `The roles of the server were not stored: ${messageOf(error)}`;
    context.warn(message);
    plan.warnings.push(message);
    return null;
  }
}

interface DumpToSeal {
  readonly place: DumpPlace;
  readonly record: BackupRecord;
  /** The file of roles with passwords, which is not on the disk. */
  readonly secretRoles: DumpedRoles['secret'];
}

/** Stores an unchanged database once, and encrypts a new dump if backups in the backups folder are encrypted. */
async function shareOrEncrypt(
  context: RunContext,
  plan: BackupPlan,
  dump: DumpToSeal,
  earlier: () => Promise<readonly Backup[]>,
): Promise<{place: DumpPlace; record: BackupRecord}> {
  if (!plan.options.skipsUnchanged) return encryptIfAsked(context, plan, dump);
  const {findEqualBackup, shareFiles} = await import('./equal-backup.js');
  const equal = await findEqualBackup(context, dump.record, await earlier(), plan.encryption);
  if (equal === undefined) return encryptIfAsked(context, plan, dump);
  const shared = await shareFiles(dump.place, dump.record, equal);
  if (shared) return shared;
  context.warn(
    `The database is unchanged since ${equal.id}, but ${plan.folder} does not support hard links; the backup was stored again.`,
  );
  return encryptIfAsked(context, plan, dump);
}

/** Encrypts the dump if backups in the backups folder are encrypted. */
async function encryptIfAsked(
  context: RunContext,
  {encryption: {to, ...encryption}}: BackupPlan,
  dump: DumpToSeal,
): Promise<{place: DumpPlace; record: BackupRecord}> {
  if (!to || !encryption.isLocal) return dump;
  const {encryptDump} = await import('./encrypt-dump.js');
  return context.progress.step('Encrypt', (step) => encryptDump(context, dump, {to, ...encryption}, step));
}

function withStateAfter(
  error: unknown,
  remains: Awaited<ReturnType<typeof discardDump>>,
  place: DumpPlace,
): unknown {
  if (!(error instanceof AppError)) return error;
  const rest = 'An incomplete dump remains; remove it with: destino-db recover';
  const states = {
    stands: `The backup ${place.id} was written before that.`,
    removed: 'No backup was made.',
    stays: `No backup was made. ${rest}`,
  };
  return withState(error, states[remains]);
}

/** Runs pg_dump and reads the inventory in the same snapshot. */
async function dump(
  context: RunContext,
  plan: BackupPlan,
  place: DumpPlace,
): Promise<{
  selection: DumpSelection;
  inventory: BackupRecord['inventory'];
  properties: string;
  passed: WrittenDump | undefined;
}> {
  return context.progress.step('Dump', (step) =>
    dumpAgainOnce(context, async (isSecond) => {
      if (isSecond) await emptyDump(place);
      return withSnapshot(plan.connection, context.signal, async (session, snapshot) => {
        const reading = readFacts(session, plan);
        const {selection, inventory, properties, passed} = await besideSnapshot(session, plan, () =>
          // Its session is opened while this one reads.
          withLockWatch(dumpWatch(context, plan), async (signal) => {
            const {tail, environment, ...facts} = await reading;
            const tracker = trackDump(step, {
              tables: facts.selection.tables,
              outputPath: place.partialPath,
              expectedBytes: plan.estimateBytes,
              isMeasured: plan.isEstimateMeasured,
              parallelJobs: isSecond ? 1 : plan.options.parallelJobs,
            });
            const current = {...plan, selection: facts.selection};
            const options = dumpOptions(current, snapshot);
            try {
              const passed = await writeDump(
                {...context, signal},
                {
                  tool: plan.tool,
                  connection: plan.connection,
                  options: isSecond ? {...options, parallelJobs: 1} : options,
                  recompressLevel: plan.options.recompressLevel,
                  fingerprints: plan.options.hasFingerprints,
                  tail,
                  output: place.partialPath,
                  onTable: tracker.onTable,
                  environment,
                  verify: plan.options.isVerified
                    ? (bytes) => verifyStream({...context, signal}, current, bytes)
                    : undefined,
                },
              );
              return {...facts, passed};
            } finally {
              tracker.stop();
            }
          }),
        );
        await context.checkpoint('backup.dumped');
        await syncDump(place);
        await context.checkpoint('backup.synced');
        step.note(describeDump(selection.tables.length, passed?.verified, await sizeOf(place.partialPath)));
        return {selection, inventory: {...inventory, ...plannedInventory(selection)}, properties, passed};
      });
    }),
  );
}

/** Reads the facts for a dump from the snapshot of the session. A failure is only reported to those who await it. */
export function readFacts(session: Session, plan: BackupPlan): Promise<DumpFacts> {
  const reading = readWithoutLocks(session, async () => {
    const [selection, inventory, properties, environment] = await Promise.all([
      currentSelection(session, plan),
      inspectInventory(session),
      inspectDatabaseProperties(session),
      inspectToolEnvironment(session),
    ]);
    const {format, isCompressed} = plan.options;
    return {
      selection,
      inventory,
      properties: JSON.stringify(properties),
      tail: formats[format].isArchive ? undefined : propertiesLine(properties, isCompressed),
      environment,
    };
  });
  reading.catch(() => undefined);
  return reading;
}

interface DumpFacts {
  readonly selection: DumpSelection;
  readonly inventory: Inventory;
  /** Settings, privileges and comment of the database, as text. */
  readonly properties: string;
  /** pg_dump writes the settings and the comment of the database only into archives. */
  readonly tail: Buffer | undefined;
  /** Variables for pg_dump. */
  readonly environment: Readonly<Record<string, string>>;
}

/** @throws VERIFY_FAILED if the file differs from the streamed bytes */
async function digestDump(
  context: RunContext,
  place: DumpPlace,
  passed: WrittenDump | undefined,
): Promise<Pick<BackupRecord, 'sha256' | 'size'>> {
  const {signal} = context;
  if (passed) {
    const {sha256, sizeBytes, asStreamed} = await digestWithBeginning(place.partialPath, passed.beginning, {
      signal,
    });
    if (asStreamed !== passed.sha256)
      throw notWhatWasWritten([
        'The bytes on the disk differ from those that were read while they were written.',
      ]);
    return {sha256, size: sizeBytes};
  }
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

/** @param passed a dump that was already read while it was written */
async function verify(
  context: RunContext,
  plan: BackupPlan,
  place: DumpPlace,
  passed: WrittenDump | undefined,
): Promise<VerifiedDump | undefined> {
  const {format, isCompressed, isVerified} = plan.options;
  if (!isVerified) return undefined;
  return context.progress.step('Verify', async (step) => {
    const dump = {path: place.partialPath, format, compressed: isCompressed};
    const verified =
      passed?.verified ?? (await verifyDump(context, plan, dump, (bytes) => step.advance(bytes)));
    step.note(`${countOf(rowsRead(verified), 'row')} read back`);
    return verified;
  });
}

async function prune(context: RunContext, request: BackupRequest, plan: BackupPlan, place: DumpPlace) {
  const policy: RetentionPolicy = {
    ...context.settings.config.retention,
    ...(request.retentionDays === undefined ? {} : {keepDays: request.retentionDays}),
  };
  if (request.isPruning === false || ruleNames(policy).length === 0) return [];
  const {pruneAfterBackup} = await import('../prune/prune-backups.js');
  const removed = await pruneAfterBackup(context, await readBackup(place.metadataPath), plan.folder, policy);
  return removed.map(({id, reason}) => ({id, reason}));
}

function recordDatabase(context: RunContext, {identity, connection}: BackupPlan): void {
  const project = supabaseProject(connection);
  context.record({
    database: {
      name: identity.database,
      systemIdentifier: identity.systemIdentifier,
      host: connection.host,
      port: connection.port,
      ...(project === undefined ? {} : {project}),
    },
    databaseSize: identity.sizeBytes,
  });
}

function recordBackup(context: RunContext, record: BackupRecord): void {
  const {verification} = record;
  context.record({
    backupId: record.id,
    format: record.format,
    schemaOnly: record.config.schemaOnly,
    content: contentOf(record),
    size: record.size,
    rows: rowsOf(record),
    verifications:
      verification === null
        ? []
        : [
            {
              backupId: record.id,
              level: verification.level,
              ok: verification.ok,
              outcome: 'passed',
              duration: verification.duration,
              restoreDuration: null,
            },
          ],
  });
}
