/** Selects the parts of a dump that certain tables need: types, sequences, functions, extensions and dependent objects. */
import type {DumpDefinition} from './dump-definitions.js';
import type {ObjectName} from '../fingerprint/table-contents.js';
import type {DumpSection} from './plain-dump-filter.js';
import {readIdentifier} from './sql/sql-names.js';

export interface TableSelection {
  /** Definitions to restore, in the dump's order. */
  readonly chosen: readonly DumpDefinition[];
  /** Dependent objects that are not restored: foreign keys to other tables, triggers, policies, grants. */
  readonly left: readonly DumpDefinition[];
}

/** The definitions that each definition needs, both by index. */
export type Dependencies = ReadonlyMap<number, readonly number[]>;

/** Types that are restored with their table. Row security too: without its policies only the owner sees rows, which is safe. */
const attachedTypes = new Set([
  'CHECK CONSTRAINT',
  'COMMENT',
  'CONSTRAINT',
  'DEFAULT',
  'INDEX',
  'ROW SECURITY',
  'SEQUENCE',
  'SEQUENCE OWNED BY',
  'STATISTICS',
]);
/** Restored if everything that they need is restored. */
const conditionalTypes = new Set(['FK CONSTRAINT']);
const leftTypes = new Set(['ACL', 'FK CONSTRAINT', 'POLICY', 'RULE', 'TRIGGER']);

/** The definitions for the tables and, recursively, everything that they need; needed views and tables come without rows. */
export function selectTables(
  definitions: readonly DumpDefinition[],
  dependencies: Dependencies,
  tables: readonly ObjectName[],
): TableSelection {
  const isTable = ({type, schema, name}: DumpDefinition): boolean =>
    type === 'TABLE' && tables.some((table) => table.schema === schema && table.name === name);
  const needsOf = (index: number): readonly number[] => dependencies.get(index) ?? [];
  // pg_dump creates a partition as a separate table, which needs its parent only for ATTACH.
  const partitions = new Set(
    definitions.flatMap(({type, schema, name}) => (type === 'TABLE ATTACH' ? [keyOf({schema, name})] : [])),
  );
  const isPartition = ({type, schema, name}: DumpDefinition): boolean =>
    type === 'TABLE' && partitions.has(keyOf({schema, name}));
  const chosen = new Set<number>();
  const bring = (index: number): void => {
    const definition = definitions[index];
    if (chosen.has(index) || !definition || isPublicSchema(definition)) return;
    chosen.add(index);
    for (const need of needsOf(index))
      if (!(isPartition(definition) && definitions[need]?.type === 'TABLE')) bring(need);
  };
  const indexes = definitions.map((_, index) => index);
  const roots = indexes.filter((index) => {
    const definition = definitions[index];
    return definition !== undefined && isTable(definition);
  });
  for (const index of roots) bring(index);
  const hangsOn = (index: number, on: readonly number[]): boolean =>
    needsOf(index).some((need) => on.includes(need));
  const ofType = (types: ReadonlySet<string>) => (index: number) => types.has(definitions[index]?.type ?? '');
  const attached = indexes.filter((index) => ofType(attachedTypes)(index) && hangsOn(index, roots));
  for (const index of attached) bring(index);
  // Objects that depend on these: "owned by" of a sequence, comments on types and extensions.
  const further = indexes.filter(
    (index) => ofType(new Set(['SEQUENCE OWNED BY', 'COMMENT']))(index) && needsOf(index).length > 0,
  );
  for (const index of further) if (needsOf(index).every((need) => chosen.has(need))) bring(index);
  for (const index of indexes.filter(ofType(conditionalTypes)))
    if (needsOf(index).every((need) => chosen.has(need)) && hangsOn(index, roots)) bring(index);
  const left = indexes.filter(
    (index) => ofType(leftTypes)(index) && !chosen.has(index) && hangsOn(index, roots),
  );
  const inOrder = (which: (index: number) => boolean): DumpDefinition[] =>
    definitions.filter((_, index) => which(index));
  return {chosen: inOrder((index) => chosen.has(index)), left: inOrder((index) => left.includes(index))};
}

/** Every database has it, and its owner and comment do not belong to a table. */
function isPublicSchema({type, name}: DumpDefinition): boolean {
  return (type === 'SCHEMA' && name === 'public') || (type === 'COMMENT' && name === 'SCHEMA public');
}

/** The entries to load: names as in `listedName`, including rows and sequence values. */
export function namesOfSelection({chosen}: TableSelection, tables: readonly ObjectName[]): Set<string> {
  const names = new Set<string>();
  for (const definition of chosen) {
    const {type, schema, name} = definition;
    names.add(listedName(definition));
    if (type === 'SEQUENCE') names.add(listedName({...definition, type: 'SEQUENCE SET'}));
    if (type === 'TABLE' && tables.some((table) => table.schema === schema && table.name === name))
      names.add(listedName({...definition, type: 'TABLE DATA'}));
  }
  return names;
}

function keyOf({schema, name}: ObjectName): string {
  return JSON.stringify([schema, name]);
}

