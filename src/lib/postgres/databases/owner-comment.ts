/** The owner comment on temporary databases of this program: their purpose and the run that uses them. */
import {z} from 'zod';
import {processIdentitySchema} from '../../base/process-identity.js';
import type {Session} from '../client.js';
import {longestName} from '../connect/connection.js';
import {parseRows, pgBoolean, pgCount} from '../inspect/inspect-database.js';
import {quoteIdentifier, quoteLiteral} from '../quote.js';

/** staging: a restore that will replace a database; scratch: a restore test; set-aside: the replaced database. */
export const ownerCommentKinds = ['staging', 'scratch', 'set-aside'] as const;
export type OwnerCommentKind = (typeof ownerCommentKinds)[number];

const detailsSchema = z.object({
  /** The database that it will replace, or that it was before. */
  database: z.string(),
  /** When it was created or set aside. */
  at: z.iso.datetime(),
  /** The run that uses it; null once the run has ended. */
  owner: processIdentitySchema.nullable(),
  /** The database's original comment, which is restored later. */
  comment: z.string().nullable().default(null),
});

export type OwnerComment = Readonly<{kind: OwnerCommentKind} & z.infer<typeof detailsSchema>>;

/** "destino-db staging {...}": the words are for people, the JSON for `parseOwnerComment`. */
export function formatOwnerComment({kind, ...details}: OwnerComment): string {
  return `destino-db ${kind} ${JSON.stringify(details)}`;
}

/** The owner comment's content, or undefined for any other comment. */
export function parseOwnerComment(comment: string | null): OwnerComment | undefined {
  const match = /^destino-db (staging|scratch|set-aside) (\{.*\})$/s.exec(comment ?? '');
  if (!match) return undefined;
  let data: unknown;
  try {
    data = JSON.parse(match[2] ?? '');
  } catch {
    return undefined; // the comment was edited, so it is not ours any more
  }
  const details = detailsSchema.safeParse(data);
  const kind = ownerCommentKinds.find((word) => word === match[1]);
  return details.success && kind ? {kind, ...details.data} : undefined;
}

/** The statement that writes the owner comment of a database. */
export function ownerCommentStatement(database: string, mark: OwnerComment): string {
  return `COMMENT ON DATABASE ${quoteIdentifier(database)} IS ${quoteLiteral(formatOwnerComment(mark))}`;
}

/** `name` with `suffix`, shortened between characters if the result is too long: "shop_before_20261122_031005". */
export function databaseNameWith(name: string, suffix: string): string {
  let cut = name;
  while (Buffer.byteLength(cut + suffix) > longestName) cut = [...cut].slice(0, -1).join('');
  return cut + suffix;
}

/** 2026-11-22T03:10:05Z -> "20261122_031005" */
export function timeForDatabaseName(at: Date): string {
  return at.toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '_');
}

/** The time in a name like "shop_before_20261122_031005"; undefined for other names. */
export function timeInDatabaseName(name: string): Date | undefined {
  const [, year, month, day, hour, minute, second] =
    /_(\d{4})(\d\d)(\d\d)_(\d\d)(\d\d)(\d\d)(?:_\d+)?$/.exec(name) ?? [];
  if (second === undefined) return undefined;
  const at = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(at.getTime()) ? undefined : at;
}

/** Clocks of machines that use one server may differ by this, ms. */
const clockSkewMs = 10 * 60_000;
const scratchName = /^destino_scratch_[0-9a-f]{12}$/;

/**
 * Why an owner comment is not trusted, as a phrase after "it": every owner of a database can write any comment. It is trusted
 * if the name has the form and the time that this program gives, the time is in the past, and the database belongs to the
 * current role, a superuser, or the owner of the original database. A scratch database can also belong to the role of its name,
 * which only they can create.
 * @param databases all of the server
 */
export function whyDoubtful(
  database: ListedDatabase,
  mark: OwnerComment,
  databases: readonly ListedDatabase[],
  now: Date,
): string | undefined {
  if (!isNamedByUs(database.name, mark)) return 'does not have a name of this program';
  if (Date.parse(mark.at) > now.getTime() + clockSkewMs) return `has a time in the future, ${mark.at}`;
  const original = databases.find(({name}) => name === mark.database);
  const isOfOwnRole = mark.kind === 'scratch' && database.owner === database.name;
  const isTrusted = database.isOwnedByAuthority || isOfOwnRole || database.owner === original?.owner;
  return isTrusted
    ? undefined
    : `belongs to "${database.owner}"${original ? `, and "${original.name}" to "${original.owner}"` : ''}`;
}

function isNamedByUs(name: string, {kind, database, at}: OwnerComment): boolean {
  if (kind === 'scratch') return scratchName.test(name);
  const word = kind === 'set-aside' ? 'before' : 'restore';
  const [suffix] = new RegExp(`_${word}_\\d{8}_\\d{6}(?:_\\d+)?$`).exec(name) ?? [];
  if (suffix === undefined || databaseNameWith(database, suffix) !== name) return false;
  // A staging database gets its name just before its comment.
  const named = timeInDatabaseName(name)?.getTime() ?? Number.NaN;
  const marked = Math.floor(Date.parse(at) / 1000) * 1000;
  return kind === 'set-aside' ? named === marked : Math.abs(marked - named) <= clockSkewMs;
}

export interface ListedDatabase {
  readonly name: string;
  readonly owner: string;
  /** Whether it belongs to the current role or to a superuser. */
  readonly isOwnedByAuthority: boolean;
  readonly allowsConnections: boolean;
  readonly mark: OwnerComment | undefined;
  /** Number of open sessions in it. */
  readonly sessions: number;
  /** Bytes; null if the role may not read the size. */
  readonly sizeBytes: number | null;
}

const listedRow = z.object({
  name: z.string(),
  owner: z.string(),
  is_authority: pgBoolean,
  allows: pgBoolean,
  comment: z.string().nullable(),
  sessions: pgCount,
  size: pgCount.nullable(),
});

/** All databases of the server except templates. */
export async function listDatabases(session: Session): Promise<ListedDatabase[]> {
  const rows = parseRows(
    listedRow,
    await session.query(`
      SELECT d.datname AS name, r.rolname AS owner, r.rolsuper OR r.rolname OPERATOR(pg_catalog.=) current_user AS is_authority, d.datallowconn AS allows, pg_catalog.shobj_description(d.oid, 'pg_database') AS comment,
             (SELECT count(*) FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid) AS sessions,
             CASE WHEN pg_catalog.has_database_privilege(d.oid, 'CONNECT') THEN pg_catalog.pg_database_size(d.oid) END AS size
        FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) d.datdba WHERE NOT d.datistemplate ORDER BY d.datname`),
  );
  return rows.map((row) => ({
    name: row.name,
    owner: row.owner,
    isOwnedByAuthority: row.is_authority,
    allowsConnections: row.allows,
    mark: parseOwnerComment(row.comment),
    sessions: row.sessions,
    sizeBytes: row.size,
  }));
}

/** Databases with a comment that they were set aside for `target`, newest first, trusted or not. */
export function setAsideFor(
  databases: readonly ListedDatabase[],
  target: string,
): {readonly database: ListedDatabase; readonly mark: OwnerComment}[] {
  return databases
    .flatMap((database) => {
      const {mark} = database;
      return mark?.kind === 'set-aside' && mark.database === target ? [{database, mark}] : [];
    })
    .sort(
      (a, b) => Date.parse(b.mark.at) - Date.parse(a.mark.at) || (a.database.name < b.database.name ? 1 : -1),
    );
}
