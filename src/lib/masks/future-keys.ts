/** The keys and unique indexes that a restore builds after the rows: how the server reads them before they are built. */
import {qualifiedName} from '../base/qualified-name.js';
import type {DumpDefinition} from '../dump/dump-definitions.js';
import {listedName} from '../dump/select-tables.js';
import {readIdentifier, readQualifiedName} from '../dump/sql/sql-names.js';
import type {Session} from '../postgres/client.js';
import {parseRows} from '../postgres/inspect/inspect-database.js';
import {quoteQualified, type NamedTable} from '../postgres/quote.js';
import {sendStatement} from '../postgres/single-statement.js';
import {z} from 'zod';

/** A statement of the dump that makes a constraint or a unique index. */
export interface KeyStatement {
  readonly sql: string;
  /** Of the constraint or index. */
  readonly name: string;
  /** The table; null where an index becomes a part of a partitioned one. */
  readonly table: NamedTable | null;
  /** The table that a foreign key refers to. */
  readonly parent: NamedTable | null;
}

/** The statements of constraints and unique indexes among the definitions of a dump, in its order. */
export function keyStatements(definitions: readonly DumpDefinition[]): KeyStatement[] {
  return definitions.flatMap(({type, statements}) =>
    statements.flatMap((sql): KeyStatement[] => {
      if (type === 'INDEX ATTACH') return [{sql, name: '', table: null, parent: null}];
      if (type === 'INDEX') return /^CREATE UNIQUE /.test(sql) ? readIndex(sql) : [];
      return type === 'CONSTRAINT' || type === 'FK CONSTRAINT' ? readConstraint(sql) : [];
    }),
  );
}

/**
 * The indexes, and the constraints other than foreign keys, of the tables that `isMeant` takes, if they have columns alone: an expression or a
 * condition can call a function that reads another table.
 * @returns names as `listedName` gives them
 */
export function indexesOf(
  definitions: readonly DumpDefinition[],
  isMeant: (table: NamedTable) => boolean,
): ReadonlySet<string> {
  const made = definitions.filter(({type, statements}) => {
    if (type !== 'INDEX' && type !== 'CONSTRAINT') return false;
    const read = type === 'INDEX' ? readIndex : readConstraint;
    return (
      statements.every(hasColumnsAlone) && statements.flatMap(read).some(({table}) => table && isMeant(table))
    );
  });
  return new Set(made.map(listedName));
}

function hasColumnsAlone(sql: string): boolean {
  const unquoted = sql.replace(/"(?:[^"]|"")*"|'(?:[^']|'')*'/g, '');
  return !/\([^()]*\(/.test(unquoted) && !/\bWHERE\b/.test(unquoted);
}

/** CREATE INDEX name ON ONLY schema.table ... */
function readIndex(sql: string): KeyStatement[] {
  const start = /^CREATE (?:UNIQUE )?INDEX /.exec(sql)?.[0].length;
  const index = start === undefined ? undefined : readIdentifier(sql, start);
  const on = index && / ON (?:ONLY )?/y;
  if (!on) return [];
  on.lastIndex = index.end;
  const table = on.test(sql) ? readQualifiedName(sql, on.lastIndex) : undefined;
  return table ? [{sql, name: index.name, table, parent: null}] : [];
}

const addConstraint = '\n    ADD CONSTRAINT ';

/** ALTER TABLE ONLY schema.table, and on the next line ADD CONSTRAINT name FOREIGN KEY (columns) REFERENCES schema.parent(columns) ... */
function readConstraint(sql: string): KeyStatement[] {
  const table = readQualifiedName(sql, /^ALTER TABLE (?:ONLY )?/.exec(sql)?.[0].length ?? 0);
  if (!table || !sql.startsWith(addConstraint, table.end)) return [];
  const constraint = readIdentifier(sql, table.end + addConstraint.length);
  if (!constraint) return [];
  const refers = / FOREIGN KEY .*?\) REFERENCES /y;
  refers.lastIndex = constraint.end;
  const parent = refers.test(sql) ? (readQualifiedName(sql, refers.lastIndex) ?? null) : null;
  return [{sql, name: constraint.name, table, parent}];
}

const partRow = z.object({schema: z.string(), name: z.string(), kind: z.string()});

/**
 * Reads the database as it will be with its keys: they are made over empty tables in a transaction that is rolled back. A statement that the
 * server refuses here is left out; it fails again when the restore builds it.
 * @param isNeeded the tables whose keys are needed, and with them the foreign keys from and to these
 * @param session outside a transaction, in a database with the tables of the dump and nothing that comes after the rows
 */
export async function withFutureKeys<T>(
  session: Session,
  statements: readonly KeyStatement[],
  isNeeded: (table: NamedTable) => boolean,
  read: () => Promise<T>,
): Promise<T> {
  const needed = new Map<string, NamedTable>();
  for (const {table, parent} of statements) {
    if (!table || ![table, parent].some((one) => one && isNeeded(one))) continue;
    for (const one of [table, parent]) if (one) needed.set(qualifiedName(one), one);
  }
  await session.query('BEGIN');
  try {
    const parts = parseRows(
      partRow,
      await session.query(
        `SELECT DISTINCT n.nspname AS schema, c.relname AS name, c.relkind AS kind
           FROM unnest($1::pg_catalog.text[]) named(name)
          CROSS JOIN LATERAL (SELECT t.relid::pg_catalog.oid AS oid FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass(named.name)) t
                              UNION SELECT pg_catalog.to_regclass(named.name)::pg_catalog.oid) tree
           JOIN pg_catalog.pg_class c ON c.oid = tree.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace`,
        [[...needed.values()].map(({schema, name}) => quoteQualified(schema, name))],
      ),
    );
    const emptied = parts.filter(({kind}) => kind === 'r');
    if (emptied.length > 0)
      await session.query(
        `TRUNCATE ${emptied.map(({schema, name}) => `ONLY ${quoteQualified(schema, name)}`).join(', ')}`,
      );
    const there = new Set(parts.map(qualifiedName));
    for (const {sql, table, parent} of statements)
      if ([table, parent].every((one) => !one || there.has(qualifiedName(one)))) await attempt(session, sql);
    return await read();
  } finally {
    await session.query('ROLLBACK').catch(() => undefined); // the session may be gone
  }
}

async function attempt(session: Session, sql: string): Promise<void> {
  await session.query('SAVEPOINT destino_key');
  try {
    const statement = sendStatement(session, Buffer.from(sql), false);
    await statement.started;
    await statement.end();
    await session.query('RELEASE SAVEPOINT destino_key');
  } catch {
    await session.query('ROLLBACK TO SAVEPOINT destino_key');
  }
}
