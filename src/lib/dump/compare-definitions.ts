/** Compares the definitions in a dump with those of the database that it was restored into. */
import {entryName} from '../base/qualified-name.js';
import {comparableStatement} from './sql/comparable-statement.js';
import {type DumpDefinition, propertiesType} from './dump-definitions.js';
import {readRightsStatement} from './sql/rights-statement.js';
import {someOf} from '../base/some-of.js';

export interface CatalogDifference {
  /** "TABLE", "FUNCTION", "POLICY": the type in pg_dump's heading. */
  readonly kind: string;
  /** "shop.orders", "shop.orders new_rows" for objects of a table. */
  readonly object: string;
  readonly differs: 'missing' | 'extra' | 'owner' | 'grants' | 'definition' | 'state' | 'comment';
  /** The value in the database and in the backup, if short and not secret; else ''. */
  readonly detail: string;
}

/** Aspects that cannot be equal or cannot be compared; they are listed instead. */
export interface ComparisonLimits {
  /** Why owners are not compared: all of them, or those owned by these roles. */
  readonly owners?: {readonly why: string; readonly roles?: ReadonlySet<string>};
  /** Why grants are not compared: all, or those to these roles. Grants of the grantors may be made by the owner instead. */
  readonly grants?:
    | {
        readonly why: string;
        readonly roles?: ReadonlySet<string>;
        readonly grantors?: ReadonlySet<string>;
      }
    | undefined;
  /** Why objects that exist only in the database do not count as differences. */
  readonly extras?: string;
  /** Why the text of definitions may differ: another major version prints it differently. */
  readonly texts?: string;
  /** Why the object was left out of the restore; undefined if it was restored. */
  readonly leftOut?: (definition: DumpDefinition) => string | undefined;
}

export interface DefinitionComparison {
  readonly differences: CatalogDifference[];
  /** A line for each reason, with the names of the objects, or of the roles if owners were not compared. */
  readonly notCompared: string[];
}

/** Types with their own comparison: properties of the database, and whether views are filled. */
const otherTypes = new Set(['DATABASE', 'DATABASE PROPERTIES', propertiesType, 'MATERIALIZED VIEW DATA']);

function isComparedElsewhere({type, name}: DumpDefinition): boolean {
  return (
    otherTypes.has(type) ||
    (name.startsWith('DATABASE ') && ['ACL', 'COMMENT', 'SECURITY LABEL'].includes(type))
  );
}

/** Entries with the same key. The key of default privileges contains their owner. */
interface Item {
  readonly definition: DumpDefinition;
  /** Normalised forms, sorted. */
  readonly statements: string[];
}

function byKey(
  definitions: readonly DumpDefinition[],
  isTaken: (one: DumpDefinition) => boolean,
): Map<string, Item> {
  const items = new Map<string, Item>();
  for (const definition of definitions) {
    if (isComparedElsewhere(definition) || !isTaken(definition)) continue;
    const {type, schema, name, owner} = definition;
    const key = JSON.stringify([type, schema, name, type === 'DEFAULT ACL' ? owner : '']);
    const forms = isRights(definition)
      ? withGrantors(definition.statements)
      : definition.statements.map(comparableStatement);
    const statements = [...(items.get(key)?.statements ?? []), ...forms].sort();
    items.set(key, {definition, statements});
  }
  return items;
}

/** Privileges come first: they decide who may read what. */
const worstFirst: readonly CatalogDifference['differs'][] = [
  'grants',
  'owner',
  'state',
  'missing',
  'extra',
  'definition',
  'comment',
];

/** Objects that are missing in the database, exist only there, or differ; privileges first. */
export function compareDefinitions(
  expected: readonly DumpDefinition[],
  found: readonly DumpDefinition[],
  limits: ComparisonLimits,
): DefinitionComparison {
  const skipped = new Map<string, string[]>();
  const skip = (why: string, name: string): void => {
    skipped.set(why, [...(skipped.get(why) ?? []), name]);
  };
  const wanted = byKey(expected, (definition) => {
    const why = limits.leftOut?.(definition);
    if (why !== undefined) skip(why, entryName(definition));
    return why === undefined;
  });
  const present = byKey(found, (definition) => limits.leftOut?.(definition) === undefined);
  const owners = ownersOf(wanted, present);
  const differences: CatalogDifference[] = [];
  for (const [key, item] of wanted) {
    const other = present.get(key);
    present.delete(key);
    differences.push(...compareItem(item, other, limits, owners, skip));
  }
  const named = new Set(expected.map(({schema, name}) => JSON.stringify([schema, name])));
  for (const item of present.values()) {
    // A dump omits privileges that equal PostgreSQL's defaults, so those on its objects count.
    if (limits.extras !== undefined && !areRightsOn(named, item.definition))
      skip(limits.extras, entryName(item.definition));
    else differences.push(...compareItem(undefined, item, limits, owners, skip));
  }
  const rank = ({differs}: CatalogDifference): number => worstFirst.indexOf(differs);
  differences.sort((a, b) => rank(a) - rank(b));
  return {
    differences,
    notCompared: [...skipped].map(([why, names]) => {
      const what = why.startsWith('which ') ? `objects ${why}` : why;
      return `${what}: ${someOf([...new Set(names)], 8).join(', ')}`;
    }),
  };
}

