/** The masks of a refresh: what they cover is checked before the restore, and again by all rows of the restored database, which is then masked and compared. */
import {randomBytes} from 'node:crypto';
import {qualifiedName} from '../../base/qualified-name.js';
import {AppError} from '../../base/errors.js';
import {countOf, formatCount} from '../../base/format.js';
import {applyMasks, type MaskedRows, refusedValue} from '../../masks/apply-masks.js';
import {
  findPersonalByDump,
  type PersonalColumn,
  type PersonalFinder,
  type PersonalFindings,
} from '../../masks/find-personal.js';
import {type MaskRules, maskRules} from '../../masks/mask-rules.js';
import {readDumpedTables} from '../../masks/dumped-columns.js';
import {findPersonalInDefinitions, type PersonalDefinition} from '../../masks/personal-definitions.js';
import {indexesOf, keyStatements, type KeyStatement, withFutureKeys} from '../../masks/future-keys.js';
import {dropOldStatistics} from '../../masks/old-statistics.js';
import {
  beginLoad,
  dropOriginals,
  endLoad,
  keepOriginals,
  type LoadedOriginals,
  type LoadedRows,
  requireOriginals,
  type Originals,
} from '../../masks/originals.js';
import {
  findMisfits,
  type MaskPlan,
  planMasks,
  readDatabaseTables,
  refuseForeignPartitions,
  refuseMisfits,
} from '../../masks/plan-masks.js';
import {tablesOfDump} from '../../masks/tables-of-dump.js';
import {type MaskProof, proveMasks} from '../../masks/prove-masks.js';
import {searchOtherTables} from '../../masks/search-other-tables.js';
import {largeObjectTable} from '../../fingerprint/table-contents.js';
import {type Session, withSession} from '../../postgres/client.js';
import type {NamedTable} from '../../postgres/quote.js';
import type {Connection} from '../../postgres/connect/connection.js';
import {withKeptSessions, type Workers} from '../../postgres/in-sessions.js';
import type {RowTakerOf} from '../../postgres/take-rows.js';
import {readCatalog} from '../../rows/model/read-schema.js';
import type {RunContext} from '../../run/run-context.js';
import {columnNameParts} from '../../settings/column-name.js';
import type {Settings} from '../../settings/settings.js';
import {type DumpDefinition, propertiesType} from '../../dump/dump-definitions.js';
import {backupProperties} from '../restore/database-defaults.js';
import {expectedTables} from '../restore/load-and-compare.js';
import type {RestorePlan} from '../restore/plan.js';
import {readTableRows} from '../restore/read-rows.js';
import {readDumpDefinitions} from '../restore/source.js';
import {ordersProfile} from '../orders/rules/profile.js';
import {checkMaskProgram, maskByProgram} from './mask-program.js';
import {type ReducedTable, reduceToSubset, withSoftLinks} from './subset.js';
import {withoutForeignSettings} from './target.js';

export interface MaskingPlan {
  readonly rules: MaskRules;
  /** Looks through the rows of the restored database while they are compared with the backup. */
  readonly finder: PersonalFinder;
  /** The dump's statements for constraints and unique indexes. */
  readonly keys: readonly KeyStatement[];
  /** Indexes and constraints of tables whose rows stay as they are; names as `listedName` gives them. */
  readonly unchangedIndexes: ReadonlySet<string>;
  /** "schema.table.column" with the name of its mask. */
  readonly masks: readonly {readonly column: string; readonly mask: string}[];
  /** Path of the program for the masks named "program"; null without them. */
  readonly maskProgram: string | null;
  /** Columns, and definitions that look personal, that stay as they are. */
  readonly kept: readonly {readonly column: string; readonly reason: string}[];
  /** Conditions, "none" and "all" by table, which choose the rows of the copy. */
  readonly subset: Readonly<Record<string, string>>;
  /** Tables that get no rows. */
  readonly emptied: readonly string[];
  /** Columns that look personal and have no rule: they stop a run. */
  readonly personal: readonly PersonalColumn[];
  /** Definitions that look personal and are not kept by a rule: they stop a run. */
  readonly personalDefinitions: readonly PersonalDefinition[];
  readonly notLooked: PersonalFindings['notLooked'];
}

