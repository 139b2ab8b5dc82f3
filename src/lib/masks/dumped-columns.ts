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
  /** The topmost table of a partition, else the table itself. */
  readonly topOf: (label: string) => NamedTable;
}

/** Reads CREATE TABLE, CREATE TYPE and ATTACH PARTITION as pg_dump writes them. */
export function readDumpedTables(definitions: readonly DumpDefinition[]): DumpedTables {
  const columnsOf = new Map<string, readonly DumpedColumn[]>();
  const names = new Map<string, NamedTable>();
  const parents = new Map<string, NamedTable>();
  const enums = new Set<string>();
  for (const {type, statements} of definitions) {
    for (const statement of statements) {
      const made = /^CREATE TYPE (.*) AS ENUM \(/.exec(statement)?.[1];
      if (type === 'TYPE' && made !== undefined) enums.add(made);
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
      columnsOf.set(qualifiedName(table), columnsIn(statement.slice(table.end), enums));
    }
  }
  return {
    columnsOf,
    topOf: (label) => {
      let found: NamedTable | undefined = names.get(label);
      for (let above = parents.get(label); above; above = parents.get(qualifiedName(above))) found = above;
      const [schema = '', ...rest] = label.split('.');
      return found ? {schema: found.schema, name: found.name} : {schema, name: rest.join('.')};
    },
  };
}

/** A column as pg_dump writes it: each on a line of its own. */
export interface ColumnLine {
  readonly name: string;
  readonly type: string;
  readonly isGenerated: boolean;
  readonly isNotNull: boolean;
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

function columnsIn(body: string, enums: ReadonlySet<string>): DumpedColumn[] {
  return columnLines(body).flatMap(({name, type, isGenerated}) => {
    if (isGenerated) return [];
    const isEnum = enums.has(type.replace(/(?:\[\])+$/, ''));
    return [{name, family: isEnum ? 'other' : familyOf(type), isBytea: /^bytea(?:\[\])*$/.test(type)}];
  });
}
