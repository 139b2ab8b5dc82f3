/** `show`: all that is known of one backup, from its metadata, and where copies of it are. */
import {
  type BackupRecord,
  isMasked,
  type NotPossible,
  rowsOf,
  type Verification,
} from '../../catalog/backup-record.js';
import {type Backup, isGood, serverOf} from '../../catalog/catalogue.js';
import {outsideDatabase, unreadableTables} from '../../catalog/outside-database.js';
import {isWithoutRows} from '../../base/left-out-rows.js';
import {qualifiedName} from '../../base/qualified-name.js';
import type {BackupFormat} from '../../base/formats.js';
import {backupFolder} from '../../catalog/backup-name.js';
import {type BackupContent, type Outcome, outcomeOfResult, type ProofLevel} from '../../run/check-outcome.js';
import type {DataCheck} from '../../run/data-checks.js';
import type {RunContext} from '../../run/run-context.js';
import {allPlaces} from '../../settings/sources.js';
import {findCopy, type FoundCopy} from '../../storage/find-copy.js';
import {type BackupRequest, findBackup} from './find-backup.js';
import {restoreCommands, type RestoreCommand} from './restore-commands.js';

export interface BackupCheck {
  readonly level: ProofLevel;
  readonly at: string;
  readonly outcome: Outcome;
  /** ms */
  readonly duration: number;
  /** ms that the restore itself took; null for other checks. */
  readonly restoreDuration: number | null;
  /** The damage found, or the obstacle, a line each. */
  readonly findings: readonly string[];
  /** The way to make a check possible. */
  readonly hint: string | null;
  /** Results of the data checks of a restore test; they do not affect `outcome`, which is about the backup. */
  readonly checks: readonly DataCheck[];
}

export interface ShowResult {
  readonly now: string;
  readonly id: string;
  readonly path: string;
  readonly metadataPath: string;
  readonly database: string;
  /** The Supabase project, else host and port; null where the backup does not say. */
  readonly server: string | null;
  readonly createdAt: string;
  readonly format: BackupFormat;
  readonly content: BackupContent;
  /** Whether it is a backup of a masked copy. */
  readonly masked: boolean;
  readonly compressed: boolean;
  /** Bytes. */
  readonly size: number;
  /** Bytes of the database on its server. */
  readonly databaseSize: number | null;
  /** ms that the backup took. */
  readonly duration: number | null;
  readonly rows: number | null;
  readonly label: string | null;
  /** Whether prune never removes it. */
  readonly keep: boolean;
  readonly madeBy: 'destino-db' | 'old scripts';
  readonly toolVersion: string | null;
  /** Of the server. */
  readonly postgresVersion: string | null;
  readonly encrypted: boolean;
  /** Public keys that it is encrypted to; empty where a passphrase opens it. */
  readonly recipients: readonly string[];
  /** False while a failed check stands. */
  readonly ok: boolean;
  readonly tables: readonly {
    /** "schema.name" */
    readonly table: string;
    readonly rows: number | null;
    /** Bytes on the server. */
    readonly size: number | null;
    readonly fingerprint: string | null;
  }[];
  /** Parts of the database and its service that the backup does not contain. */
  readonly notInIt: readonly {readonly what: string; readonly reason: string | null}[];
  readonly shrunkTables: readonly {
    readonly table: string;
    readonly rowsBefore: number;
    readonly rowsNow: number;
  }[];
  readonly warnings: readonly string[];
  /** Oldest first. */
  readonly checks: readonly BackupCheck[];
  /** The location of the backup, the backups folder, and the locations in the config file. */
  readonly places: readonly FoundCopy[];
  /** How to restore it, in order. */
  readonly commands: readonly RestoreCommand[];
}

/**
 * Reads metadata only; a location that cannot be reached is named with the reason.
 * @param command program, id and the flags that name the same settings
 * @throws what `findBackup` throws
 */
