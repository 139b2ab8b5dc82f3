/** The options of a backup: flags, then config, then defaults, checked for contradictions. */
import {knownDumpMajors} from '../../dump/compress/custom-format.js';
import {defined} from '../../base/defined.js';
import {AppError} from '../../base/errors.js';
import type {TableSize} from '../../postgres/inspect/inspect-database.js';
import {type CompressMethod, formats} from '../../base/formats.js';
import {compressArgument, type DumpOptions} from '../../postgres/tools/pg-dump.js';
import type {Config} from '../../settings/config-schema.js';
import type {Encryption} from '../../encryption/settings.js';

/** The flags of `backup`, undefined where not given. */
export interface BackupRequest extends Partial<DumpOptions> {
  readonly compress?: boolean;
  readonly verify?: boolean;
  readonly fingerprint?: boolean;
  readonly outputDir?: string;
  /** Obsolete; changes nothing. */
  readonly preset?: 'supabase' | 'none';
  /** Remote locations that receive the backup unencrypted. */
  readonly plainPlaces?: readonly string[];
  /** Whether the rows that the config file excludes are backed up all the same: a safety backup needs them. */
  readonly hasAllRows?: boolean;
  readonly withRoles?: boolean;
  /** Whether a backup with the content of the one before shares its stored bytes; by default as the config file says. */
  readonly skipUnchanged?: boolean;
  readonly retentionDays?: number;
  readonly label?: string;
  readonly acceptShrink?: boolean;
  readonly dryRun?: boolean;
  /** Another database on the server of the settings. */
  readonly database?: string;
  /** Whether the dump is never stored on a local disk, which then needs no space for it. */
  readonly isStreamed?: boolean;
  /** Whether retention may remove older backups afterwards; true by default. */
  readonly isPruning?: boolean;
  /** By default that of the config file; unencrypted if it has no key. */
  readonly encryption?: Encryption;
  /** How long to wait for another run in the same folder, ms. */
  readonly waitMs?: number;
}

export interface BackupOptions extends DumpOptions {
  readonly isCompressed: boolean;
  /** The gzip level at which this program compresses the uncompressed output of pg_dump; undefined if pg_dump compresses. */
  readonly recompressLevel: number | undefined;
  readonly isVerified: boolean;
  readonly hasFingerprints: boolean;
  /** Whether the roles of the server are dumped too. */
  readonly hasRoles: boolean;
  /** Whether the backup goes on without them if they cannot be dumped, as nobody asked for them. */
  readonly areRolesOptional: boolean;
  /** Whether a dump that equals the backup before it is stored once. */
  readonly skipsUnchanged: boolean;
  readonly lockWaitMs: number;
}

const defaultLockWaitSeconds = 60;
/** More connections than this gain nothing and may exhaust a hosted server. */
const mostDefaultJobs = 4;
/** Measured: half the time of gzip's default and 15 % fewer bytes. */
const zstdLevel = 3;
/** src/common/compression.c of PostgreSQL */
const highestLevels: Readonly<Record<CompressMethod, number>> = {gzip: 9, lz4: 12, zstd: 22};
/** Measured: the size of pg_dump's own default. */
const recompressLevel = 5;

/**
 * @param isOfServer whether the database is one of a whole server, with which its roles are stored unless something excludes that
 * @throws USAGE if the request contradicts itself
 */
