/**
 * What of a backup goes back into a target, what the target has already, and what is left out and why: one answer for `restore`, its dry run,
 * `doctor` and `verify --level restore`.
 */
import {isWithoutRows} from '../../base/left-out-rows.js';
import {qualifiedName} from '../../base/qualified-name.js';
import {
  type DumpContents,
  type DumpedTable,
  largeObjectTable,
  type ObjectName,
} from '../../fingerprint/table-contents.js';
import type {DumpDefinition} from '../../dump/dump-definitions.js';
import {dataEntries, type Entry, leaveOut, type LeftOutEntries} from '../../dump/left-out-entries.js';
import type {Dependencies} from '../../dump/select-tables.js';
import {keyOfConstraint, keysToTables, namesOutside, policyTable} from '../../dump/outside-names.js';
import {readIdentifier} from '../../dump/sql/sql-names.js';
import {countOf} from '../../base/format.js';
import {someOf} from '../../base/some-of.js';
import {isOfPlatform, isSelection, tablesWithoutRows} from '../../catalog/backup-record.js';
import {withSession} from '../../postgres/client.js';
import type {Connection} from '../../postgres/connect/connection.js';
import {
  findInstalledExtensions,
  findMissingNames,
  findMissingSchemas,
} from '../../postgres/inspect/inspect-target.js';
import type {Tool} from '../../postgres/tools/find-tools.js';
import type {Ownership} from '../../postgres/inspect/platform-objects.js';
import {isJobTable} from './load/schedule-jobs.js';
import {readDependencies, readDumpDefinitions, readDumpNeeds, type RestoreSource} from './source.js';

export interface RestoreTarget {
  /** The restoring role. */
  readonly me: string;
  readonly isSuperuser: boolean;
  /** Who owns what in a database that holds a service's own objects; null for every other one. */
  readonly ownership: Ownership | null;
  /** Extensions that it lacks and that, by the catalog, only a superuser installs: a service may let its users do it all the same. */
  readonly doubtful?: readonly string[];
  /** Extensions that the server does not have, or does not let the role install. */
  readonly unavailable: readonly string[];
  /** Extensions that it lacks and that the role was not allowed to install, or that rows alone do not bring. */
  readonly refused?: readonly string[];
  /** Where what the backup refers to and does not hold may be; null for a database that is made for it, absent for rows alone. */
  readonly database?: Connection | null;
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
  /** Tables that cannot be made without extensions that are missing: "public.places". */
  readonly impossible: readonly string[];
  /** The same without what a part of a database refers to: "public.places (extensions.citext)". */
  readonly incomplete: readonly string[];
  /** Schemas for extensions, which the backup does not make and the target lacks. */
  readonly schemas: readonly string[];
  /** Foreign keys to tables that the target has and the backup does not, as `keyOfConstraint` names them. */
  readonly outsideKeys: ReadonlySet<string>;
  /** Extensions that are left out where the service refuses them to the role. */
  readonly doubtful: readonly string[];
  /** Those and what needs them, "view app.jobs". */
  readonly withDoubtful: readonly string[];
  /** Jobs that wait until pg_cron is enabled. */
  readonly waiting: readonly DumpedTable[];
}

/** Why an entry is not restored: a phrase, as `LeftOutEntries` has it; undefined where it is. */
type Rule = (entry: Entry) => string | undefined;

const reasons = {
  platform: "which are the platform's",
  present: 'which the target has already',
  prepared: 'which were created before',
  superusers: 'which only a superuser may create',
  missing: 'which need extensions that this server does not have',
  refused: 'which need extensions that are not enabled here',
  outside: 'which need something that neither the backup nor the target has',
  members: 'which are rights on what extensions create',
  everywhere: 'which every database has already',
  rows: "rows that are tied to the platform's own installation",
};

