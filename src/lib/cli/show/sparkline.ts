/** A row of values as one line of text. */
import {charsetOf} from '../../base/locale.js';

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

/** Whether block characters can be shown; Windows Terminal, which sets no locale, always shows them. */
export function isUtf8Locale(environment: Readonly<Record<string, string | undefined>>): boolean {
  return (
    (charsetOf(environment) ?? (environment['WT_SESSION'] === undefined ? 'other' : 'utf-8')) === 'utf-8'
  );
}
