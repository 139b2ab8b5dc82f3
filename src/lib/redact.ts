/** The last gate before anything is shown or stored: passwords in URLs and conninfo strings are masked. */

/** Masks the password of every connection URL and `password=` in `text`; percent-encoded and bare ones alike. */
export function redact(text: string): string {
  return text
    .replace(/((?:postgres(?:ql)?|https?|s3):\/\/[^\s:/@"']*:)[^\s"']*(?=@)/gi, '$1***')
    .replace(
      /((?:^|[\s?&;"'])(?:PG)?(?:password|sslpassword)\s*=\s*)(?:'(?:[^'\\]|\\.)*'|[^\s&"']+)/gi,
      '$1***',
    );
}
