/**
 * With every session setting of a role, a backup is the same, can be checked, and is restored the same: each parameter
 * of the server is set to unusual values, one at a time. The short form uses some that could matter;
 * DESTINO_TEST_SETTINGS=long uses all.
 */
import {readFile, rm} from 'node:fs/promises';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {AppError} from '../../src/lib/base/errors.js';
import type {Session} from '../../src/lib/postgres/client.js';
import {quoteLiteral} from '../../src/lib/postgres/quote.js';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import type {BackupResult} from '../../src/lib/services/backup/result.js';
import {restoreDatabase} from '../../src/lib/services/restore/execute.js';
import {verifyBackups} from '../../src/lib/services/verify/verify.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, dropDatabase, loadFixture, onServer, type TempDatabase, urlOf} from '../support/temp-database.js'; // prettier-ignore
import {testContext} from '../support/test-context.js';
import {cases} from '../support/long-form.js';

const isLong = process.env['DESTINO_TEST_SETTINGS'] === 'long';
const role = `odd_${process.pid}`;
let folder: string;
let database: TempDatabase;

beforeAll(async () => {
  folder = await tempFolder();
  database = await createTempDatabase('template0');
  await loadFixture(database, 'odd-settings.sql');
  await database.run(`CREATE ROLE ${role} SUPERUSER LOGIN PASSWORD 'x'`);
});
afterAll(async () => {
  await database.drop();
  await onServer((session) => session.query(`DROP ROLE ${role}`));
  await rm(folder, {recursive: true, force: true});
});

/** For parameters whose range is unsuitable, or any text. */
const chosenValues: Readonly<Record<string, readonly string[]>> = {
  DateStyle: ['German, DMY', 'SQL, YDM'],
  TimeZone: ['Asia/Kathmandu'],
  client_encoding: ['LATIN1', 'SQL_ASCII'],
  lc_messages: ['C'],
  lc_monetary: ['C'],
  lc_numeric: ['C'],
  lc_time: ['C'],
  search_path: ['"Odd schema", nowhere', ''],
  default_text_search_config: ['pg_catalog.german'],
  default_table_access_method: ['nowhere'],
  session_preload_libraries: ['auto_explain'],
  // If a library is missing, no program can connect.
  local_preload_libraries: [''],
  // Debian's path; if the folder is missing, the server does not know the available extensions.
  extension_destdir: [''],
  createrole_self_grant: ['set', 'inherit', 'set, inherit'],
  'plpgsql.extra_errors': ['all'],
  'plpgsql.extra_warnings': ['all'],
  restrict_nonsystem_relation_kind: ['view, foreign-table'],
  // With the highest value, no program can connect within its time-out.
  post_auth_delay: ['1'],
  // The first statements of a session, which change this, take up to that long on a busy machine.
  statement_timeout: ['1000', '2147483647'],
  transaction_timeout: ['1000', '2147483647'],
};

/** Parameters that could change what is dumped, read or restored, or end a session. */
const dangerous = [
  'array_nulls', 'DateStyle', 'client_encoding', 'search_path', 'statement_timeout', 'bytea_output', 'row_security', 'transform_null_equals',
  'quote_all_identifiers', 'standard_conforming_strings', 'default_transaction_isolation', 'session_replication_role',
  'IntervalStyle', 'TimeZone', 'backslash_quote', 'check_function_bodies', 'client_min_messages', 'createrole_self_grant',
  'default_table_access_method', 'default_tablespace', 'default_toast_compression', 'default_transaction_deferrable', 'escape_string_warning',
  'exit_on_error', 'extra_float_digits', 'idle_in_transaction_session_timeout', 'idle_session_timeout', 'lc_monetary', 'lock_timeout',
  'plpgsql.extra_errors', 'plpgsql.variable_conflict', 'session_preload_libraries', 'synchronize_seqscans', 'temp_file_limit',
  'temp_tablespaces', 'transaction_timeout', 'work_mem', 'xmlbinary', 'xmloption',
]; // prettier-ignore

/** Parameters whose effect is visible only after a restore. */
const shownByRestore = ['array_nulls', 'quote_all_identifiers', 'transform_null_equals'];

interface Parameter {
  readonly name: string;
  readonly values: readonly string[];
}

async function parametersOf(session: Session): Promise<Parameter[]> {
  await session.query("LOAD 'plpgsql'");
  const rows = await session.query(
    `SELECT name, vartype, min_val, max_val, array_to_string(enumvals, ',') AS enumvals, reset_val
       FROM pg_catalog.pg_settings
      WHERE context IN ('user', 'superuser', 'backend', 'superuser-backend') ORDER BY name`,
  );
  return rows.map((row) => {
    const [name, reset] = [row['name'] ?? '', row['reset_val'] ?? ''];
    const values = chosenValues[name] ?? oddValues(row);
    return {name, values: values.filter((value) => value !== reset)};
  });
}

