/** The result of `copy`, a line for each copy, and the command that lists them. */
import {formatBytes, formatDuration} from '../../base/format.js';
import type {CopyResult} from '../../services/copy/copy-backups.js';
import {shellCommand} from '../../base/shell-quote.js';
import {printable, type Style} from './style.js';
import {table} from './table.js';

export function showCopy({copies}: CopyResult, style: Style): string[] {
  if (copies.length === 0) return ['There was nothing to copy.'];
  const rows = copies.map((copy) => [
    copy.outcome === 'copied' ? style.green('copied') : 'was there',
    printable(copy.id),
    printable(copy.to),
    formatBytes(copy.size),
    copy.encrypted ? 'encrypted' : 'not encrypted',
    formatDuration(copy.duration),
  ]);
  const places = [...new Set(copies.map(({to}) => to))];
  return [
    ...table(rows, style),
    '',
    ...places.map((place) => `See them: ${printable(shellCommand(['destino-db', 'list', '--from', place]))}`),
  ];
}
