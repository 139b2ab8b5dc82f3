/** Writes a plan as systemd service and timer units. */
import {cronOf, type Every} from './due-time.js';
import type {ScheduledCommand} from './scheduled-command.js';

export interface UnitFile {
  readonly name: string;
  readonly text: string;
}

const weekdayNames = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];

/** First line of each unit, by which --install and --remove recognise the units of this folder. */
export function unitHeader(folder: string): string {
  return `# destino-db schedule of ${folder}; made by destino-db schedule, which replaces it`;
}

/**
 * A service and a timer for each job.
 * @param project part of the names, so that one machine can have several projects
 */
export function systemdUnits(
  jobs: readonly ScheduledCommand[],
  folder: string,
  project: string,
  zone: string,
): UnitFile[] {
  return jobs.flatMap((job) => {
    const name = `destino-db-${project}-${job.name}`;
    const service = [
      unitHeader(folder),
      '[Unit]',
      `Description=destino-db: ${quoteSpecifiers(job.sentence)}`,
      'Wants=network-online.target',
      'After=network-online.target',
      '',
      '[Service]',
      'Type=oneshot',
      // systemd takes the rest of the line literally, except for specifiers.
      `WorkingDirectory=${quoteSpecifiers(folder)}`,
      `ExecStart=${job.words.map(quoteUnitWord).join(' ')}`,
      'UMask=0077',
      'Nice=10',
      'NoNewPrivileges=true',
      // A backup may take any time. A stop signals only the program, which ends its tools and clears up.
      'TimeoutStartSec=infinity',
      'KillMode=mixed',
      '',
    ];
    const timer = [
      unitHeader(folder),
      '[Unit]',
      `Description=destino-db: ${quoteSpecifiers(job.sentence)}`,
      '',
      '[Timer]',
      ...job.times
        .flatMap(calendars)
        .map((calendar) => `OnCalendar=${calendar}${zone === '' ? '' : ` ${zone}`}`),
      '# A run missed while the machine was off starts at the next boot; jobs that start together wait for one another.',
      'Persistent=true',
      '',
      '[Install]',
      'WantedBy=timers.target',
      '',
    ];
    return [
      {name: `${name}.service`, text: service.join('\n')},
      {name: `${name}.timer`, text: timer.join('\n')},
    ];
  });
}

/** systemd.time(7), "Calendar events". A cron expression with both kinds of days has two: systemd requires both, cron one of them. */
export function calendars(every: Every): string[] {
  const {minutes, hours, days, months, weekdays} = cronOf(every);
  const list = (values: readonly number[] | undefined, all = 0): string =>
    values === undefined || values.length === all
      ? '*'
      : values.map((value) => String(value).padStart(2, '0')).join(',');
  const time = `${list(hours, 24)}:${list(minutes, 60)}:00`;
  const names = weekdays?.map((day) => weekdayNames[day] ?? '').join(',');
  return [
    ...(days || !weekdays ? [`*-${list(months)}-${list(days)} ${time}`] : []),
    ...(names === undefined ? [] : [`${names} *-${list(months)}-* ${time}`]),
  ];
}

function quoteSpecifiers(text: string): string {
  return text.replaceAll('%', '%%');
}

/** systemd.service(5), "Command lines": quotes, C escapes, $ for variables, % for specifiers. */
function quoteUnitWord(word: string): string {
  const escaped = quoteSpecifiers(word).replaceAll('$', '$$$$').replace(/[\\"]/g, '\\$&');
  return /^[A-Za-z0-9_@+=:,./%-]+$/.test(escaped) ? escaped : `"${escaped}"`;
}
