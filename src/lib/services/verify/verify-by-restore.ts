/** The restore test, the strongest check: restores the backup into a scratch database, compares them, and drops the database. */
import {qualifiedName} from '../../base/qualified-name.js';
import {formats} from '../../base/formats.js';
import type {DetectedDump} from '../../dump/detect-format.js';
import type {DumpContents, ObjectName} from '../../fingerprint/table-contents.js';
import type {DumpDefinition} from '../../dump/dump-definitions.js';
import type {DumpNeeds} from '../../dump/dump-needs.js';
import type {LeftOutEntries} from '../../dump/left-out-entries.js';
import {fingerprintDatabase, type FingerprintedTable} from '../../fingerprint/fingerprint.js';
import {dumpedProperties} from '../../dump/dumped-properties.js';
import type {Backup} from '../../catalog/catalogue.js';
import {estimateRestoredSize} from '../../catalog/restored-size.js';
import {elapsedMs} from '../../base/clock.js';
import {AppError} from '../../base/errors.js';
import {countOf} from '../../base/format.js';
import {withSession} from '../../postgres/client.js';
import {hasSqlState} from '../../postgres/sql-state.js';
import type {Connection} from '../../postgres/connect/connection.js';
import {findTool} from '../../postgres/tools/find-tools.js';
import {inspectHealth} from '../restore/compare/inspect-health.js';
import {inspectRoleNames} from '../../postgres/inspect/inspect-target.js';
import {quoteIdentifier} from '../../postgres/quote.js';
import type {DataCheck} from '../../run/data-checks.js';
import type {RunContext} from '../../run/run-context.js';
import {emptyTables, emptyTablesNotes} from '../restore/compare/empty-tables.js';
import {compareCatalog, describeDifferences, limitsOf} from '../restore/compare/compare-catalog.js';
import {requireComplete} from '../restore/plan.js';
import {checkNeeds} from '../restore/requirements.js';
import {giveRights} from './give-rights.js';
import {type DumpLoad, loadDump} from '../restore/load/load-dump.js';
import {type PreparedScratch, prepareScratch, withdrawGrants} from './prepare-scratch.js';
import {checksFor, runChecks} from './run-checks.js';
import {readDumpDefinitions, readDumpNeeds, readingOptions, type RestoreSource} from '../restore/source.js';
import {decideWhatToRestore} from '../restore/what-to-restore.js';
import {type Scratch, type ScratchPlace, withScratchDatabase} from './scratch-database.js';

export interface RestoreTest {
  /** Differences; empty if the restored database is equal to the dump. */
  readonly findings: string[];
  readonly notes: string[];
  /** Data checks of a database that is equal to the dump; else empty. */
  readonly checks: readonly DataCheck[];
  /** Duration of the restore itself, ms. */
  readonly restoreDuration: number;
}

/** The backup with the content that was read before. */
export interface ReadBackup {
  readonly backup: Backup;
  readonly dump: DetectedDump;
  readonly contents: DumpContents;
}

/** More sessions gain little, and a machine with many cores could use up the server's connections. */
const mostSessions = 8;

/**
 * Restores, fingerprints every live table, and compares indexes, constraints, sequences, views and extensions.
 * @throws the errors of the tools if they refuse the dump, and errors that prevent the test: CONNECTION_REFUSED, PERMISSION_DENIED,
 *   NOT_SUPPORTED_HERE, DISK_FULL, PG_RESTORE_NOT_FOUND, INTERRUPTED, ...
 */
export async function verifyByRestore(
  context: RunContext,
  read: ReadBackup,
  place: ScratchPlace,
): Promise<RestoreTest> {
  const {backup} = read;
  const source = {
    database: backup.database,
    locale: backup.record?.source.locale ?? null,
    serverMajor: backup.record?.serverMajor ?? read.dump.dumpMajor,
    size: estimateRestoredSize(
      backup.record,
      {sizeBytes: read.contents.textBytes, isCompressed: false},
      {schemaOnly: false, onlyTables: []},
    ),
  };
  return withScratchDatabase(context, place, source, async (scratch) => {
    const load = await planLoad(context, read, scratch);
    const startedMs = context.clock.now().getTime();
    await context.progress.step(`Restore ${backup.id} into a scratch database`, async (step) => {
      await loadDump(load, context, (done, unit) => {
        if (unit === 'tables') step.advance(done, read.contents.tables.length, 'tables');
        else step.advance(done, backup.sizeBytes, 'bytes');
      });
      step.note(countOf(read.contents.tables.length, 'table'));
    });
    await context.checkpoint('verify.loaded');
    const restoreDuration = elapsedMs(context.clock, startedMs);
    // Before the comparison, which can take rights and ownership from the role.
    const checks = await checkData(context, backup, scratch);
    const compared = await compare(context, read, load, scratch);
    await context.checkpoint('verify.compared');
    return {
      findings: compared.findings,
      notes: [...whoRan(scratch), ...checks.notes, ...compared.notes],
      // Of a database that differs from its backup, they say nothing.
      checks: compared.findings.length === 0 ? checks.results : [],
      restoreDuration,
    };
  });
}

