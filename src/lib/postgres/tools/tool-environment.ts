/** Environment variables for the client tools, in addition to the connection. */
import type {Session} from '../client.js';
import {pinnedSettings} from '../pinned-settings.js';

/** The pinned settings that pg_dump and pg_restore do not set themselves. */
const pinnedInTools = [
  'array_nulls',
  'bytea_output',
  'exit_on_error',
  'quote_all_identifiers',
  'standard_conforming_strings',
  'transform_null_equals',
];

/**
 * The settings with which the client tools read and write the same as this program. Poolers reject PGOPTIONS, so it is set only
 * if necessary.
 */
export async function inspectToolEnvironment(session: Session): Promise<Record<string, string>> {
  const rows = await session.query(
    `SELECT s.name, p.value FROM pg_catalog.pg_settings s JOIN ${pinnedSettings} ON p.name = s.name
      WHERE s.name = ANY ($1) AND s.reset_val <> p.value ORDER BY 1`,
    [pinnedInTools],
  );
  if (rows.length === 0) return {};
  return {PGOPTIONS: rows.map(({name, value}) => `-c ${name ?? ''}=${value ?? ''}`).join(' ')};
}