export interface Masked {
  /** Columns and objects of the restored database that were not looked at for personal data. */
  readonly notLooked: PersonalFindings['notLooked'];
  /** Tables of a subset with the number of rows that stayed; empty without one. */
  readonly reduced: readonly ReducedTable[];
  readonly tables: readonly MaskedRows[];
  readonly proof: MaskProof;
}

/** Rows of each table that are looked at before the restore; after it, all rows are. */
const sampledRows = 2000;
const shortestKeyBytes = 16;

/**
 * Checks the rules against the backup before anything is restored.
 * @param isPreview whether columns without a rule are returned instead of refused
 * @throws PERSONAL_DATA, CONFIG_INVALID for a key that is too short, and all rules that do not fit in one error: TABLE_NOT_FOUND,
 *   COLUMN_NOT_FOUND, GENERATED_COLUMN, MASK_REFUSED
 */
export async function planMasking(
  context: RunContext,
  plan: RestorePlan,
  isPreview: boolean,
): Promise<MaskingPlan> {
  const {settings, signal, progress} = context;
  const {source, load, present} = plan;
  const all = maskRules(settings.config.masks);
  maskKey(settings);
  const dumped = await readDumpDefinitions(source, load.pgRestore, signal);
  if (dumped.length === 0 && source.tables.length > 0)
    throw new AppError(
      'MASK_REFUSED',
      'The dump does not describe its tables: it has rows alone, or no headings, such as "-- Name: orders; Type: TABLE". Nothing was changed.',
      {hint: 'Give a whole dump of pg_dump with its comments.'},
    );
  // Objects that are not restored need no rule, such as secrets of an extension that the server lacks.
  const definitions = dumped.filter((definition) => load.leftOut.why(definition) === undefined);
  const filled = expectedTables(plan);
  // A table of an extension can have rows without a definition.
  const namesOfTables = (some: readonly DumpDefinition[], filledOnes: readonly NamedTable[]): Set<string> =>
    new Set([...some.filter(({type}) => type === 'TABLE'), ...filledOnes].map(qualifiedName));
  const known = namesOfTables(dumped, source.tables);
  const tables = namesOfTables(definitions, filled);
  const isThere = (table: NamedTable): boolean => tables.has(qualifiedName(table));
  const unknown = [...all.columns, ...all.emptied].flatMap(({table, isBuiltIn}) =>
    !isBuiltIn && !known.has(qualifiedName(table)) ? [qualifiedName(table)] : [],
  );
  const rules: MaskRules = {
    columns: all.columns.filter(({table}) => isThere(table)),
    emptied: all.emptied.filter(({table}) => isThere(table)),
  };
  refuseMisfits([
    ...[...new Set(unknown)].map(
      (table) =>
        new AppError(
          'TABLE_NOT_FOUND',
          `The config names masks for ${table}, which is not a table of the backup. Nothing was changed.`,
          {hint: 'See masks in the config file.'},
        ),
    ),
    ...findMisfitsByDump(definitions, rules),
  ]);
  const maskProgram = await checkMaskProgram(settings, rules);
  const {subset = {}} = settings.config;
  const unknownPart = Object.keys(subset).find(
    (name) => !tables.has((columnNameParts(name) ?? []).join('.')),
  );
  if (unknownPart !== undefined)
    throw new AppError(
      'TABLE_NOT_FOUND',
      `The config's "subset" names ${unknownPart}, which is not a table of the backup. Nothing was changed.`,
      {hint: 'Tables are named "schema.table".'},
    );
  const {columns: personal, notLooked} = await progress.step('Look for personal data', async (step) => {
    const finder = findPersonalByDump(definitions, rules, sampledRows);
    await readFirstRows(context, {source, load}, filled.filter(finder.needsRows), finder.takerOf);
    const found = finder.found();
    step.note(
      found.columns.length === 0
        ? 'every personal column has a rule'
        : countOf(found.columns.length, 'column'),
    );
    return found;
  });
  const {keepDefinitions = {}} = settings.config;
  // The properties of a replaced database stay its own.
  const copied = present ? undefined : await backupProperties(source, load.pgRestore, signal);
  const properties = copied ? [withoutForeignSettings(copied.properties).properties] : [];
  const inDefinitions = findPersonalInDefinitions([
    ...definitions.filter((definition) => !isOfDatabase(definition)),
    ...properties.map((each) => ({
      type: 'DATABASE',
      schema: '-',
      name: '',
      statements: [JSON.stringify(each)],
    })),
  ]);
  const isKept = ({definition}: PersonalDefinition): boolean => Object.hasOwn(keepDefinitions, definition);
  const personalDefinitions = unkept(settings, inDefinitions);
  if (!isPreview)
    refuseUnruled({columns: personal, definitions: personalDefinitions}, 'Nothing was changed.');
  const {columns} = rules;
  const nameOf = ({table, column}: (typeof columns)[number]): string => `${qualifiedName(table)}.${column}`;
  return {
    rules,
    finder: findPersonalByDump(definitions, rules),
    keys: keyStatements(definitions),
    unchangedIndexes:
      Object.keys(subset).length > 0
        ? new Set()
        : indexesOf(definitions, unchangedTables(definitions, rules, filled)),
    subset,
    masks: columns.flatMap((rule) =>
      rule.mask.mask === 'keep' ? [] : [{column: nameOf(rule), mask: rule.mask.mask}],
    ),
    maskProgram,
    kept: [
      ...columns.flatMap((rule) =>
        rule.mask.mask === 'keep' ? [{column: nameOf(rule), reason: rule.mask.reason}] : [],
      ),
      ...inDefinitions
        .filter(isKept)
        .map(({definition}) => ({column: definition, reason: keepDefinitions[definition] ?? ''})),
    ],
    emptied: rules.emptied.map(({table}) => qualifiedName(table)),
    personal,
    personalDefinitions,
    notLooked: filled.some((table) => qualifiedName(table) === qualifiedName(largeObjectTable))
      ? [...notLooked, {of: 'large objects', reason: 'they are not text'}]
      : notLooked,
  };
}