/** "TABLE public orders shop": the text that `pg_restore --list` prints after the numbers of an entry. */
export function listedName({type, schema, name, owner}: DumpSection): string {
  return `${type} ${schema === '' ? '-' : schema} ${name} ${owner}`;
}

/**
 * Reads the dependencies that pg_dump recorded in an archive.
 * @param lines of `pg_restore --list --verbose`: an entry may be followed by `;	depends on: 218 219`, with the first numbers of entries
 */
export function dependenciesInList(
  definitions: readonly DumpDefinition[],
  lines: readonly string[],
): Dependencies {
  const places = new Map(definitions.map((definition, index) => [listedName(definition), index]));
  const byId = new Map<number, number>();
  const needs = new Map<number, number[]>();
  let current: number | undefined;
  for (const line of lines) {
    const entry = /^(\d+); \d+ \d+ (.*)$/s.exec(line);
    if (entry) {
      current = places.get(entry[2] ?? '');
      if (current !== undefined) byId.set(Number(entry[1]), current);
    } else if (line.startsWith(';\tdepends on:') && current !== undefined) {
      needs.set(current, (line.match(/\d+/g) ?? []).map(Number));
    }
  }
  return new Map(
    [...needs].map(([index, ids]) => [
      index,
      [...new Set(ids)].flatMap((id) => {
        const need = byId.get(id);
        return need === undefined || need === index ? [] : [need];
      }),
    ]),
  );
}

const part = String.raw`(?:"(?:[^"]|"")*"|[^\s"'.,;:()[\]=<>!+*/|&%^~-]+)`;
const qualified = new RegExp(String.raw`(${part})\.(${part})`, 'g');

/** All texts of the form `schema.name`. */
export function qualifiedNames(text: string): ObjectName[] {
  const nameOf = (quoted: string): string => readIdentifier(quoted, 0)?.name ?? '';
  return [...text.matchAll(qualified)].map(([, first = '', second = '']) => ({
    schema: nameOf(first),
    name: nameOf(second),
  }));
}

/**
 * Finds dependencies by the names in the definitions' text, because a plain dump records nothing else. pg_dump qualifies every name outside
 * function bodies. A name without a definition may come from any extension of its schema, so all of those are needed.
 * @param makers the extensions that created schemas, such as that of "pg_cron"
 */
export function dependenciesByName(
  definitions: readonly DumpDefinition[],
  makers: ReadonlyMap<string, readonly string[]> = new Map(),
): Dependencies {
  const byName = new Map<string, number[]>();
  const schemas = new Map<string, number>();
  const homes = new Map<number, string>();
  const extensionsByName = new Map<string, number>();
  const extensions = new Map<string, number[]>();
  const add = <K>(map: Map<K, number[]>, key: K, index: number): void => {
    map.set(key, [...(map.get(key) ?? []), index]);
  };
  definitions.forEach(({type, schema, name, statements}, index) => {
    if (type === 'SCHEMA') schemas.set(name, index);
    else if (type === 'EXTENSION') {
      extensionsByName.set(name, index);
      const where = readIdentifier(/ WITH SCHEMA (.*);$/.exec(statements[0] ?? '')?.[1] ?? '', 0)?.name ?? '';
      homes.set(index, where);
      // Names in pg_catalog are PostgreSQL's own, even if an extension claims to be installed there.
      for (const home of new Set([where, ...(makers.get(name) ?? [])]))
        if (home !== 'pg_catalog') add(extensions, home, index);
    } else if (namedTypes.has(type)) add(byName, keyOf({schema, name: name.replace(/\(.*$/s, '')}), index);
  });
  const needs = new Map<number, readonly number[]>();
  definitions.forEach(({type, schema, name: own, statements}, index) => {
    const found = new Set<number>();
    const schemaAt = schemas.get(homes.get(index) ?? schema);
    if (schemaAt !== undefined) found.add(schemaAt);
    const commented =
      type === 'COMMENT' && own.startsWith('EXTENSION ')
        ? readIdentifier(own, 'EXTENSION '.length)?.name
        : undefined;
    const extension = extensionsByName.get(commented ?? '');
    if (extension !== undefined) found.add(extension);
    for (const statement of statements) {
      const head =
        type === 'COMMENT' ? statement.replace(/ IS [^]*$/, '') : statement.replace(functionBody, '');
      for (const named of qualifiedNames(head)) {
        const objects = byName.get(keyOf(named));
        for (const need of objects ?? extensions.get(named.schema) ?? []) found.add(need);
      }
    }
    found.delete(index);
    needs.set(index, [...found]);
  });
  return needs;
}

const functionBody = /\$([A-Za-z_]\w*)?\$[^]*?\$\1\$/g;

/** Types whose qualified names occur in other definitions. */
const namedTypes = new Set([
  'AGGREGATE',
  'COLLATION',
  'DOMAIN',
  'FOREIGN TABLE',
  'FUNCTION',
  'MATERIALIZED VIEW',
  'OPERATOR',
  'PROCEDURE',
  'SEQUENCE',
  'SHELL TYPE',
  'TABLE',
  'TEXT SEARCH CONFIGURATION',
  'TYPE',
  'VIEW',
]);
