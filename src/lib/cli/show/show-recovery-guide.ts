/** The emergency checklist as it is printed, or where it was written. */
import type {RecoveryGuide} from '../../services/recover/guide.js';
import {printable, type Style} from './style.js';

export function showRecoveryGuide({markdown, path}: RecoveryGuide, style: Style): string[] {
  if (path !== null) {
    return [
      `${style.bold('Written:')} ${printable(path)}`,
      `${style.bold('Next:')} keep a copy where it can be read when this machine is down`,
    ];
  }
  const lines = markdown.trimEnd().split('\n').map(printable);
  return lines.map((line) => (line.startsWith('#') ? style.bold(line) : line));
}
