/** The metadata file beside a backup: without it there is no backup. */
import {basename} from 'node:path';
import {z} from 'zod';
import {AppError, messageOf} from '../base/errors.js';
import {backupFormats} from '../base/formats.js';
import {openRegularFile} from '../base/own-file.js';
import {
  type BackupContent,
  backupContents,
  proofLevels,
  type Standing,
  standingOf,
} from '../run/check-outcome.js';

const bytes = z.int().min(0);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** A name of a file right beside the metadata: no path, so that a metadata file cannot point elsewhere. */
const fileName = z
  .string()
  .min(1)
  .refine(
    (name) =>
      basename(name) === name && name !== '.' && name !== '..' && !/[\\\u0000-\u001f\u007f]/.test(name),
    'is no name of a file',
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
  /** Null where the dump was not read back (--no-verify). */
  rows: z.int().min(0).nullable(),
  /** Order-independent hash of the rows (see the documentation of fingerprints); null where it was left out. */
  fingerprint: z.string().nullable(),
  /** Bytes on the server when it was dumped: table, indexes and large values; absent where it was not measured. */
  sizeBytes: bytes.optional(),
});
export type RecordedTable = z.infer<typeof dumpedTableSchema>;

const shrinkSchema = z.object({
  /** schema.name */
  table: z.string(),
  rowsBefore: z.int().min(0),
  rowsNow: z.int().min(0),
});
/** A table that lost more rows since the last good backup than the shrink alarm allows. */
export type Shrink = z.infer<typeof shrinkSchema>;

const verificationSchema = z.object({
  level: z.enum(proofLevels),
  at: z.iso.datetime(),
  /** True for an outcome of "passed" alone. */
  ok: z.boolean(),
  /** Missing in metadata of 0.1.0. */
  outcome: z.enum(['passed', 'failed']).optional(),
  /** Duration of the proof, ms. */
  duration: z.int().min(0),
  /** What was found wrong, a line each. */
  findings: z.array(z.string()),
  /** Duration of the restore in a proof by restore, ms: the measured time a recovery takes. */
  restoreDuration: z.int().min(0).optional(),
});
export type Verification = z.infer<typeof verificationSchema>;

const notPossibleSchema = z.object({
  level: z.enum(proofLevels),
  at: z.iso.datetime(),
  outcome: z.literal('not-possible'),
  /** ms */
  duration: z.int().min(0),
  /** Code of the error that stood in the way. */
  code: z.string(),
  /** Why it was not possible, a line each. */
  findings: z.array(z.string()),
  /** What would make it possible. */
  hint: z.string().nullable(),
});
/** A check that could not be made where it was tried, which says nothing about the backup. */
export type NotPossible = z.infer<typeof notPossibleSchema>;

/** That the files are encrypted, to whom, and what they hold: `sha256`, `size` and paths of the record are those of the stored files. */
const encryptionSchema = z.object({
  format: z.literal('age'),
  /** Public keys; empty where a passphrase opens it. */
  recipients: z.array(z.string()),
  plain: z.object({
    backupPath: fileName,
    size: bytes,
    sha256: z.union([sha256, z.record(fileName, sha256)]),
    roles: z.object({path: fileName, sha256, size: bytes}).nullable(),
  }),
});

/** Names of what belongs to the service that runs the server, not to its user; empty where a superuser made the backup. */
const platformSchema = z.object({
  roles: z.array(z.string()),
  schemas: z.array(z.string()),
  /** schema.name */
  tables: z.array(z.string()),
  extensions: z.array(z.string()),
  eventTriggers: z.array(z.string()),
  publications: z.array(z.string()),
});

/** Whether a service runs the server of the backup. */
export function isOfPlatform(record: BackupRecord | null | undefined): boolean {
  const platform = record?.inventory.platform;
  return platform !== undefined && platform.schemas.length + platform.extensions.length > 0;
}

