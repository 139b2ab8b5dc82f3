/** A row of values as one line of text. */

const blocks = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/** Rising weight in plain ASCII. */
const signs = ['_', '.', ':', '-', '=', '+', '*', '#'];

/**
 * One sign a value, from zero to the largest; the newest `width` values.
 * @param isUtf8 whether the terminal shows block characters
 */
export function sparkline(values: readonly number[], isUtf8: boolean, width = 60): string {
  const shown = values.slice(-width);
  const top = Math.max(...shown, 0);
  const steps = isUtf8 ? blocks : signs;
  return shown
    .map(
      (value) =>
        steps[top === 0 ? 0 : Math.min(steps.length - 1, Math.floor((value / top) * steps.length))] ?? '',
    )
    .join('');
}

/** Whether the locale says UTF-8 (POSIX: LC_ALL before LC_CTYPE before LANG); Windows Terminal always shows it. */
export function isUtf8Locale(environment: Readonly<Record<string, string | undefined>>): boolean {
  const locale = [environment['LC_ALL'], environment['LC_CTYPE'], environment['LANG']].find(
    (value) => value !== undefined && value !== '',
  );
  return locale === undefined ? environment['WT_SESSION'] !== undefined : /utf-?8/i.test(locale);
}
