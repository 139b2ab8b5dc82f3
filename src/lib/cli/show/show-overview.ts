/** What is there, and what to do first, as commands that can be pasted. */
import {countOf, formatAge} from '../../base/format.js';
import type {Overview} from '../../services/status/overview.js';
import {columns, printable, type Style} from './style.js';

export function showOverview(bin: string): (overview: Overview, style: Style) => string[] {
  return ({database, problem, folder, backups, newest, now, next}, style) => {
    const age = newest ? formatAge(new Date(newest.createdAt), new Date(now)) : '';
    const proof = newest?.proof == null ? 'not proven' : `proven (${newest.proof})`;
    return [
      ...columns([
        [
          style.bold('Database'),
          database
            ? `${printable(database.name)} (${printable(database.origin)})`
            : printable(problem?.message ?? ''),
        ],
        [
          style.bold('Backups'),
          backups === 0
            ? `none in ${printable(folder)}`
            : `${countOf(backups, 'backup')} in ${printable(folder)}`,
        ],
        ...(newest ? [[style.bold('Newest'), `${printable(newest.id)}, ${age}, ${proof}`]] : []),
      ]),
      ...(problem?.hint == null ? [] : ['', printable(problem.hint)]),
      '',
      style.bold('What to do next'),
      ...columns(next.map(({command, why}) => [`  ${bin} ${command}`, style.dim(why)])),
      '',
      `All commands: ${bin} --help`,
    ];
  };
}
