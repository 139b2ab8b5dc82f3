/** The databases that restores set aside, as lines below a list of backups or a status. */
import {countOf, formatAge, formatBytes} from '../../base/format.js';
import type {KnownSetAside} from '../../run/set-aside.js';
import {printable} from './style.js';

/** They double what a server stores, and nothing else reminds of them. */
export function setAsideLines(databases: readonly KnownSetAside[], now: Date): string[] {
  if (databases.length === 0) return [];
  return [
    '',
    `${countOf(databases.length, 'database')} set aside by restores, as recorded by the last runs:`,
    ...databases.map(({name, size, at, host, port}) => {
      const bytes = size === null ? '' : `${formatBytes(size)}, `;
      return `  ${printable(name)}: ${bytes}${formatAge(new Date(at), now)}, on ${printable(host)}:${port}`;
    }),
    'Bring back: destino-db undo. Drop: destino-db prune --set-aside --all-of-them',
  ];
}
