/** Manipulated plain dumps: no program runs, and no database is created from them. */
import {existsSync} from 'node:fs';
import {rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, afterEach, beforeAll, expect, it} from 'vitest';
import {restoreDatabase} from '../../src/lib/services/restore/execute.js';
import type {RestoreRequest} from '../../src/lib/services/restore/options.js';
import {tempFolder} from '../support/run-cli.js';
import {
  clusterConnection,
  databaseExists,
  dropDatabase,
  existingDatabase,
  onServer,
  urlOf,
} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

let folder: string;
let proof: string;
const target = 'hostile_target';

beforeAll(async () => {
  folder = await tempFolder();
  proof = join(folder, 'a-program-ran');
});
afterAll(() => rm(folder, {recursive: true, force: true}));
afterEach(() => dropDatabase(target));

const head = `--
-- PostgreSQL database dump
--

\\restrict theirKey

-- Dumped from database version 15.18
-- Dumped by pg_dump version 15.18

SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
CREATE TABLE public.t (a text, b int);
`;
const tail = `
--
-- PostgreSQL database dump complete
--

\\unrestrict theirKey

`;

async function restore(body: string, request: RestoreRequest = {}, url = urlOf(clusterConnection())) {
  const path = join(folder, 'hostile.sql');
  await writeFile(path, head + body + tail);
  return restoreDatabase(testContext(folder, {settings: {databaseUrl: url}}), {
    backupFile: path,
    targetDb: target,
    createDb: true,
    ...request,
  });
}

it.each([
  ['a program', () => `\\! touch ${proof}\n`],
  ['a program behind a statement', () => `SELECT 1; \\! touch ${proof}\n`],
  ['a program behind a comment', () => `-- harmless\r\\! touch ${proof}\n`],
  ['a program among rows', () => `COPY public.t (a, b) FROM stdin;\nx\t1\n\\.\r\n\\! touch ${proof}\n\\.\n`],
  ['output into a program', () => `\\o |touch ${proof}\n`],
  ['a file to be written', () => `\\copy public.t TO '${proof}'\n`],
  ['another connection', () => '\\connect postgres\n'],
  ['another file', () => '\\i /etc/passwd\n'],
  ['a setting of psql', () => '\\set ON_ERROR_STOP 0\n'],
  ['an end of the restriction', () => `\\unrestrict theirKey\n\\! touch ${proof}\n`],
])('refuses %s before a database is created', async (_what, body) => {
  for (const dryRun of [true, false]) {
    await expect(restore(body(), {dryRun})).rejects.toMatchObject({code: 'UNSAFE_DUMP', exitCode: 4});
    expect([await databaseExists(target), existsSync(proof)]).toEqual([false, false]);
  }
});

it('accepts every kind of backslash in rows, names and literals', async () => {
  const result = await restore(
    `COMMENT ON TABLE public.t IS '\\! touch ${proof}
\\connect postgres';
CREATE TABLE public."\\! touch x" (a text);
CREATE FUNCTION public.f() RETURNS text LANGUAGE sql AS $_$ SELECT '
\\restrict theirKey2
\\! touch ${proof}
'::text $_$;
COPY public.t (a, b) FROM stdin;
\\\\! touch ${proof}\t1
\\\\.\t2
\\N\t3
\\\\copy t from x\t4
\\.
`,
  );
  expect(result.errors).toEqual([]);
  const restored = existingDatabase(target);
  expect(await restored.query('SELECT a FROM t ORDER BY b')).toEqual(
    [`\\! touch ${proof}`, '\\.', null, '\\copy t from x'].map((a) => ({a})),
  );
  expect((await restored.query('SELECT f()'))[0]?.['f']).toContain('\\restrict theirKey2\n\\! touch');
  expect(existsSync(proof)).toBe(false);
});

it('says in the dry run that a superuser would run the code in the dump', async () => {
  const body = `CREATE FUNCTION public.f() RETURNS void LANGUAGE sql AS $$ COPY (SELECT 1) TO PROGRAM 'touch ${proof}' $$;\n`;
  const asSuperuser = await restore(body, {dryRun: true});
  expect(asSuperuser.notes).toEqual([expect.stringContaining('is a superuser')]);
  await onServer((session) => session.query("CREATE ROLE plain_owner LOGIN CREATEDB PASSWORD 'p'"));
  try {
    const connection = {...clusterConnection(), user: 'plain_owner', password: 'p'};
    expect((await restore(body, {dryRun: true}, urlOf(connection))).notes).toEqual([]);
  } finally {
    await onServer((session) => session.query('DROP ROLE plain_owner'));
  }
});
