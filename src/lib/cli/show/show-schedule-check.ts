/** What the audit log says of the backup plan, as lines. */
import type {ScheduleCheck} from '../../services/schedule/check-history.js';
import {columns, printable, type Style} from './style.js';

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
  const title = ['PLAN', 'DUE', 'DONE', 'FAILED', 'MISSED', 'LAST'].map((text) => style.bold(text));
  return [
    ...columns([title, ...rows], [1, 2, 3, 4]),
    style.dim(`Since ${result.from.slice(0, 10)}, by the audit log.`),
    ...result.jobs.flatMap((job) => [
      ...newest(job.missed, `missed "${printable(job.sentence)}"`),
      ...newest(
        job.failed.map(({due, errorCode}) => `${due}${errorCode === null ? '' : ` (${errorCode})`}`),
        `failed "${printable(job.sentence)}"`,
      ),
    ]),
    ...(result.ok ? [] : ['', `${style.bold('Next:')} destino-db history, then destino-db backup`]),
  ];
}

function newest(times: readonly string[], what: string): string[] {
  if (times.length === 0) return [];
  const shown = times.slice(-shownTimes).map((time) => time.replace('T', ' ').replace(/:\d\d\.\d+Z/, ' UTC'));
  const more = times.length > shownTimes ? `, and ${times.length - shownTimes} before` : '';
  return [`${what}: ${shown.join(', ')}${more}`];
}