/** @throws what pg_restore says of the archive */
export async function decideWhatToRestore(
  {source, pgRestore, contents}: DumpToRestore,
  target: RestoreTarget,
  signal: AbortSignal,
): Promise<WhatToRestore> {
  const definitions = await readDumpDefinitions(source, pgRestore, signal);
  const outside = await lookOutside({source, pgRestore, contents}, definitions, target, signal);
  const {unavailable, refused = [], doubtful = []} = target;
  const dependencies =
    unavailable.length + refused.length + doubtful.length + outside.lacking.size > 0
      ? await readDependencies(source, pgRestore, definitions, contents.encoding, signal)
      : new Map<number, readonly number[]>();
  const dependents = (seeds: readonly number[]): ReadonlySet<number> =>
    findDependents(seeds, definitions, dependencies, pgRestore !== null);
  const without = (extensions: readonly string[], why: string): Gone => {
    const gone = dependents(
      definitions.flatMap(({type, name}, index) =>
        type === 'EXTENSION' && extensions.includes(name) ? [index] : [],
      ),
    );
    return {gone, rule: missingRule(gone, definitions, why)};
  };
  const missing = without(unavailable, reasons.missing);
  const ofRefused = without(refused, reasons.refused);
  const lost = withPolicies(dependents([...outside.lacking.keys()]), definitions);
  const ofOutside = outsideRule(lost, definitions, outside);
  const {rule: ofPlatform, managed} = target.ownership
    ? platformRule(target.ownership, target.me, definitions, contents, [...unavailable, ...refused])
    : {rule: () => undefined, managed: []};
  const {prepared} = target;
  const ofRole = roleRule({
    ...target,
    prepared: {
      schemas: [...(prepared?.schemas ?? []), ...outside.schemas],
      extensions: prepared?.extensions ?? [],
    },
  });
  const why = firstOf([ofPlatform, missing.rule, ofRefused.rule, ofOutside, ofRole]);
  const tables = (places: ReadonlySet<number>) =>
    [...places].flatMap((index) => {
      const {type, schema, name} = definitions[index] ?? {};
      return type === 'TABLE' ? [{index, table: `${schema}.${name}`}] : [];
    });
  return {
    leftOut: leaveOut([...definitions, ...dataEntries(contents)], why, why, target.ownership === null),
    managed,
    impossible: [...tables(missing.gone), ...tables(ofRefused.gone)].map(({table}) => table),
    incomplete: tables(lost).map(({index, table}) => {
      const names = (outside.lacking.get(index) ?? []).map(qualifiedName);
      return names.length > 0 ? `${table} (${[...new Set(names)].join(', ')})` : table;
    }),
    schemas: outside.schemas,
    doubtful,
    withDoubtful:
      leaveOut(definitions, without(doubtful, reasons.refused).rule).names.get(reasons.refused) ?? [],
    waiting: refused.includes('pg_cron') ? contents.tables.filter(isJobTable) : [],
    outsideKeys: new Set(outside.keys.filter((one) => why(one) === undefined).map(keyOfConstraint)),
  };
}

/** What cannot be made, by the places of the definitions, and the rule that leaves it out. */
interface Gone {
  readonly gone: ReadonlySet<number>;
  readonly rule: Rule;
}

/** Made outside of the function above, whose variables it would keep: the definitions, for as long as the plan is kept. */
function firstOf(rules: readonly Rule[]): Rule {
  return (entry) => {
    for (const rule of rules) {
      const why = rule(entry);
      if (why !== undefined) return why;
    }
    return undefined;
  };
}

interface Outside {
  /** What definitions need and neither the backup nor the target has, by the places of the definitions. */
  readonly lacking: ReadonlyMap<number, readonly ObjectName[]>;
  /** Foreign keys to tables whose rows the backup does not have. */
  readonly keys: readonly DumpDefinition[];
  readonly schemas: readonly string[];
  /** Extensions of the backup that are installed. */
  readonly installed: readonly string[];
  /** Where extensions put what the service grants rights on. */
  readonly homes: ReadonlySet<string>;
}

