import {expect, it} from 'vitest';
import {comparableStatement} from '../../../src/lib/dump/sql/comparable-statement.js';
import {compareDefinitions} from '../../../src/lib/dump/compare-definitions.js';
import {type DumpDefinition, readDefinitions} from '../../../src/lib/dump/dump-definitions.js';

const read = (sql: string): Promise<DumpDefinition[]> =>
  readDefinitions(
    (async function* () {
      for (const byte of Buffer.from(sql)) yield await Promise.resolve(Buffer.from([byte]));
    })(),
  );

/** A section as pg_dump writes it. */
function section(type: string, name: string, sql: string, owner = 'app'): string {
  return `--\n-- Name: ${name}; Type: ${type}; Schema: public; Owner: ${owner}\n--\n\n${sql}\n\n`;
}

function definition(type: string, name: string, ...statements: string[]): DumpDefinition {
  return {type, schema: 'public', name, owner: 'app', statements, ownerStatement: undefined};
}

it('treats text that a server rewrites after a restore as equal', () => {
  const pairs = [
    [
      `CHECK (((s)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])))`,
      `CHECK (((s)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text])))`,
    ],
    [`DEFAULT ('now'::text)::timestamp(3) without time zone`, `DEFAULT 'now'`],
    [`SELECT 'x'::public."Order Status"[] AS a`, `SELECT\n  ('x') AS a`],
    [
      'CREATE TABLE public.c (\n    b integer,\n    a integer\n)\nINHERITS (public.p);',
      'CREATE TABLE public.c (\n    a integer,\n    b integer\n)\nINHERITS (public.p);',
    ],
    [
      'CREATE POLICY p ON public.t FOR SELECT TO b, "a TO", c USING (x TO y);',
      'CREATE POLICY p ON public.t FOR SELECT TO c, b, "a TO" USING (x TO y);',
    ],
  ];
  for (const [one = '', other = ''] of pairs)
    expect(comparableStatement(one)).toBe(comparableStatement(other));
});

it('does not treat text inside quotes as a cast, white space or a parenthesis', () => {
  const pairs = [
    [`'a  b'`, `'a b'`],
    [`'(a)::text'`, `'a'`],
    [`E'it''s \\' (x)'`, `E'it''s \\' x'`],
    ['"a (b)"', '"a b"'],
    ['AS $$ begin (x) end $$', 'AS $$ begin x end $$'],
    ['AS $b$ $$ (x) $$ $b$', 'AS $b$ $$ x $$ $b$'],
    ['DEFAULT 1', 'DEFAULT 11'],
    ['a character varying(20)', 'a character varying(30)'],
  ];
  for (const [one = '', other = ''] of pairs)
    expect(comparableStatement(one)).not.toBe(comparableStatement(other));
});

it('reads definitions with their owners, but no text or row that resembles a heading', async () => {
  const body = `CREATE FUNCTION public.f() RETURNS integer\n    LANGUAGE sql\n    AS $$\n-- Name: x; Type: y; Schema: z; Owner: w\n\nSELECT 1 $$;`;
  const found = await read(
    `SET client_encoding = 'UTF8';\n\n${section('FUNCTION', 'f()', `${body}\n\n\nALTER FUNCTION public.f() OWNER TO "app one";`, 'app one')}` +
      `SET default_table_access_method = heap;\n\n${section('TABLE', 'ä', 'CREATE TABLE public."ä" (\n    id integer\n);\n\n\nALTER TABLE public."ä" OWNER TO app;')}` +
      `--\n-- Data for Name: ä; Type: TABLE DATA; Schema: public; Owner: app\n--\n\nCOPY public."ä" (id) FROM stdin;\n-- Name: x; Type: TABLE; Schema: z; Owner: w\n\\.\n\n\n` +
      section(
        'ACL',
        'TABLE t',
        'GRANT SELECT ON TABLE public.t TO reader;\nGRANT UPDATE(s) ON TABLE public.t TO reader;',
      ),
  );
  expect(found).toEqual([
    {
      type: 'FUNCTION',
      schema: 'public',
      name: 'f()',
      owner: 'app one',
      ownerStatement: 'ALTER FUNCTION public.f() OWNER TO "app one";',
      statements: [body],
    },
    {
      ...definition('TABLE', 'ä'),
      ownerStatement: 'ALTER TABLE public."ä" OWNER TO app;',
      statements: ['CREATE TABLE public."ä" (\n    id integer\n);'],
    },
    definition(
      'ACL',
      'TABLE t',
      'GRANT SELECT ON TABLE public.t TO reader;',
      'GRANT UPDATE(s) ON TABLE public.t TO reader;',
    ),
  ]);
});

