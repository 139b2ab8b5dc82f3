/** The tables and columns that a dump defines, with the families of their types. */
import {qualifiedName} from '../base/qualified-name.js';
import type {DumpDefinition} from '../dump/dump-definitions.js';
import {readIdentifier, readQualifiedName} from '../dump/sql/sql-names.js';
import type {NamedTable} from '../postgres/quote.js';
import {familyOf, type TypeFamily} from './personal-kinds.js';

export interface DumpedColumn {
  readonly name: string;
  readonly family: TypeFamily;
  readonly isBytea: boolean;
}

export interface DumpedTables {
  /** By "schema.table"; without generated columns. */
  readonly columnsOf: ReadonlyMap<string, readonly DumpedColumn[]>;
  /** Whether `columnsOf` has all columns of the table. */
  readonly isWhole: (label: string) => boolean;
  /** The topmost table of a partition, else the table itself. */
  readonly topOf: (label: string) => NamedTable;
}

/** Reads CREATE TABLE, CREATE TYPE and ATTACH PARTITION as pg_dump writes them. */
export function readDumpedTables(definitions: readonly DumpDefinition[]): DumpedTables {
  const columnsOf = new Map<string, readonly DumpedColumn[]>();
  const whole = new Set<string>();
  const names = new Map<string, NamedTable>();
  const parents = new Map<string, NamedTable>();
  const types = readDumpedTypes(definitions);
  for (const {statements} of definitions) {
    for (const statement of statements) {
      const attach = /^ALTER TABLE ONLY (.*) ATTACH PARTITION /.exec(statement);
      const parent = attach && readQualifiedName(attach[1] ?? '', 0);
      const child = attach && readQualifiedName(statement, attach[0].length);
      if (parent && child) parents.set(qualifiedName(child), parent);
    }
  }
  for (const {type, statements} of definitions) {
    if (type !== 'TABLE') continue;
    for (const statement of statements) {
      const start = /^CREATE (?:UNLOGGED )?TABLE /.exec(statement)?.[0].length;
      const table = start === undefined ? undefined : readQualifiedName(statement, start);
      if (!table) continue;
      names.set(qualifiedName(table), table);
      const body = statement.slice(table.end);
      columnsOf.set(qualifiedName(table), columnsIn(body, types));
      if (describesWhole(body)) whole.add(qualifiedName(table));
    }
  }
  return {
    columnsOf,
    isWhole: (label) => whole.has(label),
    topOf: (label) => {
      let found: NamedTable | undefined = names.get(label);
      for (let above = parents.get(label); above; above = parents.get(qualifiedName(above))) found = above;
      const [schema = '', ...rest] = label.split('.');
      return found ? {schema: found.schema, name: found.name} : {schema, name: rest.join('.')};
    },
  };
}

export interface DumpedTypes {
  /** The type below each domain, and whether the domain refuses NULL. */
  readonly domains: ReadonlyMap<string, {readonly type: string; readonly isNotNull: boolean}>;
  readonly enums: ReadonlySet<string>;
  readonly hasCitext: boolean;
}

/** Reads CREATE TYPE, CREATE DOMAIN and CREATE EXTENSION as pg_dump writes them. */
export function readDumpedTypes(definitions: readonly DumpDefinition[]): DumpedTypes {
  const domains = new Map<string, {type: string; isNotNull: boolean}>();
  const enums = new Set<string>();
  for (const statement of definitions.flatMap(({statements}) => statements)) {
    const made = /^CREATE TYPE (.*) AS ENUM \(/.exec(statement)?.[1];
    if (made !== undefined) enums.add(made);
    const [, domain, rest] = /^CREATE DOMAIN (.*?) AS ([^\n]*)/.exec(statement) ?? [];
    if (domain !== undefined && rest !== undefined)
      domains.set(domain, {type: typeIn(rest), isNotNull: / NOT NULL\b/.test(rest)});
  }
  return {
    domains,
    enums,
    hasCitext: definitions.some(({type, name}) => type === 'EXTENSION' && name === 'citext'),
  };
}

/** The type below arrays and domains. */
export function typeBelow(
  type: string,
  {domains}: Pick<DumpedTypes, 'domains'>,
): {
  readonly base: string;
  readonly isArray: boolean;
  readonly isDomain: boolean;
  readonly isNotNull: boolean;
} {
  let base = type;
  let [isArray, isDomain, isNotNull] = [false, false, false];
  for (;;) {
    const element = base.replace(/(?:\[\])+$/, '');
    isArray ||= element !== base;
    base = element;
    const domain = domains.get(base);
    if (!domain) return {base, isArray, isDomain, isNotNull};
    isDomain = true;
    isNotNull ||= domain.isNotNull;
    base = domain.type;
  }
}

/** A column as pg_dump writes it: each on a line of its own. */
export interface ColumnLine {
  readonly name: string;
  readonly type: string;
  readonly isGenerated: boolean;
  readonly isNotNull: boolean;
}

/** Whether `columnLines` finds all columns: not those that are inherited or of a type, and not after a line that ends inside of a quoted name. */
export function describesWhole(body: string): boolean {
  const hasBrokenName = body.split('\n').some((line) => line.split('"').length % 2 === 0);
  return body.startsWith(' (\n') && !/\n\)\s*INHERITS \(/.test(body) && !hasBrokenName;
}

/** @param body what follows the name of the table in CREATE TABLE */
export function columnLines(body: string): ColumnLine[] {
  return body.split('\n').flatMap((line) => {
    const name = /^ {4}(?!CONSTRAINT |CHECK )/.test(line) ? readIdentifier(line, 4) : undefined;
    if (!name || line[name.end] !== ' ') return [];
    return [
      {
        name: name.name,
        type: typeIn(line.slice(name.end + 1)),
        isGenerated: / GENERATED ALWAYS AS \(/.test(line),
        isNotNull: / NOT NULL,?$/.test(line),
      },
    ];
  });
}

/** The type at the beginning of a definition, without what follows it. */
export function typeIn(text: string): string {
  return text
    .replace(/[,;]$/, '')
    .replace(/ (?:NOT NULL|DEFAULT |GENERATED |COLLATE |CONSTRAINT ).*$/, '')
    .trim();
}

function columnsIn(body: string, types: DumpedTypes): DumpedColumn[] {
  return columnLines(body).flatMap(({name, type, isGenerated}) => {
    if (isGenerated) return [];
    const {base} = typeBelow(type, types);
    return [{name, family: types.enums.has(base) ? 'other' : familyOf(base), isBytea: base === 'bytea'}];
  });
}