export function resolveBackupOptions(
  request: BackupRequest,
  config: Config,
  cores: number,
  isOfServer = false,
): BackupOptions {
  const defaults = config.backup ?? {};
  const format = request.format ?? defaults.format ?? 'custom';
  const level =
    request.compressLevel ?? (request.compress === undefined ? defaults.compressLevel : undefined);
  const isCompressed = request.compress ?? (level !== undefined ? level > 0 : (defaults.compress ?? true));
  // Plain SQL is always compressed with gzip; the method in the config file is for archives.
  const method =
    request.compressMethod ?? (formats[format].compressesInside ? defaults.compressMethod : undefined);
  if (request.compress === false && request.compressLevel !== undefined && request.compressLevel > 0) {
    throw usage('--no-compress contradicts --compress-level.');
  }
  if (!isCompressed && request.compressMethod !== undefined)
    throw usage(
      `${request.compress === false ? '--no-compress' : 'Level 0'} contradicts --compress-method ${request.compressMethod}.`,
    );
  if (!formats[format].compressesInside && method !== undefined && method !== 'gzip')
    throw usage(
      `--compress-method ${method} needs --format custom or directory; plain SQL is compressed with gzip.`,
    );
  const highest = highestLevels[method ?? 'gzip'];
  if (level !== undefined && level > highest)
    throw usage(`Level ${level} is too high: ${method ?? 'gzip'} has levels up to ${highest}.`);
  if (request.compress === true && request.compressLevel === 0)
    throw usage('--compress contradicts --compress-level 0.');
  if (request.schemaOnly === true && request.dataOnly === true)
    throw usage('--schema-only contradicts --data-only.');
  if (request.parallelJobs !== undefined && request.parallelJobs > 1 && !formats[format].takesJobs) {
    throw usage(
      '--parallel-jobs needs --format directory: pg_dump writes other formats through one connection.',
    );
  }
  if (request.schemaOnly === true && (request.excludeTableData ?? []).length > 0)
    throw usage('--exclude-table-data contradicts --schema-only, which leaves out all rows.');
  if (request.verify === false && request.fingerprint === true)
    throw usage('--no-verify contradicts --fingerprint.');
  const skipsUnchanged = request.skipUnchanged ?? defaults.skipUnchanged ?? false;
  const hasFingerprints = (request.verify ?? true) && (request.fingerprint ?? true);
  const asksForRoles = request.withRoles ?? defaults.withRoles;
  const areRolesOptional = asksForRoles === undefined && isOfServer && !skipsUnchanged;
  const hasRoles =
    request.withRoles ?? ((asksForRoles === true || areRolesOptional) && request.isStreamed !== true);
  if (request.skipUnchanged === true) {
    const contradiction = !hasFingerprints
      ? request.verify === false
        ? '--no-verify'
        : '--no-fingerprint'
      : hasRoles
        ? '--with-roles'
        : request.isStreamed === true
          ? '--no-local'
          : undefined;
    if (contradiction !== undefined) throw usage(`--skip-unchanged contradicts ${contradiction}.`);
  }
  return defined({
    format,
    isCompressed,
    compressMethod: method,
    compressLevel: isCompressed ? (level ?? (method === 'zstd' ? zstdLevel : undefined)) : 0,
    recompressLevel: undefined,
    isVerified: request.verify ?? true,
    hasFingerprints,
    // The file of roles is not compared.
    skipsUnchanged: skipsUnchanged && hasFingerprints && !hasRoles,
    hasRoles,
    areRolesOptional,
    schemaOnly: request.schemaOnly ?? false,
    dataOnly: request.dataOnly ?? false,
    includeTables: request.includeTables ?? [],
    excludeTables: [...(request.excludeTables ?? []), ...(defaults.excludeTables ?? [])],
    excludeTableData: [
      ...(request.excludeTableData ?? []),
      ...(request.hasAllRows === true || request.schemaOnly === true
        ? []
        : (defaults.excludeTableData ?? [])),
    ],
    includeSchemas: request.includeSchemas ?? [],
    excludeSchemas: [...(request.excludeSchemas ?? []), ...(defaults.excludeSchemas ?? [])],
    parallelJobs: request.parallelJobs ?? defaults.parallelJobs ?? Math.min(cores, mostDefaultJobs),
    lockWaitMs: (defaults.lockWaitSeconds ?? defaultLockWaitSeconds) * 1000,
  });
}

/**
 * Chooses defaults that depend on the server and pg_dump: the compression of archives, and as many connections as the sizes of the
 * tables can keep busy, because one connection reads a table alone.
 * @param found `hasZstd` says whether pg_dump writes zstd, the readers of the dump know it, and no other compression was requested
 */
export function fitBackupOptions(
  options: BackupOptions,
  request: BackupRequest,
  config: Config,
  found: {readonly hasZstd: boolean; readonly toolMajor: number; readonly tables: readonly TableSize[]},
): BackupOptions {
  return {
    ...options,
    ...(compressArgument(options) === undefined ? defaultCompression(options, found.hasZstd) : {}),
    recompressLevel: isRecompressed(options, found) ? recompressLevel : undefined,
    parallelJobs:
      (request.parallelJobs ?? config.backup?.parallelJobs) === undefined
        ? Math.min(options.parallelJobs, usefulJobs(found.tables))
        : options.parallelJobs,
  };
}

function defaultCompression({format}: BackupOptions, hasZstd: boolean): Partial<BackupOptions> {
  const {compressesInside, gzipLevel} = formats[format];
  return compressesInside && hasZstd
    ? {compressMethod: 'zstd', compressLevel: zstdLevel}
    : defined({compressLevel: gzipLevel});
}

/** This program compresses only dumps that are read completely afterwards, and only archives of known versions. */
function isRecompressed(
  options: BackupOptions,
  found: {readonly hasZstd: boolean; readonly toolMajor: number},
): boolean {
  const {format, isVerified, schemaOnly} = options;
  if (compressArgument(options) !== undefined || !isVerified) return false;
  const {canRecompress, isArchive} = formats[format];
  const isKnown = !found.hasZstd && !schemaOnly && knownDumpMajors.includes(found.toolMajor);
  return canRecompress && (!isArchive || isKnown);
}

/** The largest table keeps one connection busy all the time; more connections than the other tables need would be idle. */
function usefulJobs(tables: readonly TableSize[]): number {
  const sizes = tables.map((table) => table.sizeBytes);
  const largest = Math.max(0, ...sizes);
  if (largest === 0) return Math.max(1, tables.length); // never analyzed, so the sizes are unknown
  return Math.ceil(sizes.reduce((sum, size) => sum + size, 0) / largest);
}

function usage(message: string): AppError {
  return new AppError('USAGE', message, {hint: 'See the flags with: destino-db backup --help'});
}
