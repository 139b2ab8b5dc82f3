/** The result of `undo`, or its preview, as lines. */
import {formatTime} from '../../base/format.js';
import type {UndoResult} from '../../services/restore/undo.js';
import {printable, type Style} from './style.js';

/** @param repeat the same command for the database of this name: what a dry run shows, or the way back once it is done */
export function showUndo(
  repeat: (target: string, isDone: boolean) => string,
): (result: UndoResult, style: Style) => string[] {
  return (result, style) =>
    linesOf(result, style, printable(repeat(result.target, result.mode === 'execute')));
}

function linesOf(result: UndoResult, style: Style, undo: string): string[] {
  const target = printable(result.target);
  const incoming = printable(result.broughtBack);
  if (result.mode === 'dry-run') {
    return [
      style.bold('This would be done; nothing was changed.'),
      `  ${incoming} (set aside ${formatTime(result.setAsideAt)}) becomes ${target}; the present ${target} is set aside.`,
      '',
      `${style.bold('Next:')} ${undo}`,
    ];
  }
  return [
    style.bold(
      `${target} is the database again that was set aside at ${formatTime(result.setAsideAt)} (${incoming}).`,
    ),
    ...(result.setAside === null
      ? []
      : [`The newer content is kept as ${printable(result.setAside)}.`, `Take this back: ${undo}`]),
  ];
}