/** Data checks as the role that owns the database. Those of a partial backup would fail for its missing parts. */
async function checkData(
  context: RunContext,
  {content, database, createdAt}: Backup,
  {connection}: Scratch,
): Promise<{results: readonly DataCheck[]; notes: string[]}> {
  if (content === 'whole')
    return {results: await runChecks(context, {connection, database, backupTime: createdAt}), notes: []};
  const count = checksFor(context.settings, database).length;
  const note = `The backup contains a part of the database, so ${countOf(count, 'check')} of the config file did not run.`;
  return {results: [], notes: count === 0 ? [] : [note]};
}

interface ScratchLoad extends DumpLoad {
  readonly needs: DumpNeeds;
  readonly definitions: readonly DumpDefinition[];
  /** Extensions that could not be installed. */
  readonly without: readonly string[];
}

/** Code in the backup runs with the rights of the role that loads it. */
function whoRan({creator, rights, isOwnServer}: Scratch): string[] {
  return creator || isOwnServer ? [] : [`The code in the backup ran with the rights of "${rights.name}".`];
}

async function planLoad(context: RunContext, read: ReadBackup, scratch: Scratch): Promise<ScratchLoad> {
  const {settings, signal} = context;
  const {dump, backup, contents} = read;
  const {rights, connection} = scratch;
  const major = dump.dumpMajor ?? undefined;
  const pgRestore = formats[dump.format].isArchive ? await findTool('pg_restore', settings, major) : null;
  const found: RestoreSource = {...backup, backup, dump};
  const {creator} = scratch;
  const needs = await readDumpNeeds(found, pgRestore, signal);
  if (scratch.isOwnServer) await makeRoles(creator?.connection ?? connection, needs, signal);
  const definitions = await readDumpDefinitions(found, pgRestore, signal);
  const source = {...found, needs, definitions};
  const isPreparedBySuperuser = creator?.rights.isSuperuser === true;
  const prepared = await prepareScratch(
    isPreparedBySuperuser ? creator.connection : connection,
    rights.name,
    isPreparedBySuperuser,
    needs,
    signal,
  );
  const without = prepared.missing.map(({name}) => name);
  const target = {
    me: rights.name,
    isSuperuser: rights.isSuperuser,
    ownership: null,
    unavailable: without,
    database: connection,
    prepared,
  };
  const {leftOut, impossible, incomplete, schemas, outsideKeys} = await decideWhatToRestore(
    {source, pgRestore, contents},
    target,
    signal,
  );
  if (impossible.length > 0) throw needsExtensions(prepared.missing, impossible);
  requireComplete(incomplete);
  // Owners and grants are not part of this comparison, so missing ones need no warning.
  const quiet = {...context, warn: () => {}};
  const possible = await checkNeeds(quiet, {
    source,
    pgRestore,
    session: connection,
    rights,
    // Only this program calls functions in the scratch database.
    request: {allowOwnerChange: ['all']},
    isWithoutOwners: !rights.isSuperuser,
    leftOut,
  }).catch((error: unknown) => {
    if (!(error instanceof AppError) || error.code !== 'NOT_SUPPORTED_HERE') throw error;
    throw new AppError(error.code, `The restore test is not possible: ${error.message}`, {
      hint: 'Create them there first, or use --scratch local, which creates the roles on its own server.',
      details: error.details,
      cause: error,
    });
  });
  return {
    needs,
    definitions,
    leftOut,
    schemas,
    outsideKeys,
    doubtful: [],
    without,
    dump,
    pgRestore,
    target: connection,
    serverMajor: rights.serverMajor,
    isSuperuser: rights.isSuperuser,
    me: rights.name,
    limits: possible.limits,
    hasOtherOwners: possible.hasOtherOwners,
    options: {
      ...readingOptions,
      ...possible.options,
      jobs: Math.min(settings.cores, mostSessions),
      stopsOnError: true,
    },
    tables: contents.tables,
    encoding: contents.encoding,
    onlyTables: [],
    managed: [],
  };
}

/** Without these tables a restore test would say little. */
function needsExtensions(missing: PreparedScratch['missing'], tables: readonly string[]): AppError {
  return new AppError(
    'NOT_SUPPORTED_HERE',
    `${countOf(tables.length, 'table')} of the backup need extensions that cannot be installed in a scratch database: ${tables.join(', ')}.`,
    {
      hint: 'Test the restore on a server that has them: --scratch local, or --scratch-url URL.',
      details: missing.map(({name, why}) => `${name}: ${why}`),
    },
  );
}

/** Only owners of objects that need a superuser become superusers, so that the other roles' functions run without more rights than at the source. */
async function makeRoles(
  connection: Connection,
  {owners, superusers, grantees, grantors, policyRoles}: DumpNeeds,
  signal: AbortSignal,
): Promise<void> {
  await withSession(
    connection,
    async (session) => {
      const names = [...new Set([...owners, ...grantees, ...grantors, ...policyRoles])];
      const {missing} = await inspectRoleNames(session, names);
      for (const name of missing) {
        const rights = superusers.includes(name) ? ' SUPERUSER' : '';
        await session.query(`CREATE ROLE ${quoteIdentifier(name)}${rights}`);
      }
    },
    {signal},
  );
}

