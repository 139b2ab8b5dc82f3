/** What backups there are: of databases and of cleaned orders, newest first. */
import {rowsOf, standingOfRecord} from '../../catalog/backup-record.js';
import {type Backup, type Catalogue, retentionCandidate, serverOf} from '../../catalog/catalogue.js';
import {excludedRows, outsideDatabase, unreadableTables} from '../../catalog/outside-database.js';
import type {BackupContent, Outcome, ProofLevel} from '../../run/check-outcome.js';
import {applyRetention, type RetentionPolicy, ruleNames} from '../../catalog/retention.js';
import {AppError} from '../../base/errors.js';
import {didYouMean} from '../../base/nearest.js';
import {foreignNote} from '../../base/own-file.js';
import type {RunContext} from '../../run/run-context.js';
import type {BackupFormat} from '../../base/formats.js';
import {openPlace, openSource} from '../../storage/open-place.js';
import type {Place} from '../../storage/place.js';
import {listPlacedOrders} from '../../storage/placed-orders.js';
import {readHistory} from '../../run/read-history.js';
import {type KnownSetAside, knownSetAside} from '../../run/set-aside.js';
import {type PlaceSummary, withCopies} from '../../storage/all-locations.js';

export interface ListedBackup {
  readonly id: string;
  /** Absolute path of the dump. */
  readonly path: string;
  readonly database: string;
  /** Of the server, as the URL named it; null where the backup does not say (made by the old scripts). */
  readonly host: string | null;
  /** The Supabase project, else host and port. */
  readonly server: string | null;
  readonly createdAt: string;
  readonly format: BackupFormat;
  /** What it contains of the database. */
  readonly content: BackupContent;
  /** Bytes. */
  readonly size: number;
  /** Rows of all tables together; null where the backup does not say (made by the old scripts). */
  readonly rows: number | null;
  readonly label: string | null;
  /** Whether `label --keep` keeps it from prune. */
  readonly keep: boolean;
  /** The failed check that stands, else the strongest one that passed; null when none did. */
  readonly verification: {
    readonly level: ProofLevel;
    readonly at: string;
    readonly ok: boolean;
    readonly outcome: Outcome;
  } | null;
  /** The newest check that could not be made where it was tried, unless one as strong passed since. */
  readonly notPossible: {
    readonly level: ProofLevel;
    readonly at: string;
    readonly findings: readonly string[];
  } | null;
  /** Why the config file's retention keeps it; "would be removed: ..." when it does not; null without a policy. */
  readonly kept: string | null;
  /** Which program made it. */
  readonly madeBy: 'destino-db' | 'old scripts';
  readonly encrypted: boolean;
  /** Tables that lost more rows than the shrink alarm allows. */
  readonly shrunkTables: readonly string[];
  /** What the service keeps outside of the database, in words, and tables that the role could not read. */
  readonly missing: readonly string[];
  /** Where good copies are, when several places were asked for. */
  readonly places: readonly string[];
}

export interface ListedOrderBackup {
  readonly id: string;
  readonly path: string;
  readonly createdAt: string;
  /** Bytes. */
  readonly size: number;
  readonly encrypted: boolean;
}

export interface BackupList {
  readonly folder: string;
  readonly now: string;
  readonly backups: readonly ListedBackup[];
  /** What `orders:clean` kept of the rows that it took away; never pruned. */
  readonly orderBackups: readonly ListedOrderBackup[];
  /** Metadata files that tell no backup. */
  readonly problems: readonly {readonly path: string; readonly reason: string}[];
  /** Databases that restores set aside, as the last runs recorded them; the server was not asked. */
  readonly setAside: readonly KnownSetAside[];
  /** Each place by itself; empty unless several were asked for. */
  readonly places: readonly PlaceSummary[];
}

export interface ListOptions {
  /** Whether the places of the config file are read too. */
  readonly hasPlaces?: boolean;
  /** "s3://bucket/prefix", or the folder to list; the two folders of the backups folder by default. */
  readonly from?: string;
  readonly label?: string;
  readonly format?: BackupFormat;
}