/** Whether no rule changes the rows of a table that the restore fills. */
function unchangedTables(
  definitions: readonly DumpDefinition[],
  rules: MaskRules,
  filled: readonly NamedTable[],
): (table: NamedTable) => boolean {
  const {topOf} = readDumpedTables(definitions);
  const masked = rules.columns.filter(({mask}) => mask.mask !== 'keep');
  const changed = new Set([...masked, ...rules.emptied].map(({table}) => qualifiedName(table)));
  const isFilled = new Set(filled.map(qualifiedName));
  return (table) => {
    const label = qualifiedName(table);
    return isFilled.has(label) && !changed.has(qualifiedName(topOf(label)));
  };
}

/** Tables that the definitions do not describe whole are left to `planMasks`. */
function findMisfitsByDump(definitions: readonly DumpDefinition[], rules: MaskRules): readonly AppError[] {
  const tables = tablesOfDump(definitions);
  const described = new Set(tables.all.map(qualifiedName));
  const isDescribed = ({table}: {readonly table: NamedTable}): boolean => described.has(qualifiedName(table));
  return findMisfits(
    {columns: rules.columns.filter(isDescribed), emptied: rules.emptied.filter(isDescribed)},
    tables,
  );
}

/** pg_restore starts again for each table with more rows; that costs less than to read so many. */
const mostRowsReadOn = 50_000;

/** Reads at least the rows that the search looks at. An archive on this machine is not read to its end: pg_restore jumps to each large table, and is stopped. */
async function readFirstRows(
  {signal}: RunContext,
  {source, load: {pgRestore}}: Pick<RestorePlan, 'source' | 'load'>,
  tables: RestorePlan['source']['tables'],
  takerOf: RowTakerOf,
): Promise<void> {
  const canJump = pgRestore && !source.dump.remote;
  const large = canJump ? tables.filter(({rows}) => rows > mostRowsReadOn) : [];
  const reading = {source, pgRestore, signal};
  const small = tables.filter((table) => !large.includes(table));
  if (small.length > 0)
    await readTableRows({...reading, tables: small, takerOf, drain: () => Promise.resolve()});
  for (const table of large) {
    const enough = new AppError('UNEXPECTED', 'Enough rows were read.');
    let isEnough = false;
    try {
      await readTableRows({
        ...reading,
        tables: [table],
        takerOf: (copy, encoding) => {
          const taker = takerOf(copy, encoding);
          let rows = 0;
          return {
            add: (buffer, start, end) => {
              isEnough = ++rows > sampledRows;
              taker?.add(buffer, start, end);
            },
            append: (buffer, start, end) => taker?.append(buffer, start, end),
          };
        },
        drain: () => (isEnough ? Promise.reject(enough) : Promise.resolve()),
      });
    } catch (error) {
      if (error !== enough) throw error;
    }
  }
}

