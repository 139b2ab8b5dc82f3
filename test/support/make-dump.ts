/** Dumps of a test's database by the stock pg_dump, without the backup service. */
import {createWriteStream} from 'node:fs';
import {join} from 'node:path';
import {pipeline} from 'node:stream/promises';
import {createGzip} from 'node:zlib';
import {inject} from 'vitest';
import {defined} from '../../src/lib/base/defined.js';
import type {DumpFile} from '../../src/lib/dump/read-dump.js';
import type {Connection} from '../../src/lib/postgres/connect/connection.js';
import {findTool} from '../../src/lib/postgres/tools/find-tools.js';
import {runPgDump} from '../../src/lib/postgres/tools/pg-dump.js';
import {loadSettings, type Settings} from '../../src/lib/settings/settings.js';

/** The four kinds of dump that the program makes. */
export const dumpKinds = ['custom', 'directory', 'sql', 'sql.gz'] as const;
export type DumpKind = (typeof dumpKinds)[number];

/** Settings of the program in an empty folder. */
export async function testSettings(
  cwd: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<Settings> {
  return loadSettings({}, cwd, {PATH: process.env['PATH'], ...environment});
}

/** Dumps the database to `folder`/`name` in the given format; `major` is the server's, if it differs from the run's. */
export async function makeDump(
  connection: Connection,
  folder: string,
  kind: DumpKind,
  options: {name?: string; compressLevel?: number; major?: number} = {},
): Promise<DumpFile> {
  const format = kind === 'sql.gz' ? 'sql' : kind;
  const path = join(folder, options.name ?? `shop.${kind}`);
  const tool = await findTool('pg_dump', await testSettings(folder), options.major ?? inject('serverMajor'));
  await runPgDump({
    tool,
    connection,
    options: defined({
      format,
      compressLevel: format === 'sql' ? undefined : options.compressLevel,
      schemaOnly: false,
      dataOnly: false,
      includeTables: [],
      excludeTables: [],
      includeSchemas: [],
      excludeSchemas: [],
      parallelJobs: 1,
      lockWaitMs: 10_000,
      encoding: undefined,
      snapshot: undefined,
    }),
    ...(kind === 'sql.gz'
      ? {readStdout: (stdout) => pipeline(stdout, createGzip(), createWriteStream(path))}
      : {output: path}),
  });
  return {path, format, compressed: kind === 'sql.gz'};
}