/** Keys of the old scripts' metadata come first; the others are this program's. */
export const backupRecordSchema = z.object({
  schemaVersion: z.literal(1),
  toolVersion: z.string(),
  /** Names of files are made of it. */
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
    includeSchemas: z.array(z.string()),
    excludeSchemas: z.array(z.string()),
    parallelJobs: z.int(),
  }),
  /** Missing in metadata of 0.1.0, where `config` tells it. */
  content: z.enum(backupContents).optional(),
  clientVersion: z.string(),
  serverMajor: z.int(),
  /** Which database this is a backup of: the cluster's number where it is readable, else host and port. */
  source: z.object({
    systemIdentifier: z.string().nullable(),
    host: z.string(),
    port: z.int(),
    /** Reference of the Supabase project; absent for other servers, and in metadata of 0.1.0. */
    project: z.string().optional(),
    owner: z.string(),
    locale: localeSchema,
    sizeBytes: bytes,
  }),
  /** One digest of the file, or one per file of a folder. */
  sha256: z.union([sha256, z.record(fileName, sha256)]),
  tables: z.array(dumpedTableSchema),
  /** What the database has and the file does not hold. */
  inventory: z.looseObject({
    leftOut: z.array(z.object({table: z.string(), reason: z.string()})),
    /** Of those, tables and sequences of the platform that the role may not read; missing in metadata of 0.1.0. */
    unreadable: z.array(z.object({table: z.string(), reason: z.string()})).optional(),
    /** All schemas of the database; missing in metadata of 0.1.0. */
    schemas: z.array(z.string()).optional(),
    /** Missing in metadata of 0.1.0. */
    platform: platformSchema.optional(),
  }),
  /** The roles of the cluster without passwords, as a plain dump of their own; null unless asked for. */
  roles: z.object({path: fileName, sha256, size: bytes}).nullable(),
  verification: verificationSchema.nullable(),
  /** Proofs made later, oldest first. */
  proofs: z.array(verificationSchema),
  /** Checks that could not be made: the newest of each level, beside the outcomes above and never in their place. */
  notPossible: z.array(notPossibleSchema).optional(),
  label: z.string().nullable(),
  encryption: encryptionSchema.optional(),
  /** The folder of the files in an object store ("data/.../"); absent where they lie beside the metadata. */
  storage: z.object({folder: z.string().regex(/^data\/(?!\.{1,2}\/)[^/\\]+\/$/)}).optional(),
  /** What the shrink alarm found and nobody accepted; such a backup is kept, and nothing is pruned after it. */
  shrink: z.array(shrinkSchema).default([]),
  warnings: z.array(z.string()),
});
export type BackupRecord = z.infer<typeof backupRecordSchema>;

/**
 * Reads a metadata file of this program.
 * @throws METADATA_INVALID naming the key that is wrong
 */
export async function readBackupRecord(path: string): Promise<BackupRecord> {
  return recordIn(path, await readMetadata(path));
}

/** A metadata file has some hundred bytes for each table; this is beyond any of them. */
export const longestMetadata = 256 * 2 ** 20;

/**
 * What is in a metadata file, which must be a file of its own: a link could show what another place holds in error messages, a pipe
 * would never end.
 * @throws METADATA_INVALID
 */
export async function readMetadata(path: string): Promise<unknown> {
  try {
    const file = await openRegularFile(path, false);
    try {
      const {size} = await file.stat();
      if (size > longestMetadata) throw new Error(`it has ${size} bytes`);
      return JSON.parse(await file.readFile('utf8'));
    } finally {
      await file.close();
    }
  } catch (error) {
    throw cannotBeRead(path, error);
  }
}

/** @param path for messages @throws METADATA_INVALID naming the key that is wrong */
export function parseBackupRecord(path: string, text: string): BackupRecord {
  return recordIn(path, parseMetadata(path, text));
}

/** @param path for messages @throws METADATA_INVALID for what is no JSON */
export function parseMetadata(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw cannotBeRead(path, error);
  }
}

function cannotBeRead(path: string, cause: unknown): AppError {
  return new AppError('METADATA_INVALID', `The metadata file ${path} cannot be read: ${messageOf(cause)}.`, {
    cause,
  });
}

/** @param data what is in the metadata file @throws METADATA_INVALID naming the key that is wrong */
export function recordIn(path: string, data: unknown): BackupRecord {
  const parsed = backupRecordSchema.safeParse(data);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new AppError(
    'METADATA_INVALID',
    `The metadata file ${path} is wrong at "${issue?.path.join('.') ?? ''}": ${issue?.message ?? 'unknown'}.`,
  );
}

/** The metadata's text as it is stored: two spaces, a newline at the end. */
export function formatBackupRecord(record: Readonly<Record<string, unknown>>): string {
  return `${JSON.stringify(record, null, 2)}\n`;
}

/** What the metadata's checks together say of the backup. */
export function standingOfRecord(
  record: Pick<BackupRecord, 'verification' | 'proofs' | 'notPossible' | 'content' | 'config'>,
): Standing<Verification, NotPossible> {
  return standingOf(record, contentOf(record));
}

/** Whether tables or schemas were chosen or left out. */
export function isSelection({config}: Pick<BackupRecord, 'config'>): boolean {
  const {includeTables, excludeTables, includeSchemas, excludeSchemas} = config;
  return [includeTables, excludeTables, includeSchemas, excludeSchemas].some((list) => list.length > 0);
}

/** What the backup contains of its database. Tables and schemas that were left out on purpose do not make it a part. */
export function contentOf({
  content,
  config,
}: {
  readonly content?: BackupContent | undefined;
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

/** Rows of all tables together; null where they were not counted. */
export function rowsOf(record: Pick<BackupRecord, 'tables'>): number | null {
  return record.tables.reduce<number | null>(
    (sum, {rows}) => (sum === null || rows === null ? null : sum + rows),
    0,
  );
}
