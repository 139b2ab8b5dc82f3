/** `backup --no-local`: streams the output of pg_dump to a location without storing it on a local disk. */
import {backupExtension, formats} from '../../base/formats.js';
import {backupId} from '../../catalog/backup-name.js';
import {type BackupRecord, contentOf, formatBackupRecord, rowsOf} from '../../catalog/backup-record.js';
import {AppError} from '../../base/errors.js';
import {withLockWatch} from '../../postgres/databases/lock-watch.js';
import {withSnapshot} from '../../postgres/snapshot.js';
import type {RunContext} from '../../run/run-context.js';
import {isAway, type Place} from '../../storage/place.js';
import {openPlace} from '../../storage/open-place.js';
import {metadataKeyIn, readNewest} from '../../storage/place-catalogue.js';
import {writeChecked} from '../../storage/write-checked.js';
import {storedRecord, withFolder} from '../../storage/stored-record.js';
import {clearStaged, requireReachable} from '../../storage/transfer-backup.js';
import {runHook} from '../../run/run-hook.js';
import {openJournal} from '../../run/journal.js';
import {describeDump} from './dump-progress.js';
import {readFacts} from './local-backup.js';
import type {BackupRequest} from './options.js';
import {besideSnapshot, dumpAgainOnce, dumpWatch} from './dump-again.js';
import {type BackupResult, describePlan, toRecord, toResult} from './result.js';
import type {Encryption} from '../../encryption/settings.js';
import {requireOpening} from '../../storage/try-keys.js';
import {type BackupPlan, dumpOptions, planBackup, plannedInventory, volatileTables} from './plan.js';
import {findShrink} from './shrink-check.js';
import {verifyStream} from './verify-dump.js';
import {passDump} from './run-dump.js';
import {databaseInNames, supabaseProject} from '../../postgres/connect/supabase-project.js';

/**
 * After a failure the metadata is not written, so that no list shows the backup. The stored bytes are read back and compared with the
 * sent bytes, which were verified on the way.
 * @throws USAGE, the codes of connection, tools and stores, CHECKSUM_MISMATCH, VERIFY_FAILED
 */
export async function streamBackup(
  context: RunContext,
  request: BackupRequest,
  url: string,
  encryption: Encryption,
): Promise<BackupResult> {
  const to = await openPlace(context.settings, url);
  if (to.isOnThisMachine)
    throw new AppError('USAGE', '--no-local needs a bucket in --to (s3://bucket/prefix).');
  const contradiction =
    request.withRoles === true
      ? '--with-roles'
      : request.retentionDays === undefined
        ? undefined
        : '--retention-days';
  if (contradiction !== undefined) {
    throw new AppError(
      'USAGE',
      `--no-local contradicts ${contradiction}, which applies to the backups folder.`,
      {
        hint: 'Remove old backups from a bucket with: destino-db prune --from PLACE',
      },
    );
  }
  const startedMs = context.clock.now().getTime();
  const plan = await context.progress.step('Look at the database', () =>
    planBackup(context, {...request, isStreamed: true}),
  );
  if (!formats[plan.options.format].canStream) {
    throw new AppError(
      'USAGE',
      '--no-local contradicts --format directory: pg_dump writes directories only to a disk.',
    );
  }
  for (const warning of plan.warnings) context.warn(warning);
  if (request.dryRun === true) return describePlan(plan);
  const {database, systemIdentifier, sizeBytes} = plan.identity;
  const {host, port} = plan.connection;
  const project = supabaseProject(plan.connection);
  context.record({
    database: {name: database, systemIdentifier, host, port, ...(project === undefined ? {} : {project})},
    databaseSize: sizeBytes,
  });
  await runHook(context, 'beforeDump', plan.connection);
  const createdAt = context.clock.now();
  const id = backupId(databaseInNames(database, plan.connection), createdAt);
  const staging = to.stagingFolder(id);
  await requireReachable(to, staging);
  const journal = openJournal(context, 'backup');
  let metadataKey: string | undefined;
  try {
    const done = await journal.begin(to.journalEntry(staging));
    try {
      const dumped = await dumpTo(context, {
        request,
        plan,
        to,
        staging,
        id,
        encryption,
        createdAt,
        startedMs,
      });
      const {record} = dumped;
      await requireOpening(to, record, encryption.keys);
      metadataKey = dumped.metadataKey;
      await to.writeText(metadataKey, formatBackupRecord(record), null);
      await done();
      context.record({
        backupId: id,
        format: record.format,
        schemaOnly: record.config.schemaOnly,
        content: contentOf(record),
        size: record.size,
        rows: rowsOf(record),
      });
      const path = `${to.url}/${staging}${record.backupPath}`;
      return {
        ...toResult(context.settings, record, placeOf(id, path), plan.warnings, []),
        metadataPath: `${to.url}/${metadataKey}`,
      };
    } catch (error) {
      await clearStaged(context, {to, staging, metadataKey, isAway: isAway(error)}, error);
      await done();
      throw error;
    }
  } finally {
    await journal.close();
  }
}

