/** The metadata file of a backup: a dump without it is not a backup. */
import {fstatSync} from 'node:fs';
import {basename} from 'node:path';
import {z} from 'zod';
import {AppError, messageOf} from '../base/errors.js';
import {backupFormats} from '../base/formats.js';
import {isWithoutRows} from '../base/left-out-rows.js';
import {openOwnFile, openRegularFile} from '../base/own-file.js';
import {dataCheckSchema} from '../run/data-checks.js';
import {
  type BackupContent,
  backupContents,
  proofLevels,
  type Standing,
  standingOf,
} from '../run/check-outcome.js';

const bytes = z.int().min(0);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** A file name in the folder of the metadata. Paths are refused, so that a metadata file cannot point elsewhere. */
const fileName = z
  .string()
  .min(1)
  .refine(
    (name) =>
      basename(name) === name && name !== '.' && name !== '..' && !/[\\\u0000-\u001f\u007f]/.test(name),
    'is not a file name',
  );

const localeSchema = z.object({
  encoding: z.string(),
  collation: z.string(),
  ctype: z.string(),
  provider: z.string(),
  providerLocale: z.string().nullable(),
  icuRules: z.string().nullable(),
});

const dumpedTableSchema = z.object({
  schema: z.string(),
  name: z.string(),
  /** Null if the dump was not read back (--no-verify). */
  rows: z.int().min(0).nullable(),
  /** Order-independent hash of the rows (see the documentation of fingerprints); null if it was not computed. */
  fingerprint: z.string().nullable(),
  /** Bytes on the server at the time of the dump: table, indexes and large values; absent if not measured. */
  sizeBytes: bytes.exactOptional(),
});
export type RecordedTable = z.infer<typeof dumpedTableSchema>;

const shrinkSchema = z.object({
  /** schema.name */
  table: z.string(),
  rowsBefore: z.int().min(0),
  rowsNow: z.int().min(0),
});
/** A table that lost more rows since the last intact backup than the shrink alarm allows. */
export type Shrink = z.infer<typeof shrinkSchema>;

const verificationSchema = z.object({
  level: z.enum(proofLevels),
  at: z.iso.datetime(),
  /** True only if `outcome` is "passed". */
  ok: z.boolean(),
  /** Missing in metadata of 0.1.0. */
  outcome: z.enum(['passed', 'failed']).exactOptional(),
  /** Duration of the check, ms. */
  duration: z.int().min(0),
  /** The problems found, a line each. */
  findings: z.array(z.string()),
  /** Duration of the restore in a restore test, ms: the measured recovery time. */
  restoreDuration: z.int().min(0).exactOptional(),
  /** Results of the data checks of a restore test; they do not affect `outcome`, which is about the backup. */
  checks: z.array(dataCheckSchema).exactOptional(),
});
export type Verification = z.infer<typeof verificationSchema>;

const notPossibleSchema = z.object({
  level: z.enum(proofLevels),
  at: z.iso.datetime(),
  outcome: z.literal('not-possible'),
  /** ms */
  duration: z.int().min(0),
  /** Code of the error that prevented the check. */
  code: z.string(),
  /** Why it was not possible, a line each. */
  findings: z.array(z.string()),
  /** The next thing to try. */
  hint: z.string().nullable(),
});
/** A check that could not be made, which says nothing about the backup. */
export type NotPossible = z.infer<typeof notPossibleSchema>;

const rolesSchema = z.object({
  path: fileName,
  sha256,
  size: bytes,
  /** Whether it has the stored passwords, as only encrypted backups can; absent otherwise. */
  hasPasswords: z.boolean().exactOptional(),
});

/** Encryption of the files: the recipients and the plain content. `sha256`, `size` and paths of the record describe the stored files. */
const encryptionSchema = z.object({
  format: z.literal('age'),
  /** Public keys; empty if a passphrase was used. */
  recipients: z.array(z.string()),
  plain: z.object({
    backupPath: fileName,
    size: bytes,
    sha256: z.union([sha256, z.record(fileName, sha256)]),
    roles: rolesSchema.nullable(),
  }),
});

/** Objects that belong to the hosting service, not to its user; empty if a superuser made the backup. */
const platformSchema = z.object({
  roles: z.array(z.string()),
  schemas: z.array(z.string()),
  /** schema.name */
  tables: z.array(z.string()),
  extensions: z.array(z.string()),
  eventTriggers: z.array(z.string()),
  publications: z.array(z.string()),
});

