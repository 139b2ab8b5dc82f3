/** What a backup will be: looked up before anything is written. */
import {join, resolve} from 'node:path';
import {type Backup, readCatalogue} from '../backups/catalogue.js';
import {estimateDumpSize, requireSpace} from '../backups/disk-space.js';
import {withSession} from '../postgres/client.js';
import {type Connection, refuseTransactionPooler, withDatabase} from '../postgres/connection.js';
import {resolveConnection} from '../postgres/resolve-connection.js';
import {type DumpSelection, selectForDump} from '../postgres/dump-selection.js';
import {findDumpTool, firstMajorWithMethods, supportsMethod} from '../postgres/compress-methods.js';
import {findTool, type Tool} from '../postgres/find-tools.js';
import {type DatabaseIdentity, inspectIdentity} from '../postgres/inspect-database.js';
import {findSupabaseSchemas} from '../postgres/managed-schemas.js';
import type {DumpOptions} from '../postgres/pg-dump.js';
import type {RunContext} from '../run-context.js';
import {
  type BackupOptions,
  type BackupRequest,
  fitBackupOptions,
  resolveBackupOptions,
} from './backup-options.js';
import {type Encryption, encryptionOf} from './encryption.js';

/** What was found out before anything is written. */
export interface BackupPlan {
  readonly connection: Connection;
  readonly options: BackupOptions;
  readonly folder: string;
  readonly identity: DatabaseIdentity;
  readonly selection: DumpSelection;
  readonly tool: Tool;
  readonly estimateBytes: number;
  readonly isEstimateMeasured: boolean;
  readonly previous: Backup | undefined;
  readonly encryption: Encryption;
  readonly warnings: string[];
}

/**
 * Asks the server and the disk.
 * @throws the codes of connection, tools and disk; PATTERN_MATCHES_NOTHING, ROW_SECURITY, PERMISSION_DENIED
 */
export async function planBackup(context: RunContext, request: BackupRequest): Promise<BackupPlan> {
  const {settings, signal} = context;
  const named = resolveConnection(settings);
  const connection = withDatabase(named, request.database ?? named.database);
  refuseTransactionPooler(connection);
  const asked = resolveBackupOptions(request, settings.config, settings.cores);
  const folder = resolve(settings.cwd, request.outputDir ?? join(settings.backupsDir, 'database'));
  const encryption = request.encryption ?? (await encryptionOf(context, {}));
  const warnings: string[] = [];
  return withSession(
    connection,
    async (session) => {
      const identity = await inspectIdentity(session);
      const tool = await findDumpTool(settings, identity.major, asked.compressMethod, signal);
      const managed =
        request.preset === 'none' || asked.includeSchemas.length + asked.includeTables.length > 0
          ? []
          : await findSupabaseSchemas(session);
      if (managed.length > 0)
        warnings.push(
          `Left out, as Supabase manages them: ${managed.join(', ')} (--preset none includes them).`,
        );
      const schemas = [...asked.includeSchemas, ...asked.excludeSchemas];
      if (asked.includeTables.length > 0 && schemas.length > 0)
        warnings.push(
          `Where tables are named, pg_dump looks at no schemas: ${schemas.join(', ')} changed nothing (write --include-table SCHEMA.TABLE).`,
        );
      const patterns = {...asked, excludeSchemas: [...asked.excludeSchemas, ...managed]};
      const selection = await selectForDump(session, patterns);
      const options = fitBackupOptions(patterns, request, settings.config, {
        hasZstd: await usesZstd(patterns, tool, identity.major, signal),
        toolMajor: tool.major,
        tables: selection.tables,
      });
      // Found missing only when the dump is to be read, it would cost a whole dump.
      if (options.isVerified && options.format !== 'sql') await findTool('pg_restore', settings, tool.major);
      // The tools that belong to a newer server can all read it, and a warning with every run is soon read no more.
      if (identity.major < firstMajorWithMethods && /^(?:lz4|zstd)/.test(options.compression ?? ''))
        warnings.push(
          `Compressed with ${options.compression}: only a pg_restore ${firstMajorWithMethods} or newer that was built with it reads this (--compress-method gzip is read by all).`,
        );
      if (identity.isStandby) warnings.push('The server is a standby: replication may cancel the dump.');
      const previous = await lastOfKind(folder, identity, options);
      const estimate = estimateDumpSize(
        identity.sizeBytes,
        options.isCompressed,
        previous?.record
          ? {sizeBytes: previous.sizeBytes, databaseBytes: previous.record.source.sizeBytes}
          : undefined,
      );
      if (!options.schemaOnly && request.isStreamed !== true) {
        // The plain dump lies beside the encrypted one until that is read back.
        const copies = encryption.to && encryption.isLocal ? 2 : 1;
        await requireSpace(folder, {...estimate, bytes: estimate.bytes * copies});
      }
      return {
        connection,
        options,
        folder,
        identity,
        selection,
        tool,
        estimateBytes: estimate.bytes,
        isEstimateMeasured: estimate.basis === 'measured',
        previous,
        encryption,
        warnings,
      };
    },
    {signal},
  );
}

/** An older server's dump is likely to be read by the tools of its own version, which know gzip alone. */
async function usesZstd(
  options: BackupOptions,
  tool: Tool,
  serverMajor: number,
  signal: AbortSignal,
): Promise<boolean> {
  const {format, compressMethod, compression, schemaOnly} = options;
  const isOpen = format !== 'sql' && compressMethod === undefined && compression === undefined && !schemaOnly;
  return isOpen && serverMajor >= firstMajorWithMethods && (await supportsMethod(tool, 'zstd', signal));
}

/** The newest backup of the same database in the same form, whose size tells about the next one's. */
async function lastOfKind(
  folder: string,
  identity: DatabaseIdentity,
  options: BackupOptions,
): Promise<Backup | undefined> {
  const {backups} = await readCatalogue(folder);
  return backups.find(
    ({record, database, format, compressed}) =>
      record !== null &&
      database === identity.database &&
      record.source.systemIdentifier === identity.systemIdentifier &&
      format === options.format &&
      compressed === options.isCompressed &&
      record.config.schemaOnly === options.schemaOnly,
  );
}

/** The plan in pg_dump's terms. */
export function dumpOptions(plan: BackupPlan, snapshot: string | undefined): DumpOptions {
  const {options} = plan;
  return {
    format: options.format,
    compress: options.compression,
    schemaOnly: options.schemaOnly,
    dataOnly: options.dataOnly,
    includeTables: options.includeTables,
    excludeTables: options.excludeTables,
    includeSchemas: options.includeSchemas,
    excludeSchemas: options.excludeSchemas,
    jobs: options.parallelJobs,
    lockWaitMs: options.lockWaitMs,
    snapshot,
  };
}