async function compare(
  context: RunContext,
  read: ReadBackup,
  load: ScratchLoad,
  {creator, rights: role}: Scratch,
): Promise<{findings: string[]; notes: string[]}> {
  const {dump} = read;
  const empty = emptyTables(read.backup.record, load.definitions, load.leftOut);
  const kept = withoutLeft(read.contents, load.leftOut);
  const contents = {...kept, tables: [...kept.tables, ...empty]};
  const {signal} = context;
  return context.progress.step('Compare', async (step) => {
    const rows = await compareRows(context, {...read, contents}, load.target, (bytes) => {
      step.advance(bytes, Math.max(bytes, contents.textBytes), 'bytes');
    });
    const health = await withSession(load.target, (session) => inspectHealth(session, contents), {signal});
    const {definitions} = load;
    // pg_dump does not run code of the database, and reads more of it as a superuser.
    const reader = creator?.rights.isSuperuser === true ? creator.connection : null;
    if (reader) await withdrawGrants(reader, role.name, signal);
    const rights = reader
      ? await giveRights(
          reader,
          definitions.filter((one) => load.leftOut.why(one) === undefined),
          load.needs,
          signal,
        )
      : {};
    const {differences, notCompared} = await compareCatalog(context, {
      dump,
      definitions,
      encoding: contents.encoding,
      database: reader ?? load.target,
      serverMajor: load.serverMajor,
      excludeSchemas: [],
      limits: limitsOf({...load, options: {...load.options, ...rights}}, load.isSuperuser || reader !== null),
    });
    return {
      findings: [...rows, ...health.findings, ...describeDifferences(differences)],
      notes: [
        ...whatIsLeft(read.contents, load.leftOut, load.without),
        ...health.notes,
        ...emptyTablesNotes(empty),
        ...[...notCompared, ...ofDatabase(definitions)].map((what) => `Not compared: ${what}.`),
      ],
    };
  });
}

/** The content of the backup without the parts that were left out. */
function withoutLeft(contents: DumpContents, {why}: LeftOutEntries): DumpContents {
  const kept =
    (type: string) =>
    (one: ObjectName): boolean =>
      why({type, ...one}) === undefined;
  return {
    ...contents,
    tables: contents.tables.filter(kept('TABLE DATA')),
    sequences: contents.sequences.filter(kept('SEQUENCE SET')),
    refreshedViews: contents.refreshedViews.filter(kept('MATERIALIZED VIEW DATA')),
  };
}

/** Names the missing extensions and the rows that were not compared; `notCompared` names the definitions. */
function whatIsLeft({tables}: DumpContents, {why}: LeftOutEntries, extensions: readonly string[]): string[] {
  if (extensions.length === 0) return [];
  const left = tables.filter(({schema, name}) => why({type: 'TABLE DATA', schema, name}) !== undefined);
  const rows = left.reduce((sum, table) => sum + table.rows, 0);
  const names = left.map(qualifiedName).join(', ');
  const ofRows = left.length > 0 ? `, with ${countOf(rows, 'row')} of ${names}` : '';
  return [
    `Left out, because the scratch server cannot install ${extensions.length === 1 ? 'it' : 'them'}: ${countOf(extensions.length, 'extension')} (${extensions.join(', ')})${ofRows}.`,
  ];
}

/** Not compared, because a scratch database has its own comment and rights. */
function ofDatabase(definitions: readonly DumpDefinition[]): string[] {
  const dumped = dumpedProperties(definitions);
  const has = dumped !== null && (dumped.databaseSettings.length > 0 || dumped.databaseComment !== null);
  return has ? ['settings and comment of the database itself'] : [];
}

async function compareRows(
  context: RunContext,
  read: ReadBackup,
  scratch: Connection,
  onBytes: (bytes: number) => void,
): Promise<string[]> {
  const {settings, signal} = context;
  const {tables, encoding} = read.contents;
  let live: FingerprintedTable[];
  try {
    live = await fingerprintDatabase(scratch, tables, {
      sessions: Math.min(settings.cores, mostSessions),
      encoding,
      signal,
      onBytes,
    });
  } catch (error) {
    // Other errors say nothing about the backup.
    if (hasSqlState(error, '42') && error.code === 'QUERY_FAILED')
      return [`The rows cannot be compared: ${error.message}`];
    throw error;
  }
  return tables.flatMap((table, index) => {
    const found = live[index];
    const name = qualifiedName(table);
    if (found?.rows !== table.rows) {
      return [`${name} has ${found?.rows ?? 0} rows after the restore, ${table.rows} in the backup.`];
    }
    return isComparable(read) && table.fingerprint !== null && found.fingerprint !== table.fingerprint
      ? [`${name} has different values after the restore.`]
      : [];
  });
}

/** In a dump from other tools, times are written in the time zone of its session, so values cannot be compared. */
function isComparable(read: ReadBackup): boolean {
  return read.backup.record !== null;
}