/** Whether a hosting service runs the server. */
export function isOfPlatform(record: BackupRecord | null | undefined): boolean {
  const platform = record?.inventory.platform;
  return platform !== undefined && platform.schemas.length + platform.extensions.length > 0;
}

/** The keys of the old scripts' metadata come first, then this program's own. */
export const backupRecordSchema = z.object({
  schemaVersion: z.literal(1),
  toolVersion: z.string(),
  /** Part of file names. */
  id: fileName,
  timestamp: z.iso.datetime(),
  databaseName: z.string(),
  format: z.enum(backupFormats),
  compressed: z.boolean(),
  size: bytes,
  /** ms */
  duration: z.int().min(0),
  postgresVersion: z.string(),
  backupPath: fileName,
  config: z.object({
    compression: z.string().nullable(),
    schemaOnly: z.boolean(),
    dataOnly: z.boolean(),
    includeTables: z.array(z.string()),
    excludeTables: z.array(z.string()),
    /** Missing in metadata of versions that did not know it. */
    excludeTableData: z.array(z.string()).exactOptional(),
    includeSchemas: z.array(z.string()),
    excludeSchemas: z.array(z.string()),
    parallelJobs: z.int(),
  }),
  /** Missing in metadata of 0.1.0, which has the value in `config`. */
  content: z.enum(backupContents).exactOptional(),
  clientVersion: z.string(),
  serverMajor: z.int(),
  /** Identity of the database: the cluster's number where it is readable, else host and port. */
  source: z.object({
    systemIdentifier: z.string().nullable(),
    host: z.string(),
    port: z.int(),
    /** Reference of the Supabase project; absent for other servers, and in metadata of 0.1.0. */
    project: z.string().exactOptional(),
    owner: z.string(),
    locale: localeSchema,
    sizeBytes: bytes,
  }),
  /** One digest for a file, or one for each file of a folder. */
  sha256: z.union([sha256, z.record(fileName, sha256)]),
  tables: z.array(dumpedTableSchema),
  /** SHA-256 of everything in the dump but the rows of tables, and of the settings of the database; absent without fingerprints. */
  definitions: sha256.exactOptional(),
  /** Id of the earlier backup with the same content, whose stored bytes this one shares (`--skip-unchanged`). */
  equalTo: fileName.exactOptional(),
  /** Content of the database that is not in the file. */
  inventory: z.looseObject({
    leftOut: z.array(z.object({table: z.string(), reason: z.string()})),
    /** Those tables and sequences of the platform that the role may not read; missing in metadata of 0.1.0. */
    unreadable: z.array(z.object({table: z.string(), reason: z.string()})).exactOptional(),
    /** All schemas of the database; missing in metadata of 0.1.0. */
    schemas: z.array(z.string()).exactOptional(),
    /** Missing in metadata of 0.1.0. */
    platform: platformSchema.exactOptional(),
    /** When `refresh` masked the database, and the backup that it was made from; absent for other databases. */
    masked: z.object({at: z.iso.datetime(), backup: z.string()}).exactOptional(),
  }),
  /** The roles of the cluster, as a separate plain dump; null unless requested. */
  roles: rolesSchema.nullable(),
  verification: verificationSchema.nullable(),
  /** Later checks, oldest first. */
  proofs: z.array(verificationSchema),
  /** Checks that were not possible, the newest of each level; they never replace the outcomes above. */
  notPossible: z.array(notPossibleSchema).exactOptional(),
  label: z.string().nullable(),
  /** Whether `label --keep` keeps it from retention; absent otherwise, and in metadata of versions that did not know it. */
  keep: z.boolean().exactOptional(),
  encryption: encryptionSchema.exactOptional(),
  /** The folder of the files in an object store ("data/.../"); absent if they are stored next to the metadata. */
  storage: z.object({folder: z.string().regex(/^data\/(?!\.{1,2}\/)[^/\\]+\/$/)}).exactOptional(),
  /** Unaccepted findings of the shrink alarm. Such a backup is kept, and nothing is pruned after it. */
  shrink: z.array(shrinkSchema).default([]),
  warnings: z.array(z.string()),
});
export type BackupRecord = z.infer<typeof backupRecordSchema>;

/**
 * Reads a metadata file of this program.
 * @throws METADATA_INVALID naming the wrong key
 */
export async function readBackupRecord(path: string): Promise<BackupRecord> {
  return recordIn(path, await readMetadata(path));
}

