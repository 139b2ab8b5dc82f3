/** Implements `diff`: compares a backup with the live database or with another backup, without changes. */
import {qualifiedName} from '../../base/qualified-name.js';
import {defined} from '../../base/defined.js';
import {AppError} from '../../base/errors.js';
import {compareDefinitions} from '../../dump/compare-definitions.js';
import type {DumpDefinition} from '../../dump/dump-definitions.js';
import {readIdentifier, readQualifiedName} from '../../dump/sql/sql-names.js';
import type {DumpedTable} from '../../fingerprint/table-contents.js';
import {withSession} from '../../postgres/client.js';
import {resolveConnection} from '../../postgres/connect/resolve-connection.js';
import {inspectIdentity} from '../../postgres/inspect/inspect-database.js';
import {findTool, type Tool} from '../../postgres/tools/find-tools.js';
import type {RunContext} from '../../run/run-context.js';
import type {BackupSource} from '../../storage/fetch-backup.js';
import {
  compareBackups,
  type ComparedBackup,
  compareWithLive,
  type RowKey,
  type TableLoss,
} from '../restore/diff-live.js';
import {
  verifySource,
  type VerifiedSource,
  readDumpDefinitions,
  type RestoreSource,
} from '../restore/source.js';
import {tableNamed} from './choose-tables.js';
import {notInBackup} from '../../rows/staging/stage-backup.js';
import type {ChosenBackup} from '../../storage/choose-backup.js';
import {withBackup} from './source.js';

export interface DiffRequest {
  /** A path or an id; the newest usable backup by default. */
  readonly backup: string | undefined;
  /** Another backup; the live database by default. */
  readonly other: string | undefined;
  readonly at: Date | undefined;
  /** Tables to compare, with lists of their keys; if empty, all tables, with counts only. */
  readonly tables: readonly string[];
}

export interface DiffSide {
  readonly kind: 'database' | 'backup';
  readonly name: string;
  /** When the backup was taken; null for the database. */
  readonly takenAt: string | null;
}

export interface TableDiff {
  /** "schema.name" */
  readonly table: string;
  /** Columns of the keys; empty if whole rows are compared. */
  readonly key: readonly string[];
  readonly onlyLeft: number;
  readonly onlyRight: number;
  readonly changed: number;
  /** With --table: the keys behind the counts, at most 10,000 of each. */
  readonly keys?: {
    readonly onlyLeft: readonly RowKey[];
    readonly onlyRight: readonly RowKey[];
    readonly changed: readonly RowKey[];
  };
}

export interface DiffResult {
  readonly left: DiffSide;
  readonly right: DiffSide;
  /** Tables whose rows differ. */
  readonly tables: readonly TableDiff[];
  /** How many tables have equal rows on both sides. */
  readonly equalTables: number;
  /** Tables, columns and other definitions that differ, a line each. */
  readonly schemaDifferences: readonly string[];
}

/** @throws the errors of reading and verifying a backup; TABLE_NOT_IN_BACKUP, USAGE */
export async function diffBackups(
  context: RunContext,
  from: BackupSource,
  request: DiffRequest,
): Promise<DiffResult> {
  const {other} = request;
  const schema = other === undefined ? resolveConnection(context.settings).schema : undefined;
  const chosen = request.tables.map((text) => tableNamed(text, schema ?? 'public'));
  const isChosen = (table: {schema: string; name: string}): boolean =>
    chosen.length === 0 ||
    chosen.some(({schema: where, name}) => where === table.schema && name === table.name);
  const first = defined<ChosenBackup>({backupFile: request.backup, at: request.at});
  return withBackup(context, from, first, async (source) => {
    if (other !== undefined)
      return withBackup(context, from, {backupFile: other}, (second) =>
        diffTwo(context, source, second, chosen, isChosen),
      );
    return diffLive(context, source, chosen, isChosen);
  });
}

type Named = Pick<DumpedTable, 'schema' | 'name'>;
type Choice = (table: Named) => boolean;

async function diffLive(
  context: RunContext,
  source: RestoreSource,
  chosen: readonly Named[],
  isChosen: Choice,
): Promise<DiffResult> {
  const {signal, settings} = context;
  const target = resolveConnection(settings);
  context.progress.plan(['Read the backup', 'Compare with the database']);
  const {database} = await withSession(target, inspectIdentity, {signal});
  const {verified, pgRestore} = await verify(context, source, 'Read the backup');
  for (const table of chosen) requireTable(verified, table);
  const {leftOut, unreadable = []} = source.backup?.record?.inventory ?? {leftOut: []};
  const without = new Set([...leftOut, ...unreadable].map(({table}) => table));
  const tables = verified.tables.filter(isChosen);
  const compared = await context.progress.step('Compare with the database', () =>
    compareWithLive({
      source: verified,
      pgRestore,
      target,
      signal,
      tables,
      isLeftAlone: (table) => !isChosen(table) || without.has(qualifiedName(table)),
      isWithoutRows: false,
      hasDetails: chosen.length > 0,
    }),
  );
  return {
    left: {kind: 'database', name: database, takenAt: null},
    right: sideOf(source),
    tables: compared.wouldLose.map(tableDiff),
    equalTables: countEqual(tables, compared.wouldLose),
    schemaDifferences: compared.schemaDifferences,
  };
}

