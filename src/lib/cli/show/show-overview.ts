/** The verdict of `status`, the database, its backups, and what to do first, as commands that can be pasted. */
import {countOf, formatAge} from '../../base/format.js';
import type {Overview} from '../../services/status/overview.js';
import {findingLines} from './show-status.js';
import {printable, type Style} from './style.js';
import {table} from './table.js';

export function showOverview(bin: string): (overview: Overview, style: Style) => string[] {
  return (overview, style) => {
    const {database, problem, folder, backups, newest, now, next} = overview;
    const age = newest ? formatAge(new Date(newest.createdAt), new Date(now)) : '';
    const checked = newest?.proof == null ? 'not checked' : `checked (${newest.proof})`;
    return [
      ...verdict(overview, bin, style),
      '',
      ...table(
        [
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
          ...(newest ? [[style.bold('Newest'), `${printable(newest.id)}, ${age}, ${checked}`]] : []),
        ],
        style,
      ),
      ...(problem?.hint == null ? [] : ['', printable(problem.hint)]),
      '',
      style.bold('Next steps'),
      ...table(
        next.map(({command, why}) => [`${bin} ${command}`, style.dim(why)]),
        style,
        {indent: 2},
      ),
      '',
      `All commands: ${bin} --help`,
    ];
  };
}

/** More findings than these are left to `status`. */
const mostFindings = 3;

function verdict(
  {findings, uncheckedPlaces}: Pick<Overview, 'findings' | 'uncheckedPlaces'>,
  bin: string,
  style: Style,
): string[] {
  const lines = findingLines(findings.slice(0, mostFindings), style);
  const more = findings.length - lines.length;
  if (more > 0) return [...lines, `${countOf(more, 'more problem')}: ${bin} status`];
  if (lines.length > 0) return lines;
  const copies = uncheckedPlaces.length === 0 ? '' : ' Copies in other locations are not checked here.';
  return [`${style.green('OK')} The backups are young enough.${copies}`];
}