/** Limit of a metadata file's size; each table takes some hundred bytes. */
export const longestMetadata = 256 * 2 ** 20;

/**
 * The content of a metadata file, which must be a regular file: a link could reveal the content of another file in error messages, a pipe
 * would never end.
 * @param isOwn whether it must belong to the running user
 * @throws METADATA_INVALID, FOREIGN_FILE
 */
export async function readMetadata(path: string, isOwn = false): Promise<unknown> {
  try {
    const file = await (isOwn ? openOwnFile(path) : openRegularFile(path, false));
    try {
      const {size} = fstatSync(file.fd); // opening has fetched it
      if (size > longestMetadata) throw new Error(`it has ${size} bytes`);
      // One read in nearly every case; readFile would ask for the size again.
      const bytes = Buffer.allocUnsafe(size + 1);
      const {bytesRead} = await file.read(bytes, 0, bytes.length, 0);
      return JSON.parse(bytesRead === size ? bytes.toString('utf8', 0, size) : await file.readFile('utf8'));
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isOwn && error instanceof AppError) throw error;
    throw cannotBeRead(path, error);
  }
}

/** @param path for messages @throws METADATA_INVALID naming the wrong key */
export function parseBackupRecord(path: string, text: string): BackupRecord {
  return recordIn(path, parseMetadata(path, text));
}

/** @param path for messages @throws METADATA_INVALID if the text is not JSON */
export function parseMetadata(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw cannotBeRead(path, error);
  }
}

function cannotBeRead(path: string, cause: unknown): AppError {
  return new AppError('METADATA_INVALID', `Cannot read backup metadata ${path}: ${messageOf(cause)}.`, {
    cause,
  });
}

/** @param data the content of the metadata file @throws METADATA_INVALID naming the wrong key */
export function recordIn(path: string, data: unknown): BackupRecord {
  const parsed = backupRecordSchema.safeParse(data);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new AppError(
    'METADATA_INVALID',
    `Backup metadata ${path} is not valid at "${issue?.path.join('.') ?? ''}": ${issue?.message ?? 'unknown'}.`,
  );
}

/** The metadata as stored text: indented by two spaces, with a final newline. */
export function formatBackupRecord(record: Readonly<Record<string, unknown>>): string {
  return `${JSON.stringify(record, null, 2)}\n`;
}

/** The state of the backup according to the checks in its metadata. */
export function standingOfRecord(
  record: Pick<BackupRecord, 'verification' | 'proofs' | 'notPossible' | 'content' | 'config'>,
): Standing<Verification, NotPossible> {
  return standingOf(record, contentOf(record));
}

/** Tables that the backup contains without their rows: "schema.name". */
export function tablesWithoutRows({inventory}: Pick<BackupRecord, 'inventory'>): string[] {
  return inventory.leftOut.flatMap(({table, reason}) => (isWithoutRows(reason) ? [table] : []));
}

/** Whether the backup is one of a masked copy, which lacks the personal data. */
export function isMasked(record: BackupRecord | null): boolean {
  return record?.inventory.masked !== undefined;
}

/** Whether tables, their rows or schemas were included or excluded. */
export function isSelection({config}: Pick<BackupRecord, 'config'>): boolean {
  const {includeTables, excludeTables, excludeTableData = [], includeSchemas, excludeSchemas} = config;
  return [includeTables, excludeTables, excludeTableData, includeSchemas, excludeSchemas].some(
    (list) => list.length > 0,
  );
}

/** The content of the backup. Excluded tables, rows and schemas do not make it a partial backup. */
export function contentOf({
  content,
  config,
}: {
  readonly content?: BackupContent;
  readonly config: {
    readonly schemaOnly: boolean;
    readonly dataOnly: boolean;
    readonly includeTables: readonly string[];
    readonly includeSchemas: readonly string[];
  };
}): BackupContent {
  if (content !== undefined) return content;
  const {schemaOnly, dataOnly, includeTables, includeSchemas} = config;
  if (dataOnly) return 'data';
  if (schemaOnly) return 'schema';
  return includeTables.length + includeSchemas.length > 0 ? 'tables' : 'whole';
}

/** Rows of all tables; null if they were not counted. */
export function rowsOf(record: Pick<BackupRecord, 'tables'>): number | null {
  return record.tables.reduce<number | null>(
    (sum, {rows}) => (sum === null || rows === null ? null : sum + rows),
    0,
  );
}
