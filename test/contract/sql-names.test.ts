/** No SQL text of the program reaches a function, operator, type or table by a name that another user could also create (docs/threat-model.md). */
import {describe, expect, it} from 'vitest';
import {readSqlTexts, type SqlText} from '../support/sql-in-source.js';
import {namesOfQueries, unsafeNames} from '../support/sql-rules.js';

/** Texts that look like SQL but are not, or cannot be parsed alone: how the text begins, and the reason. */
const notParsed: readonly (readonly [file: string, start: string, reason: string])[] = [
  ['lib/postgres/tools/local-cluster.ts', 'autovacuum_naptime', 'a line of postgresql.conf'],
  ['lib/postgres/tools/local-cluster.ts', 'cat >/dev/null', 'a shell script'],
  ['lib/postgres/tools/local-cluster.ts', 'if [ -n', 'a shell script'],
  ['lib/postgres/tools/run-tool.ts', 'IFS= read', 'a shell script'],
  ['lib/services/verify/scratch-database.ts', 'max_wal_size', 'a line of postgresql.conf'],
  ['lib/services/backup/plan.ts', 'The server is a standby', 'a message'],
  ['lib/services/doctor/folders.ts', '${countOf', 'a message'],
  ['lib/services/orders/restore/execute.ts', '${table}: ', 'a message'],
  ['lib/services/rows/restore-rows.ts', '${table}: ', 'a message'],
  ['lib/rows/staging/where-lines.ts', 'Columns are named', 'a message'],
  ['lib/dump/dump-needs.ts', '', 'regular expressions that find statements in a list of contents'],
  ['lib/dump/archive-list.ts', 'COMMENT - ', 'a regular expression for lists of contents'],
  ['lib/dump/archive-list.ts', 'COMMENT EXTENSION ', 'a line of a list of contents'],
  [
    'lib/services/verify/prepare-scratch.ts',
    'GRANT ALL ON %s',
    'a format for the statements that the catalog names',
  ],
  [
    'lib/services/verify/prepare-scratch.ts',
    'REVOKE ALL ON %s',
    'a format for the statements that the catalog names',
  ],
  ['lib/dump/sql/copy-stream.ts', 'SET client_encoding', 'how a statement of a dump begins'],
  [
    'lib/postgres/databases/make-roles.ts',
    'CREATE ROLE',
    'followed by attributes, each quoted or a word of this file',
  ],
  ['lib/postgres/databases/create-database.ts', 'WITH (FORCE)', 'an option of DROP DATABASE'],
  ['lib/postgres/databases/database-properties.ts', 'WITH GRANT OPTION', 'an option of GRANT'],
  ['lib/postgres/databases/default-privileges.ts', 'WITH GRANT OPTION', 'an option of GRANT'],
  [
    'lib/postgres/databases/default-privileges.ts',
    'ALTER DEFAULT PRIVILEGES',
    'the beginning of statements, which follow in the same function',
  ],
  ['lib/dump/sql/rights-statement.ts', 'ALTER DEFAULT PRIVILEGES', 'how a statement of a dump begins'],
  ['lib/dump/sql/comparable-statement.ts', 'CREATE POLICY', 'how a statement of a dump begins'],
  ['lib/dump/sql/rights-statement.ts', 'FROM', 'a word of a statement of a dump'],
  [
    'lib/services/restore/load/role-limits.ts',
    'SET ROLE',
    'what takes the place of the beginning of a statement of a dump',
  ],
  ['lib/services/orders/rules/order-conditions.ts', '|| ', 'what joins texts, with the empty search_path'],
];

/** The files that may change search_path. */
const owners = ['lib/postgres/search-path.ts', 'lib/postgres/connect/pooler.ts'];

/** Files whose statements run before search_path is set. */
const early = ['lib/postgres/connect/pooler.ts'];

const texts = readSqlTexts();

const isListed = ({file, source}: SqlText): boolean =>
  notParsed.some(([path, start]) => path === file && source.slice(1).trimStart().startsWith(start));

// A part of a statement may name a query of the WITH in another part of the same file.
const refused = (read: readonly SqlText[]): string[] =>
  read.flatMap(({where, file, source, tree, searchPath}) =>
    unsafeNames(
      tree,
      early.includes(file) ? 'own' : searchPath,
      read.filter((other) => other.file === file).flatMap((other) => namesOfQueries(other.tree)),
    )
      .filter((problem) => !(owners.includes(file) && problem.startsWith('it changes search_path')))
      .map((problem) => `${where}: ${problem}\n    in ${source.slice(0, 160)}`),
  );

