/** Metadata of the scripts that preceded this program: `<dump>.metadata.json`, without checksums. */
import {stat} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {z} from 'zod';
import {AppError} from '../base/errors.js';
import {type BackupFormat, backupFormats, withoutExtension} from '../base/formats.js';
import {metadataSuffix} from './backup-name.js';
import type {BackupContent} from '../run/check-outcome.js';
import {requireOwnDump} from '../base/own-file.js';

const oldMetadata = z.object({
  timestamp: z.string(),
  databaseName: z.string(),
  format: z.enum(backupFormats),
  compressed: z.boolean().exactOptional(),
  size: z.number().exactOptional(),
  command: z.literal('backup-database.ts'),
  config: z
    .looseObject({
      includeSchema: z.boolean().catch(true),
      includeData: z.boolean().catch(true),
      includeTables: z.array(z.unknown()).catch([]),
    })
    .catch({includeSchema: true, includeData: true, includeTables: []}),
});

/** The content of such metadata: the part of `Backup` that needs no record. */
interface OldScriptBackup {
  readonly id: string;
  readonly path: string;
  readonly metadataPath: string;
  readonly createdAt: Date;
  readonly database: string;
  readonly format: BackupFormat;
  readonly compressed: boolean;
  readonly sizeBytes: number;
  readonly label: null;
  readonly content: BackupContent;
  readonly record: null;
}

/** Whether the old scripts wrote it: they recorded the command and no schemaVersion. */
export function isOldScriptMetadata(data: unknown): boolean {
  return typeof data === 'object' && data !== null && !('schemaVersion' in data) && 'command' in data;
}

/**
 * @param data the content of the metadata file
 * @param isOwn whether the dump must belong to the running user
 * @throws METADATA_INVALID, BACKUP_INCOMPLETE if the dump next to it is missing, FOREIGN_FILE
 */
export async function readOldScriptBackup(
  metadataPath: string,
  data: unknown,
  isOwn: boolean,
): Promise<OldScriptBackup> {
  const parsed = oldMetadata.safeParse(data);
  if (!parsed.success) {
    throw new AppError('METADATA_INVALID', `Cannot read backup metadata ${metadataPath} of the old scripts.`);
  }
  // For sql.gz dumps the metadata was named without the .gz.
  const named = join(dirname(metadataPath), basename(metadataPath).slice(0, -metadataSuffix.length));
  const candidates = [named, `${named}.gz`];
  for (const path of candidates) {
    let status;
    try {
      status = await stat(path);
    } catch {
      continue; // under the other name, or missing
    }
    await requireOwnDump(path, isOwn);
    const created = new Date(parsed.data.timestamp);
    const {includeSchema, includeData, includeTables} = parsed.data.config;
    return {
      id: withoutExtension(basename(path)) ?? basename(path),
      path,
      metadataPath,
      createdAt: Number.isNaN(created.getTime()) ? status.mtime : created,
      database: parsed.data.databaseName,
      format: parsed.data.format,
      compressed: path.endsWith('.gz') || (parsed.data.compressed ?? false),
      sizeBytes: parsed.data.size ?? status.size,
      label: null,
      content: !includeSchema
        ? 'data'
        : !includeData
          ? 'schema'
          : includeTables.length > 0
            ? 'tables'
            : 'whole',
      record: null,
    };
  }
  throw new AppError('BACKUP_INCOMPLETE', `The dump of ${metadataPath} is missing.`);
}
