/**
 * Decides which objects of a backup are restored into a target, and which are left out and why. `restore`, its dry run, `doctor` and
 * `verify --level restore` share this decision.
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
  /** Owners in a database that contains a service's own objects; null for other databases. */
  readonly ownership: Ownership | null;
  /** Missing extensions that only a superuser may install according to the catalog, though a service may allow it to its users. */
  readonly doubtful?: readonly string[];
  /** Extensions that the server does not have or does not allow the role to install. */
  readonly unavailable: readonly string[];
  /** Missing extensions that the role was not allowed to install, or that a restore of rows alone does not create. */
  readonly refused?: readonly string[];
  /** The database that may contain objects outside the backup; null for a new database, absent for rows alone. */
  readonly database?: Connection | null;
  /** Schemas and extensions that were created in it before. */
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
  /** Tables of the platform to which missing rows are added, such as users and files. */
  readonly managed: readonly DumpedTable[];
  /** Tables that cannot be created without missing extensions: "public.places". */
  readonly impossible: readonly string[];
  /** Tables that cannot be created without missing objects outside a partial backup: "public.places (extensions.citext)". */
  readonly incomplete: readonly string[];
  /** Missing schemas for extensions that the backup does not create. */
  readonly schemas: readonly string[];
  /** Foreign keys to tables that exist in the target but not in the backup, as named by `keyOfConstraint`. */
  readonly outsideKeys: ReadonlySet<string>;
  /** Extensions that are left out if the service refuses them to the role. */
  readonly doubtful: readonly string[];
  /** The doubtful extensions and the objects that need them, "view app.jobs". */
  readonly withDoubtful: readonly string[];
  /** Jobs that wait until pg_cron is enabled. */
  readonly waiting: readonly DumpedTable[];
}

/** The reason why an entry is not restored, as a phrase for `LeftOutEntries`; undefined if it is restored. */
type Rule = (entry: Entry) => string | undefined;

const reasons = {
  platform: "which are the platform's",
  present: 'which already exist in the target',
  prepared: 'which were created before',
  superusers: 'which only a superuser may create',
  missing: 'which need extensions that this server does not have',
  refused: 'which need extensions that are not enabled here',
  outside: 'which need objects that exist neither in the backup nor in the target',
  members: 'which are rights on objects of extensions',
  everywhere: 'which exist in every database',
  rows: "rows that are tied to the platform's own installation",
};

/** @throws the errors of pg_restore about the archive */
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

/** Indexes of definitions that cannot be created, and the rule that leaves them out. */
interface Gone {
  readonly gone: ReadonlySet<number>;
  readonly rule: Rule;
}

/** A separate function, because a closure in the one above would keep the definitions in memory as long as the plan. */
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
  /** Objects that definitions need and that exist neither in the backup nor in the target, by index of the definition. */
  readonly lacking: ReadonlyMap<number, readonly ObjectName[]>;
  /** Foreign keys to tables whose rows are not in the backup. */
  readonly keys: readonly DumpDefinition[];
  readonly schemas: readonly string[];
  /** Installed extensions of the backup. */
  readonly installed: readonly string[];
  /** Schemas with extension objects on which the service grants rights. */
  readonly homes: ReadonlySet<string>;
}

/** Finds the objects outside a partial backup that it depends on. */
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
  // The objects of an extension are unknown before it is installed.
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
  // Only a service can grant rights on objects of its extensions; rights from other servers are restored.
  const isServices = isOfPlatform(record) && record.config.includeSchemas.length > 0;
  return {lacking, keys, schemas: missingSchemas, installed, homes: new Set(isServices ? homes : [])};
}

const isEverywhere = (schema: string): boolean => schema === 'public' || schema === 'pg_catalog';

/** Leaves out all policies of a table that loses a restrictive one, because the others would show more rows without it. */
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

/** Leaves out lost objects with the rows of their views, installed extensions of a partial backup, and rights on the extensions' objects. */
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

/** Reasons for which objects are listed by name; for others, such as the platform's objects, they are only counted. */
const isNamed: ReadonlySet<string> = new Set([
  reasons.superusers,
  reasons.missing,
  reasons.refused,
  reasons.outside,
]);
const mostNames = 20;

