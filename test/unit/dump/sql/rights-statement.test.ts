import {expect, it} from 'vitest';
import {readRightsStatement} from '../../../../src/lib/dump/sql/rights-statement.js';

const grant = (role: string | null, privilegesOf: string | null = null) => ({
  kind: 'grant',
  role,
  privilegesOf,
});

it.each([
  ['ALTER TABLE public.orders OWNER TO app;', {kind: 'owner', role: 'app'}],
  [
    'ALTER FUNCTION public.f(a text, "b c" integer) OWNER TO "My ""App""";',
    {kind: 'owner', role: 'My "App"'},
  ],
  ['ALTER LARGE OBJECT 17 OWNER TO "OWNER TO";', {kind: 'owner', role: 'OWNER TO'}],
  ["ALTER TABLE ONLY public.t ALTER COLUMN a SET DEFAULT ' OWNER TO app';", undefined],
  ['ALTER TABLE public."x OWNER TO y" ENABLE ROW LEVEL SECURITY;', undefined],
  ['GRANT SELECT ON TABLE public.orders TO anon;', grant('anon')],
  ['GRANT SELECT(id),UPDATE(note) ON TABLE public."a TO ""b" TO "anon" WITH GRANT OPTION;', grant('anon')],
  ['GRANT ALL ON FUNCTION public.f("TO" text) TO PUBLIC;', grant(null)],
  ['REVOKE ALL ON FUNCTION public.f(text) FROM PUBLIC;', grant(null)],
  ['REVOKE ALL ON TABLE public."x FROM y" FROM "PUBLIC";', grant('PUBLIC')],
  [
    'ALTER DEFAULT PRIVILEGES FOR ROLE "Post" IN SCHEMA "FOR ROLE x" GRANT ALL ON TABLES  TO anon;',
    grant('anon', 'Post'),
  ],
  ['ALTER DEFAULT PRIVILEGES FOR ROLE app REVOKE ALL ON FUNCTIONS  FROM PUBLIC;', grant(null, 'app')],
  ['SET SESSION AUTHORIZATION "Other";', {kind: 'grantor', role: 'Other'}],
  ["SET SESSION AUTHORIZATION 'other';", {kind: 'grantor', role: 'other'}],
  ['SET SESSION AUTHORIZATION DEFAULT;', {kind: 'grantor', role: null}],
  ['RESET SESSION AUTHORIZATION;', {kind: 'grantor', role: null}],
  ["COMMENT ON TABLE t IS ' OWNER TO app';", undefined],
  ['CREATE FUNCTION f() AS $$ GRANT ALL ON t TO x; $$;', undefined],
])('reads the role of %s', (sql, expected) => {
  expect(readRightsStatement(sql)).toEqual(expected);
});
