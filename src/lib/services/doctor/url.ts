/** Checks the connection URL: its origin, its ignored parameters, and likely mistakes. */
import {AppError} from '../../base/errors.js';
import {
  type Connection,
  describeConnection,
  refuseTransactionPooler,
} from '../../postgres/connect/connection.js';
import {foreignParametersOf} from '../../postgres/connect/connection-url.js';
import {findConnectionUrl, resolveConnection} from '../../postgres/connect/resolve-connection.js';
import {isProduction} from '../../settings/production.js';
import type {Settings} from '../../settings/settings.js';
import {type Check, failed, failedBy, passed} from './check.js';

export async function checkUrl(settings: Settings): Promise<Check[]> {
  const named = findConnectionUrl(settings);
  let connection: Connection;
  try {
    connection = resolveConnection(settings);
  } catch (error) {
    const check = failedBy('url', error, 'Set DIRECT_URL to postgresql://USER:PASSWORD@HOST:5432/DATABASE.');
    const password = named ? passwordHint(named.url) : undefined;
    return [password === undefined ? check : {...check, hint: `${check.hint ?? ''} ${password}`.trim()}];
  }
  const dropped = named ? foreignParametersOf(named.url) : [];
  const production = (await isProduction(settings, connection)) ? '; it is production' : '';
  const note = dropped.length === 0 ? '' : `; ignored: ${dropped.join(', ')}`;
  return [
    passed('url', `${describeConnection(connection)} from ${connection.origin}${note}${production}`),
    checkPooler(connection),
    ...checkPassword(named?.url),
    ...checkSupabase(connection),
  ];
}

function checkPooler(connection: Connection): Check {
  try {
    refuseTransactionPooler(connection);
    return passed('pooler', 'the URL does not name a transaction pooler');
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return failed(
      'pooler',
      'the URL leads to a transaction pooler, which does not keep sessions',
      error.hint ?? 'Set DIRECT_URL.',
    );
  }
}

function checkPassword(url: string | undefined): Check[] {
  const hint = url === undefined ? undefined : passwordHint(url);
  if (hint === undefined) return [];
  return [
    failed(
      'url-password',
      'the password in the URL has characters that are not percent-encoded',
      hint,
      false,
    ),
  ];
}

/** A hint if the password seems to be pasted without encoding; undefined otherwise. Never quotes it. */
function passwordHint(url: string): string | undefined {
  const beforeQuery = url.split('?')[0] ?? '';
  const at = url.lastIndexOf('@');
  const userinfo = url.slice(url.indexOf('://') + 3, Math.max(at, 0));
  const password = userinfo.slice(userinfo.indexOf(':') + 1);
  const isSuspicious =
    at > 0 &&
    userinfo.includes(':') &&
    (/[@:/#?[\] ]/.test(password) || /%(?![0-9a-f]{2})/i.test(password) || at >= beforeQuery.length);
  return isSuspicious
    ? 'Percent-encode it (@ is %40, : is %3A, / is %2F, # is %23, ? is %3F, % is %25): other programs cut the URL there.'
    : undefined;
}

function checkSupabase(connection: Connection): Check[] {
  if (/^db\.[a-z0-9]+\.supabase\.co$/.test(connection.host)) {
    return [
      failed(
        'supabase-host',
        "Supabase's direct host has only an IPv6 address",
        'If this machine has no IPv6, set DIRECT_URL to the session pooler (port 5432) of the project.',
        false,
      ),
    ];
  }
  if (connection.host.endsWith('.pooler.supabase.com') && !connection.user.includes('.')) {
    return [
      failed(
        'supabase-user',
        `a Supabase pooler needs the project in the user name ("${connection.user}" has none)`,
        'Write the user as postgres.PROJECT.',
      ),
    ];
  }
  return [];
}