it('lists objects that cannot be compared without missing roles, and compares the rest', () => {
  const wanted = [
    definition('TABLE', 't', 'CREATE TABLE public.t (\n    id integer\n);'),
    definition(
      'ACL',
      'TABLE t',
      'GRANT SELECT ON TABLE public.t TO gone;',
      'GRANT SELECT ON TABLE public.t TO reader;',
    ),
  ];
  const found = [
    {...wanted[0], owner: 'postgres'} as DumpDefinition,
    definition('ACL', 'TABLE t', 'GRANT SELECT ON TABLE public.t TO reader;'),
  ];
  const why = {why: 'the role does not exist'};
  const limits = {owners: {...why, roles: new Set(['app'])}, grants: {...why, roles: new Set(['gone'])}};
  expect(compareDefinitions(wanted, found, limits)).toEqual({
    differences: [],
    notCompared: [
      'owners, the role does not exist: public.t',
      'grants, the role does not exist: public.TABLE t',
    ],
  });
  const open = [
    found[0] as DumpDefinition,
    definition('ACL', 'TABLE t', 'GRANT ALL ON TABLE public.t TO reader;'),
  ];
  expect(compareDefinitions(wanted, open, limits).differences).toMatchObject([
    {
      kind: 'ACL',
      differs: 'grants',
      detail: expect.stringContaining('has GRANT ALL ON TABLE public.t TO reader;') as string,
    },
  ]);
});

it('ignores grants that differ because another role installed an extension, and compares all other grants', () => {
  const acl = (owner: string, ...statements: string[]): DumpDefinition => ({
    ...definition('ACL', 'FUNCTION citextin(cstring)', ...statements),
    owner,
  });
  const before = acl('admin', 'GRANT ALL ON FUNCTION public.citextin(cstring) TO root WITH GRANT OPTION;');
  const own = 'REVOKE ALL ON FUNCTION public.citextin(cstring) FROM root;';
  const opened = 'GRANT ALL ON FUNCTION public.citextin(cstring) TO anon;';
  expect(compareDefinitions([before], [acl('root', own)], {})).toEqual({
    differences: [],
    notCompared: ['grants, to an owner that differs here: public.FUNCTION citextin(cstring)'],
  });
  expect(compareDefinitions([before], [acl('root', own, opened)], {}).differences).toMatchObject([
    {differs: 'grants', detail: expect.stringContaining('anon') as string},
  ]);
});

it('allows different wording between major versions, but not in the parts that decide about privileges', () => {
  const texts = 'the wording';
  const view = (from: string) => [
    definition('VIEW', 'v', `CREATE VIEW public.v AS\n SELECT ${from} FROM t;`),
  ];
  expect(compareDefinitions(view('t.a'), view('a'), {texts})).toEqual({
    differences: [],
    notCompared: ['the wording: view public.v'],
  });
  expect(compareDefinitions(view('t.a'), view('a'), {}).differences).toMatchObject([{differs: 'definition'}]);
  const states = [
    ['FUNCTION', 'CREATE FUNCTION public.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS $$ x $$;', 'CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS $$ x $$;'],
    ['FUNCTION', `CREATE FUNCTION public.f() RETURNS int LANGUAGE sql SET search_path TO 'a' AS $$ x $$;`, 'CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS $$ x $$;'],
    ['POLICY', 'CREATE POLICY p ON public.t TO reader USING (true);', 'CREATE POLICY p ON public.t USING (true);'],
    ['CONSTRAINT', 'ALTER TABLE public.t ADD CONSTRAINT c CHECK ((a > 1));', 'ALTER TABLE public.t ADD CONSTRAINT c CHECK ((a > 1)) NOT VALID;'],
    ['VIEW', "CREATE VIEW public.v WITH (security_invoker='true') AS SELECT 1;", 'CREATE VIEW public.v AS SELECT 1;'],
  ] as const; // prettier-ignore
  for (const [type, one, other] of states)
    expect(
      compareDefinitions([definition(type, 'x', one)], [definition(type, 'x', other)], {texts}).differences,
    ).toMatchObject([{differs: 'state'}]);
});

it('ignores privileges on objects that exist only in the database, and reports those on objects of the backup', () => {
  const table = definition('TABLE', 'orders', 'CREATE TABLE public.orders (id integer);');
  const grant = (kind: string, name: string): DumpDefinition =>
    definition('ACL', `${kind} ${name}`, `GRANT ALL ON ${kind} ${name} TO reader;`);
  const found = [
    table,
    definition('TABLE', 'later', 'CREATE TABLE public.later (id integer);'),
    grant('TABLE', 'later'),
    grant('COLUMN', 'later.id'),
    {...grant('SCHEMA', 'side'), schema: '-'},
    grant('TABLE', 'orders'),
    grant('COLUMN', 'orders.id'),
    {...grant('SCHEMA', 'public'), schema: '-'},
  ];
  const {differences, notCompared} = compareDefinitions([table], found, {extras: 'only there'});
  expect(differences.map(({object}) => object)).toEqual([
    'public.TABLE orders',
    'public.COLUMN orders.id',
    'SCHEMA public',
  ]);
  expect(notCompared).toEqual([
    'only there: public.later, public.TABLE later, public.COLUMN later.id, SCHEMA side',
  ]);
});

it('names what was left out as objects, so that the reason reads as a phrase', () => {
  const left = definition('VIEW', 'v', 'CREATE VIEW public.v AS\n SELECT 1;');
  const limits = {leftOut: () => 'which need objects that exist neither in the backup nor in the target'};
  expect(compareDefinitions([left], [], limits)).toEqual({
    differences: [],
    notCompared: ['objects which need objects that exist neither in the backup nor in the target: public.v'],
  });
});