/** Whether these are privileges on one of the objects, or on the schema that every database has. */
function areRightsOn(named: ReadonlySet<string>, {type, schema, name}: DumpDefinition): boolean {
  if (type !== 'ACL') return false;
  if (name === 'SCHEMA public') return true;
  const object = name.replace(/^(?:FOREIGN DATA WRAPPER|FOREIGN SERVER|LARGE OBJECT|[A-Z]+) /, '');
  const ends = [object.length];
  if (name.startsWith('COLUMN '))
    for (let end = object.lastIndexOf('.'); end > 0; end = object.lastIndexOf('.', end - 1)) ends.push(end);
  return ends.some((end) => named.has(JSON.stringify([schema, object.slice(0, end)])));
}

/** Types and names in one line, shortened. */
export function listDefinitions(definitions: readonly DumpDefinition[]): string {
  const names = definitions.map((one) => `${one.type.toLowerCase()} ${entryName(one)}`);
  return someOf(names, 8).join(', ');
}

/** The grants, one line each; pg_dump acts as the grantor if that is not the owner. */
function withGrantors(statements: readonly string[]): string[] {
  const forms: string[] = [];
  let by = '';
  for (const statement of statements) {
    const rights = readRightsStatement(statement);
    if (rights?.kind === 'grantor') by = rights.role === null ? '' : `AS ${rights.role}: `;
    else forms.push(by + statement.replace(/\s+/g, ' '));
  }
  return forms;
}

function isRights({type}: DumpDefinition): boolean {
  return type === 'ACL' || type === 'DEFAULT ACL';
}

/** Owners that differ between the two sides, so that the grants name them differently. */
function ownersOf(
  wanted: ReadonlyMap<string, Item>,
  present: ReadonlyMap<string, Item>,
): ReadonlySet<string> {
  const changed = new Set<string>();
  for (const [key, {definition}] of wanted) {
    const other = present.get(key)?.definition.owner;
    if (other !== undefined && other !== definition.owner) changed.add(definition.owner).add(other);
  }
  return changed;
}

type Skip = (why: string, name: string) => void;

function compareItem(
  wanted: Item | undefined,
  present: Item | undefined,
  limits: ComparisonLimits,
  changedOwners: ReadonlySet<string>,
  skip: Skip,
): CatalogDifference[] {
  const definition = (wanted ?? present)?.definition;
  if (!definition) return [];
  const {type: kind} = definition;
  const object = entryName(definition);
  if (isRights(definition)) return compareRights(object, kind, wanted, present, limits, changedOwners, skip);
  const difference = (differs: CatalogDifference['differs'], detail = ''): CatalogDifference => ({
    kind,
    object,
    differs,
    detail,
  });
  if (kind === 'COMMENT') {
    // CREATE EXTENSION sets a comment.
    if (!wanted && definition.name.startsWith('EXTENSION ')) return [];
    const isEqual = wanted && present && isSameText(wanted.statements, present.statements);
    return isEqual ? [] : [difference('comment', wanted ? (present ? '' : 'missing') : 'extra')];
  }
  if (!present) return [difference('missing')];
  if (!wanted) return [difference('extra')];
  return [
    ...compareOwners(wanted.definition, present.definition, limits, skip).map((detail) =>
      difference('owner', detail),
    ),
    ...compareTexts(wanted, present, limits, skip).map((differs) => difference(differs)),
  ];
}

/** Objects that belong to the owner of their table or publication. */
const dependentTypes = new Set([
  'CHECK CONSTRAINT',
  'CONSTRAINT',
  'DEFAULT',
  'FK CONSTRAINT',
  'INDEX',
  'INDEX ATTACH',
  'POLICY',
  'PUBLICATION TABLE',
  'PUBLICATION TABLES IN SCHEMA',
  'ROW SECURITY',
  'RULE',
  'SECURITY LABEL',
  'SEQUENCE OWNED BY',
  'TABLE ATTACH',
  'TRIGGER',
]);