/** What a backup of a part of a database counts on. */
async function lookOutside(
  {source, pgRestore}: DumpToRestore,
  definitions: readonly DumpDefinition[],
  {database, unavailable}: RestoreTarget,
  signal: AbortSignal,
): Promise<Outside> {
  const record = source.backup?.record;
  if (!record || !isSelection(record) || database === undefined)
    return {lacking: new Map(), keys: [], schemas: [], installed: [], homes: new Set()};
  const {inventory} = record;
  const made = new Set(definitions.flatMap(({type, name}) => (type === 'SCHEMA' ? [name] : [])));
  const schemas = new Set(
    (inventory.schemas ?? inventory.platform?.schemas ?? []).filter((name) => !made.has(name)),
  );
  const tables = new Set(
    inventory.leftOut.flatMap(({table, reason}) =>
      /^(?:--exclude|not in)/.test(reason) && !isWithoutRows(reason) ? [table] : [],
    ),
  );
  const toEmpty = keysToTables(definitions, new Set(tablesWithoutRows(record)));
  const isLeftTable = (one: ObjectName): boolean => tables.has(qualifiedName(one));
  const named = namesOutside(definitions, (one) => schemas.has(one.schema) || isLeftTable(one));
  const {installations} = await readDumpNeeds(source, pgRestore, signal);
  const homes = installations.flatMap(({extension, schema}) =>
    schema === null || unavailable.includes(extension) ? [] : [schema],
  );
  // What an extension brings with it, nobody can know before it is there.
  const wanted = [...named.values()].flat().filter((one) => isLeftTable(one) || !homes.includes(one.schema));
  const newSchemas = [...new Set(homes)].filter((name) => !made.has(name) && !isEverywhere(name));
  const [missing, missingSchemas, installed] = database
    ? await withSession(
        database,
        async (session) => [
          await findMissingNames(session, wanted),
          await findMissingSchemas(session, newSchemas),
          await findInstalledExtensions(
            session,
            installations.map(({extension}) => extension),
          ),
        ],
        {signal},
      )
    : [wanted, newSchemas, []];
  const lacks = new Set(missing);
  const lacking = new Map(
    [...named].flatMap(([index, names]) => {
      const ones = names.filter((name) => lacks.has(name));
      return ones.length > 0 ? [[index, ones] as const] : [];
    }),
  );
  const keys = definitions.filter(
    (one, index) => one.type === 'FK CONSTRAINT' && (named.has(index) || toEmpty.has(index)),
  );
  // What a service grants on what its extensions create, nobody else can; from a server of one's own such rights come back.
  const isServices = isOfPlatform(record) && record.config.includeSchemas.length > 0;
  return {lacking, keys, schemas: missingSchemas, installed, homes: new Set(isServices ? homes : [])};
}

const isEverywhere = (schema: string): boolean => schema === 'public' || schema === 'pg_catalog';

/** A policy that takes rows away does not go alone: those that show rows would show more. */
function withPolicies(
  lost: ReadonlySet<number>,
  definitions: readonly DumpDefinition[],
): ReadonlySet<number> {
  const open = new Set(
    [...lost].flatMap((index) => {
      const one = definitions[index];
      return (one && policyTable(one, true)) ?? [];
    }),
  );
  const closed = definitions.flatMap((one, index) =>
    open.has(policyTable(one, false) ?? '') ? [index] : [],
  );
  return new Set([...lost, ...closed]);
}

