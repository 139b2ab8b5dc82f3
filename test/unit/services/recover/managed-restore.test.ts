/** The emergency guide's list for PostgreSQL's own tools distinguishes similar names of an archive. */
import {execFile} from 'node:child_process';
import {readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {promisify} from 'node:util';
import {expect, it} from 'vitest';
import {managedCommands, plainDumpFilter} from '../../../../src/lib/services/recover/managed-restore.js';
import {tempFolder} from '../../../support/run-cli.js';
import {sampleRecord} from '../../../support/sample-backups.js';

const sample = sampleRecord('2026-11-20T02:00:00Z');
const record = {
  ...sample,
  source: {...sample.source, owner: 'postgres'},
  tables: [
    {schema: 'public', name: 'payments', rows: 1, fingerprint: null},
    {schema: 'auth', name: 'users', rows: 2, fingerprint: null},
    {schema: 'auth', name: 'schema_migrations', rows: 9, fingerprint: null},
  ],
  inventory: {
    leftOut: [],
    extensions: [
      {name: 'pg_cron', version: '1', schema: 'pg_catalog'},
      {name: 'citext', version: '1', schema: 'extensions'},
    ],
    platform: {
      roles: ['supabase_admin', 'supabase_auth_admin'],
      schemas: ['auth', 'cron', 'net.x'],
      tables: ['auth.users', 'auth.schema_migrations', 'cron.job'],
      extensions: ['pg_cron'],
      eventTriggers: ['watch'],
      publications: [],
    },
  },
};

const kept = [
  'SCHEMA - private postgres',
  'ACL - SCHEMA private postgres',
  'FUNCTION private only_functions() reporting',
  'TABLE public auth postgres',
  'TABLE DATA public auth postgres',
  'TABLE netax y postgres',
  'POLICY auth users own rows supabase_auth_admin',
  'TRIGGER auth users on_auth_user_created supabase_auth_admin',
  'COMMENT auth TRIGGER on_auth_user_created ON users supabase_auth_admin',
  'INDEX auth own_index postgres',
  'PUBLICATION TABLE public supabase_realtime messages postgres',
  'DEFAULT ACL cron DEFAULT PRIVILEGES FOR TABLES postgres',
];
const dropped = [
  'SCHEMA - auth supabase_admin',
  'SCHEMA - public pg_database_owner',
  'ACL - SCHEMA extensions postgres',
  'EXTENSION - citext ',
  'COMMENT - EXTENSION citext ',
  'EVENT TRIGGER - watch postgres',
  'PUBLICATION - supabase_realtime postgres',
  'FUNCTION extensions grant_access() postgres',
  'FUNCTION public watch() supabase_admin',
  'POLICY cron job cron_job_policy supabase_admin',
  'TABLE net.x y postgres',
  'COMMENT auth TABLE users supabase_auth_admin',
  'DEFAULT ACL public DEFAULT PRIVILEGES FOR TABLES supabase_admin',
];
const rows = ['TABLE DATA auth users supabase_auth_admin', 'SEQUENCE SET auth ids supabase_auth_admin'];
const history = 'TABLE DATA auth schema_migrations supabase_auth_admin';

it('keeps only the objects of the user, and copies the rows of users into a new project', async () => {
  const folder = await tempFolder();
  const lines = (entries: readonly string[]): string[] => entries.map((entry) => `12; 1259 16384 ${entry}`);
  const {list, anew} = managedCommands(record, 'x.dump', {
    ...{
      psql: ['psql'],
      pgDump: ['pg_dump'],
      pgRestore: 'pg_restore',
      newPsql: ['psql', '--host', 'NEW_HOST'],
    },
  });
  await writeFile(
    join(folder, 'contents.txt'),
    lines([...dropped, ...kept, ...rows, history]).join('\n') + '\n',
  );
  const commands = [...list, ...anew].filter((command) => command.startsWith('sed'));
  await promisify(execFile)('/bin/sh', ['-ec', commands.join('\n')], {cwd: folder});
  const read = async (name: string): Promise<string[]> =>
    (await readFile(join(folder, name), 'utf8')).trimEnd().split('\n');
  expect(await read('yours.txt')).toEqual(lines(kept));
  expect(await read('rows.txt')).toEqual(lines(rows));
  expect(anew.at(-1)).toContain(`-c 'CREATE EXTENSION IF NOT EXISTS "citext" SCHEMA "extensions"'`);
  await rm(folder, {recursive: true});
});

it('removes owners and the rows of missing tables from a plain dump', async () => {
  const dump = [
    'CREATE TABLE public.payments (id int);',
    'ALTER TABLE public.payments OWNER TO postgres;',
    'COPY cron.job (jobid) FROM stdin;',
    "1\t it's nightly",
    '\\.',
    'COPY public.payments (id) FROM stdin;',
    '1',
    '\\.',
  ];
  const folder = await tempFolder();
  await writeFile(join(folder, 'dump.sql'), dump.join('\n') + '\n');
  const {stdout} = await promisify(execFile)('/bin/sh', ['-ec', `${plainDumpFilter(record)} < dump.sql`], {
    cwd: folder,
  });
  expect(stdout.trimEnd().split('\n')).toEqual([dump[0], ...dump.slice(5)]);
  await rm(folder, {recursive: true});
});