const unread = (read: readonly SqlText[]): string[] =>
  read
    .filter((text) => text.tree === undefined && !isListed(text))
    .map(({where, source}) => `${where}: ${source}`);

it('parses every SQL text of the program', () => {
  expect(
    unread(texts),
    'PostgreSQL\'s parser cannot read these texts. Write the SQL so that it parses with a name in place of each ${...}, or, if it is not SQL, add it with the reason to "notParsed" in this file.',
  ).toEqual([]);
  expect(texts.filter(({tree}) => tree !== undefined).length).toBeGreaterThan(250);
  expect(texts.filter(({searchPath}) => searchPath === 'own').length).toBeGreaterThan(10);
});

it('uses no name in SQL that another user could create too', () => {
  expect(
    refused(texts),
    'Our sessions have an empty search_path, so tables need their schema. A statement inside withOwnSearchPath() runs under the search_path of the role, where an attacker may have operators and functions of the same names: there everything needs a schema.',
  ).toEqual([]);
});

describe('the test itself', () => {
  const read = (body: string): SqlText[] =>
    readSqlTexts({
      path: '/made-up.ts',
      text: body,
    });

  it.each([
    [
      'a table without its schema',
      `session.query('SELECT * FROM orders')`,
      'the relation orders has no schema',
    ],
    ['a deletion in one', `session.query(\`DELETE FROM orders WHERE id = \${id}\`)`, 'the relation orders'],
    ['the old way to set the path', `session.query('RESET search_path')`, 'it changes search_path'],
    ['another', `session.query(\`SET LOCAL search_path = ''\`)`, 'it changes search_path'],
    ['all settings at once', `session.query('RESET ALL')`, 'it changes search_path'],
    [
      'the function that sets it',
      `session.query("SELECT set_config('search_path', $1, false)")`,
      'it changes',
    ],
    ...(
      [
        ['an operator', 'DELETE FROM shop.a WHERE x = 1', 'the operator ='],
        ['IN', 'DELETE FROM shop.a WHERE x IN (1, 2)', 'the operator ='],
        ['IN (SELECT)', 'DELETE FROM shop.a WHERE x IN (SELECT 1)', 'the operator ='],
        ['BETWEEN', 'DELETE FROM shop.a WHERE x BETWEEN 1 AND 2', 'the operator BETWEEN'],
        ['LIKE', `DELETE FROM shop.a WHERE x LIKE '1'`, 'the operator ~~'],
        ['CASE', 'DELETE FROM shop.a WHERE CASE x WHEN 1 THEN true END', 'CASE x WHEN'],
        ['USING', 'SELECT FROM shop.a JOIN shop.b USING (id)', 'USING and NATURAL'],
        ['a function', 'DELETE FROM shop.a WHERE lower(x) IS NULL', 'the function lower'],
        ['a type', 'DELETE FROM shop.a WHERE x::text IS NULL', 'the type text'],
      ] as const
    ).map(([name, sql, problem]) => [
      `${name} under the role's own search_path`,
      `withOwnSearchPath(session, () => session.query(\`${sql}\`))`,
      problem,
    ]),
  ])('refuses %s', (_name, body, problem) => {
    expect(refused(read(body))).toEqual([expect.stringContaining(problem)]);
  });

  it('follows constants and functions to the statements that run under that path', () => {
    const body = `const condition = 'x = 1';
      function sql() { return \`DELETE FROM shop.a WHERE \${condition}\`; }
      withOwnSearchPath(session, () => session.query(sql()));`;
    expect(refused(read(body))).toEqual([expect.stringContaining('the operator =')]);
  });

  it('reports a text that it cannot parse', () => {
    expect(unread(read(`session.query('SELEC 1')`))).toEqual([expect.stringContaining('SELEC 1')]);
  });

  it('allows names that only the program can create', () => {
    const body = `session.query('WITH found AS (SELECT 1) SELECT count(*) FROM found JOIN pg_temp.rows ON a = b');
      session.query('CREATE TEMPORARY TABLE notes (id bigint)');
      withOwnSearchPath(session, () => session.query('DELETE FROM shop.a WHERE x OPERATOR(pg_catalog.=) 1 AND y IS NULL'));`;
    expect(refused(read(body))).toEqual([]);
    expect(unread(read(body))).toEqual([]);
  });
});