function compareOwners(
  wanted: DumpDefinition,
  present: DumpDefinition,
  {owners}: ComparisonLimits,
  skip: Skip,
): string[] {
  if (wanted.owner === present.owner || dependentTypes.has(wanted.type)) return [];
  if (owners && (owners.roles?.has(wanted.owner) ?? true)) {
    skip(`owners, ${owners.why}`, owners.roles ? entryName(wanted) : wanted.owner);
    return [];
  }
  return [`${present.owner} instead of ${wanted.owner}`];
}

function compareTexts(
  wanted: Item,
  present: Item,
  {texts}: ComparisonLimits,
  skip: Skip,
): ('definition' | 'state')[] {
  if (isSameText(wanted.statements, present.statements)) return [];
  const kind = wanted.definition.type;
  if (!isSameText(stateOf(kind, wanted.statements), stateOf(kind, present.statements))) return ['state'];
  if (texts === undefined) return ['definition'];
  skip(texts, `${kind.toLowerCase()} ${entryName(wanted.definition)}`);
  return [];
}

/** The parts that are equal in all versions: settings of the definition, and the words that decide about privileges. */
function stateOf(kind: string, statements: readonly string[]): string[] {
  return statements.flatMap((statement) => {
    if (/^ALTER (?!TABLE (?:ONLY )?\S+ (?:\. \S+ )?(?:ADD|ALTER COLUMN|ATTACH))/.test(statement))
      return [statement];
    const head = statement.replace(/ AS (?:'|\$)[^]*$/, '');
    const words = [
      ...head.matchAll(
        /\b(?:SECURITY DEFINER|LEAKPROOF|NOT VALID|NOT ENFORCED|UNLOGGED|AS RESTRICTIVE|security_invoker = \S+|security_barrier = \S+)\b/g,
      ),
    ].map(([found]) => found);
    const settings =
      kind === 'FUNCTION' || kind === 'PROCEDURE'
        ? [...head.matchAll(/\bSET \S+ TO [^]*?(?= (?:SET|AS|LANGUAGE)\b|$)/g)].map(([found]) => found)
        : [];
    const policy =
      kind === 'POLICY'
        ? [/^CREATE POLICY [^]*?(?= USING | WITH CHECK | ;$)/.exec(statement)?.[0] ?? '']
        : [];
    return [...words, ...settings, ...policy];
  });
}

function isSameText(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, index) => text === b[index]);
}

const grantor = /^AS (.*?): (?=GRANT |REVOKE )/;

function rolesIn(statement: string): string[] {
  const rights = readRightsStatement(statement.replace(grantor, ''));
  if (rights?.kind !== 'grant') return [];
  return [rights.role, rights.privilegesOf].filter((role) => role !== null);
}

function compareRights(
  object: string,
  kind: string,
  wanted: Item | undefined,
  present: Item | undefined,
  {grants, owners}: ComparisonLimits,
  changedOwners: ReadonlySet<string>,
  skip: Skip,
): CatalogDifference[] {
  if (grants && !grants.roles) {
    skip(`grants, ${grants.why}`, object);
    return [];
  }
  // If an owner could not be kept, the privileges of the old and the new owner are covered by the owner's difference. Objects of an
  // extension belong to the role that installed it, and pg_dump writes no owner for them.
  const [was, is] = [wanted?.definition.owner, present?.definition.owner];
  const isAnotherOwner = was !== undefined && is !== undefined && was !== is;
  const isComparable = (statement: string): boolean =>
    !rolesIn(statement).some(
      (role) =>
        grants?.roles?.has(role) === true ||
        (owners !== undefined && changedOwners.has(role)) ||
        (isAnotherOwner && (role === was || role === is)),
    );
  const all = [...(wanted?.statements ?? []), ...(present?.statements ?? [])];
  const isPart = all.some((statement) => !isComparable(statement));
  if (isPart) skip(`grants, ${grants?.why ?? owners?.why ?? 'to an owner that differs here'}`, object);
  const comparable = (item: Item | undefined): string[] => {
    const ones = (item?.statements ?? []).filter(isComparable).map((statement) => {
      const isReplaced = grants?.grantors?.has(grantor.exec(statement)?.[1] ?? '') === true;
      return isReplaced ? statement.replace(grantor, '') : statement;
    });
    return [...new Set(ones)].sort();
  };
  const [wantedOnes, presentOnes] = [comparable(wanted), comparable(present)];
  if (isSameText(wantedOnes, presentOnes)) return [];
  const lacks = wantedOnes.filter((statement) => !presentOnes.includes(statement));
  const adds = presentOnes.filter((statement) => !wantedOnes.includes(statement));
  const detail = [...lacks.map((one) => `lacks ${one}`), ...adds.map((one) => `has ${one}`)];
  return [{kind, object, differs: 'grants', detail: detail.join(' ').slice(0, longestDetail)}];
}

const longestDetail = 400;
