/**
 * What of a backup goes back into a target, what the target has already, and what is left out and why: one answer for `restore`, its dry run,
 * `doctor` and `verify --level restore`.
 */
import {
  type DumpContents,
  type DumpedTable,
  largeObjectTable,
  type ObjectName,
} from '../../fingerprint/table-contents.js';
import type {DumpDefinition} from '../../dump/dump-definitions.js';
import {dataEntries, type Entry, leaveOut, type LeftOutEntries} from '../../dump/left-out-entries.js';
import type {Dependencies} from '../../dump/select-tables.js';
import {readIdentifier} from '../../dump/sql/sql-names.js';
import {countOf} from '../../base/format.js';
import type {Tool} from '../../postgres/tools/find-tools.js';
import type {Ownership} from '../../postgres/inspect/platform-objects.js';
import {isJobTable} from './load/schedule-jobs.js';
import {readDependencies, readDumpDefinitions, type RestoreSource} from './source.js';

export interface RestoreTarget {
  /** The restoring role. */
  readonly me: string;
  readonly isSuperuser: boolean;
  /** Who owns what in a database that holds a service's own objects; null for every other one. */
  readonly ownership: Ownership | null;
  /** Extensions that the server does not have, or does not let the role install. */
  readonly unavailable: readonly string[];
  /** What was created in it before. */
  readonly prepared?: {readonly schemas: readonly string[]; readonly extensions: readonly string[]};
}

export interface DumpToRestore {
  readonly source: RestoreSource;
  /** Null for a plain dump. */
  readonly pgRestore: Tool | null;
  readonly contents: Pick<DumpContents, 'tables' | 'sequences' | 'refreshedViews' | 'encoding'>;
}

export interface WhatToRestore {
  readonly leftOut: LeftOutEntries;
  /** Tables of the platform's whose rows are added where they are missing, as users and files. */
  readonly managed: readonly DumpedTable[];
  /** Tables that cannot be made without what is missing: "public.places". */
  readonly impossible: readonly string[];
}

/** Why an entry is not restored: a phrase, as `LeftOutEntries` has it; undefined where it is. */
type Rule = (entry: Entry) => string | undefined;

const reasons = {
  platform: "which are the platform's",
  present: 'which the target has already',
  prepared: 'which were created before',
  superusers: 'which only a superuser may create',
  missing: 'which need extensions that this server does not have',
  rows: "rows that are tied to the platform's own installation",
};

/** @throws what pg_restore says of the archive */
export async function decideWhatToRestore(
  {source, pgRestore, contents}: DumpToRestore,
  target: RestoreTarget,
  signal: AbortSignal,
): Promise<WhatToRestore> {
  const definitions = await readDumpDefinitions(source, pgRestore, signal);
  const dependencies =
    target.unavailable.length > 0
      ? await readDependencies(source, pgRestore, definitions, contents.encoding, signal)
      : new Map<number, readonly number[]>();
  const isExact = pgRestore !== null;
  const gone = findDependents(target.unavailable, definitions, dependencies, isExact);
  const ofMissing = missingRule(gone, definitions);
  const {rule: ofPlatform, managed} = target.ownership
    ? platformRule(target.ownership, target.me, definitions, contents)
    : {rule: () => undefined, managed: []};
  const ofRole = roleRule(target);
  const why: Rule = (entry) => ofPlatform(entry) ?? ofMissing(entry) ?? ofRole(entry);
  return {
    leftOut: leaveOut([...definitions, ...dataEntries(contents)], why, why),
    managed,
    impossible: [...gone].flatMap((index) => {
      const {type, schema, name} = definitions[index] ?? {};
      return type === 'TABLE' ? [`${schema}.${name}`] : [];
    }),
  };
}

/** What is left out and why, a line each. @param missing how many rows of the platform's tables the target lacks, by "schema.name"; null where none are added */
export function describeLeftOut(
  {leftOut: {counts, restored}, managed}: Pick<WhatToRestore, 'leftOut' | 'managed'>,
  missing: ReadonlyMap<string, number> | null,
): string[] {
  const rows = (missing ? managed : []).map(({schema, name, rows: all}) => {
    const added = missing?.get(`${schema}.${name}`);
    return `${schema}.${name} ${added === undefined ? all : `${added} missing, ${all - added} there`}`;
  });
  return [
    ...(counts.size > 0 ? [`restored: ${countOf(restored, 'object')}`] : []),
    ...[...counts].map(([why, count]) => `left out: ${countOf(count, 'object')} ${why}`),
    ...(rows.length > 0
      ? [`rows of the platform's tables: missing ones are added, present ones stay (${rows.join('; ')})`]
      : []),
  ];
}

