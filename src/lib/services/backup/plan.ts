/** Plans a backup before anything is written. */
import {resolve} from 'node:path';
import {backupFolder} from '../../catalog/backup-name.js';
import {qualifiedName} from '../../base/qualified-name.js';
import {formats} from '../../base/formats.js';
import {type Backup, type Catalogue, readCatalogue} from '../../catalog/catalogue.js';
import type {BackupRecord} from '../../catalog/backup-record.js';
import {passwordTables, plainPasswordsWarning} from '../../catalog/outside-database.js';
import {estimateDumpSize, requireSpace} from '../../base/disk-space.js';
import {type Session, withSession} from '../../postgres/client.js';
import {type Connection, refuseTransactionPooler, withDatabase} from '../../postgres/connect/connection.js';
import {resolveConnection} from '../../postgres/connect/resolve-connection.js';
import {type DumpSelection, selectForDump, unloggedOnStandby} from '../../postgres/inspect/dump-selection.js';
import {findDumpTool, firstMajorWithMethods, supportsMethod} from '../../postgres/tools/compress-methods.js';
import {findTool, searchAhead, type Tool} from '../../postgres/tools/find-tools.js';
import {type DatabaseIdentity, inspectIdentity} from '../../postgres/inspect/inspect-database.js';
import {mayReadPasswords} from '../../postgres/inspect/inspect-globals.js';
import type {Ownership, Party} from '../../postgres/inspect/platform-objects.js';
import {quoteIdentifier} from '../../postgres/quote.js';
import {visibleTransactions} from '../../postgres/snapshot.js';
import {compressArgument, type DumpRunOptions} from '../../postgres/tools/pg-dump.js';
import {countOf} from '../../base/format.js';
import type {RunContext} from '../../run/run-context.js';
import {type BackupOptions, type BackupRequest, fitBackupOptions, resolveBackupOptions} from './options.js';
import {type Encryption, encryptionOf, requireEncryption} from '../../encryption/settings.js';

/** The facts about a backup before anything is written. */
export interface BackupPlan {
  readonly connection: Connection;
  readonly options: BackupOptions;
  readonly folder: string;
  readonly identity: DatabaseIdentity;
  readonly selection: DumpSelection;
  /** The result of `visibleTransactions` when `selection` was made. */
  readonly visible: string;
  readonly tool: Tool;
  readonly estimateBytes: number;
  readonly isEstimateMeasured: boolean;
  readonly encryption: Encryption;
  /** Whether the file of roles has passwords. */
  readonly hasPasswords: boolean;
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
  const isOfServer = settings.databaseName !== undefined;
  const asked = resolveBackupOptions(request, settings.config, settings.cores, isOfServer);
  const folder = resolve(settings.cwd, request.outputDir ?? backupFolder(settings));
  const encryption = request.encryption ?? (await encryptionOf(context, {isRequired: false}));
  requireEncryption(encryption);
  const warnings: string[] = [];
  return withSession(
    connection,
    async (session) => {
      const visible = await visibleTransactions(session);
      const answers = Promise.all([selectForDump(session, asked), inspectIdentity(session)]);
      // While the server works on them.
      searchAhead(['pg_dump', 'pg_restore'], settings);
      const catalogue = readCatalogue(folder);
      catalogue.catch(() => undefined); // reported where it is needed
      const [selection, identity] = await answers;
      const tool = await findDumpTool(settings, identity.major, asked.compressMethod, signal);
      if (request.preset !== undefined)
        warnings.push(
          '--preset is obsolete and changes nothing: a backup contains everything that the role may read.',
        );
      const schemas = [...asked.includeSchemas, ...asked.excludeSchemas];
      if (asked.includeTables.length > 0 && schemas.length > 0)
        warnings.push(
          `pg_dump ignores schemas when tables are given: ${schemas.join(', ')} had no effect (write --include-table SCHEMA.TABLE).`,
        );
      if (selection.unreadable.length > 0)
        warnings.push(describeUnreadable(selection.unreadable.map(({table}) => table)));
      if (selection.referenced.length > 0)
        warnings.push(
          `Foreign keys refer to rows that the backup does not contain: ${selection.referenced.join(', ')}. If they are missing at a restore, it reports that and leaves these keys NOT VALID, or skips them.`,
        );
      const hashes = passwordTables({
        inventory: plannedInventory(selection),
        tables: selection.tables.map((table) => ({...table, rows: null, fingerprint: null})),
      });
      if (hashes.length > 0 && (request.plainPlaces ?? []).length > 0 && !asked.schemaOnly)
        warnings.push(plainPasswordsWarning(hashes, request.plainPlaces ?? []));
      const options = fitBackupOptions(asked, request, settings.config, {
        hasZstd: await usesZstd(asked, tool, identity.major, signal),
        toolMajor: tool.major,
        tables: selection.tables,
      });
      // A missing pg_restore must be found before the dump, not after it.
      if (options.isVerified && formats[options.format].isArchive)
        await findTool('pg_restore', settings, tool.major);
      // The tools of newer servers can all read it; a warning on every run would soon be ignored.
      if (identity.major < firstMajorWithMethods && /^(?:lz4|zstd)/.test(compressArgument(options) ?? ''))
        warnings.push(
          `Compressed with ${compressArgument(options)}: only pg_restore ${firstMajorWithMethods} or newer, built with this method, can read it (every pg_restore reads --compress-method gzip).`,
        );
      if (identity.isStandby) warnings.push(...(await describeStandby(session, selection.leftOut)));
      const mayHavePasswords = options.hasRoles && encryption.to !== undefined && encryption.isLocal;
      const hasPasswords = mayHavePasswords && (await mayReadPasswords(session));
      if (mayHavePasswords && !hasPasswords)
        warnings.push('The file of roles has no passwords: this role may not read pg_authid.');
      const previous = lastOfKind(await catalogue, identity, options);
      const estimate = estimateDumpSize(
        identity.sizeBytes,
        options.isCompressed,
        previous?.record
          ? {sizeBytes: previous.sizeBytes, databaseBytes: previous.record.source.sizeBytes}
          : undefined,
      );
      if (!options.schemaOnly && request.isStreamed !== true) {
        // The unencrypted dump is kept next to the encrypted one until that has been read back.
        const copies = encryption.to && encryption.isLocal ? 2 : 1;
        await requireSpace(folder, {...estimate, bytes: estimate.bytes * copies});
      }
      return {
        connection,
        options,
        folder,
        identity,
        selection,
        visible,
        tool,
        estimateBytes: estimate.bytes,
        isEstimateMeasured: estimate.basis === 'measured',
        encryption,
        hasPasswords,
        warnings,
      };
    },
    {signal},
  );
}