async function diffTwo(
  context: RunContext,
  source: RestoreSource,
  other: RestoreSource,
  chosen: readonly Named[],
  isChosen: Choice,
): Promise<DiffResult> {
  context.progress.plan(['Read the first backup', 'Read the second backup', 'Compare them']);
  const sides = [
    await verify(context, source, 'Read the first backup'),
    await verify(context, other, 'Read the second backup'),
  ] as const;
  const [left, right] = sides;
  if (left.verified.encoding !== right.verified.encoding)
    throw new AppError(
      'NOT_SUPPORTED_HERE',
      `The backups are encoded differently (${left.verified.encoding}, ${right.verified.encoding}), so their rows cannot be compared.`,
    );
  for (const table of chosen)
    if (!sides.some(({verified}) => hasTable(verified, table))) requireTable(left.verified, table);
  const tables = right.verified.tables.filter(isChosen);
  const {losses, definitions} = await context.progress.step('Compare them', async () => {
    const read = await Promise.all(
      sides.map(({verified, pgRestore}) => readDumpDefinitions(verified, pgRestore, context.signal)),
    );
    const [mine, theirs] = sides.map(({verified, pgRestore}, index): ComparedBackup => ({
      source: verified,
      pgRestore,
      signal: context.signal,
      keys: primaryKeys(read[index] ?? []),
    }));
    const found = mine && theirs ? await compareBackups(mine, theirs, tables, chosen.length > 0) : [];
    return {losses: found, definitions: read};
  });
  const onlyOne = [
    ...left.verified.tables
      .filter((table) => isChosen(table) && !hasTable(right.verified, table) && table.rows > 0)
      .map((table) => ({...empty(table), onlyLeft: table.rows})),
    ...tables
      .filter((table) => !hasTable(left.verified, table) && table.rows > 0)
      .map((table) => ({...empty(table), onlyRight: table.rows})),
  ];
  const {differences} = compareDefinitions(definitions[0] ?? [], definitions[1] ?? [], {});
  const words: Readonly<Record<string, string>> = {missing: 'only left', extra: 'only right'};
  return {
    left: sideOf(source),
    right: sideOf(other),
    tables: [...losses.map(tableDiff), ...onlyOne].sort((a, b) => (a.table < b.table ? -1 : 1)),
    equalTables: tables.filter(
      (table) =>
        hasTable(left.verified, table) && !losses.some((loss) => loss.table === qualifiedName(table)),
    ).length,
    schemaDifferences: differences.map(
      ({kind, object, differs}) => `${kind.toLowerCase()} ${object}: ${words[differs] ?? `other ${differs}`}`,
    ),
  };
}

async function verify(
  context: RunContext,
  source: RestoreSource,
  title: string,
): Promise<{verified: VerifiedSource; pgRestore: Tool | null}> {
  const pgRestore =
    source.dump.format === 'sql'
      ? null
      : await findTool('pg_restore', context.settings, source.dump.dumpMajor ?? undefined);
  const verified = await context.progress.step(title, (step) =>
    verifySource(context, source, (done, total) => step.advance(done, total, 'bytes')),
  );
  return {verified, pgRestore};
}

function hasTable({tables}: VerifiedSource, table: Named): boolean {
  return tables.some(({schema, name}) => schema === table.schema && name === table.name);
}

/** @throws TABLE_NOT_IN_BACKUP */
function requireTable(source: VerifiedSource, table: Named): void {
  if (!hasTable(source, table)) throw notInBackup(qualifiedName(table), source.id);
}

function sideOf({id, createdAt}: RestoreSource): DiffSide {
  return {kind: 'backup', name: id, takenAt: createdAt.toISOString()};
}

function empty(table: Named): TableDiff {
  return {table: qualifiedName(table), key: [], onlyLeft: 0, onlyRight: 0, changed: 0};
}

function tableDiff({table, key, onlyLive, onlyBackup, changed, keys}: TableLoss): TableDiff {
  const found = {table, key, onlyLeft: onlyLive, onlyRight: onlyBackup, changed};
  return keys
    ? {
        ...found,
        keys: {onlyLeft: keys.onlyLive, onlyRight: keys.onlyBackup, changed: keys.changed},
      }
    : found;
}

function countEqual(tables: readonly DumpedTable[], losses: readonly TableLoss[]): number {
  const differing = new Set(losses.map(({table}) => table));
  return tables.filter((table) => !differing.has(qualifiedName(table))).length;
}

/** The primary keys of a dump's tables, by "schema.name". */
function primaryKeys(definitions: readonly DumpDefinition[]): ReadonlyMap<string, readonly string[]> {
  const keys = new Map<string, string[]>();
  for (const statement of definitions.flatMap(({type, statements}) =>
    type === 'CONSTRAINT' ? statements : [],
  )) {
    const [before] = /^ALTER TABLE (?:ONLY )?/.exec(statement) ?? [];
    const table = before === undefined ? undefined : readQualifiedName(statement, before.length);
    const [head] =
      /^\s+ADD CONSTRAINT (?:"(?:[^"]|"")*"|\S+) PRIMARY KEY \(/.exec(statement.slice(table?.end)) ?? [];
    if (!table || head === undefined) continue;
    const columns: string[] = [];
    for (let at = table.end + head.length; ;) {
      const column = readIdentifier(statement, at);
      if (!column) break;
      columns.push(column.name);
      if (!statement.startsWith(', ', column.end)) break;
      at = column.end + 2;
    }
    keys.set(qualifiedName(table), columns);
  }
  return keys;
}
