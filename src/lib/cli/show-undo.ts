/** What an undo did, or would do, as lines. */
import type {UndoResult} from '../services/undo-restore.js';
import {shellCommand} from '../shell-quote.js';
import {printable, type Style} from './style.js';

export function showUndo(result: UndoResult, style: Style): string[] {
  const target = printable(result.target);
  const incoming = printable(result.broughtBack);
  const undo = printable(shellCommand(['destino-db', 'undo', '--target-db', result.target]));
  if (result.mode === 'dry-run') {
    return [
      style.bold('This would be done; nothing was changed.'),
      `  ${incoming} (set aside ${result.setAsideAt}) becomes ${target}; the present ${target} is set aside.`,
      '',
      `${style.bold('Next:')} ${undo}`,
    ];
  }
  return [
    style.bold(`${target} is the database again that was set aside at ${result.setAsideAt} (${incoming}).`),
    ...(result.setAside === null
      ? []
      : [`The newer content is kept as ${printable(result.setAside)}.`, `Take this back: ${undo}`]),
  ];
}
