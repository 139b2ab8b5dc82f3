/** What of a backup goes back into a database on a server that somebody else runs: what is the user's, beside what the platform keeps. */
import type {DumpContents, DumpedTable, ObjectName} from '../archive/dump-contents.js';
import type {DumpDefinition} from '../archive/dump-definitions.js';
import {dataEntries, type Entry, leaveOut, type LeftOutEntries} from '../archive/left-out-entries.js';
import {readIdentifier} from '../archive/sql-names.js';
import type {Ownership} from '../postgres/platform-objects.js';
import {isJobTable} from '../postgres/schedule-jobs.js';

export interface BesidePlatform {
  readonly leftOut: LeftOutEntries;
  /** Tables of the platform whose rows are added where they are missing, as users and files. */
  readonly managed: readonly DumpedTable[];
}

/** Reasons, as `LeftOutEntries` has them. */
export const reasons = {
  platform: "which are the platform's",
  present: 'which the target has already',
  superusers: 'which only a superuser may create',
  rows: "rows that are tied to the platform's own installation",
};

const relationTypes = new Set(['TABLE', 'VIEW', 'MATERIALIZED VIEW', 'SEQUENCE', 'FOREIGN TABLE']);
const routineTypes = new Set(['FUNCTION', 'PROCEDURE', 'AGGREGATE']);
const dataTypes = new Set(['TABLE DATA', 'SEQUENCE SET', 'MATERIALIZED VIEW DATA']);

/** "f" of "f(integer)": entries of definitions and of grants write arguments differently. */
const withoutArguments = (signature: string): string => signature.replace(/\(.*$/s, '');

/** What a service keeps of the state of its own schema. */
const isHistory = (table: string): boolean => /(?:^|_)migrations$/.test(table);

/**
 * Decides by who owns what in the target, and for what the target does not have, by who owned it when it was backed up.
 * @param me the restoring role
 */
export function leaveOutPlatform(
  ownership: Ownership,
  me: string,
  definitions: readonly DumpDefinition[],
  contents: Pick<DumpContents, 'tables' | 'sequences' | 'refreshedViews'>,
): BesidePlatform {
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
  return {leftOut: leaveOut([...definitions, ...dataEntries(contents)], why, why), managed};
}
