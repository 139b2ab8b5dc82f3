/** The terminal's character set, from the locale. */

/** Undefined where no locale is set. LC_ALL wins over LC_CTYPE over LANG, and an empty variable counts as unset (POSIX, 8.2). */
export function charsetOf(
  environment: Readonly<Record<string, string | undefined>>,
): 'utf-8' | 'other' | undefined {
  const locale = [environment['LC_ALL'], environment['LC_CTYPE'], environment['LANG']].find(
    (value) => value !== undefined && value !== '',
  );
  if (locale === undefined) return undefined;
  return /utf-?8/i.test(locale) ? 'utf-8' : 'other';
}
