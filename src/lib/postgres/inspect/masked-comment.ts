/** The comment of a database whose personal data was masked: when, and from which backup it was made. */
import {z} from 'zod';
import type {Session} from '../client.js';
import {quoteIdentifier, quoteLiteral} from '../quote.js';

const tagSchema = z.object({
  /** When it was masked. */
  at: z.iso.datetime(),
  /** Id of the backup that it was made from. */
  backup: z.string(),
  /** The database's other comment. */
  comment: z.string().nullable().default(null),
});
export type MaskedTag = Readonly<z.infer<typeof tagSchema>>;

/** "destino-db masked {...}": the words are for people, the JSON for `parseMaskedComment`. */
export function formatMaskedComment(tag: MaskedTag): string {
  return `destino-db masked ${JSON.stringify(tag)}`;
}

/** The comment's content; undefined for any other comment. */
export function parseMaskedComment(comment: string | null): MaskedTag | undefined {
  const match = /^destino-db masked (\{.*\})$/s.exec(comment ?? '');
  if (!match) return undefined;
  try {
    return tagSchema.safeParse(JSON.parse(match[1] ?? '')).data;
  } catch {
    return undefined; // the comment was edited, so it is not ours any more
  }
}

/** The comment of a database of the server; null if it has none, or does not exist. */
export async function inspectComment(session: Session, database: string): Promise<string | null> {
  const [row] = await session.query(
    `SELECT pg_catalog.shobj_description(oid, 'pg_database') AS comment FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) $1`,
    [database],
  );
  return row?.['comment'] ?? null;
}

/** Removes the tag, because rows come into the database that are not masked. In a transaction, it is removed with the COMMIT. */
export async function removeMaskedTag(session: Session, database: string): Promise<void> {
  const comment = await inspectComment(session, database);
  if (!parseMaskedComment(comment)) return;
  const rest = withoutMaskedTag(comment);
  await session.query(
    `COMMENT ON DATABASE ${quoteIdentifier(database)} IS ${rest === null ? 'NULL' : quoteLiteral(rest)}`,
  );
}

/** A warning before rows that are not masked come into the database; none for a database that is not a masked copy. */
export async function warningOfMasked(session: Session, database: string): Promise<string[]> {
  if (!parseMaskedComment(await inspectComment(session, database))) return [];
  return [
    `"${database}" is a masked copy, and these rows are not masked. Afterwards its comment does not say so any more, and its backups are not recorded as masked.`,
  ];
}

/** The comment without the tag, for content that is not masked. */
export function withoutMaskedTag(comment: string | null): string | null {
  const tag = parseMaskedComment(comment);
  return tag ? tag.comment : comment;
}
