/** Lists the backups of databases and of cleaned orders, newest first. */
import {isMasked, rowsOf, standingOfRecord} from '../../catalog/backup-record.js';
import {type Backup, type Catalogue, serverOf} from '../../catalog/catalogue.js';
import {decideRetention} from '../../catalog/decide-retention.js';
import {excludedRows, outsideDatabase, unreadableTables} from '../../catalog/outside-database.js';
import type {BackupContent, Outcome, ProofLevel} from '../../run/check-outcome.js';
import {type RetentionPolicy, ruleNames} from '../../catalog/retention.js';
import {AppError} from '../../base/errors.js';
import {didYouMean} from '../../base/nearest.js';
import {foreignNote} from '../../base/own-file.js';
import {chooseSources, configuredSources, isNamed, retentionOf} from '../../settings/sources.js';
import {identityOf} from '../../catalog/database-groups.js';
import {sourceNames} from '../databases/source-names.js';
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
  /** The host of the server in the URL; null if unknown (made by the old scripts). */
  readonly host: string | null;
  /** The Supabase project, otherwise host and port. */
  readonly server: string | null;
  readonly createdAt: string;
  readonly format: BackupFormat;
  /** The part of the database that it contains. */
  readonly content: BackupContent;
  /** Bytes. */
  readonly size: number;
  /** Rows of all tables; null if unknown (made by the old scripts). */
  readonly rows: number | null;
  readonly label: string | null;
  /** Whether `label --keep` keeps it from prune. */
  readonly keep: boolean;
  /** The earlier backup with the same content, whose stored bytes this one shares; null if it has its own. */
  readonly equalTo: string | null;
  /** The failed check that counts, otherwise the strongest one that passed; null if none did. */
  readonly verification: {
    readonly level: ProofLevel;
    readonly at: string;
    readonly ok: boolean;
    readonly outcome: Outcome;
  } | null;
  /** The newest check that was not possible, unless an equally strong one passed later. */
  readonly notPossible: {
    readonly level: ProofLevel;
    readonly at: string;
    readonly findings: readonly string[];
  } | null;
  /** Why the retention of the config file keeps it, or "would be removed: ..."; null without a policy. */
  readonly kept: string | null;
  /** The program that made it. */
  readonly madeBy: 'destino-db' | 'old scripts';
  readonly encrypted: boolean;
  /** Whether it is a backup of a masked copy, which `--latest` never means for another database. */
  readonly masked: boolean;
  /** Tables that lost more rows than the shrink alarm allows. */
  readonly shrunkTables: readonly string[];
  /** Data that the service keeps outside the database, in words, and tables that the role could not read. */
  readonly missing: readonly string[];
  /** The locations of intact copies, if several were requested. */
  readonly places: readonly string[];
  /** Name in `databases` of the config file, if it is one of them. */
  readonly source?: string;
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
  /** Backups of the rows that `orders:clean` deleted; never pruned. */
  readonly orderBackups: readonly ListedOrderBackup[];
  /** Unusable metadata files. */
  readonly problems: readonly {readonly path: string; readonly reason: string}[];
  /** Databases that restores set aside, as recorded by the last runs; the server is not queried. */
  readonly setAside: readonly KnownSetAside[];
  /** A summary of each location; empty unless several were requested. */
  readonly places: readonly PlaceSummary[];
}

export interface ListOptions {
  /** Whether to read the locations of the config file too. */
  readonly hasPlaces?: boolean;
  /** "s3://bucket/prefix", or the folder to list; the two folders of the backups folder by default. */
  readonly from?: string;
  readonly label?: string;
  readonly format?: BackupFormat;
  /** Only databases with these names, of `databases` in the config file or their own. */
  readonly databases?: readonly string[];
  /** Only those of `databases` in the config file. */
  readonly isAllDatabases?: boolean;
}