/** A masked database that has not been checked. */
export interface Unproven extends Omit<Masked, 'proof'> {
  readonly plan: MaskPlan;
  readonly originals: Originals;
  /** As for `proveMasks`. */
  readonly withoutAt: ReadonlySet<string>;
}

function workersFor({settings, signal}: RunContext, connection: Connection, jobs?: number): Workers {
  return {connection, sessions: jobs ?? Math.min(settings.cores, mostSessions), signal};
}

/** More sessions from a machine with many cores would slow down other users of the server. */
const mostSessions = 4;

/** Lets the rows of masked tables be loaded where those before the masks are kept, if neither a subset nor a program needs them in their own tables. */
export async function loadOriginals(
  {signal}: RunContext,
  hidden: Connection,
  {rules, subset, maskProgram}: MaskingPlan,
): Promise<LoadedOriginals | undefined> {
  if (Object.keys(subset).length > 0 || maskProgram !== null) return undefined;
  const tables = rules.columns.filter(({mask}) => mask.mask !== 'keep').map(({table}) => table);
  const unfilled = rules.emptied.map(({table}) => table);
  return withSession(hidden, (session) => beginLoad(session, tables, unfilled), {signal});
}

/**
 * Looks through the rows that were not compared with the backup too, and masks the database.
 * @param hidden the restored database before the masked tables have keys, which nobody else can connect to
 * @param given the outcome of `loadOriginals`, and the rows that were compared with the backup
 * @param jobs maximum number of sessions; by default as many as cores, at most `mostSessions`
 * @throws PERSONAL_DATA, MASK_REFUSED, MASK_INCOMPLETE, and the errors of `planMasks`
 */
export async function maskDatabase(
  context: RunContext,
  hidden: Connection,
  {rules, keys, subset, finder, maskProgram}: MaskingPlan,
  {loaded, compared}: LoadedRows,
  jobs?: number,
): Promise<Unproven> {
  const {progress, settings, signal} = context;
  const workers = workersFor(context, hidden, jobs);
  return withSession(
    hidden,
    async (session) => {
      if (loaded) {
        await endLoad(session, loaded);
        await requireOriginals(session, loaded);
      }
      const isSubset = Object.keys(subset).length > 0;
      const ruled = new Set([...rules.columns, ...rules.emptied].map(({table}) => qualifiedName(table)));
      const {tables, catalog} = await withFutureKeys(
        session,
        keys,
        (table) => isSubset || ruled.has(qualifiedName(table)),
        async () => ({
          tables: await readDatabaseTables(session, loaded?.schema),
          catalog: isSubset ? await readCatalog(session) : undefined,
        }),
      );
      refuseForeignPartitions(tables);
      const reduced = catalog
        ? await progress.step('Choose the rows', async (step) => {
            const profile = ordersProfile(settings.config.orders ?? {}, hidden.schema);
            const left = await reduceToSubset(session, withSoftLinks(catalog, profile), subset, step);
            step.note(
              countOf(
                left.reduce((sum, {rows}) => sum + rows, 0),
                'row',
              ),
            );
            return left;
          })
        : [];
      const {notLooked, withoutAt} = await progress.step('Look for personal data in all rows', async () => {
        const withoutAt = await searchOtherTables(workers, tables.all, rules, finder);
        const {columns, notLooked} = finder.found();
        refuseUnruled({columns, definitions: unkept(settings, await personalComments(session))}, '');
        return {notLooked, withoutAt};
      });
      const masked = await progress.step('Mask', async (step) => {
        const plan = await planMasks(session, rules, tables);
        const mask = async (sessions: Workers): Promise<Pick<Unproven, 'plan' | 'originals' | 'tables'>> => {
          const originals = await keepOriginals(
            sessions,
            plan,
            step,
            catalog ? undefined : {loaded, compared},
          );
          const sourceOf = await maskByProgram(context, sessions, {plan, originals, step});
          const made = await applyMasks(sessions, plan, originals, {key: maskKey(settings), step, sourceOf});
          return {plan, originals, tables: made};
        };
        // A program for masks takes long, and needs connections of its own.
        const masked = await (maskProgram === null ? withKeptSessions(workers, mask) : mask(workers));
        const rows = masked.tables.reduce((sum, one) => sum + one.rows, 0);
        step.note(`${countOf(masked.tables.length, 'table')}, ${countOf(rows, 'row')}`);
        await dropOldStatistics(session);
        return masked;
      });
      await context.checkpoint('staging.masked');
      return {notLooked, withoutAt, reduced, ...masked};
    },
    {signal},
  );
}