/** What is lost, and the rows of views among it; of the extensions that come with a part of a database, those that are there, and rights on what they create. */
function outsideRule(
  lost: ReadonlySet<number>,
  definitions: readonly DumpDefinition[],
  {installed, homes}: Outside,
): Rule {
  const keys = new Set(definitions.filter((_, index) => lost.has(index)).map(keyOfEntry));
  const named = homes.size > 0 ? namesOf(definitions) : new Set<string>();
  return (entry) => {
    const {type, schema, name} = entry;
    if (keys.has(keyOfRows(entry))) return reasons.outside;
    const isThere = installed.some((one) =>
      type === 'COMMENT'
        ? readIdentifier(name, 'EXTENSION '.length)?.name === one && name.startsWith('EXTENSION ')
        : type === 'EXTENSION' && name === one,
    );
    if (isThere) return reasons.present;
    const isOfMember = type === 'ACL' && homes.has(schema) && !isForDefined(entry, named);
    return isOfMember ? reasons.members : undefined;
  };
}

/** What is the target's own, as the platform's things, is only counted. */
const isNamed: ReadonlySet<string> = new Set([
  reasons.superusers,
  reasons.missing,
  reasons.refused,
  reasons.outside,
]);
const mostNames = 20;

/** What is left out and why, a line each. @param missing how many rows of the platform's tables the target lacks, by "schema.name"; null where none are added */
export function describeLeftOut(
  {
    leftOut: {counts, names},
    managed,
    outsideKeys,
    withDoubtful,
    waiting,
  }: Pick<WhatToRestore, 'leftOut' | 'managed' | 'outsideKeys' | 'withDoubtful' | 'waiting'>,
  missing: ReadonlyMap<string, number> | null,
): string[] {
  const rows = (missing ? managed : []).map(({schema, name, rows: all}) => {
    const added = missing?.get(qualifiedName({schema, name}));
    return `${schema}.${name} ${added === undefined ? all : `${added} missing, ${all - added} there`}`;
  });
  return [
    ...[...counts].map(([why, count]) => {
      const ones = isNamed.has(why) ? (names.get(why) ?? []) : [];
      const which = ones.length > 0 ? `: ${someOf(ones, mostNames).join(', ')}` : '';
      return `left out: ${countOf(count, 'object')} ${why}${which}`;
    }),
    ...(withDoubtful.length > 0
      ? [
          `enabled where the service lets this role, else left out with what needs it: ${someOf(withDoubtful, mostNames).join(', ')}`,
        ]
      : []),
    ...waiting.map(
      (table) =>
        `${countOf(table.rows, 'row')} of ${qualifiedName(table)} not restored, as the table is not here. Enable pg_cron, then: restore --data-only --include-table ${qualifiedName(table)}`,
    ),
    ...(outsideKeys.size > 0
      ? [
          `${countOf(outsideKeys.size, 'foreign key')} to tables that the backup does not have, NOT VALID where rows that they refer to are missing: ${[...outsideKeys].map((key) => key.replace(' ', '.')).join(', ')}`,
        ]
      : []),
    ...(rows.length > 0
      ? [`rows of the platform's tables: missing ones are added, present ones stay (${rows.join('; ')})`]
      : []),
  ];
}