/** @throws READ_FAILED if a folder exists and cannot be read, BACKUP_NOT_FOUND if `from` does not exist */
export async function listBackups(ctx: RunContext, options: ListOptions): Promise<BackupList> {
  const {settings} = ctx;
  const now = ctx.clock.now();
  const from = await openSource(settings, options.from);
  const [{catalogue, places}, orderBackups] = await Promise.all([
    readCopies(ctx, from, options.hasPlaces ?? false),
    [options.label, options.format, options.databases, options.isAllDatabases].every(
      (one) => one === undefined || one === false,
    )
      ? listOrderBackups(ctx, await openPlace(settings, options.from ?? settings.backupsDir))
      : [],
  ]);
  const labels = catalogue.backups.flatMap(({label}) => label ?? []);
  if (options.label !== undefined && !labels.includes(options.label))
    ctx.warn(`No backup has the label "${options.label}".${didYouMean(options.label, labels)}`);
  const sourceOf = labelsOf(settings, catalogue.backups);
  const wanted =
    options.isAllDatabases === true
      ? chooseSources(settings, {isAll: true}).map(({name}) => name)
      : options.databases;
  const isWanted = (backup: Backup): boolean =>
    wanted === undefined ||
    isNamed(wanted, {label: sourceOf(backup) ?? backup.database, name: backup.database});
  for (const name of wanted ?? []) warnOfUnknown(ctx, name, catalogue.backups, sourceOf);
  const policyOf = (backup: Backup): RetentionPolicy =>
    retentionOf(settings.config, sourceOf(backup) ?? backup.database);
  const reasons = retentionReasons(catalogue.backups, policyOf, now);
  return {
    folder: from.url,
    now: now.toISOString(),
    backups: catalogue.backups
      .filter((backup) => options.label === undefined || backup.label === options.label)
      .filter((backup) => options.format === undefined || backup.format === options.format)
      .filter(isWanted)
      .map((backup) => {
        const source = sourceOf(backup);
        return {...listed(backup, reasons.get(backup) ?? null), ...(source === undefined ? {} : {source})};
      }),
    orderBackups,
    problems: catalogue.problems,
    setAside: options.from === undefined ? await readSetAside(ctx) : [],
    places,
  };
}

/** The names of the backups' databases in the config file. */
function labelsOf(
  settings: RunContext['settings'],
  backups: readonly Backup[],
): (backup: Backup) => string | undefined {
  const sourceOf = sourceNames(settings);
  const names = new Map(backups.map((backup) => [backup, sourceOf(identityOf(backup))]));
  return (backup) => names.get(backup);
}

function warnOfUnknown(
  {settings, warn}: RunContext,
  name: string,
  backups: readonly Backup[],
  sourceOf: (backup: Backup) => string | undefined,
): void {
  const labels = backups.map((backup) => ({
    label: sourceOf(backup) ?? backup.database,
    name: backup.database,
  }));
  if (labels.some((one) => isNamed([name], one))) return;
  const sources = configuredSources(settings).map((source) => source.name);
  const known = [...new Set([...sources, ...labels.map(({label}) => label)])];
  warn(
    sources.includes(name)
      ? `${name} has no backup yet. Make one: destino-db backup --database ${name}`
      : `No backup is of a database "${name}".${didYouMean(name, known)}`,
  );
}

/** If the audit log cannot be read, warns and lists the backups without these databases. */
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

/** Why each backup is kept or would be removed; without those for which the config file has no policy. */
function retentionReasons(
  backups: readonly Backup[],
  policyOf: (backup: Backup) => RetentionPolicy,
  now: Date,
): Map<Backup, string> {
  const ruled = backups.filter((backup) => ruleNames(policyOf(backup)).length > 0);
  return new Map(
    decideRetention(ruled, policyOf, now).map(({backup, isKept, reason}) => [
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
    equalTo: record?.equalTo ?? null,
    verification: proof
      ? {level: proof.level, at: proof.at, ok: proof.ok, outcome: proof.ok ? 'passed' : 'failed'}
      : null,
    notPossible: untested ? {level: untested.level, at: untested.at, findings: untested.findings} : null,
    kept,
    madeBy: record ? 'destino-db' : 'old scripts',
    encrypted: record?.encryption !== undefined,
    masked: isMasked(record),
    shrunkTables: (record?.shrink ?? []).map((one) => one.table),
    missing: record ? [...outsideDatabase(record), ...unreadableTables(record), ...excludedRows(record)] : [],
    places: backup.places ?? [],
  };
}

/** Lists only names, sizes and times: the files contain every saved row and are read only when needed. */
async function listOrderBackups(ctx: RunContext, place: Place): Promise<ListedOrderBackup[]> {
  const backups = await listPlacedOrders(place, ctx.signal);
  return backups.map(({id, path, createdAt, sizeBytes, isEncrypted}) => {
    return {id, path, createdAt: createdAt.toISOString(), size: sizeBytes, encrypted: isEncrypted};
  });
}
