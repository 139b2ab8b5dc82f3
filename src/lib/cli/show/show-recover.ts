/** The result of `recover` as lines. */
import {countOf} from '../../base/format.js';
import type {RecoverResult} from '../../services/recover/recover.js';
import {printable, type Style} from './style.js';
import {table} from './table.js';

/** @param repeat the command that does what a dry run shows */
export function showRecover(repeat: string): (result: RecoverResult, style: Style) => string[] {
  return (result, style) => linesOf(result, style, repeat);
}

function linesOf(result: RecoverResult, style: Style, repeat: string): string[] {
  const {recovered, left, failed, dryRun} = result;
  const rows = [
    ...recovered.map((one) => [dryRun ? `would ${one.action}` : `${one.action}: done`, one.what, one.reason]),
    ...failed.map((one) => [style.red('failed'), one.what, one.reason]),
    ...left.map((one) => [style.bold('left alone'), one.what, one.reason]),
  ].map(([word = '', ...texts]) => [word, ...texts.map(printable)]);
  const server =
    result.serverNotLookedAt === null ? [] : [`The server was not looked at: ${result.serverNotLookedAt}`];
  if (rows.length === 0) return ['Interrupted runs left nothing behind.', ...server];
  return [
    ...table(rows, style),
    '',
    `${countOf(recovered.length, 'thing')} ${dryRun ? 'to clear up' : 'cleared up'}, ${left.length} left alone${failed.length > 0 ? `, ${failed.length} failed` : ''}.`,
    ...server,
    ...(dryRun && recovered.length > 0 ? [`${style.bold('Next:')} ${repeat}`] : []),
  ];
}
