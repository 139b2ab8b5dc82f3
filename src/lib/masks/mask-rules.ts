/** The rules of one masked copy: those of the config file, and built-in ones for the managed tables of Supabase. */
import {qualifiedName} from '../base/qualified-name.js';
import type {NamedTable} from '../postgres/quote.js';
import {columnNameParts} from '../settings/column-name.js';
import type {ColumnMask, MasksConfig} from '../settings/mask-config.js';

export interface ColumnRule {
  readonly table: NamedTable;
  readonly column: string;
  readonly mask: ColumnMask;
  /** Built-in rules apply only to tables and columns that exist. */
  readonly isBuiltIn: boolean;
}

export interface MaskRules {
  readonly columns: readonly ColumnRule[];
  /** Tables that get no rows; they need not be restored with rows. */
  readonly emptied: readonly {readonly table: NamedTable; readonly isBuiltIn: boolean}[];
}

const simple = (mask: 'null' | 'hash' | 'email' | 'name' | 'phone' | 'text'): ColumnMask => ({mask});
const emptyObject: ColumnMask = {mask: 'sql', sql: "'{}'"};
const keep = (reason: string): ColumnMask => ({mask: 'keep', reason});

/** Nobody can sign in to the copy with a password, a token or a session of production. */
const builtIn: MasksConfig = {
  'auth.users.email': simple('email'),
  'auth.users.phone': simple('phone'),
  'auth.users.encrypted_password': simple('null'),
  'auth.users.confirmation_token': simple('null'),
  'auth.users.recovery_token': simple('null'),
  'auth.users.email_change_token_new': simple('null'),
  'auth.users.email_change_token_current': simple('null'),
  'auth.users.email_change': simple('null'),
  'auth.users.phone_change': simple('null'),
  'auth.users.phone_change_token': simple('null'),
  'auth.users.reauthentication_token': simple('null'),
  'auth.users.raw_user_meta_data': emptyObject,
  'auth.users.raw_app_meta_data': keep('names of sign-in providers and roles, which policies read'),
  'auth.identities.provider_id': simple('hash'),
  'auth.identities.identity_data': {
    mask: 'json',
    paths: {'$.sub': 'hash', '$.email': 'email', '$.phone': 'phone'},
    rest: 'remove',
  },
  'auth.sessions': {rows: 'none'},
  'auth.refresh_tokens': {rows: 'none'},
  'auth.audit_log_entries': {rows: 'none'},
  'auth.one_time_tokens': {rows: 'none'},
  'auth.flow_state': {rows: 'none'},
  'auth.saml_relay_states': {rows: 'none'},
  'auth.mfa_factors': {rows: 'none'},
  'auth.mfa_challenges': {rows: 'none'},
  'auth.mfa_amr_claims': {rows: 'none'},
  'auth.oauth_authorizations': {rows: 'none'},
  'auth.oauth_client_states': {rows: 'none'},
  'auth.oauth_consents': {rows: 'none'},
  'auth.webauthn_challenges': {rows: 'none'},
  'auth.webauthn_credentials': {rows: 'none'},
  'auth.oauth_clients.client_secret_hash': simple('null'),
  'auth.instances.raw_base_config': simple('null'),
  'storage.objects.user_metadata': simple('null'),
  'storage.s3_multipart_uploads_parts': {rows: 'none'},
  'storage.s3_multipart_uploads': {rows: 'none'},
  'realtime.subscription': {rows: 'none'},
};

/** Joins the rules; one of the config file replaces a built-in one of the same column or table. */
export function maskRules(config: MasksConfig = {}): MaskRules {
  const columns: ColumnRule[] = [];
  const emptied: MaskRules['emptied'][number][] = [];
  const ofTable = new Set(Object.keys(config).map((name) => nameOf(name).label));
  for (const [name, rule] of Object.entries({...builtIn, ...config})) {
    const {table, column, label} = nameOf(name);
    const isBuiltIn = !Object.hasOwn(config, name);
    // Masks for the columns of a table say that its rows stay.
    if ('rows' in rule) {
      if (!isBuiltIn || !ofTable.has(label)) emptied.push({table, isBuiltIn});
    } else columns.push({table, column, mask: rule, isBuiltIn});
  }
  return {columns, emptied};
}

function nameOf(name: string): {table: NamedTable; column: string; label: string} {
  const [schema = '', table = '', column = ''] = columnNameParts(name) ?? [];
  return {table: {schema, name: table}, column, label: JSON.stringify([schema, table])};
}

/** Returns whether a column has a rule, or its table gets no rows. */
export function ruledColumns(rules: MaskRules): (table: NamedTable, column: string) => boolean {
  const columns = new Set(rules.columns.map(({table, column}) => JSON.stringify([table.schema, table.name, column]))); // prettier-ignore
  const emptied = new Set(rules.emptied.map(({table}) => qualifiedName(table)));
  return (table, column) =>
    emptied.has(qualifiedName(table)) || columns.has(JSON.stringify([table.schema, table.name, column]));
}