/** Nothing else in a dump depends on what only superusers may create, so a role without rights can restore the rest. */
function roleRule({isSuperuser, prepared}: RestoreTarget): Rule {
  return ({type, name, statements = []}) => {
    // From 15 on pg_dump makes it where it was chosen by its name.
    if (type === 'SCHEMA' && name === 'public' && statements.includes('CREATE SCHEMA public;'))
      return reasons.everywhere;
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
  unavailable: readonly string[],
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
  const made = new Set(definitions.flatMap(({type, name}) => (type === 'SCHEMA' ? [name] : [])));
  /** A schema that an extension of the backup makes, and that the target lacks with the extension. */
  const isMadeByExtension = (name: string): boolean =>
    !['', '-', 'public'].includes(name) && !schemas.has(name) && !made.has(name);
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
    if (kind === 'EXTENSION') return reasons.present;
    if (isMadeByExtension(kind === 'SCHEMA' ? object : entry.schema)) return reasons.members;
    if (kind === 'SCHEMA') return isPlatformSchema(object) ? reasons.platform : undefined;
    if (entry.name.startsWith('EVENT TRIGGER ')) return reasons.platform;
    if (!isPlatformSchema(entry.schema) && !hasExtension(entry.schema)) return undefined;
    if (isPlatformRole(entry.owner) && kind !== 'TRIGGER' && kind !== 'POLICY') return reasons.platform;
    if (kind === 'TRIGGER' || kind === 'POLICY') {
      const named = readIdentifier(object, 0);
      const table = named && readIdentifier(object, named.end + ' ON '.length);
      const name = `${table?.name ?? ''} ${named?.name ?? ''}`;
      const on = byEntry.get(`${kind} ${key({schema: entry.schema, name})}`);
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
      // Nothing else of pg_cron's comes back than jobs, whether it is there already or not.
      const isOfCron = bringsJobs && schema === 'cron' && !holder;
      const isKept = isOfCron
        ? false
        : isPlatformSchema(schema)
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

  // Where it is not installed yet, its entry comes before the rows.
  const bringsJobs =
    !unavailable.includes('pg_cron') &&
    definitions.some(({type, name}) => type === 'EXTENSION' && name === 'pg_cron');
  const managed = contents.tables.filter((table) => {
    const found = relations.get(key(table));
    return (
      (found ? found.party === 'platform' : bringsJobs && isJobTable(table)) &&
      (!found?.extension || (found.extension === 'pg_cron' && isJobTable(table))) &&
      table.rows > 0 &&
      !isHistory(table.name)
    );
  });
  const managedKeys = new Set(managed.map(key));
  return {rule: why, managed};
}

/** These and all that needs them; by their places among the definitions. */
function findDependents(
  seeds: readonly number[],
  definitions: readonly DumpDefinition[],
  dependencies: Dependencies,
  isExact: boolean,
): ReadonlySet<number> {
  const isExtension = (index: number): boolean => definitions[index]?.type === 'EXTENSION';
  const indexes = definitions.map((_, index) => index);
  const gone = new Set(seeds);
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

function keyOfEntry({type, schema, name}: Entry): string {
  return `${type} ${schema} ${name}`;
}

/** Rows go where their table or view goes. */
function keyOfRows(entry: Entry): string {
  return keyOfEntry({...entry, type: entry.type.replace(/ (?:DATA|SET)$/, '')});
}

/** What is gone, rows of tables that an extension itself creates, and grants on what it creates. */
function missingRule(gone: ReadonlySet<number>, definitions: readonly DumpDefinition[], why: string): Rule {
  if (gone.size === 0) return () => undefined;
  const kept = definitions.filter((_, index) => !gone.has(index));
  const keys = new Set(definitions.filter((_, index) => gone.has(index)).map(keyOfEntry));
  const filled = new Set(
    kept.flatMap(({type, schema, name}) => (relationTypes.has(type) ? [`${schema} ${name}`] : [])),
  );
  const schemasOfOthers = new Set(kept.filter(({type}) => type === 'EXTENSION').map(schemaOf));
  const named = namesOf(kept);
  return (entry) => {
    if (keys.has(keyOfRows(entry))) return why;
    // Nothing records which extension created what a grant without a definition is for.
    if (isRight(entry) && !isForDefined(entry, named)) return why;
    // Rows without a definition are those of a table that an extension creates, or large objects.
    const isOfExtension =
      dataTypes.has(entry.type) &&
      !filled.has(`${entry.schema} ${entry.name}`) &&
      entry.schema !== largeObjectTable.schema &&
      !schemasOfOthers.has(entry.schema);
    return isOfExtension ? why : undefined;
  };
}

/** What definitions make, as `isForDefined` looks it up. */
function namesOf(definitions: readonly DumpDefinition[]): ReadonlySet<string> {
  return new Set(
    definitions.flatMap((one) =>
      isRight(one) ? [] : [`${one.type === 'SCHEMA' ? '-' : one.schema} ${withoutArguments(one.name)}`],
    ),
  );
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
