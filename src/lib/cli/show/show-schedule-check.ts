/** The runs of the backup plan, by the audit log, as lines. */
import {formatTime} from '../../base/format.js';
import type {ScheduleCheck} from '../../services/schedule/check-history.js';
import {printable, type Style} from './style.js';
import {table} from './table.js';

const shownTimes = 5;

export function showScheduleCheck(result: ScheduleCheck, style: Style): string[] {
  if (result.from === null) {
    return [
      style.bold('There is no run on record yet, so nothing can be said.'),
      `${style.bold('Next:')} destino-db backup, or destino-db schedule --install`,
    ];
  }
  const rows = result.jobs.map((job) => [
    printable(job.sentence),
    String(job.due),
    String(job.done),
    String(job.failed.length),
    String(job.missed.length),
    job.last === 'failed' || job.last === 'missed' ? style.red(job.last) : (job.last ?? 'not due yet'),
  ]);
  const head = ['PLAN', 'DUE', 'DONE', 'FAILED', 'MISSED', 'LAST'];
  return [
    ...table(rows, style, {head, right: [1, 2, 3, 4]}),
    style.dim(`Since ${result.from.slice(0, 10)}, by the audit log.`),
    ...result.jobs.flatMap((job) =>
      (job.databases ?? [{name: undefined, ...job}]).flatMap(({name, missed, failed}) => {
        const what = `"${printable(job.sentence)}"${name === undefined ? '' : ` for ${printable(name)}`}`;
        return [
          ...newest(missed.map(formatTime), `missed ${what}`),
          ...newest(
            failed.map(
              ({due, errorCode}) => `${formatTime(due)}${errorCode === null ? '' : ` (${errorCode})`}`,
            ),
            `failed ${what}`,
          ),
        ];
      }),
    ),
    ...(result.ok ? [] : ['', `${style.bold('Next:')} destino-db history, then destino-db backup`]),
  ];
}

function newest(times: readonly string[], what: string): string[] {
  if (times.length === 0) return [];
  const shown = times.slice(-shownTimes);
  const more = times.length > shownTimes ? `, and ${times.length - shownTimes} before` : '';
  return [`${what}: ${shown.join(', ')}${more}`];
}
