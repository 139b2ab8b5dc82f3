/** The targets of notifications, and whether a test message arrived. */
import {formatDuration} from '../../base/format.js';
import type {NotificationsResult, NotifiedTarget} from '../../services/status/test-notifications.js';
import {printable, type Style} from './style.js';
import {table} from './table.js';

export function showNotifications({targets}: NotificationsResult, style: Style): string[] {
  const isTest = targets.some(({ok}) => ok !== null);
  const rows = targets.map((target) => [
    ...(isTest ? [target.ok === true ? style.green('ok') : style.red('FAIL')] : []),
    printable(target.name),
    printable(target.address),
    target.on.join(', '),
    ...(isTest ? [outcomeOf(target)] : []),
  ]);
  const head = [...(isTest ? [''] : []), 'NAME', 'ADDRESS', 'EVENTS', ...(isTest ? ['TEST MESSAGE'] : [])];
  return [
    ...table(rows, style, {head}),
    ...(isTest
      ? []
      : ['', `${style.bold('Next:')} destino-db notifications --test   (sends a test message to each)`]),
  ];
}

function outcomeOf({ok, duration, code, message}: NotifiedTarget): string {
  if (ok === true) return `accepted in ${formatDuration(duration)}`;
  return printable(`${code ?? ''}: ${message ?? ''}`);
}
