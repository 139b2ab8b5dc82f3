/** Masks columns by greenmask: it dumps their tables from the restored database with its own rules, and its rows replace those that were restored. */
import {mkdir, readdir, readFile} from 'node:fs/promises';
import {delimiter, dirname, join, resolve} from 'node:path';
import {z} from 'zod';
import {AppError, messageOf} from '../../base/errors.js';
import {qualifiedName} from '../../base/qualified-name.js';
import {redact} from '../../base/redact.js';
import {withTemporaryFolder} from '../../base/temporary-folder.js';
import {dumpStatements} from '../../dump/dump-statements.js';
import {readCopyStatement} from '../../dump/sql/sql-names.js';
import type {MaskRules} from '../../masks/mask-rules.js';
import {originalOf, type Originals} from '../../masks/originals.js';
import type {MaskedTable, MaskPlan} from '../../masks/plan-masks.js';
import {textOf} from '../../postgres/client-encoding.js';
import {type Session, withSession} from '../../postgres/client.js';
import {libpqEnvironment} from '../../postgres/connect/connection.js';
import {beginCopy} from '../../postgres/copy-into.js';
import type {Workers} from '../../postgres/in-sessions.js';
import {pgCount} from '../../postgres/inspect/inspect-database.js';
import {quoteIdentifier, quoteLiteral, quoteQualified} from '../../postgres/quote.js';
import {findTool} from '../../postgres/tools/find-tools.js';
import {findMaskProgram} from '../../postgres/tools/mask-program.js';
import {streamArchive} from '../../postgres/tools/pg-restore.js';
import {runTool} from '../../postgres/tools/run-tool.js';
import type {Step} from '../../progress/progress.js';
import type {RunContext} from '../../run/run-context.js';
import type {Settings} from '../../settings/settings.js';
import {readingOptions} from '../restore/source.js';

const defaultTimeoutSeconds = 3600;

/**
 * Before anything is restored.
 * @returns the path of the program; null if no column is masked by one
 * @throws CONFIG_INVALID, MASK_PROGRAM_NOT_FOUND
 */
export async function checkMaskProgram(settings: Settings, {columns}: MaskRules): Promise<string | null> {
  const first = columns.find(({mask}) => mask.mask === 'program');
  if (!first) return null;
  const {maskProgram} = settings.config;
  if (!maskProgram)
    throw new AppError(
      'CONFIG_INVALID',
      `${qualifiedName(first.table)}.${first.column} is masked by a program, but the config names none. Nothing was changed.`,
      {hint: 'Add "maskProgram": {"config": "greenmask.yml"} to the config file.'},
    );
  const path = await findMaskProgram(settings);
  const file = resolve(settings.cwd, maskProgram.config);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new AppError(
      'CONFIG_INVALID',
      `The config file of the masking program cannot be read: ${messageOf(error)}. Nothing was changed.`,
      {hint: 'Correct maskProgram.config in the config file.', cause: error},
    );
  }
  if (!hasStorageFolder(text))
    throw new AppError(
      'CONFIG_INVALID',
      `${file} has no storage.directory.path, so the program would write its dump elsewhere. Nothing was changed.`,
      {
        hint: 'Add it, in lines of their own for YAML, with any folder: a refresh replaces it by a temporary folder.',
      },
    );
  return path;
}

/** Whether a config of greenmask, in YAML of one key a line or in JSON, sets storage.directory.path: a variable replaces only a key that is set. */
export function hasStorageFolder(text: string): boolean {
  if (text.trimStart().startsWith('{')) {
    const config = z.object({storage: z.object({directory: z.object({path: z.string()})})});
    try {
      return config.safeParse(JSON.parse(text)).success;
    } catch {
      return false;
    }
  }
  const above: {readonly indent: number; readonly key: string}[] = [];
  for (const line of text.split(/\r?\n/)) {
    const [, blanks = '', key = ''] = /^( *)([a-z0-9_]+):(?:\s|$)/.exec(line) ?? [];
    if (key === '') continue;
    while ((above.at(-1)?.indent ?? -1) >= blanks.length) above.pop();
    above.push({indent: blanks.length, key});
    if (above.map((each) => each.key).join('.') === 'storage.directory.path') return true;
  }
  return false;
}

interface Masking {
  readonly plan: MaskPlan;
  readonly originals: Originals;
  readonly step: Step;
}