/** Nothing else in a dump depends on what only superusers may create, so a role without rights can restore the rest. */
function roleRule({isSuperuser, prepared}: RestoreTarget): Rule {
  return ({type, name}) => {
    if (!isSuperuser && /^(?:\S+ )?(?:EVENT TRIGGER|SUBSCRIPTION) /.test(`${type} ${name}`))
      return reasons.superusers;
    const isPrepared =
      (type === 'SCHEMA' && prepared?.schemas.includes(name)) ||
      (type === 'COMMENT' &&
        prepared?.extensions.some((one) => readIdentifier(name, 'EXTENSION '.length)?.name === one));
    return isPrepared === true ? reasons.prepared : undefined;
  };
}

const relationTypes = new Set(['TABLE', 'VIEW', 'MATERIALIZED VIEW', 'SEQUENCE', 'FOREIGN TABLE']);
const routineTypes = new Set(['FUNCTION', 'PROCEDURE', 'AGGREGATE']);
const dataTypes = new Set(['TABLE DATA', 'SEQUENCE SET', 'MATERIALIZED VIEW DATA']);

/** "f" of "f(integer)": entries of definitions and of grants write arguments differently. */
const withoutArguments = (signature: string): string => signature.replace(/\(.*$/s, '');

/** What a service keeps of the state of its own schema. */
const isHistory = (table: string): boolean => /(?:^|_)migrations$/.test(table);

/** Decides by who owns what in the target, and for what the target does not have, by who owned it when it was backed up. */
function platformRule(
  ownership: Ownership,
  me: string,
  definitions: readonly DumpDefinition[],
  contents: Pick<DumpContents, 'tables'>,
): {readonly rule: Rule; readonly managed: readonly DumpedTable[]} {
  const key = ({schema, name}: ObjectName): string => JSON.stringify([schema, name]);
  const schemas = new Map(ownership.schemas.map((one) => [one.name, one]));
  const relations = new Map(ownership.relations.map((one) => [key(one), one]));
  const roles = new Map(ownership.roles.map((one) => [one.name, one]));
  const isUsers = (owner: string | undefined): boolean =>
    owner === me || owner === 'pg_database_owner' || roles.get(owner ?? '')?.party === 'user';
  const isPlatformRole = (owner: string | undefined): boolean =>
    owner !== me && roles.get(owner ?? '')?.party === 'platform';
  const routines = new Map(
    ownership.functions.map((one) => [key({schema: one.schema, name: withoutArguments(one.signature)}), one]),
  );
  const routine = (schema: string, name: string) => routines.get(key({schema, name}));
  const byEntry = new Map(definitions.map((one) => [`${one.type} ${key(one)}`, one]));
  const holders = new Map(
    definitions.flatMap((one) => (relationTypes.has(one.type) ? [[key(one), one] as const] : [])),
  );
  // A schema that the target lacks is the platform's where its owner is.
  const lacking = new Set(
    definitions.flatMap(({type, name, owner}) =>
      type === 'SCHEMA' && !schemas.has(name) && owner !== '' && !isUsers(owner) ? [name] : [],
    ),
  );
  const isPlatformSchema = (name: string): boolean =>
    schemas.get(name)?.party === 'platform' || lacking.has(name);
  /** Event triggers stay, so what they call stays too. */
  const fired = new Set(
    ownership.eventTriggers.map(({function: called}) => `${called.schema}.${called.signature}`),
  );
  const isPlatformRoutine = (schema: string, name: string): boolean => {
    const found = routine(schema, name);
    return found !== undefined && (found.party === 'platform' || fired.has(`${schema}.${found.signature}`));
  };
  /** Dropping it would take an extension along. */
  const schemasOfExtensions = new Set(
    [...ownership.functions, ...ownership.relations].flatMap((one) =>
      one.extension === null ? [] : [one.schema],
    ),
  );
  const hasExtension = (name: string): boolean => schemasOfExtensions.has(name);

  function whySchema(name: string): string | undefined {
    if (isPlatformSchema(name)) return reasons.platform;
    return schemas.has(name) && hasExtension(name) ? reasons.present : undefined;
  }

  function whyRelation(entry: Entry): string | undefined {
    const found = relations.get(key(entry));
    if (found) return found.party === 'platform' ? reasons.platform : undefined;
    return isUsers(entry.owner) ? undefined : reasons.platform;
  }

  function whyRoutine(schema: string, signature: string, owner: string | undefined): string | undefined {
    const found = routine(schema, withoutArguments(signature));
    return !isUsers(owner) || found?.party === 'platform' ? reasons.platform : undefined;
  }

  function whyTrigger({statements = []}: Entry): string | undefined {
    const text = /\bEXECUTE (?:FUNCTION|PROCEDURE) (.*)\(/s.exec(statements[0] ?? '')?.[1] ?? '';
    const schema = readIdentifier(text, 0);
    const name = schema && text[schema.end] === '.' ? readIdentifier(text, schema.end + 1)?.name : undefined;
    const found = routine(schema?.name ?? '', name ?? '');
    const isPlatform = found ? found.party === 'platform' : isPlatformSchema(schema?.name ?? '');
    return isPlatform ? reasons.platform : undefined;
  }

  /** Policies and triggers of the user's may stand on tables of the platform's. */
  function whyOnTable(entry: Entry): string | undefined {
    if (isUsers(entry.owner)) return undefined;
    if (entry.type === 'TRIGGER') return whyTrigger(entry);
    const table = ownership.relations.find(
      (one) => one.schema === entry.schema && entry.name.startsWith(`${one.name} `) && one.extension !== null,
    );
    return entry.type === 'POLICY' && !table ? undefined : reasons.platform;
  }

  /** Grants, comments and security labels: "TABLE users", "FUNCTION uid()", "POLICY p ON users". */
  function whyAbout(entry: Entry): string | undefined {
    const [, kind = '', object = ''] = /^(\S+) (.*)$/s.exec(entry.name) ?? [];
    if (kind === 'SCHEMA') return isPlatformSchema(object) ? reasons.platform : undefined;
    if (kind === 'EXTENSION') return reasons.present;
    if (entry.name.startsWith('EVENT TRIGGER ')) return reasons.platform;
    if (!isPlatformSchema(entry.schema) && !hasExtension(entry.schema)) return undefined;
    if (isPlatformRole(entry.owner) && kind !== 'TRIGGER' && kind !== 'POLICY') return reasons.platform;
    if (kind === 'TRIGGER' || kind === 'POLICY') {
      const [name, table] = object.split(' ON ');
      const on = byEntry.get(`${kind} ${key({schema: entry.schema, name: `${table ?? ''} ${name ?? ''}`})}`);
      return on ? whyOnTable(on) : reasons.platform;
    }
    if (routineTypes.has(kind)) {
      const found = routine(entry.schema, withoutArguments(object));
      if (found && isPlatformRoutine(entry.schema, withoutArguments(object)))
        return found.extension === null ? reasons.platform : reasons.present;
      return isPlatformSchema(entry.schema) ? whyRoutine(entry.schema, object, entry.owner) : undefined;
    }
    const table = kind === 'COLUMN' ? object.replace(/\.[^.]*$/, '') : object;
    const found = relations.get(key({schema: entry.schema, name: table}));
    if (found?.extension != null) return reasons.present;
    return isPlatformSchema(entry.schema) ? whyRelation({...entry, name: table}) : undefined;
  }

  function why(entry: Entry): string | undefined {
    const {type, schema, name, owner} = entry;
    if (['ACL', 'COMMENT', 'SECURITY LABEL'].includes(type)) return whyAbout(entry);
    if (type === 'DEFAULT ACL') return isUsers(owner) ? undefined : reasons.platform;
    if (type === 'SCHEMA') return whySchema(name);
    if (type === 'EXTENSION')
      return ownership.extensions.some((one) => one.name === name) ? reasons.present : undefined;
    if (type === 'EVENT TRIGGER')
      return ownership.eventTriggers.some((one) => one.name === name) ? reasons.present : reasons.superusers;
    if (type === 'PUBLICATION')
      return ownership.publications.some((one) => one.name === name) ? reasons.present : undefined;
    if (type.startsWith('PUBLICATION TABLE')) {
      const publication = ownership.publications.find((one) => name.startsWith(`${one.name} `));
      if (publication?.party === 'platform') return reasons.platform;
      const table = publication ? name.slice(publication.name.length + 1) : name;
      return isPlatformSchema(schema) && relations.get(key({schema, name: table}))?.party !== 'user'
        ? reasons.platform
        : undefined;
    }
    if (dataTypes.has(type)) {
      const holder = holders.get(key(entry));
      const isKept = isPlatformSchema(schema)
        ? whyRelation({...entry, owner: holder?.owner ?? ''}) === undefined
        : relations.get(key(entry))?.party !== 'platform';
      if (isKept) return undefined;
      return managedKeys.has(key({schema, name})) && type === 'TABLE DATA' ? undefined : reasons.rows;
    }
    if (routineTypes.has(type) && isPlatformRoutine(schema, withoutArguments(name))) return reasons.platform;
    if (!isPlatformSchema(schema))
      return isPlatformRole(owner) && hasExtension(schema) ? reasons.platform : undefined;
    if (relationTypes.has(type)) return whyRelation(entry);
    if (routineTypes.has(type)) return whyRoutine(schema, name, owner);
    return type === 'TRIGGER' || type === 'POLICY' || name.includes(' ')
      ? whyOnTable(entry)
      : isUsers(owner)
        ? undefined
        : reasons.platform;
  }

  const managed = contents.tables.filter((table) => {
    const found = relations.get(key(table));
    return (
      found?.party === 'platform' &&
      (found.extension === null || (found.extension === 'pg_cron' && isJobTable(table))) &&
      table.rows > 0 &&
      !isHistory(table.name)
    );
  });
  const managedKeys = new Set(managed.map(key));
  return {rule: why, managed};
}

/** The extensions and all that needs them; by their places among the definitions. */
function findDependents(
  extensions: readonly string[],
  definitions: readonly DumpDefinition[],
  dependencies: Dependencies,
  isExact: boolean,
): ReadonlySet<number> {
  const isExtension = (index: number): boolean => definitions[index]?.type === 'EXTENSION';
  const indexes = definitions.map((_, index) => index);
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
  return gone;
}

/** What is gone, rows of tables that an extension itself creates, and grants on what it creates. */
function missingRule(gone: ReadonlySet<number>, definitions: readonly DumpDefinition[]): Rule {
  if (gone.size === 0) return () => undefined;
  const kept = definitions.filter((_, index) => !gone.has(index));
  const keyOf = ({type, schema, name}: Pick<DumpDefinition, 'type' | 'schema' | 'name'>): string =>
    `${type} ${schema} ${name}`;
  const keys = new Set(definitions.filter((_, index) => gone.has(index)).map(keyOf));
  const filled = new Set(
    kept.flatMap(({type, schema, name}) => (relationTypes.has(type) ? [`${schema} ${name}`] : [])),
  );
  const schemasOfOthers = new Set(kept.filter(({type}) => type === 'EXTENSION').map(schemaOf));
  const named = new Set(
    kept.flatMap((one) =>
      isRight(one) ? [] : [`${one.type === 'SCHEMA' ? '-' : one.schema} ${withoutArguments(one.name)}`],
    ),
  );
  return (entry) => {
    if (keys.has(keyOf(entry))) return reasons.missing;
    // Nothing records which extension created what a grant without a definition is for.
    if (isRight(entry) && !isForDefined(entry, named)) return reasons.missing;
    // Rows without a definition are those of a table that an extension creates, or large objects.
    const isOfExtension =
      dataTypes.has(entry.type) &&
      !filled.has(`${entry.schema} ${entry.name}`) &&
      entry.schema !== largeObjectTable.schema &&
      !schemasOfOthers.has(entry.schema);
    return isOfExtension ? reasons.missing : undefined;
  };
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

/** Where an extension puts its objects, as far as its entry says. */
function schemaOf(extension: DumpDefinition | undefined): string | undefined {
  const named = / WITH SCHEMA (.*);$/.exec(extension?.statements[0] ?? '')?.[1] ?? '';
  return readIdentifier(named, 0)?.name;
}
