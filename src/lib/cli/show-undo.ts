/** What an undo did, or would do, as lines. */
import type {UndoResult} from '../services/undo-restore.js';
import {printable, type Style} from './style.js';

export function showUndo(result: UndoResult, style: Style): string[] {
  const target = printable(result.target);
  const incoming = printable(result.broughtBack);
  if (result.mode === 'dry-run') {
    return [
      style.bold('This would be done; nothing was changed.'),
      `  ${incoming} (set aside ${result.setAsideAt}) becomes ${target}; the present ${target} is set aside.`,
      `Do it: destino-db undo --target-db '${target}'`,
    ];
  }
  return [
    style.green(`${target} is the database again that was set aside at ${result.setAsideAt} (${incoming}).`),
    ...(result.setAside === null
      ? []
      : [
          `The newer content is kept as ${printable(result.setAside)}.`,
          `Take this back: destino-db undo --target-db '${target}'`,
        ]),
  ];
}
