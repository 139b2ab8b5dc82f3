/** pg_dump: its arguments and its output. */
import type {Readable} from 'node:stream';
import {type BackupFormat, type CompressMethod, formats} from '../../base/formats.js';
import {AppError} from '../../base/errors.js';
import {type Connection, libpqEnvironment} from '../connect/connection.js';
import type {Tool} from './find-tools.js';
import {runTool} from './run-tool.js';

/** Options of a dump; the flags of `backup` and the keys of the config file have the same names. */
export interface DumpOptions {
  readonly format: BackupFormat;
  /** Undefined for pg_dump's default. */
  readonly compressMethod?: CompressMethod;
  /** 0 for none; undefined for pg_dump's default. */
  readonly compressLevel?: number;
  /** Number of concurrent connections, if the format supports several. */
  readonly parallelJobs: number;
  readonly schemaOnly: boolean;
  readonly dataOnly: boolean;
  readonly includeTables: readonly string[];
  readonly excludeTables: readonly string[];
  /** Tables of which only the definitions are dumped. */
  readonly excludeTableData?: readonly string[];
  readonly includeSchemas: readonly string[];
  readonly excludeSchemas: readonly string[];
}

/** Further options of one run of pg_dump. */
export interface DumpRunOptions extends DumpOptions {
  /** Extensions to include with chosen schemas; a complete dump includes all. */
  readonly extensions?: readonly string[];
  readonly lockWaitMs: number;
  /** The database's own encoding: one that the role prefers may lack characters of the rows. */
  readonly encoding: string | undefined;
  /** An exported snapshot (manual, 9.28.5), shared by several readers. */
  readonly snapshot: string | undefined;
}

/** pg_dump's --compress: "0" to "9", or "zstd:3" and the like; undefined for its own default. */
export function compressArgument(
  options: Pick<DumpOptions, 'compressMethod' | 'compressLevel'>,
): string | undefined {
  const {compressMethod, compressLevel: level} = options;
  if (level === 0 || compressMethod === undefined || compressMethod === 'gzip') return level?.toString();
  return level === undefined ? compressMethod : `${compressMethod}:${level}`;
}

/** Arguments for a dump to `output` (a file or an empty folder), or to stdout without it. */
export function dumpArguments(options: DumpRunOptions, output?: string): string[] {
  const several = (flag: string, values: readonly string[]): string[] =>
    values.map((value) => `${flag}=${value}`);
  const compress = compressArgument(options);
  return [
    `--format=${formats[options.format].letter}`,
    ...(output === undefined ? [] : [`--file=${output}`]),
    ...(compress === undefined ? [] : [`--compress=${compress}`]),
    ...(formats[options.format].takesJobs ? [`--jobs=${options.parallelJobs}`] : []),
    ...(options.schemaOnly ? ['--schema-only'] : []),
    ...(options.dataOnly ? ['--data-only'] : []),
    ...several('--table', options.includeTables),
    ...several('--exclude-table', options.excludeTables),
    ...several('--exclude-table-data', options.excludeTableData ?? []),
    ...several('--schema', options.includeSchemas),
    ...several('--exclude-schema', options.excludeSchemas),
    ...several('--extension', options.extensions ?? []),
    // A dump of chosen tables or schemas omits large objects by default; rows may refer to them.
    ...(options.includeTables.length + options.includeSchemas.length > 0 && !options.schemaOnly
      ? ['--blobs']
      : []),
    // A pattern that matches nothing must not silently produce a smaller backup.
    '--strict-names',
    `--lock-wait-timeout=${options.lockWaitMs}`,
    ...(options.encoding === undefined ? [] : [`--encoding=${options.encoding}`]),
    ...(options.snapshot === undefined ? [] : [`--snapshot=${options.snapshot}`]),
    '--no-password',
    '--verbose',
  ];
}

/** Whether a line is not just progress output of --verbose. */
function isTelling(line: string): boolean {
  return !line.startsWith('pg_dump: ') || /^pg_dump: (?:error|warning|detail|hint|fatal): /.test(line);
}

/** The table named in a line such as `pg_dump: dumping contents of table "public.orders"`, if any. */
export function dumpedTable(line: string): string | undefined {
  return /dumping contents of table "(.*)"$/.exec(line)?.[1];
}

export interface DumpRun {
  readonly tool: Tool;
  readonly connection: Connection;
  readonly options: DumpRunOptions;
  /** The file or folder that pg_dump writes; without it `readStdout` receives the dump. */
  readonly output?: string;
  readonly readStdout?: (stdout: Readable) => Promise<void>;
  readonly onTable?: (qualifiedName: string) => void;
  readonly signal?: AbortSignal;
  /** Variables in addition to the connection's. */
  readonly environment?: Readonly<Record<string, string>>;
}

/**
 * Whether pg_dump failed because another session dropped or altered an object meanwhile: it reads the catalogs of its
 * snapshot, but server functions use the current ones, and parallel workers lock their tables again without waiting.
 */
export function wasOvertaken(error: unknown): error is AppError {
  return (
    error instanceof AppError &&
    ['PG_DUMP_FAILED', 'LOCK_TIMEOUT', 'QUERY_FAILED'].includes(error.code) &&
    [error.message, ...error.details].some((line) =>
      /could not obtain lock on relation|cache lookup failed|could not open relation with OID|could not find (?:parent|function|block)|ERROR: {2}\w+ .*does not exist/.test(
        line,
      ),
    )
  );
}

/** @throws ROW_SECURITY, PERMISSION_DENIED, DISK_FULL, LOCK_TIMEOUT, ... or PG_DUMP_FAILED */
export async function runPgDump(run: DumpRun): Promise<void> {
  await runTool({
    tool: 'pg_dump',
    path: run.tool.path,
    args: dumpArguments(run.options, run.output),
    environment: libpqEnvironment(run.connection, run.environment),
    failureCode: 'PG_DUMP_FAILED',
    endsWithUs: true,
    ...(run.signal ? {signal: run.signal} : {}),
    ...(run.readStdout ? {readStdout: run.readStdout} : {}),
    isTelling,
    onLine: (line) => {
      const table = dumpedTable(line);
      if (table !== undefined) run.onTable?.(table);
    },
  });
}
