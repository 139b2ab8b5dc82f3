/** The backup plan, and what was printed or installed of it, as lines. */
import {formatDuration, formatTableTime} from '../../base/format.js';
import type {ScheduleResult} from '../../services/schedule/schedule.js';
import {printable, type Style} from './style.js';
import {table} from './table.js';

const schedulerNames = {
  cron: 'the crontab',
  systemd: 'systemd',
  github: 'the GitHub workflow',
  kubernetes: 'Kubernetes',
  compose: 'the compose file',
} as const;

export function showSchedule(now: Date): (result: ScheduleResult, style: Style) => string[] {
  return (result, style) => {
    // Printed to be piped into a file: nothing but the text.
    if (result.action === 'print') return printedFiles(result);
    return [...headline(result, style), ...planLines(result, style, now), ...nextLines(result, style)];
  };
}

function printedFiles({files}: ScheduleResult): string[] {
  if (files.length === 1) return [files[0]?.text.trimEnd() ?? ''];
  return files.flatMap(({path, text}, index) => [
    ...(index === 0 ? [] : ['']),
    `# ${path ?? ''}`,
    text.trimEnd(),
  ]);
}

function headline(result: ScheduleResult, style: Style): string[] {
  if (result.action === 'show') return [];
  const where = schedulerNames[result.as ?? 'cron'];
  const verb = result.action === 'install' ? 'installed in' : 'removed from';
  const what = result.isChanged
    ? style.bold(`The plan was ${verb} ${where}.`)
    : `Nothing to change in ${where}.`;
  return [what, ...result.files.flatMap(({path}) => (path === null ? [] : [`  ${printable(path)}`]))];
}

function planLines(result: ScheduleResult, style: Style, now: Date): string[] {
  if (result.action === 'remove') return [];
  const rows = result.jobs.map((job) => {
    const next = job.nextRuns[0];
    const until = next === undefined ? '' : `in ${formatDuration(new Date(next).getTime() - now.getTime())}`;
    return [
      printable(job.sentence),
      next === undefined ? '' : formatTableTime(next),
      until,
      printable(job.command),
    ];
  });
  return [
    ...(result.action === 'install' ? [''] : []),
    ...table(rows, style, {head: ['PLAN', 'NEXT RUN (UTC)', '', 'COMMAND']}),
    style.dim(`Times of the plan are in ${result.timeZone}.`),
    ...installedLines(result, style),
  ];
}

function installedLines({installed}: ScheduleResult, style: Style): string[] {
  if (installed === null) return [];
  if (installed.length === 0) return [style.bold('The plan is not installed on this machine.')];
  return installed.map(({as, isCurrent}) =>
    isCurrent
      ? `The plan is installed in ${schedulerNames[as]}.`
      : style.bold(
          `Another plan is installed in ${schedulerNames[as]}: install this one again (--as ${as} --install).`,
        ),
  );
}

function nextLines(result: ScheduleResult, style: Style): string[] {
  const next =
    result.action === 'show'
      ? [
          'destino-db schedule --as cron',
          'destino-db schedule --as cron --install',
          'destino-db schedule --check',
        ]
      : result.next;
  return next.length === 0 ? [] : ['', style.bold('Next:'), ...next.map((line) => `  ${line}`)];
}
