/** Plain dumps with hidden commands: if the real psql would execute one, the reader has refused the dump. */
import {spawn} from 'node:child_process';
import {join} from 'node:path';
import fc from 'fast-check';
import {afterAll, beforeAll, expect, inject, it} from 'vitest';
import {CopyStream} from '../../src/lib/dump/sql/copy-stream.js';
import {AppError} from '../../src/lib/base/errors.js';
import {libpqEnvironment} from '../../src/lib/postgres/connect/connection.js';
import {runs} from '../support/fuzz.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';

let database: TempDatabase;
beforeAll(async () => {
  database = await createTempDatabase('template0');
  await database.run('CREATE TABLE public.t (a text)');
});
afterAll(() => database.drop());

const tail = '\n-- PostgreSQL database dump complete\n';
const mark = 'ran-a-command';

/** Tokens that can begin and end quotes, comments, statements and rows, in any order. */
const piece = fc.constantFrom(
  "'", "''", "E'", "e'", "x'", "U&'", '"', '$$', '$x$', '$1', '$1$', '1', '1e', 'a', 'a$', '$', '\\', '\\\\', '\\.', '\\.\r',
  ';', ';\n', '(', ')', '--', '/*', '*/', '\n', '\n', '\n', '\r', '\r\n', ' ', ' ', 'SELECT ', 'begin ', 'end ', 'case ',
  'CREATE FUNCTION ', 'create or replace procedure ', 'ATOMIC ', 'COPY public.t (a) FROM stdin;\n', 'COPY public.t (a) FROM stdin;',
  'copy public.t from stdin;\n', 'COPY (SELECT 1) TO stdout;\n', 'COPY public.none (a) FROM stdin;\n', ':a', ":'a'", ':{?a}', '\t', 'row\n',
  'SET standard_conforming_strings = off;\n', 'SET standard_conforming_strings = on;\n', "SET client_encoding = 'LATIN1';\n",
  '-- Name: t; Type: TABLE DATA; Schema: public; Owner: -\n', 'é', '\u00ff',
); // prettier-ignore
const command = fc.constantFrom(`\n\\echo ${mark}\n`, `\\echo ${mark}\n`, `\r\\echo ${mark}\n`);
const soup = fc
  .array(fc.oneof({weight: 5, arbitrary: piece}, {weight: 2, arbitrary: command}), {maxLength: 5})
  .map((pieces) => pieces.join(''));
/** Contexts in which a command looks hidden, closed again. */
const hiding = fc
  .tuple(
    fc.constantFrom(
      ["'", "'"], ["E'", "'"], ["x'", "'"], ['"', '"'], ['$$', '$$'], ['$x$', '$x$'], ['1$x$', '$x$'], ['a$x$', '$x$'], ['--', '\n'], ['/*', '*/'],
      ['\nCOPY public.t (a) FROM stdin;\n', '\n\\.\n'], ['(;\nCOPY public.t (a) FROM stdin;\n', '\n\\.\n'], ['', ''], ['', ''],
    ),
    soup,
    fc.constantFrom('', ' ', '\n', '\r', ';\n', ';'),
  )
  .map(([[opening = '', closing = ''], text, behind]) => `${opening}${text}${closing}${behind}`); // prettier-ignore
const dump = fc
  .tuple(fc.array(hiding, {minLength: 1, maxLength: 5}), fc.constantFrom('', ';', '\n;'))
  .map(([parts, end]) => Buffer.from(`${parts.join('')}${end}${tail}`));

/** "accepted", or the code of the refusal. */
function verdict(bytes: Buffer): string {
  try {
    const stream = new CopyStream(false);
    stream.write(bytes);
    stream.end();
    return 'accepted';
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return error.code;
  }
}

/**
 * Output of psql's commands as a user without this program would run them, unrestricted, up to the first error. Results
 * of queries are written elsewhere, because a literal may contain the command's text.
 */
async function psqlOutput(sql: Buffer): Promise<string> {
  const {connection, name} = database;
  const child = spawn(
    join(inject('serverBin'), 'psql'),
    [
      '--no-psqlrc',
      '--quiet',
      '--no-password',
      `--dbname=${name}`,
      '--set=ON_ERROR_STOP=1',
      '--output=/dev/null',
      '--file=-',
    ],
    {
      env: {PATH: process.env['PATH'], ...libpqEnvironment(connection)},
      stdio: ['pipe', 'pipe', 'ignore'],
    },
  );
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stdin.on('error', () => undefined); // psql ends at the first error, before it has read everything
  child.stdin.end(sql);
  await new Promise((resolve) => child.once('close', resolve));
  return output;
}

it('sees the output of a psql command, and not the result of a query', async () => {
  expect(await psqlOutput(Buffer.from(`\\echo ${mark}\n`))).toContain(mark);
  expect(await psqlOutput(Buffer.from(`SELECT '\n\\echo ${mark}\n';\n`))).not.toContain(mark);
});

it('refuses every dump with which psql executes a command', async () => {
  let ran = 0;
  await fc.assert(
    fc.asyncProperty(dump, async (bytes) => {
      const said = verdict(bytes);
      // Refused dumps may do anything; psql checks the others.
      if (said !== 'accepted') return;
      ran += 1;
      expect(await psqlOutput(bytes)).not.toContain(mark);
    }),
    {...runs(600), endOnFailure: false},
  );
  process.stdout.write(`fuzz: ${ran} dumps passed the reader and were run by psql\n`);
  expect(ran).toBeGreaterThan(50);
});