/**
 * Runs the program and reads its rows into tables beside those with the rows before.
 * @returns the table with the rows to mask further, as SQL
 * @throws MASK_PROGRAM_FAILED, MASK_PROGRAM_TIMEOUT, MASK_REFUSED, INTERRUPTED
 */
export async function maskByProgram(
  context: RunContext,
  workers: Workers,
  {plan, originals, step}: Masking,
): Promise<(table: MaskedTable) => string> {
  const tables = plan.tables.filter(({columns}) => columns.some(({mask}) => mask.mask === 'program'));
  const {maskProgram} = context.settings.config;
  if (tables.length === 0 || !maskProgram) return (table) => originalOf(originals, table);
  const path = await findMaskProgram(context.settings);
  step.working(path);
  await withTemporaryFolder('masked', async (folder) => {
    const storage = join(folder, 'storage');
    await mkdir(storage, {mode: 0o700});
    const config = resolve(context.settings.cwd, maskProgram.config);
    const seconds = maskProgram.timeoutSeconds ?? defaultTimeoutSeconds;
    await runProgram(context, workers, {path, config, seconds, step}, folder, namesFor(tables, plan));
    const [name, ...others] = await readdir(storage);
    if (name === undefined || others.length > 0) throw incomplete(path, `it wrote ${others.length === 0 ? 'no dump' : 'more than one dump'}`); // prettier-ignore
    await readRows(context, workers, {path, dump: join(storage, name), tables, plan, originals});
  });
  const isMasked = new Set(tables.map(({oid}) => oid));
  return (table) => (isMasked.has(table.oid) ? rowsOf(originals, table) : originalOf(originals, table));
}

const rowsOf = ({schema}: Originals, {oid}: MaskedTable): string => quoteQualified(schema, `program_${oid}`);

/** The tables, and the partitions with their rows, as patterns of pg_dump in the form of a CSV field, as greenmask reads them. @throws MASK_REFUSED */
function namesFor(tables: readonly MaskedTable[], {all}: MaskPlan): string[] {
  const isMasked = new Set(tables.map(qualifiedName));
  return all.flatMap((table) => {
    if (!isMasked.has(qualifiedName(table.top))) return [];
    // Greenmask takes other characters for regular expressions.
    if (![table.schema, table.name].every((part) => /^[\w -]+$/.test(part)))
      throw new AppError(
        'MASK_REFUSED',
        `${qualifiedName(table)} cannot be masked by a program, because its name has other characters than letters, digits, blanks, _ and -. Nothing was masked.`,
      );
    return [`"""${table.schema}"".""${table.name}"""`];
  });
}

interface Program {
  readonly path: string;
  readonly config: string;
  readonly seconds: number;
  readonly step: Step;
}

async function runProgram(
  context: RunContext,
  {connection}: Workers,
  {path, config, seconds, step}: Program,
  folder: string,
  tables: readonly string[],
): Promise<void> {
  // Greenmask takes a name with an equals sign for the settings of a connection.
  if (!/^[\w.-]+$/.test(connection.database))
    throw new AppError('MASK_REFUSED', `The masking program cannot connect to a database named like "${connection.database}". Nothing was masked.`); // prettier-ignore
  const {environment} = context.settings;
  const version = await withSession(
    connection,
    async (session) =>
      pgCount.parse(
        (await session.query(`SELECT current_setting('server_version_num') AS version`))[0]?.['version'],
      ),
    {signal: context.signal},
  );
  const pgDump = await findTool('pg_dump', context.settings, Math.floor(version / 10_000));
  const libpq = libpqEnvironment(connection);
  const salt = environment.get('GREENMASK_GLOBAL_SALT');
  const limit = AbortSignal.timeout(seconds * 1000);
  const lines: string[] = [];
  const secrets = [libpq['PGPASSWORD'], salt].filter((secret) => secret !== undefined && secret !== '');
  const output = (raw: string): void => {
    const line = redact(secrets.reduce<string>((text, secret) => text.replaceAll(String(secret), '***'), raw)); // prettier-ignore
    step.output(line);
    lines.push(line);
    if (lines.length > 10) lines.shift();
  };
  try {
    await runTool({
      tool: path,
      path,
      args: ['--config', config, 'dump', ...tables.flatMap((table) => ['--table', table])],
      environment: {
        ...libpq,
        // Its driver does not know PGHOSTADDR.
        ...(libpq['PGHOSTADDR'] === undefined ? {} : {PGHOST: libpq['PGHOSTADDR']}),
        PATH: [dirname(pgDump.path), environment.get('PATH') ?? ''].join(delimiter),
        TMPDIR: folder,
        COMMON_TMP_DIR: folder,
        STORAGE_TYPE: 'directory',
        STORAGE_DIRECTORY_PATH: join(folder, 'storage'),
        ...(salt === undefined ? {} : {GREENMASK_GLOBAL_SALT: salt}),
      },
      signal: AbortSignal.any([context.signal, limit]),
      endsWithUs: true,
      isGroupEnded: true,
      onLine: output,
      failureCode: 'MASK_PROGRAM_FAILED',
    });
  } catch (error) {
    context.signal.throwIfAborted();
    const extras = {
      details: lines,
      hint: 'Its output says more; greenmask validate checks its config.',
      cause: error,
    };
    throw limit.aborted
      ? new AppError('MASK_PROGRAM_TIMEOUT', `The masking program ${path} took longer than ${seconds} s and was ended.`, {...extras, hint: 'Raise maskProgram.timeoutSeconds in the config file.'}) // prettier-ignore
      : new AppError('MASK_PROGRAM_FAILED', `The masking program ${path} failed: ${redact(messageOf(error)).replace(/\.$/, '')}.`, extras); // prettier-ignore
  }
}