/**
 * Compares a masked database with the rows before, and drops these.
 * @param hidden the complete database
 * @param jobs as for `maskDatabase`
 * @throws MASK_INCOMPLETE
 */
export async function proveDatabase(
  context: RunContext,
  hidden: Connection,
  {plan, originals, withoutAt, notLooked, reduced, tables}: Unproven,
  jobs?: number,
): Promise<Masked> {
  const workers = workersFor(context, hidden, jobs);
  const proof = await context.progress.step('Check the masks', (step) =>
    withKeptSessions(workers, async (kept) => {
      const result = await proveMasks(kept, plan, originals, step, withoutAt);
      step.note(countOf(result.checks.length, 'check'));
      if (hasPassed(result)) await dropOriginals(kept, originals);
      return result;
    }),
  );
  const rows = tables.reduce((sum, one) => sum + one.rows, 0);
  const columns = plan.tables.reduce((sum, one) => sum + one.columns.length, 0);
  const failed = proof.checks.filter((check) => check.failed > 0).length;
  context.record({masked: {columns, rows, checks: proof.checks.length, failed}});
  requireProof(proof);
  await context.checkpoint('staging.proven');
  return {notLooked, reduced, tables, proof};
}

/**
 * The error for keys and indexes that the server refuses over masked values, which names the constraint and shows no values; and for rows that are
 * missing after a crash of the server.
 */
export async function explainFailure(
  {signal}: RunContext,
  hidden: Connection,
  error: unknown,
  {
    masking,
    loaded,
    unproven,
  }: {
    readonly masking: MaskingPlan;
    readonly loaded: LoadedOriginals | undefined;
    readonly unproven: Unproven | undefined;
  },
): Promise<unknown> {
  const kept = unproven?.originals ?? loaded;
  if (!(error instanceof AppError) || !kept) return error;
  try {
    await withSession(hidden, (session) => requireOriginals(session, kept), {signal});
  } catch (lost) {
    // Any other failure says less than the first error.
    if (lost instanceof AppError && lost.code === 'CONNECTION_LOST') return lost;
  }
  return (unproven && explainRefusal(error, masking, unproven)) ?? error;
}

function explainRefusal(error: AppError, {keys}: MaskingPlan, {plan}: Unproven): AppError | undefined {
  const lines = [error.message, ...error.details].join('\n');
  const by = /(?:unique index|constraint) "([^"]+)"/.exec(lines)?.[1];
  const key = keys.find(({name}) => name === by);
  const table = plan.tables.find((masked) =>
    [key?.table, key?.parent].some((one) => one && qualifiedName(one) === qualifiedName(masked)),
  );
  return table && refusedValue(table, by, undefined);
}

/** @throws CONFIG_INVALID */
function maskKey({environment}: Settings): Buffer {
  const text = environment.get('DESTINO_DB_MASK_KEY');
  if (text === undefined) return randomBytes(32);
  const key = Buffer.from(text);
  if (key.length < shortestKeyBytes)
    throw new AppError('CONFIG_INVALID', `DESTINO_DB_MASK_KEY has fewer than ${shortestKeyBytes} bytes.`, {
      hint: 'Make one: openssl rand -hex 32',
    });
  return key;
}