export async function showBackup(
  context: RunContext,
  request: BackupRequest,
  command: (id: string) => readonly string[],
): Promise<ShowResult> {
  const {backup, place} = await findBackup(context, request);
  const {record} = backup;
  const {settings} = context;
  const others = [backupFolder(settings), ...allPlaces(settings.config)];
  const copies = await Promise.all(others.map((name) => findCopy(context, name, backup)));
  const own: FoundCopy = {
    place: place.url,
    state: isGood(backup) ? 'good' : 'damaged',
    metadataPath: backup.metadataPath,
    error: null,
  };
  return {
    now: context.clock.now().toISOString(),
    id: backup.id,
    path: backup.path,
    metadataPath: backup.metadataPath,
    database: backup.database,
    server: record && serverOf(record.source),
    createdAt: backup.createdAt.toISOString(),
    format: backup.format,
    content: backup.content,
    masked: isMasked(record),
    compressed: backup.compressed,
    size: backup.sizeBytes,
    databaseSize: record?.source.sizeBytes ?? null,
    duration: record?.duration ?? null,
    rows: record ? rowsOf(record) : null,
    label: backup.label,
    keep: record?.keep === true,
    madeBy: record ? 'destino-db' : 'old scripts',
    toolVersion: record?.toolVersion ?? null,
    postgresVersion: record?.postgresVersion ?? null,
    encrypted: record?.encryption !== undefined,
    recipients: record?.encryption?.recipients ?? [],
    ok: isGood(backup),
    tables: (record?.tables ?? []).map((table) => ({
      table: qualifiedName(table),
      rows: table.rows,
      size: table.sizeBytes ?? null,
      fingerprint: table.fingerprint,
    })),
    notInIt: record ? notIn(record) : [],
    shrunkTables: record?.shrink ?? [],
    warnings: record?.warnings ?? [],
    checks: checksOf(backup),
    places: [own, ...copies.filter((copy) => copy.place !== place.url)],
    commands: restoreCommands(backup, request.from, command),
  };
}

function notIn(record: BackupRecord): ShowResult['notInIt'] {
  const {leftOut} = record.inventory;
  const {excludeTables, excludeSchemas, includeTables, includeSchemas, schemaOnly, dataOnly} = record.config;
  const asked = (what: string, flag: string): ShowResult['notInIt'][number] => ({what, reason: `by ${flag}`});
  return [
    ...(schemaOnly ? [asked('rows', '--schema-only')] : []),
    ...(dataOnly ? [asked('definitions', '--data-only')] : []),
    ...(includeTables.length > 0 ? [asked(`all but ${includeTables.join(', ')}`, '--include-table')] : []),
    ...(includeSchemas.length > 0 ? [asked(`all but ${includeSchemas.join(', ')}`, '--include-schema')] : []),
    ...excludeTables.map((name) => asked(name, '--exclude-table')),
    ...excludeSchemas.map((name) => asked(name, '--exclude-schema')),
    ...leftOut.map(({table, reason}) => ({
      what: isWithoutRows(reason) ? `rows of ${table}` : table,
      reason: isWithoutRows(reason) ? `by ${reason}` : reason,
    })),
    ...unreadableTables(record).map((what) => ({what, reason: null})),
    ...outsideDatabase(record).map((what) => ({what, reason: 'not in the database'})),
  ];
}

function checksOf({record, content}: Backup): BackupCheck[] {
  if (!record) return [];
  const made = [...(record.verification ? [record.verification] : []), ...record.proofs];
  const check = (one: Verification | NotPossible, outcome: Outcome): BackupCheck => ({
    level: one.level,
    at: one.at,
    outcome,
    duration: one.duration,
    restoreDuration: 'restoreDuration' in one ? (one.restoreDuration ?? null) : null,
    findings: one.findings,
    hint: 'hint' in one ? one.hint : null,
    checks: 'checks' in one ? (one.checks ?? []) : [],
  });
  return [
    ...made.map((one) => check(one, outcomeOfResult(one, content))),
    ...(record.notPossible ?? []).map((one) => check(one, 'not-possible')),
  ].sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
}
