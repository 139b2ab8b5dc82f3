/** Writes a plan as a block of crontab lines between two marker lines, and adds or removes the block. */
import {AppError} from '../../base/errors.js';
import {shellCommand} from '../../base/shell-quote.js';
import {cronFields} from './cron-expression.js';
import {cronOf, type Every} from './due-time.js';
import type {ScheduledCommand} from './scheduled-command.js';

/** cron sets PATH to "/usr/bin:/bin"; client tools in other folders are found without PATH (see find-tools). */
const jobPath = '/usr/local/bin:/usr/bin:/bin';

const beginMarker = (folder: string): string => `# BEGIN destino-db schedule of ${folder}`;
const endMarker = (folder: string): string => `# END destino-db schedule of ${folder}`;

/**
 * The block, with a line for each time of a job and a final newline. Variables are set in each line, because a variable of the crontab would
 * apply to all lines below.
 * @param folder without a line break, like every word of the jobs: planSchedule refuses others
 */
export function cronBlock(jobs: readonly ScheduledCommand[], folder: string): string {
  const lines = jobs.flatMap((job) => {
    const command = `cd ${shellCommand([folder])} && PATH=${jobPath} ${shellCommand(job.words)}`;
    // crontab(5): an unescaped % ends the command and begins its standard input.
    return [
      `# ${job.sentence}`,
      ...job.times.map((every) => `${cronTime(every)} ${command.replaceAll('%', '\\%')}`),
    ];
  });
  return `${[
    beginMarker(folder),
    '# made by destino-db schedule --install, which replaces it; --remove removes it',
    ...lines,
    endMarker(folder),
  ].join('\n')}\n`;
}

/** The five fields of crontab(5). */
export function cronTime(every: Every): string {
  return cronFields(cronOf(every));
}

/** The sentences in the block of this folder; empty without a block. */
export function sentencesOfBlock(crontab: string, folder: string): string[] {
  const lines = crontab.split('\n');
  const begins = lines.indexOf(beginMarker(folder));
  const ends = lines.indexOf(endMarker(folder));
  if (begins === -1 || ends < begins) return [];
  // The first comment of the block says who made it.
  return lines.slice(begins + 2, ends).flatMap((line) => (line.startsWith('# ') ? [line.slice(2)] : []));
}

/**
 * Replaces the block of this folder in the crontab by `block`: removes it if undefined, appends it if missing.
 * Every other byte stays, except a missing newline before an appended block.
 * @throws GUARD if the marker lines do not form a pair, because the extent of the block is then unknown
 */
export function withCronBlock(crontab: string, folder: string, block: string | undefined): string {
  const lines = crontab.split(/(?<=\n)/);
  const text = (line: string): string => line.replace(/\r?\n$/, '');
  const begins = lines.findIndex((line) => text(line) === beginMarker(folder));
  const ends = lines.findIndex((line) => text(line) === endMarker(folder));
  const markers = lines.filter((line) =>
    [beginMarker(folder), endMarker(folder)].includes(text(line)),
  ).length;
  if (begins === -1 && ends === -1) {
    if (block === undefined) return crontab;
    return `${crontab}${crontab === '' || crontab.endsWith('\n') ? '' : '\n'}${block}`;
  }
  if (markers !== 2 || ends < begins || begins === -1) {
    throw new AppError(
      'GUARD',
      `The BEGIN and END lines of the schedule of ${folder} in the crontab do not form a pair; nothing was changed.`,
      {
        hint: `Remove the lines of destino-db manually (crontab -e), then run this again.`,
      },
    );
  }
  return [...lines.slice(0, begins), block ?? '', ...lines.slice(ends + 1)].join('');
}
