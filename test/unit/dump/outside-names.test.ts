import {describe, expect, it} from 'vitest';
import type {DumpDefinition} from '../../../src/lib/dump/dump-definitions.js';
import {keysToTables, namesOutside} from '../../../src/lib/dump/outside-names.js';

const definition = (type: string, name: string, statement: string): DumpDefinition => ({
  type,
  schema: 'public',
  name,
  owner: 'app',
  statements: [statement],
  ownerStatement: undefined,
});

describe('names outside a dump', () => {
  const outside = new Set(['auth', 'app', 'public']);
  const found = (...definitions: DumpDefinition[]) =>
    [...namesOutside(definitions, ({schema}) => outside.has(schema))].map(
      ([index, names]) => `${index}: ${names.map(({schema, name}) => `${schema}.${name}`).join(' ')}`,
    );

  it.each([
    ['a key', definition('FK CONSTRAINT', 'a f', 'ALTER TABLE ONLY public.a ADD CONSTRAINT f FOREIGN KEY (u) REFERENCES auth.users(id);'), 'auth.users'],
    ['a policy', definition('POLICY', 'a p', 'CREATE POLICY p ON public.a USING ((auth.uid() = u));'), 'auth.uid'],
    ['a type', definition('TABLE', 'b', 'CREATE TABLE public.b (\n    mood app."Mood"\n);'), 'app.Mood'],
    ['a type of its own schema that was not chosen', definition('TABLE', 'b', 'CREATE TABLE public.b (\n    mood public.mood\n);'), 'public.mood'],
  ])('finds the name in %s', (_what, one, name) => {
    const table = definition('TABLE', 'a', 'CREATE TABLE public.a (\n    u uuid\n);');
    expect(found(table, one)).toEqual([`1: ${name}`]);
  }); // prettier-ignore

  it('ignores strings, function bodies, and columns of a table of that name', () => {
    const alias = `CREATE VIEW public.v AS\n SELECT auth.id,\n    app.name\n   FROM (public.auth\n     JOIN public.b app ON ((app.id = auth.id)));`;
    expect(
      found(
        definition('TABLE', 'auth', `CREATE TABLE public.auth (\n    id text DEFAULT 'auth.users'::text\n);`),
        definition('TABLE', 'b', 'CREATE TABLE public.b (\n    id text\n);'),
        definition('VIEW', 'v', alias),
        definition(
          'FUNCTION',
          'f()',
          `CREATE FUNCTION public.f() RETURNS uuid\n    AS $$ SELECT auth.uid() $$;`,
        ),
      ),
    ).toEqual([]);
  });
});

it('finds foreign keys of other tables to given ones, however their names are quoted', () => {
  const key = (from: string, to: string): DumpDefinition =>
    definition(
      'FK CONSTRAINT',
      'a f',
      `ALTER TABLE ONLY ${from} ADD CONSTRAINT f FOREIGN KEY (u) REFERENCES ${to}(id);`,
    );
  const definitions = [
    key('public.visits', 'public."Log s"'),
    key('public."Log s"', 'public."Log s"'),
    key('public."Log s"', 'public.visits'),
    definition('VIEW', 'v', 'CREATE VIEW public.v AS SELECT * FROM public."Log s";'),
  ];
  expect([...keysToTables(definitions, new Set(['public.Log s']))]).toEqual([0]);
});
