/** The last gate before anything is shown or stored: passwords in URLs and conninfo strings are masked. */

/** Masks the password of every connection URL, `password=` and SQL's PASSWORD '...' in `text`; percent-encoded and bare ones alike. */
export function redact(text: string): string {
  return (
    text
      // An apostrophe may be part of user and password; where it ends the URL, too much is masked rather than too little.
      .replace(/((?:postgres(?:ql)?|https?|s3):\/\/[^\s:/@"]*:)[^\s"]*(?=@)/gi, '$1***')
      .replace(
        /((?:^|[\s?&;"'])(?:PG)?(?:password|sslpassword)(?:\s*=\s*|\s+(?=')))(?:'(?:[^'\\]|\\.|'')*'|[^\s&"']+)/gi,
        '$1***',
      )
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
