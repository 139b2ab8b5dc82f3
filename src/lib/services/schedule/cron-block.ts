/** A plan as a marked block of crontab lines, and the putting in and taking out of that block. */
import {AppError} from '../../base/errors.js';
import {shellCommand} from '../../base/shell-quote.js';
import type {ScheduledCommand} from './scheduled-command.js';
import {dayAndHour} from './shift-zone.js';

/** cron gives jobs "/usr/bin:/bin"; the client tools of packages are found without PATH (see find-tools). */
const jobPath = '/usr/local/bin:/usr/bin:/bin';

const beginMark = (folder: string): string => `# BEGIN destino-db schedule of ${folder}`;
const endMark = (folder: string): string => `# END destino-db schedule of ${folder}`;

/**
 * The block, newline at its end; one line a job. Variables are set inside the lines, as a crontab's own last for all lines below.
 * @param folder without a line break, like every word of the jobs: planSchedule refuses others
 */
export function cronBlock(jobs: readonly ScheduledCommand[], folder: string): string {
  const lines = jobs.flatMap((job) => {
    const command = `cd ${shellCommand([folder])} && PATH=${jobPath} ${shellCommand(job.words)}`;
    // crontab(5): an unescaped % ends the command and begins its standard input.
    return [`# ${job.sentence}`, `${cronTime(job)} ${command.replaceAll('%', '\\%')}`];
  });
  return `${[
    beginMark(folder),
    '# made by destino-db schedule --install, which replaces it; --remove takes it out',
    ...lines,
    endMark(folder),
  ].join('\n')}\n`;
}

/** The five fields of crontab(5). */
export function cronTime({every}: Pick<ScheduledCommand, 'every'>): string {
  if (every.unit === 'hour') return `${every.minute} * * * *`;
  const {day, weekday} = dayAndHour(every);
  return `${every.minute} ${every.hour} ${day ?? '*'} * ${weekday ?? '*'}`;
}

/**
 * The crontab with this folder's block replaced by `block` (taken out when undefined, added at the end when absent).
 * Every other byte stays, but for a missing newline before an added block.
 * @throws GUARD when the marks do not pair, for then it is unknown what belongs to the block
 */
export function withCronBlock(crontab: string, folder: string, block: string | undefined): string {
  const lines = crontab.split(/(?<=\n)/);
  const text = (line: string): string => line.replace(/\r?\n$/, '');
  const begins = lines.findIndex((line) => text(line) === beginMark(folder));
  const ends = lines.findIndex((line) => text(line) === endMark(folder));
  const marks = lines.filter((line) => [beginMark(folder), endMark(folder)].includes(text(line))).length;
  if (begins === -1 && ends === -1) {
    if (block === undefined) return crontab;
    return `${crontab}${crontab === '' || crontab.endsWith('\n') ? '' : '\n'}${block}`;
  }
  if (marks !== 2 || ends < begins || begins === -1) {
    throw new AppError(
      'GUARD',
      `The marks of the schedule of ${folder} in the crontab do not pair; nothing was changed.`,
      {
        hint: `Remove the lines of destino-db by hand (crontab -e), then run this again.`,
      },
    );
  }
  return [...lines.slice(0, begins), block ?? '', ...lines.slice(ends + 1)].join('');
}