function incomplete(path: string, why: string): AppError {
  return new AppError('MASK_PROGRAM_FAILED', `The dump of the masking program ${path} cannot be used: ${why}.`, {
    hint: 'Look at pg_dump_options and the tables in its config file.',
  }); // prettier-ignore
}

interface Reading {
  readonly path: string;
  readonly dump: string;
  readonly tables: readonly MaskedTable[];
  readonly plan: MaskPlan;
  readonly originals: Originals;
}

/** Only rows are taken from the dump, no other statement of it runs. */
async function readRows(
  context: RunContext,
  {connection}: Workers,
  {path, dump, tables, plan, originals}: Reading,
): Promise<void> {
  const {signal, settings} = context;
  const pgRestore = await findTool('pg_restore', settings);
  const missing = new Set<string>();
  const topOf = new Map<string, MaskedTable>();
  for (const table of plan.all) {
    const top = tables.find((each) => qualifiedName(each) === qualifiedName(table.top));
    if (!top) continue;
    topOf.set(qualifiedName(table), top);
    if (!table.hasParts) missing.add(qualifiedName(table));
  }
  const load = async (session: Session, sql: AsyncIterable<Buffer>): Promise<void> => {
    for await (const statement of dumpStatements(sql)) {
      const copied = statement.rows && readCopyStatement(textOf(statement.sql, statement.encoding));
      const table = copied && topOf.get(qualifiedName(copied));
      if (!copied || !table) continue;
      const lacking = table.table.columns.find(({name, generated}) => !generated && !copied.columns.includes(name)); // prettier-ignore
      if (lacking) throw incomplete(path, `it has no column ${qualifiedName(table)}.${lacking.name}`);
      await session.query(`SET client_encoding = ${quoteLiteral(statement.encoding)}`);
      const columns = copied.columns.map(quoteIdentifier).join(', ');
      const input = await beginCopy(session, `COPY ${rowsOf(originals, table)} (${columns}) FROM STDIN`);
      try {
        for await (const bytes of statement.rows) await input.write(bytes);
      } catch (error) {
        await input.abandon();
        throw error;
      }
      await input.end();
      missing.delete(qualifiedName(copied));
      // With load-via-partition-root, the rows of partitions are those of the table.
      if (qualifiedName(copied) === qualifiedName(table) && table.table.hasParts)
        for (const [name, top] of topOf) if (top === table) missing.delete(name);
    }
  };
  await withSession(
    connection,
    async (session) => {
      for (const table of tables)
        await session.query(
          `CREATE UNLOGGED TABLE ${rowsOf(originals, table)} AS SELECT * FROM ${originalOf(originals, table)} WITH NO DATA`,
        );
      await streamArchive(pgRestore, {path: dump}, {...readingOptions, dataOnly: true}, (sql) => load(session, sql), signal); // prettier-ignore
    },
    {signal},
  );
  const [left] = missing;
  if (left !== undefined) throw incomplete(path, `it has no rows of ${left}`);
}
