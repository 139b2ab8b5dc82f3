/** Rows that look like SQL after failing statements: none of them is ever executed. */
import {existsSync} from 'node:fs';
import {rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {gzipSync} from 'node:zlib';
import fc from 'fast-check';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {withSession, withTransaction} from '../../src/lib/postgres/client.js';
import {runDumpScript} from '../../src/lib/services/restore/load/run-dump-script.js';
import {restoreDatabase} from '../../src/lib/services/restore/execute.js';
import {runs} from '../support/fuzz.js';
import {tempFolder} from '../support/run-cli.js';
import {
  clusterConnection,
  createTempDatabase,
  dropDatabase,
  onServer,
  type TempDatabase,
  urlOf,
} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

let database: TempDatabase;
let folder: string;
let proof: string;
beforeAll(async () => {
  folder = await tempFolder();
  proof = join(folder, 'a-program-ran');
  database = await createTempDatabase('template0');
  // The error of every failing statement.
  await database.run(`CREATE TABLE public.taken (other int); CREATE VIEW public.a_view AS SELECT 1 AS a;
    CREATE TABLE public.narrow (a int CHECK (a < 0)); CREATE TABLE public.fine (a text, b text)`);
});
afterAll(async () => {
  await database.drop();
  await rm(folder, {recursive: true, force: true});
});

const attack = 'create role pwned superuser';
/** A COPY and the statements before it. */
const failing = [
  'COPY public.missing (a) FROM stdin;',
  'CREATE TABLE public.taken (a text);\nCOPY public.taken (a) FROM stdin;',
  'CREATE TABLE public.typed (a public.no_such_type);\nCOPY public.typed (a) FROM stdin;',
  'CREATE TABLE no_schema.t (a text);\nCOPY no_schema.t (a) FROM stdin;',
  'CREATE TABLE public.broken (a text b);\nCOPY public.broken (a) FROM stdin;',
  'COPY public.taken (no_such_column) FROM stdin;',
  'COPY public.a_view (a) FROM stdin;',
  'COPY public.narrow (a) FROM stdin;',
  'COPY public.fine (a, b) FROM stdin;',
  'CREATE FUNCTION public.f() RETURNS text LANGUAGE sql AS $$ SELECT no_such() $$;\nCOPY public."odd ""; name" (a) FROM stdin;',
  'COPY public.fine (a) FROM stdin;',
];
const row = fc.oneof(
  fc.constantFrom(
    `x@y ;${attack};select`, `${attack};`, `;${attack};`, `'; ${attack}; --`, `"; ${attack}; --`, `$$; ${attack}; $$`, `$x$ ;${attack};`,
    `*/ ${attack}; /*`, `-- \n;${attack};`, `); ${attack};`, `COMMIT; ${attack};`, `end; ${attack};`, 'begin', '(', ')', "'", '"', '$$', '/*', '--', '\\N', '',
    '\\\\.', '\\. ', ' \\.', 'x\\.', '\\.\\.', '\\..', '\\', 'COPY public.fine (a, b) FROM stdin;', `COPY fine FROM PROGRAM 'touch PROOF';`,
    '\\! touch PROOF', '\\o |touch PROOF', '\\i PROOF', '\\connect postgres', '\\unrestrict key', '\\gexec', `\\copy fine from program 'touch PROOF'`,
    '-- Name: x; Type: TABLE; Schema: public; Owner: -', '-- PostgreSQL database dump complete', `a\tb ;${attack};`, `1\t${attack};`,
  ),
  fc.string({unit: fc.constantFrom(...'\\.;\'"$()\t -*/xé')}).filter((text) => text !== '\\.'),
); // prettier-ignore
const body = fc
  .array(fc.tuple(fc.constantFrom(...failing), fc.array(row, {maxLength: 6})), {minLength: 1, maxLength: 5})
  .map((tables) =>
    tables
      .map(([statements, rows]) => `${statements}\n${[...rows, '\\.', '', ''].join('\n')}`)
      .join('')
      .replaceAll('PROOF', () => proof),
  );
const head = `--\n-- PostgreSQL database dump\n--\n\n\\restrict key\n\nSET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\n`;
const tail = '\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict key\n\n';

async function expectNothingRan(): Promise<void> {
  const roles = await onServer((session) => session.query(`SELECT FROM pg_roles WHERE rolname = 'pwned'`));
  expect([roles.length, existsSync(proof)]).toEqual([0, false]);
}

it('never reach the server as SQL, whether failures are skipped or not, in one transaction or none', async () => {
  let skippedCount = 0;
  await fc.assert(
    fc.asyncProperty(body, fc.boolean(), fc.boolean(), async (text, skipsErrors, isInTransaction) => {
      await withSession(database.connection, async (session) => {
        const sql = async function* (): AsyncGenerator<Buffer> {
          yield await Promise.resolve(Buffer.from(head + text + tail));
        };
        const run = async (): Promise<void> => {
          const skipped = await runDumpScript({session, sql: sql(), skipsErrors});
          skippedCount += skipped.length;
        };
        const all = isInTransaction ? withTransaction(session, '', run) : run();
        await all.catch((error: unknown) => {
          if (skipsErrors) throw error;
        });
        // The session is usable after every failure.
        expect(await session.query('SELECT 1 AS one')).toEqual([{one: '1'}]);
        await session.query('DROP TABLE IF EXISTS public.typed, public.broken');
      });
      await expectNothingRan();
    }),
    runs(60),
  );
  expect(skippedCount).toBeGreaterThan(10);
});

it.each(['hostile.sql', 'hostile.sql.gz'])(
  'are never executed in a restore of %s that skips errors or stops at them',
  async (name) => {
    const rows = failing.map(
      (statements) =>
        `${statements}\nx@y ;${attack};select\n${attack};\n\\\\! touch ${proof}\n\\! touch ${proof}\n$$\n\\\\.\n\\.\n`,
    );
    const text = Buffer.from(`${head}CREATE TABLE public.taken (other int);\n${rows.join('\n')}${tail}`);
    const path = join(folder, name);
    await writeFile(path, name.endsWith('.gz') ? gzipSync(text) : text);
    const context = testContext(folder, {settings: {databaseUrl: urlOf(clusterConnection())}});
    for (const skipErrors of [true, false]) {
      const restored = restoreDatabase(context, {
        backupFile: path,
        targetDb: 'hostile_rows',
        createDb: true,
        skipErrors,
      });
      if (skipErrors) expect((await restored).errors.length).toBeGreaterThan(failing.length / 2);
      else await expect(restored).rejects.toMatchObject({code: 'RESTORE_FAILED'});
      await expectNothingRan();
      await dropDatabase('hostile_rows');
    }
  },
);
