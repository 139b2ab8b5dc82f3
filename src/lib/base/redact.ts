/** Masks secrets in everything that is shown or stored: passwords in URLs and conninfo strings, and values with names of secrets. */

/** Names of settings (ALTER DATABASE ... SET) and options (foreign servers, user mappings) with secret values. */
const secretName =
  '[\\w.-]{0,64}(?:secret|passw|passphrase|token|jwt|api_?key|access_?key|private_?key|credential)[\\w.-]{0,64}';
const secretSetting = new RegExp(
  `((?:"${secretName}"|\\b${secretName})(?:\\s*=\\s*|\\s+(?:TO\\s+)?))E?'(?:[^'\\\\]|\\\\.|'')*'`,
  'gi',
);

/**
 * Masks the password of every connection URL, `password=` and SQL's PASSWORD '...' in `text`, percent-encoded or not,
 * and quoted values after names such as "app.settings.jwt_secret" or api_key.
 */
export function redact(text: string): string {
  return (
    text
      // User and password may contain an apostrophe. If it ends the URL, too much is masked rather than too little.
      .replace(/((?:postgres(?:ql)?|https?|s3):\/\/[^\s:/@"]*:)[^\s"]*(?=@)/gi, '$1***')
      .replace(
        /((?:^|[\s?&;"'])(?:PG)?(?:password|sslpassword)(?:\s*=\s*|\s+(?=')))(?:'(?:[^'\\]|\\.|'')*'|[^\s&"']+)/gi,
        '$1***',
      )
      .replace(secretSetting, '$1***')
  );
}

/**
 * The same value with every text in it redacted. Do not redact a JSON text as a whole:
 * a password before an escaped quote would take the quote's backslash with it.
 */
export function redactValues<T>(value: T): T {
  return redactAny(value) as T;
}

function redactAny(value: unknown): unknown {
  if (typeof value === 'string') return redact(value);
  if (Array.isArray(value)) return value.map(redactAny);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, redactAny(entry)]));
  }
  return value;
}