/** Describes left out objects with the reason, a line each. @param missing number of missing rows in the platform's tables, by "schema.name"; null if none are added */
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
    return `${schema}.${name} ${added === undefined ? all : `${added} missing, ${all - added} present`}`;
  });
  return [
    ...[...counts].map(([why, count]) => {
      const ones = isNamed.has(why) ? (names.get(why) ?? []) : [];
      const which = ones.length > 0 ? `: ${someOf(ones, mostNames).join(', ')}` : '';
      return `left out: ${countOf(count, 'object')} ${why}${which}`;
    }),
    ...(withDoubtful.length > 0
      ? [
          `enabled if the service allows it to this role, else left out with dependent objects: ${someOf(withDoubtful, mostNames).join(', ')}`,
        ]
      : []),
    ...waiting.map(
      (table) =>
        `${countOf(table.rows, 'row')} of ${qualifiedName(table)} not restored, because the table is missing here. Enable pg_cron, then: restore --data-only --include-table ${qualifiedName(table)}`,
    ),
    ...(outsideKeys.size > 0
      ? [
          `${countOf(outsideKeys.size, 'foreign key')} to tables outside the backup, NOT VALID if rows are missing there: ${[...outsideKeys].map((key) => key.replace(' ', '.')).join(', ')}`,
        ]
      : []),
    ...(rows.length > 0
      ? [`rows of the platform's tables: missing ones are added, present ones are kept (${rows.join('; ')})`]
      : []),
  ];
}

/** No other object in a dump depends on objects that only superusers may create, so any role can restore the rest. */
function roleRule({isSuperuser, prepared}: RestoreTarget): Rule {
  return ({type, name, statements = []}) => {
    // Since 15, pg_dump creates it if it was selected by name.
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

/** "f" for "f(integer)", because entries of definitions and of grants write arguments differently. */
const withoutArguments = (signature: string): string => signature.replace(/\(.*$/s, '');

/** Whether it is a service's own table of schema migrations. */
const isHistory = (table: string): boolean => /(?:^|_)migrations$/.test(table);

/** Decides by the owner of an object in the target, or for missing objects by the owner in the backup. */
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
  // A schema missing in the target belongs to the platform if its owner does.
  const lacking = new Set(
    definitions.flatMap(({type, name, owner}) =>
      type === 'SCHEMA' && !schemas.has(name) && owner !== '' && !isUsers(owner) ? [name] : [],
    ),
  );
  const isPlatformSchema = (name: string): boolean =>
    schemas.get(name)?.party === 'platform' || lacking.has(name);
  const made = new Set(definitions.flatMap(({type, name}) => (type === 'SCHEMA' ? [name] : [])));
  /** Whether an extension of the backup creates the schema, and the target has neither of them. */
  const isMadeByExtension = (name: string): boolean =>
    !['', '-', 'public'].includes(name) && !schemas.has(name) && !made.has(name);
  /** Functions of event triggers, which are kept together with the triggers. */
  const fired = new Set(
    ownership.eventTriggers.map(({function: called}) => `${called.schema}.${called.signature}`),
  );
  const isPlatformRoutine = (schema: string, name: string): boolean => {
    const found = routine(schema, name);
    return found !== undefined && (found.party === 'platform' || fired.has(`${schema}.${found.signature}`));
  };
  /** Schemas that contain extension objects; dropping one would drop the extension. */
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

  /** The platform's tables can have policies and triggers of the user. */
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
      // Only jobs of pg_cron are restored, whether the extension is already installed or not.
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

  // If it is not installed yet, its entry comes before the rows.
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

/** The given definitions and all that need them, by index. */
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
    // A name in a schema with several extensions can belong to any of them. At most, rights on objects of an installed extension are lost.
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

/** The key of the table or view that the rows belong to. */
function keyOfRows(entry: Entry): string {
  return keyOfEntry({...entry, type: entry.type.replace(/ (?:DATA|SET)$/, '')});
}

/** Leaves out definitions that cannot be created, rows of tables created by an extension, and grants on its objects. */
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
    // A dump does not record which extension created the object of a grant without a definition.
    if (isRight(entry) && !isForDefined(entry, named)) return why;
    // Rows without a definition belong to a table created by an extension, or are large objects.
    const isOfExtension =
      dataTypes.has(entry.type) &&
      !filled.has(`${entry.schema} ${entry.name}`) &&
      entry.schema !== largeObjectTable.schema &&
      !schemasOfOthers.has(entry.schema);
    return isOfExtension ? why : undefined;
  };
}

/** Names of the defined objects, in the form for `isForDefined`. */
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

/** Whether the dump creates the object of a grant ("FUNCTION armor(bytea)", "SCHEMA cron", "COLUMN orders.total"); for default privileges, the schema. */
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

/** The schema of an extension's objects, if its entry names one. */
function schemaOf(extension: DumpDefinition | undefined): string | undefined {
  const named = / WITH SCHEMA (.*);$/.exec(extension?.statements[0] ?? '')?.[1] ?? '';
  return readIdentifier(named, 0)?.name;
}
