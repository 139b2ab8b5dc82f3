/** The comment on databases that this program makes for a while: tells what they are for and who is at work in them. */
import {z} from 'zod';
import {processIdentitySchema} from '../process-identity.js';
import type {Session} from './client.js';
import {parseRows, pgBoolean, pgCount} from './inspect-database.js';
import {quoteIdentifier, quoteLiteral} from './quote.js';

/** staging: a restore that will take a database's place; scratch: a proof by restore; set-aside: what stood there before. */
export const markKinds = ['staging', 'scratch', 'set-aside'] as const;
export type MarkKind = (typeof markKinds)[number];

const detailsSchema = z.object({
  /** The database that it stands in for, or stood in for. */
  database: z.string(),
  /** When it was made or set aside. */
  at: z.iso.datetime(),
  /** The run that works in it; null once nobody does. */
  owner: processIdentitySchema.nullable(),
  /** The comment that the database had before and gets back. */
  comment: z.string().nullable().default(null),
});

export type DatabaseMark = Readonly<{kind: MarkKind} & z.infer<typeof detailsSchema>>;

/** "destino-db staging {...}": the words are for people, the JSON for `parseMark`. */
export function formatMark({kind, ...details}: DatabaseMark): string {
  return `destino-db ${kind} ${JSON.stringify(details)}`;
}

/** The mark in a comment, or undefined when it is none of this program's. */
export function parseMark(comment: string | null): DatabaseMark | undefined {
  const match = /^destino-db (staging|scratch|set-aside) (\{.*\})$/s.exec(comment ?? '');
  if (!match) return undefined;
  let data: unknown;
  try {
    data = JSON.parse(match[2] ?? '');
  } catch {
    return undefined; // somebody edited the comment: then it is theirs
  }
  const details = detailsSchema.safeParse(data);
  const kind = markKinds.find((word) => word === match[1]);
  return details.success && kind ? {kind, ...details.data} : undefined;
}

/** The statement that writes the mark on a database. */
export function markStatement(database: string, mark: DatabaseMark): string {
  return `COMMENT ON DATABASE ${quoteIdentifier(database)} IS ${quoteLiteral(formatMark(mark))}`;
}

export interface ListedDatabase {
  readonly name: string;
  readonly allowsConnections: boolean;
  readonly mark: DatabaseMark | undefined;
  /** Open sessions in it, whoever's. */
  readonly sessions: number;
  /** Bytes; null where the role may not see it. */
  readonly sizeBytes: number | null;
}

const listedRow = z.object({
  name: z.string(),
  allows: pgBoolean,
  comment: z.string().nullable(),
  sessions: pgCount,
  size: pgCount.nullable(),
});

/** Every database of the server but the templates. */
export async function listDatabases(session: Session): Promise<ListedDatabase[]> {
  const rows = parseRows(
    listedRow,
    await session.query(`
      SELECT d.datname AS name, d.datallowconn AS allows, pg_catalog.shobj_description(d.oid, 'pg_database') AS comment,
             (SELECT count(*) FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid) AS sessions,
             CASE WHEN pg_catalog.has_database_privilege(d.oid, 'CONNECT') THEN pg_catalog.pg_database_size(d.oid) END AS size
        FROM pg_catalog.pg_database d WHERE NOT d.datistemplate ORDER BY d.datname`),
  );
  return rows.map((row) => ({
    name: row.name,
    allowsConnections: row.allows,
    mark: parseMark(row.comment),
    sessions: row.sessions,
    sizeBytes: row.size,
  }));
}
