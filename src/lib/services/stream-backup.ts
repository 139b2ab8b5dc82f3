/** `backup --no-local`: pg_dump's output goes to a place as it comes, and never lies on a disk here. */
import {backupExtension, backupId} from '../backups/backup-name.js';
import {type BackupRecord, formatBackupRecord} from '../backups/backup-record.js';
import {AppError} from '../errors.js';
import {isRemote} from '../place-name.js';
import {inspectInventory} from '../postgres/inspect-inventory.js';
import {runPgDump} from '../postgres/pg-dump.js';
import {withSnapshot} from '../postgres/snapshot.js';
import type {RunContext} from '../run-context.js';
import {isAway} from '../storage/explain-s3-error.js';
import {openPlace} from '../storage/open-place.js';
import type {Place} from '../storage/place.js';
import {metadataKeyIn} from '../storage/place-catalogue.js';
import {writeChecked} from '../storage/checked-files.js';
import {storedRecord, withFolder} from '../storage/stored-record.js';
import {clearStaged, requireReachable} from '../storage/transfer-backup.js';
import {openJournal} from '../watch/journal.js';
import type {BackupRequest} from './backup-options.js';
import {type BackupResult, describePlan, toRecord, toResult} from './describe-backup.js';
import {type Encryption, requireOpening} from './encryption.js';
import {type BackupPlan, dumpOptions, planBackup} from './plan-backup.js';

/**
 * Whatever goes wrong, the metadata is not written, so that no list shows the backup. Its bytes are read back and
 * compared; what they hold is for `verify --from` to prove.
 * @throws USAGE, the codes of connection, tools and stores, CHECKSUM_MISMATCH
 */
export async function streamBackup(
  context: RunContext,
  request: BackupRequest,
  url: string,
  encryption: Encryption,
): Promise<BackupResult> {
  if (!isRemote(url)) throw new AppError('USAGE', '--no-local needs a bucket in --to (s3://bucket/prefix).');
  const contradiction =
    request.withRoles === true
      ? '--with-roles'
      : request.retentionDays === undefined
        ? undefined
        : '--retention-days';
  if (contradiction !== undefined) {
    throw new AppError(
      'USAGE',
      `--no-local contradicts ${contradiction}, which works in the backups folder.`,
      {
        hint: 'Old backups in a bucket: destino-db prune --from PLACE.',
      },
    );
  }
  const startedMs = context.clock.now().getTime();
  const to = await openPlace(context.settings, url);
  const plan = await context.progress.step('Look at the database', () =>
    planBackup(context, {...request, isStreamed: true}),
  );
  if (plan.options.format === 'directory') {
    throw new AppError(
      'USAGE',
      '--no-local contradicts --format directory: pg_dump writes folders to a disk only.',
    );
  }
  for (const warning of plan.warnings) context.warn(warning);
  if (request.dryRun === true) return describePlan(plan);
  const {database, systemIdentifier, sizeBytes} = plan.identity;
  const {host, port} = plan.connection;
  context.record({database: {name: database, systemIdentifier, host, port}, databaseSize: sizeBytes});
  const id = backupId(database, context.clock.now());
  const staging = to.stagingFolder(id);
  await requireReachable(to, staging);
  const journal = openJournal(context, 'backup');
  let metadataKey: string | undefined;
  try {
    const done = await journal.begin({kind: 'upload', place: to.url, key: staging, uploadId: ''});
    try {
      const dumped = await dumpTo(context, {
        request,
        plan,
        to,
        staging,
        id,
        encryption,
        startedMs,
      });
      const {record} = dumped;
      await requireOpening(to, record, encryption.keys);
      metadataKey = dumped.metadataKey;
      await to.writeText(metadataKey, formatBackupRecord(record), null);
      await done();
      context.record({backupId: id, format: record.format, size: record.size});
      const path = `${to.url}/${staging}${record.backupPath}`;
      return {
        ...toResult(record, placeOf(id, path), plan.warnings, []),
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

interface DumpParts {
  readonly request: BackupRequest;
  readonly plan: BackupPlan;
  readonly to: Place;
  readonly staging: string;
  readonly id: string;
  readonly encryption: Encryption;
  readonly startedMs: number;
}

async function dumpTo(
  context: RunContext,
  parts: DumpParts,
): Promise<{record: BackupRecord; metadataKey: string}> {
  const {request, plan, to, staging, id, encryption, startedMs} = parts;
  const {format, isCompressed} = plan.options;
  const name = id + backupExtension(format, isCompressed);
  let written: Awaited<ReturnType<typeof writeChecked>> | undefined;
  const inventory = await context.progress.step('Dump and upload', async (step) =>
    withSnapshot(plan.connection, context.signal, async (session, snapshot) => {
      const found = await inspectInventory(session);
      await runPgDump({
        tool: plan.tool,
        connection: plan.connection,
        options: dumpOptions(plan, snapshot),
        readStdout: async (stdout) => {
          const source = stdout as AsyncIterable<Buffer>;
          written = await writeChecked(context, {
            to,
            key: staging + name,
            source,
            seal: encryption.to,
            expectedBytes: plan.identity.sizeBytes,
            onBytes: (bytes) => step.advance(bytes, plan.estimateBytes, 'bytes'),
          });
        },
        signal: context.signal,
      });
      return {...found, leftOut: [...plan.selection.leftOut]};
    }),
  );
  if (!written) throw new AppError('PG_DUMP_FAILED', 'pg_dump ended without writing anything.');
  const {plain, stored} = written;
  const made = toRecord({
    context,
    plan,
    place: placeOf(id, name),
    startedMs,
    sha256: plain.sha256,
    size: plain.sizeBytes,
    proof: undefined,
    inventory,
    roles: null,
    shrink: [],
    request,
  });
  const record = storedRecord({record: made, seal: encryption.to}, new Map([[name, stored]]));
  return {record: withFolder(record, staging), metadataKey: metadataKeyIn(to, made)};
}

/** What the record needs of a place on disk: the names. */
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