function oddValues({
  vartype,
  min_val: min,
  max_val: max,
  enumvals,
  reset_val: reset,
}: Readonly<Record<string, string | null>>): string[] {
  if (vartype === 'bool') return [reset === 'on' ? 'off' : 'on'];
  if (vartype === 'enum') return (enumvals ?? '').split(',');
  if (vartype === 'string') return [`odd "value' é`, 'odd', ''];
  const [low, high] = [Number(min), Number(max)];
  // A value in the range, near its lower end, where most limits have an effect.
  const between = vartype === 'integer' ? Math.floor(low + Math.sqrt(high - low)) : low + (high - low) / 1000;
  return [min ?? '', max ?? '', String(between)];
}

/** The compared facts; the text of a dump without the times in it. */
async function backUp(format: 'sql' | 'custom'): Promise<{result: BackupResult; text: string}> {
  const result = await backupDatabase(context(), {format, compress: false});
  const text = await readFile(result.path ?? '', 'latin1');
  return {
    result,
    text: inOneOrder(text.replace(/^-- (?:Started|Completed) on .*$|^\\(?:un)?restrict .*$/gm, '')),
  };
}

/** pg_dump leaves the order of equal names, such as overloaded functions, to the planner. */
function inOneOrder(dump: string): string {
  const entries = dump.split(/^-- TOC entry \d+ \(class \d+ OID \d+\)$/m);
  return entries.sort().join('');
}

const context = () =>
  testContext(folder, {
    settings: {databaseUrl: urlOf({...database.connection, user: role, password: 'x'})},
  });

/** The failure of a role with this setting; undefined if there is none. */
async function troubleOf(
  expected: Awaited<ReturnType<typeof backUp>>,
  isRestored: boolean,
  isReadOnly: boolean,
): Promise<string | undefined> {
  const {result, text} = await backUp('sql');
  if (text !== expected.text) return `another dump: ${differenceOf(expected.text, text)}`;
  if (JSON.stringify(result.tables) !== JSON.stringify(expected.result.tables)) return 'other fingerprints';
  const backupFile = result.id ?? '';
  const {results} = await verifyBackups(
    context(),
    {},
    {backupFile, level: 'archive', scratch: {kind: 'same'}},
  );
  if (results[0]?.outcome !== 'passed') return `verify: ${results[0]?.findings.join(' ') ?? ''}`;
  const targetDb = `${database.name}_copy`;
  const dryRun = restoreDatabase(context(), {backupFile, targetDb, createDb: true, dryRun: true});
  if (isReadOnly) {
    await expect(dryRun).rejects.toMatchObject({code: 'NOT_SUPPORTED_HERE'});
    return undefined;
  }
  await dryRun;
  if (!isRestored) return undefined;
  for (const format of ['sql', 'custom'] as const) {
    const file = format === 'sql' ? backupFile : ((await backUp(format)).result.id ?? '');
    try {
      await restoreDatabase(context(), {backupFile: file, targetDb, createDb: true});
    } finally {
      await dropDatabase(targetDb);
    }
  }
  return undefined;
}

function differenceOf(expected: string, text: string): string {
  const lines = expected.split('\n');
  return text.split('\n').find((line, index) => line !== lines[index]) ?? 'it is shorter';
}

it(
  'makes, checks and restores the same backup for every parameter of a role',
  async () => {
    const expected = await backUp('sql');
    const counts = {parameters: 0, values: 0, refused: 0};
    const failures: string[] = [];
    await onServer(async (session) => {
      const all = await parametersOf(session);
      for (const {name, values} of all) {
        if (!isLong && !cases(dangerous, 6).includes(name)) continue;
        counts.parameters += 1;
        for (const value of values) {
          const setting = `${name} = ${value}`;
          try {
            await session.query(`ALTER ROLE ${role} SET "${name}" = ${quoteLiteral(value)}`);
          } catch {
            counts.refused += 1;
            continue;
          }
          counts.values += 1;
          try {
            const trouble = await troubleOf(
              expected,
              isLong || shownByRestore.includes(name),
              setting === 'default_transaction_read_only = on',
            );
            if (trouble !== undefined) failures.push(`${setting}: ${trouble}`);
          } catch (error) {
            failures.push(
              `${setting}: ${error instanceof AppError ? `${error.code} ${error.message} ${error.details.join(' ')}` : String(error)}`,
            );
          }
          await session.query(`ALTER ROLE ${role} RESET ALL`);
          await rm(`${folder}/backups`, {recursive: true, force: true});
        }
      }
    });
    process.stdout.write(
      `settings: ${JSON.stringify(counts)}, ${failures.length} failures\n${failures.join('\n')}\n`,
    );
    expect(failures).toEqual([]);
  },
  isLong ? 7_200_000 : 600_000,
);
