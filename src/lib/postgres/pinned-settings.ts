/**
 * Settings that our statements, and the text of values and definitions, depend on; they override those of the role, the database and the
 * server. Other settings, such as those of plans, limits and logs, do not matter. default_transaction_read_only is respected (writable.ts).
 */

/** SQL: the settings of our sessions as the table p (name, value). Only different values are set, because some servers lack some settings. */
export const pinnedSettings = `(VALUES
  ('TimeZone', 'UTC'), ('DateStyle', 'ISO, MDY'), ('IntervalStyle', 'postgres'), ('extra_float_digits', '3'), ('bytea_output', 'hex'),
  ('array_nulls', 'on'), ('backslash_quote', 'safe_encoding'), ('standard_conforming_strings', 'on'), ('transform_null_equals', 'off'),
  ('quote_all_identifiers', 'off'), ('xmlbinary', 'base64'), ('xmloption', 'content'), ('client_min_messages', 'warning'),
  ('createrole_self_grant', ''), ('default_table_access_method', 'heap'), ('default_transaction_isolation', 'read committed'),
  ('default_transaction_deferrable', 'off'), ('exit_on_error', 'off'), ('session_replication_role', 'origin'),
  ('idle_in_transaction_session_timeout', '0'), ('idle_session_timeout', '0'), ('transaction_timeout', '0')) p (name, value)`;