/** Comments on large objects, which a dump does not have among its definitions. */
async function personalComments(session: Session): Promise<PersonalDefinition[]> {
  const rows = await session.query(
    `SELECT 'LARGE OBJECT ' || d.objoid AS name, d.description FROM pg_catalog.pg_description d
      WHERE d.classoid = 'pg_catalog.pg_largeobject'::pg_catalog.regclass`,
  );
  return findPersonalInDefinitions(
    rows.map(({name, description}) => ({
      type: 'COMMENT',
      schema: '-',
      name: name ?? '',
      statements: [description ?? ''],
    })),
  );
}

function unkept(
  {config: {keepDefinitions = {}}}: Settings,
  found: readonly PersonalDefinition[],
): PersonalDefinition[] {
  return found.filter(({definition}) => !Object.hasOwn(keepDefinitions, definition));
}

/** Properties of the database itself, which `backupProperties` reads from all formats. */
const isOfDatabase = ({type, name}: DumpDefinition): boolean =>
  type === propertiesType ||
  type.startsWith('DATABASE') ||
  (type === 'COMMENT' && name.startsWith('DATABASE '));

interface Unruled {
  readonly columns: readonly PersonalColumn[];
  readonly definitions: readonly PersonalDefinition[];
}

/** @throws PERSONAL_DATA */
function refuseUnruled({columns, definitions}: Unruled, state: string): void {
  if (columns.length + definitions.length === 0) return;
  const [isOne, isOneDefinition] = [columns.length === 1, definitions.length === 1];
  const sentences = [
    ...(columns.length === 0 ? [] : [`${countOf(columns.length, 'column')} ${isOne ? 'looks' : 'look'} personal and ${isOne ? 'has' : 'have'} no mask: ${columns.map(nameOfColumn).join(', ')}.`]), // prettier-ignore
    ...(definitions.length === 0 ? [] : [`${countOf(definitions.length, 'definition')} ${isOneDefinition ? 'looks' : 'look'} personal: ${definitions.map(({definition}) => definition).join(', ')}.`]), // prettier-ignore
  ];
  throw new AppError('PERSONAL_DATA', [...sentences, state].join(' ').trim(), {
    hint: [
      ...(columns.length === 0 ? [] : ['Give each column a rule under "masks" in the config file; "keep" with a reason is one too.']), // prettier-ignore
      ...(definitions.length === 0 ? [] : ['No mask changes a definition: remove the value in production, or name the definition with a reason under "keepDefinitions" in the config file.']), // prettier-ignore
    ].join(' '),
    details: [...columns.map(describePersonal), ...definitions.map(describeDefinition)],
  });
}

/** "FUNCTION public.support(): email" */
export function describeDefinition({definition, kinds}: PersonalDefinition): string {
  return `${definition}: ${kinds.join(', ')}`;
}

const nameOfColumn = ({table, column}: PersonalColumn): string => `${table}.${column}`;

/** "public.orders.notes: email in 3 of 1,200 rows" */
export function describePersonal(found: PersonalColumn): string {
  const kinds = found.kinds.map(({kind, matches}) =>
    matches === 0
      ? `${kind} by its name`
      : `${kind} in ${formatCount(matches)} of ${countOf(found.rowsLooked, 'row')}`,
  );
  return `${nameOfColumn(found)}: ${kinds.join(', ')}`;
}

const hasPassed = ({passed, checks}: MaskProof): boolean =>
  passed && checks.every(({failed}) => failed === 0);

/** @throws MASK_INCOMPLETE */
function requireProof(proof: MaskProof): void {
  if (hasPassed(proof)) return;
  const failed = proof.checks.filter((check) => check.failed > 0);
  throw new AppError(
    'MASK_INCOMPLETE',
    `The masked copy failed ${countOf(failed.length, 'check')}: ${failed.map(({of}) => of).join(', ')}.`,
    {
      hint: 'Look at the masks of these columns in the config file.',
      details: failed.map(
        ({kind, of, compared, failed: count}) =>
          `${kind} of ${of}: ${formatCount(count)} of ${formatCount(compared)}`,
      ),
    },
  );
}