/** @throws READ_FAILED when a folder exists and cannot be read, BACKUP_NOT_FOUND when `from` does not exist */
export async function listBackups(ctx: RunContext, options: ListOptions): Promise<BackupList> {
  const {settings} = ctx;
  const now = ctx.clock.now();
  const from = await openSource(settings, options.from);
  const [{catalogue, places}, orderBackups] = await Promise.all([
    readCopies(ctx, from, options.hasPlaces ?? false),
    options.label === undefined && options.format === undefined
      ? listOrderBackups(ctx, await openPlace(settings, options.from ?? settings.backupsDir))
      : [],
  ]);
  const labels = catalogue.backups.flatMap(({label}) => label ?? []);
  if (options.label !== undefined && !labels.includes(options.label))
    ctx.warn(`No backup has the label "${options.label}".${didYouMean(options.label, labels)}`);
  const reasons = retentionReasons(catalogue.backups, ctx.settings.config.retention ?? {}, now);
  return {
    folder: from.url,
    now: now.toISOString(),
    backups: catalogue.backups
      .filter((backup) => options.label === undefined || backup.label === options.label)
      .filter((backup) => options.format === undefined || backup.format === options.format)
      .map((backup) => listed(backup, reasons.get(backup) ?? null)),
    orderBackups,
    problems: catalogue.problems,
    setAside: options.from === undefined ? await readSetAside(ctx) : [],
    places,
  };
}

/** What the audit log cannot say is missing in the list, with a warning; the backups are listed all the same. */
async function readSetAside(ctx: RunContext): Promise<KnownSetAside[]> {
  try {
    const {runs, foreign} = await readHistory(ctx.settings.backupsDir, (run) => run.setAside.length > 0);
    foreignNote(foreign).forEach(ctx.warn);
    return knownSetAside(runs);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    ctx.warn(error.message);
    return [];
  }
}

async function readCopies(
  ctx: RunContext,
  from: Place,
  hasPlaces: boolean,
): Promise<Pick<BackupList, 'places'> & {catalogue: Catalogue}> {
  const catalogue = await from.catalogue(ctx.signal, ctx.settings.backupsDir);
  if (!hasPlaces) return {catalogue, places: []};
  const read = await withCopies(ctx, {place: from.url, catalogue});
  for (const {place, error} of read.places)
    if (error) ctx.warn(`${place} is not in the list: ${error.message}`);
  return read;
}

/** Why each backup is kept or would go; empty when the config file has no policy. */
function retentionReasons(
  backups: readonly Backup[],
  policy: RetentionPolicy,
  now: Date,
): Map<Backup, string> {
  if (ruleNames(policy).length === 0) return new Map();
  return new Map(
    applyRetention(backups.map(retentionCandidate), policy, now).map(({backup, isKept, reason}) => [
      backup.backup,
      isKept ? reason : `would be removed: ${reason}`,
    ]),
  );
}

function listed(backup: Backup, kept: string | null): ListedBackup {
  const {record} = backup;
  const standing = record && standingOfRecord(record);
  const proof = standing?.failure ?? standing?.proof;
  const untested = standing?.notPossible;
  return {
    id: backup.id,
    path: backup.path,
    database: backup.database,
    host: record?.source.host ?? null,
    server: record && serverOf(record.source),
    createdAt: backup.createdAt.toISOString(),
    format: backup.format,
    content: backup.content,
    size: backup.sizeBytes,
    rows: record ? rowsOf(record) : null,
    label: backup.label,
    keep: record?.keep === true,
    verification: proof
      ? {level: proof.level, at: proof.at, ok: proof.ok, outcome: proof.ok ? 'passed' : 'failed'}
      : null,
    notPossible: untested ? {level: untested.level, at: untested.at, findings: untested.findings} : null,
    kept,
    madeBy: record ? 'destino-db' : 'old scripts',
    encrypted: record?.encryption !== undefined,
    shrunkTables: (record?.shrink ?? []).map((one) => one.table),
    missing: record ? [...outsideDatabase(record), ...unreadableTables(record), ...excludedRows(record)] : [],
    places: backup.places ?? [],
  };
}

/** Told by name, size and time alone: the files hold every row they saved and are read when they are needed. */
async function listOrderBackups(ctx: RunContext, place: Place): Promise<ListedOrderBackup[]> {
  const backups = await listPlacedOrders(place, ctx.signal);
  return backups.map(({id, path, createdAt, sizeBytes, isEncrypted}) => {
    return {id, path, createdAt: createdAt.toISOString(), size: sizeBytes, encrypted: isEncrypted};
  });
}
