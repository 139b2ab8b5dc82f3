/**
 * Settings that our statements, and the text of values and definitions, rely on, whatever the role, the database or the server prefers.
 * What is not here changes neither: plans, limits, logs. default_transaction_read_only is obeyed (writable.ts).
 */
import type {Session} from './client.js';

/** SQL: the settings of our sessions as the table p (name, value). Only those that differ are set, as some servers lack one or another. */
export const pinnedSettings = `(VALUES
  ('TimeZone', 'UTC'), ('DateStyle', 'ISO, MDY'), ('IntervalStyle', 'postgres'), ('extra_float_digits', '3'), ('bytea_output', 'hex'),
  ('array_nulls', 'on'), ('backslash_quote', 'safe_encoding'), ('standard_conforming_strings', 'on'), ('transform_null_equals', 'off'),
  ('quote_all_identifiers', 'off'), ('xmlbinary', 'base64'), ('xmloption', 'content'), ('client_min_messages', 'warning'),
  ('createrole_self_grant', ''), ('default_table_access_method', 'heap'), ('default_transaction_isolation', 'read committed'),
  ('default_transaction_deferrable', 'off'), ('exit_on_error', 'off'), ('session_replication_role', 'origin'),
  ('idle_in_transaction_session_timeout', '0'), ('idle_session_timeout', '0'), ('transaction_timeout', '0')) p (name, value)`;

/** Those of them that pg_dump and pg_restore do not set themselves. */
const pinnedInTools = [
  'array_nulls',
  'bytea_output',
  'exit_on_error',
  'quote_all_identifiers',
  'standard_conforming_strings',
  'transform_null_equals',
];

/**
 * What the client tools must be told so that they read and write the same as this program. Poolers refuse PGOPTIONS, so it is given only
 * where it is needed.
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
