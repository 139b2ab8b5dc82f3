/** The last gate before anything is shown or stored: passwords in URLs and conninfo strings, and values of what is named like a secret, are masked. */

/** Names of settings (ALTER DATABASE ... SET) and options (foreign servers, user mappings) whose value is a secret. */
const secretName =
  '[\\w.-]{0,64}(?:secret|passw|passphrase|token|jwt|api_?key|access_?key|private_?key|credential)[\\w.-]{0,64}';
const secretSetting = new RegExp(
  `((?:"${secretName}"|\\b${secretName})(?:\\s*=\\s*|\\s+(?:TO\\s+)?))E?'(?:[^'\\\\]|\\\\.|'')*'`,
  'gi',
);

/**
 * Masks the password of every connection URL, `password=` and SQL's PASSWORD '...' in `text`, percent-encoded and bare ones alike,
 * and quoted values behind names such as "app.settings.jwt_secret" or api_key.
 */
export function redact(text: string): string {
  return (
    text
      // An apostrophe may be part of user and password; where it ends the URL, too much is masked rather than too little.
      .replace(/((?:postgres(?:ql)?|https?|s3):\/\/[^\s:/@"]*:)[^\s"]*(?=@)/gi, '$1***')
      .replace(
        /((?:^|[\s?&;"'])(?:PG)?(?:password|sslpassword)(?:\s*=\s*|\s+(?=')))(?:'(?:[^'\\]|\\.|'')*'|[^\s&"']+)/gi,
        '$1***',
      )
      .replace(secretSetting, '$1***')
  );
}

/**
 * The same value with every text in it redacted. Text that is JSON already must not be redacted as a whole:
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