/** The number of backups among which the shrink alarm looks for one to compare with. */
const earlierLookedAt = 20;

interface DumpParts {
  readonly request: BackupRequest;
  readonly plan: BackupPlan;
  readonly to: Place;
  readonly staging: string;
  readonly id: string;
  readonly encryption: Encryption;
  readonly createdAt: Date;
  readonly startedMs: number;
}

async function dumpTo(
  context: RunContext,
  parts: DumpParts,
): Promise<{record: BackupRecord; metadataKey: string}> {
  const {request, plan, to, staging, id, encryption, createdAt, startedMs} = parts;
  const name = id + backupExtension(plan.options.format, plan.options.isCompressed);
  const {selection, written, verified, properties, inventory} = await context.progress.step(
    'Dump and upload',
    async (step) =>
      dumpAgainOnce(context, () =>
        withSnapshot(plan.connection, context.signal, async (session, snapshot) => {
          const reading = readFacts(session, plan);
          const send = (source: AsyncIterable<Buffer>) =>
            writeChecked(context, {
              to,
              key: staging + name,
              source,
              encryptTo: encryption.to,
              expectedBytes: plan.identity.sizeBytes,
              onBytes: (bytes) => step.advance(bytes, plan.estimateBytes, 'bytes'),
            });
          const sent = await besideSnapshot(session, plan, () =>
            // Its session is opened while this one reads.
            withLockWatch(dumpWatch(context, plan), async (signal) => {
              const {tail, environment, ...facts} = await reading;
              const current = {...plan, selection: facts.selection};
              const passed = await passDump(
                {...context, signal},
                {
                  tool: plan.tool,
                  connection: plan.connection,
                  options: dumpOptions(current, snapshot),
                  recompressLevel: plan.options.recompressLevel,
                  fingerprints: plan.options.hasFingerprints,
                  tail,
                  environment,
                  verify: plan.options.isVerified
                    ? (bytes) => verifyStream({...context, signal}, current, bytes)
                    : undefined,
                },
                send,
              );
              return {...passed, ...facts};
            }),
          );
          const {selection} = sent;
          step.note(describeDump(selection.tables.length, sent.verified, sent.written.stored.sizeBytes));
          return {...sent, inventory: {...sent.inventory, ...plannedInventory(selection)}};
        }),
      ),
  );
  const {plain, stored} = written;
  const recorded = {
    context,
    plan: {...plan, selection},
    place: placeOf(id, name),
    createdAt,
    startedMs,
    sha256: plain.sha256,
    size: plain.sizeBytes,
    verified,
    properties,
    inventory,
    roles: null,
    request,
  };
  const {database} = plan.identity;
  const earlier = () => readNewest(to, database, earlierLookedAt, context.signal);
  const shrink = await findShrink(context, request, {
    record: toRecord({...recorded, shrink: []}),
    earlier,
    volatile: volatileTables(selection),
  });
  const made = toRecord({...recorded, shrink});
  const record = storedRecord({record: made, encryptTo: encryption.to}, new Map([[name, stored]]));
  return {record: withFolder(record, staging), metadataKey: metadataKeyIn(to, made)};
}

/** The names that the record needs, without a dump on a disk. */
function placeOf(id: string, path: string) {
  return {
    id,
    partialPath: path,
    finalPath: path,
    finalName: path,
    metadataPath: '',
    rolesPath: '',
    rolesPartialPath: '',
    isFolder: false,
  };
}
