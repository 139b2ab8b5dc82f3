/** What the locale says of the terminal's character set. */

/** Undefined where no locale is set. POSIX, 8.2: LC_ALL before LC_CTYPE before LANG, and an empty one counts as unset. */
export function charsetOf(
  environment: Readonly<Record<string, string | undefined>>,
): 'utf-8' | 'other' | undefined {
  const locale = [environment['LC_ALL'], environment['LC_CTYPE'], environment['LANG']].find(
    (value) => value !== undefined && value !== '',
  );
  if (locale === undefined) return undefined;
  return /utf-?8/i.test(locale) ? 'utf-8' : 'other';
}
