/** What of a dump cannot be restored where some of its extensions cannot be installed. */
import {type DumpContents, largeObjectTable} from '../archive/dump-contents.js';
import type {DumpDefinition} from '../archive/dump-definitions.js';
import {dataEntries, leaveOut, type LeftOutEntries} from '../archive/left-out-entries.js';
import type {Dependencies} from '../archive/select-tables.js';
import {readIdentifier} from '../archive/sql-names.js';

export interface MissingExtensions {
  /** Names of extensions that the server does not have, or does not let the role install. */
  readonly extensions: readonly string[];
  readonly definitions: readonly DumpDefinition[];
  readonly dependencies: Dependencies;
  /** Whether the dump records dependencies; otherwise they are known by names in the same schema alone. */
  readonly isExact: boolean;
  readonly contents: Pick<DumpContents, 'tables' | 'sequences' | 'refreshedViews'>;
}

export interface WithoutExtensions {
  readonly leftOut: LeftOutEntries;
  /** Tables of the dump that need one of them: "public.places". */
  readonly tables: readonly string[];
}

const missing = 'which need extensions that this server does not have';

/** Leaves out the extensions, what depends on them, and rows of tables that an extension itself creates. */
export function leaveOutExtensions({
  extensions,
  definitions,
  dependencies,
  isExact,
  contents,
}: MissingExtensions): WithoutExtensions {
  const indexes = definitions.map((_, index) => index);
  const isExtension = (index: number): boolean => definitions[index]?.type === 'EXTENSION';
  const gone = new Set(
    indexes.filter((index) => isExtension(index) && extensions.includes(definitions[index]?.name ?? '')),
  );
  const needsGone = (index: number): boolean => {
    const needs = dependencies.get(index) ?? [];
    if (!needs.some((need) => gone.has(need))) return false;
    // A name in a schema of several extensions may be of any of them; rights on the members of one that is there are lost, no more.
    const isAmbiguous = !isExact && needs.some((need) => isExtension(need) && !gone.has(need));
    return !isAmbiguous || ['ACL', 'COMMENT'].includes(definitions[index]?.type ?? '');
  };
  for (let before = -1; before !== gone.size;) {
    before = gone.size;
    for (const index of indexes) if (!gone.has(index) && needsGone(index)) gone.add(index);
  }
  const isKept = (index: number): boolean => !gone.has(index);
  const keyOf = ({type, schema, name}: Pick<DumpDefinition, 'type' | 'schema' | 'name'>): string =>
    `${type} ${schema} ${name}`;
  const keys = new Set([...gone].flatMap((index) => (definitions[index] ? [keyOf(definitions[index])] : [])));
  const filled = new Set(
    indexes.filter(isKept).flatMap((index) => {
      const {type = '', schema, name} = definitions[index] ?? {};
      return holders.has(type) ? [`${schema} ${name}`] : [];
    }),
  );
  const schemasOfOthers = new Set(
    indexes
      .filter((index) => isExtension(index) && isKept(index))
      .map((index) => schemaOf(definitions[index])),
  );
  const named = new Set(
    indexes.filter(isKept).flatMap((index) => {
      const {type = '', schema, name = ''} = definitions[index] ?? {};
      return isRight({type}) ? [] : [`${type === 'SCHEMA' ? '-' : schema} ${withoutArguments(name)}`];
    }),
  );
  const leftOut = leaveOut([...definitions, ...dataEntries(contents)], (entry) => {
    if (keys.has(keyOf(entry))) return missing;
    // Nothing records which extension created what a grant without a definition is for.
    if (gone.size > 0 && isRight(entry) && !isForDefined(entry, named)) return missing;
    // Rows without a definition are those of a table that an extension creates, or large objects.
    const isOfExtension =
      gone.size > 0 &&
      dataTypes.has(entry.type) &&
      !filled.has(`${entry.schema} ${entry.name}`) &&
      entry.schema !== largeObjectTable.schema &&
      !schemasOfOthers.has(entry.schema);
    return isOfExtension ? missing : undefined;
  });
  const tables = [...gone].flatMap((index) => {
    const {type, schema, name} = definitions[index] ?? {};
    return type === 'TABLE' ? [`${schema}.${name}`] : [];
  });
  return {leftOut, tables};
}

function isRight({type}: {readonly type: string}): boolean {
  return type === 'ACL' || type === 'DEFAULT ACL';
}

/** Whether the dump makes what a grant is for: "FUNCTION armor(bytea)", "SCHEMA cron", "COLUMN orders.total"; for default privileges, the schema. */
function isForDefined(
  {type, schema, name}: Pick<DumpDefinition, 'type' | 'schema' | 'name'>,
  named: ReadonlySet<string>,
): boolean {
  const isSchema = (one: string): boolean => named.has(`- ${one}`) || one === 'public';
  if (type === 'DEFAULT ACL') return schema === '-' || schema === '' || isSchema(schema);
  const [, kind = '', object = ''] = /^((?:FOREIGN )?[A-Z]+(?: DATA WRAPPER)?) (.*)$/s.exec(name) ?? [];
  if (kind === 'SCHEMA') return isSchema(object);
  if (!inSchemas.has(kind)) return true;
  return named.has(
    `${schema} ${withoutArguments(kind === 'COLUMN' ? object.replace(/\.[^.]*$/, '') : object)}`,
  );
}

/** A grant is listed with the names of a function's arguments, its definition without them. */
function withoutArguments(name: string): string {
  return name.replace(/\(.*$/s, '');
}

/** Kinds that an extension can create. */
const inSchemas = new Set([
  'AGGREGATE',
  'COLUMN',
  'DOMAIN',
  'FUNCTION',
  'PROCEDURE',
  'SEQUENCE',
  'TABLE',
  'TYPE',
]);

const holders = new Set(['TABLE', 'FOREIGN TABLE', 'SEQUENCE', 'MATERIALIZED VIEW']);
const dataTypes = new Set(['TABLE DATA', 'SEQUENCE SET', 'MATERIALIZED VIEW DATA']);

/** Where an extension puts its objects, as far as its entry says. */
function schemaOf(extension: DumpDefinition | undefined): string | undefined {
  const named = / WITH SCHEMA (.*);$/.exec(extension?.statements[0] ?? '')?.[1] ?? '';
  return readIdentifier(named, 0)?.name;
}