/** Warnings about a backup from a standby: its age, and the rows that it lacks. */
async function describeStandby(
  session: Session,
  leftOut: readonly {readonly table: string; readonly reason: string}[],
): Promise<string[]> {
  const [row] = await session.query(
    `SELECT to_char(pg_catalog.pg_last_xact_replay_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS as_of`,
  );
  const asOf = row?.['as_of'] ?? null;
  const unlogged = leftOut.filter(({reason}) => reason === unloggedOnStandby).map(({table}) => table);
  return [
    `The server is a standby${asOf === null ? '' : `, as of ${asOf}`}: replication may cancel the dump. To prevent that, set hot_standby_feedback = on or a greater max_standby_streaming_delay on the standby.`,
    ...(unlogged.length > 0
      ? [
          `${countOf(unlogged.length, 'unlogged table')} ${unlogged.length === 1 ? 'has' : 'have'} no rows on a standby, so the backup contains only the definition: ${unlogged.join(', ')}.`,
        ]
      : []),
  ];
}

const namedTables = 10;

function describeUnreadable(names: readonly string[]): string {
  const shown = names.slice(0, namedTables).join(', ');
  const rest = names.length > namedTables ? ` and ${names.length - namedTables} more` : '';
  return `This role may not read ${countOf(names.length, 'table or sequence', 'tables or sequences')} that belong to the hosting service; the backup does not contain ${shown}${rest}.`;
}

/** Dumps of an older server are likely to be read by tools of its own version, which only know gzip. */
async function usesZstd(
  options: BackupOptions,
  tool: Tool,
  serverMajor: number,
  signal: AbortSignal,
): Promise<boolean> {
  const {format, compressMethod, schemaOnly} = options;
  const isAsked = compressMethod !== undefined || compressArgument(options) !== undefined;
  const isOpen = formats[format].compressesInside && !isAsked && !schemaOnly;
  return isOpen && serverMajor >= firstMajorWithMethods && (await supportsMethod(tool, 'zstd', signal));
}

/** The newest backup of the same database in the same format; the size of the next backup is estimated from it. */
function lastOfKind(
  {backups}: Catalogue,
  identity: DatabaseIdentity,
  options: BackupOptions,
): Backup | undefined {
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

/** The objects that the file lacks, and the objects that belong to the platform, for the metadata. */
export function plannedInventory(selection: DumpSelection): BackupRecord['inventory'] {
  const {ownership} = selection;
  const names = (items: readonly {readonly party: Party; readonly name: string}[]): string[] =>
    items.flatMap(({party, name}) => (party === 'platform' ? [name] : [])).sort();
  return {
    leftOut: [...selection.leftOut],
    schemas: ownership.schemas.map(({name}) => name).sort(),
    unreadable: [...selection.unreadable],
    platform: {
      // PostgreSQL creates those whose names begin with pg_.
      roles: names(ownership.roles).filter((name) => !name.startsWith('pg_')),
      schemas: names(ownership.schemas),
      tables: names(tablesOf(ownership)),
      extensions: names(ownership.extensions),
      eventTriggers: names(ownership.eventTriggers),
      publications: names(ownership.publications),
    },
  };
}

/** Tables of the platform that no table of the user references, such as sessions, tokens and messages; their rows come and go. */
export function volatileTables({ownership}: DumpSelection): Set<string> {
  const schemas = new Map(ownership.schemas.map(({name, party}) => [name, party]));
  return new Set(
    tablesOf(ownership).flatMap(({name, party, referencedFrom}) =>
      party === 'platform' && !referencedFrom.some((schema) => schemas.get(schema) === 'user') ? [name] : [],
    ),
  );
}

/** Tables, with qualified names. */
function tablesOf({relations}: Ownership) {
  return relations.flatMap((relation) =>
    relation.kind === 'r' || relation.kind === 'p' ? [{...relation, name: qualifiedName(relation)}] : [],
  );
}

/** The selection of the plan, made again if any transaction has committed since: tables may have appeared or vanished. */
export async function currentSelection(session: Session, plan: BackupPlan): Promise<DumpSelection> {
  const isSame = (await visibleTransactions(session)) === plan.visible;
  return isSame ? plan.selection : selectForDump(session, plan.options);
}

/** The plan as options of pg_dump. */
export function dumpOptions(plan: BackupPlan, snapshot: string | undefined): DumpRunOptions {
  const {options} = plan;
  return {
    ...options,
    excludeTables: [...options.excludeTables, ...plan.selection.excluded.relations],
    excludeTableData: [...(options.excludeTableData ?? []), ...plan.selection.excluded.rows],
    // pg_dump before 14 does not have --extension.
    extensions: plan.tool.major < 14 ? [] : plan.selection.extensions.map(quoteIdentifier),
    encoding: plan.identity.locale.encoding,
    snapshot,
  };
}
