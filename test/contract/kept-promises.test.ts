/**
 * The contract with people and scripts, as it was recorded (test/golden/promises.txt, results.txt). It may grow; nothing is removed
 * or changed. DESTINO_TEST_RECORD=1 records the current state for review.
 */
import {readFileSync, writeFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {expect, it} from 'vitest';
import {z} from 'zod';
import {backupExtension} from '../../src/lib/base/formats.js';
import {backupId, isPartialName, metadataName} from '../../src/lib/catalog/backup-name.js';
import {errorCodeTable} from '../../src/lib/base/errors.js';
import {partialSuffix} from '../../src/lib/base/file-names.js';
import {orderBackupFolder, parseOrderBackupName} from '../../src/lib/catalog/order-backup-name.js';
import {dumpArguments, type DumpRunOptions} from '../../src/lib/postgres/tools/pg-dump.js';
import {
  type PgRestoreOptions,
  pgRestoreArguments,
  sessionEnvironment,
} from '../../src/lib/postgres/tools/pg-restore.js';

const root = fileURLToPath(new URL('../../', import.meta.url));

const {commands} = z
  .object({
    commands: z.record(
      z.string(),
      z.object({
        args: z.record(z.string(), z.unknown()),
        flags: z.record(
          z.string(),
          z.object({
            type: z.string(),
            char: z.string().optional(),
            multiple: z.boolean().optional(),
            allowNo: z.boolean().optional(),
            aliases: z.array(z.string()).optional(),
            options: z.array(z.string()).optional(),
          }),
        ),
      }),
    ),
  })
  .parse(JSON.parse(readFileSync(`${root}oclif.manifest.json`, 'utf8')));

function* commandLines(): Generator<string> {
  for (const [id, {args, flags}] of Object.entries(commands)) {
    yield `command ${id}`;
    for (const name of Object.keys(args)) yield `argument ${id} ${name}`;
    for (const [name, flag] of Object.entries(flags)) {
      const {type, char, multiple, allowNo, aliases = [], options = []} = flag;
      yield `flag ${id} --${name} ${type}${multiple === true ? ' many' : ''}`;
      // A flag that can be repeated can also be given once, as before it could.
      if (multiple === true) yield `flag ${id} --${name} ${type}`;
      if (allowNo === true) yield `flag ${id} --no-${name}`;
      if (char !== undefined) yield `flag ${id} -${char} --${name}`;
      for (const alias of aliases) yield `flag ${id} --${alias} --${name}`;
      for (const option of options) yield `flag ${id} --${name}=${option}`;
    }
  }
}

const dump: DumpRunOptions = {
  format: 'custom',
  schemaOnly: false,
  dataOnly: false,
  includeTables: [],
  excludeTables: [],
  includeSchemas: [],
  excludeSchemas: [],
  parallelJobs: 2,
  lockWaitMs: 60_000,
  encoding: 'UTF8',
  snapshot: '00000003-0000001B-1',
};
const dumps: Readonly<Record<string, string[]>> = {
  custom: dumpArguments({...dump, compressMethod: 'zstd', compressLevel: 3}),
  sql: dumpArguments({...dump, format: 'sql', schemaOnly: true, excludeSchemas: ['audit']}, 'FILE'),
  directory: dumpArguments({...dump, format: 'directory', dataOnly: true, encoding: undefined}, 'FOLDER'),
  chosen: dumpArguments({
    ...dump,
    includeTables: ['public.orders'],
    excludeTables: ['public.logs'],
    excludeTableData: ['public.visits'],
    includeSchemas: ['shop'],
    snapshot: undefined,
  }),
};

const restore: PgRestoreOptions = {
  jobs: 1,
  isSingleTransaction: true,
  isCleaning: false,
  schemaOnly: false,
  dataOnly: false,
  stopsOnError: true,
  noOwner: false,
  noAcl: false,
};
const restores: Readonly<Record<string, string[]>> = {
  whole: pgRestoreArguments(restore, 'FILE', 'shop'),
  cleaning: pgRestoreArguments({...restore, isCleaning: true, hasDatabase: true}, 'FILE', 'shop', 'LIST'),
  jobs: pgRestoreArguments({...restore, jobs: 2, isSingleTransaction: false}, 'FOLDER', 'shop'),
  rows: pgRestoreArguments({...restore, dataOnly: true}, undefined, 'shop'),
  definitions: pgRestoreArguments({...restore, schemaOnly: true, noOwner: true, noAcl: true}, 'FILE', 'shop'),
  stage: pgRestoreArguments({...restore, stopsOnError: false, sections: ['pre-data', 'data']}, 'FILE'),
  session: Object.entries(sessionEnvironment({toastCompression: 'lz4'})).map(
    ([name, value]) => `${name}=${value}`,
  ),
};

const at = new Date('2026-11-22T03:10:05.123Z');
const id = backupId('shop', at);
const names: readonly string[] = [
  ...(['custom', 'sql', 'directory'] as const).map((format) => id + backupExtension(format, true)),
  backupId('ñ shop', at, 2) + backupExtension('sql', false),
  metadataName(id),
  ...[id + backupExtension('custom', true) + partialSuffix].filter(isPartialName),
  ...['orders-backup-2026-11-22T03-10-05.json', 'orders-backup-2026-11-22T03-10-05-2.json.age']
    .filter((name) => parseOrderBackupName(name) !== undefined)
    .map((name) => `${orderBackupFolder}/${name}`),
];

/** Recorded lines that are missing now. @param isInOrder whether the order counts, because equal lines occur several times */
function missing(file: string, now: readonly string[], isInOrder: boolean): string[] {
  const path = `${root}test/golden/${file}`;
  if (process.env['DESTINO_TEST_RECORD'] === '1') writeFileSync(path, `${now.join('\n')}\n`);
  const promised = readFileSync(path, 'utf8').trimEnd().split('\n');
  expect(promised.length).toBeGreaterThan(100);
  if (!isInOrder) return promised.filter((line) => !now.includes(line));
  let next = 0;
  return promised.filter((line) => {
    const found = now.indexOf(line, next);
    if (found !== -1) next = found + 1;
    return found === -1;
  });
}

it('keeps commands, flags, exit statuses, names of files, and the arguments of the tools', () => {
  const told = (tool: string, cases: Readonly<Record<string, string[]>>): string[] =>
    Object.entries(cases).map(([name, args]) => `${tool} ${name}: ${args.join(' ')}`);
  const now = [
    ...commandLines(),
    ...errorCodeTable().map(({code, exitCode}) => `exit ${code} ${exitCode}`),
    ...names.map((name) => `name ${name}`),
    ...told('pg_dump', dumps),
    ...told('pg_restore', restores),
  ];
  expect(missing('promises.txt', now, false)).toEqual([]);
});

/** A line for each alternative of a union of words, because another one may be added. */
function alternatives(line: string): string[] {
  const [, field = '', union = ''] =
    /^(\s*(?:readonly )?[\w"?]+: )((?:[\w"]+ \| )+[\w"]+);$/.exec(line) ?? [];
  return field === '' ? [line] : union.split(' | ').map((word) => `${field}${word};`);
}

it('keeps every field of the --json output, according to dist/results.d.ts of the last build', () => {
  const now = readFileSync(`${root}dist/results.d.ts`, 'utf8')
    .split('\n')
    .filter((line) => !/^\s*(?:\/\/|\/\*\*|$)/.test(line))
    .flatMap(alternatives);
  expect(missing('results.txt', now, true)).toEqual([]);
});
