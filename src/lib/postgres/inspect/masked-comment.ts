/** The comment of a database whose personal data was masked: when, and from which backup it was made. */
import {z} from 'zod';
import type {Session} from '../client.js';

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

/** The comment without the tag, for content that is not masked. */
export function withoutMaskedTag(comment: string | null): string | null {
  const tag = parseMaskedComment(comment);
  return tag ? tag.comment : comment;
}
