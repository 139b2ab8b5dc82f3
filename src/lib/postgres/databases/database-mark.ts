/** The comment on databases that this program makes for a while: tells what they are for and who is at work in them. */
import {z} from 'zod';
import {processIdentitySchema} from '../../base/process-identity.js';
import type {Session} from '../client.js';
import {parseRows, pgBoolean, pgCount} from '../inspect/inspect-database.js';
import {quoteIdentifier, quoteLiteral} from '../quote.js';

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

/** Longest identifier, in bytes (NAMEDATALEN - 1). */
const longestName = 63;

/** `name` with `suffix`, cut between characters where the whole would be too long: "shop_before_20261122_031005". */
export function databaseNameWith(name: string, suffix: string): string {
  let cut = name;
  while (Buffer.byteLength(cut + suffix) > longestName) cut = [...cut].slice(0, -1).join('');
  return cut + suffix;
}

/** 2026-11-22T03:10:05Z -> "20261122_031005" */
export function timeForDatabaseName(at: Date): string {
  return at.toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '_');
}

/** The moment in a name like "shop_before_20261122_031005"; undefined for other names. */
export function timeInDatabaseName(name: string): Date | undefined {
  const [, year, month, day, hour, minute, second] =
    /_(\d{4})(\d\d)(\d\d)_(\d\d)(\d\d)(\d\d)(?:_\d+)?$/.exec(name) ?? [];
  if (second === undefined) return undefined;
  const at = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(at.getTime()) ? undefined : at;
}

/** Clocks of machines that work on one server may differ by this, ms. */
const clockSkewMs = 10 * 60_000;
const scratchName = /^destino_scratch_[0-9a-f]{12}$/;

/**
 * Why a mark is not believed, as words behind "it": whoever owns a database can write any comment on it. A mark counts
 * when the name has the form and the time that this program gives, the time has passed, and the database belongs to the
 * running role, a superuser, or the owner of the database that it stands for; a scratch database can belong to the role of its name,
 * which only they can create.
 * @param databases all of the server
 */
export function whyDoubtful(
  database: ListedDatabase,
  mark: DatabaseMark,
  databases: readonly ListedDatabase[],
  now: Date,
): string | undefined {
  if (!isNamedByUs(database.name, mark)) return 'is not named as this program names such a database';
  if (Date.parse(mark.at) > now.getTime() + clockSkewMs) return `bears a time that has not come, ${mark.at}`;
  const original = databases.find(({name}) => name === mark.database);
  const isOfOwnRole = mark.kind === 'scratch' && database.owner === database.name;
  const isTrusted = database.isOwnedByAuthority || isOfOwnRole || database.owner === original?.owner;
  return isTrusted
    ? undefined
    : `belongs to "${database.owner}"${original ? `, and "${original.name}" to "${original.owner}"` : ''}`;
}

function isNamedByUs(name: string, {kind, database, at}: DatabaseMark): boolean {
  if (kind === 'scratch') return scratchName.test(name);
  const word = kind === 'set-aside' ? 'before' : 'restore';
  const [suffix] = new RegExp(`_${word}_\\d{8}_\\d{6}(?:_\\d+)?$`).exec(name) ?? [];
  if (suffix === undefined || databaseNameWith(database, suffix) !== name) return false;
  // A staging database is named just before it is made and marked.
  const named = timeInDatabaseName(name)?.getTime() ?? Number.NaN;
  const marked = Math.floor(Date.parse(at) / 1000) * 1000;
  return kind === 'set-aside' ? named === marked : Math.abs(marked - named) <= clockSkewMs;
}

export interface ListedDatabase {
  readonly name: string;
  readonly owner: string;
  /** Whether it belongs to the running role or to a superuser. */
  readonly isOwnedByAuthority: boolean;
  readonly allowsConnections: boolean;
  readonly mark: DatabaseMark | undefined;
  /** Open sessions in it, whoever's. */
  readonly sessions: number;
  /** Bytes; null where the role may not see it. */
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

/** Every database of the server but the templates. */
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
    mark: parseMark(row.comment),
    sessions: row.sessions,
    sizeBytes: row.size,
  }));
}

/** What says that it was set aside for `target`, newest first, believed or not. */
export function setAsideFor(
  databases: readonly ListedDatabase[],
  target: string,
): {readonly database: ListedDatabase; readonly mark: DatabaseMark}[] {
  return databases
    .flatMap((database) => {
      const {mark} = database;
      return mark?.kind === 'set-aside' && mark.database === target ? [{database, mark}] : [];
    })
    .sort(
      (a, b) => Date.parse(b.mark.at) - Date.parse(a.mark.at) || (a.database.name < b.database.name ? 1 : -1),
    );
}
