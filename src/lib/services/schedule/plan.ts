/** Parses a backup plan in words: "daily custom at 02:00 keep 30 days; weekly sql; monthly restore test". */
import {backupFormats} from '../../base/formats.js';
import {AppError} from '../../base/errors.js';
import {nearest} from '../../base/nearest.js';
import {type CronTime, parseCron} from './cron-expression.js';
import {type Every, freeTime} from './due-time.js';

export interface Job {
  /** The sentence of the plan, with single spaces. */
  readonly sentence: string;
  /** Unique in the plan and safe in file names: "daily-custom". */
  readonly name: string;
  readonly every: Every;
  /** Whether the sentence contains a time; otherwise one that does not collide was chosen. */
  readonly isTimed: boolean;
  /** Command and flags for destino-db. */
  readonly args: readonly string[];
}

const weekdays = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'];

/** The tasks that have a name; any other is written `run COMMAND FLAGS`. */
const tasks: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries(backupFormats.map((format) => [format, ['backup', `--format=${format}`]])),
  schema: ['backup', '--schema-only', '--format=sql'],
  'restore test': ['verify', '--latest', '--level=restore'],
  'archive test': ['verify', '--latest', '--level=archive'],
  'checksum test': ['verify', '--latest', '--level=checksum'],
  prune: ['prune', '--yes'],
  status: ['status'],
  report: ['report'],
};

const dayName = `(?:${weekdays.join('|')})`;
const namedDays = new RegExp(
  `^(?:every )?(weekdays?|weekends?|(?<=every )${dayName}(?:(?:, ?| and )${dayName})*)(?= |$)`,
  'i',
);

const usage =
  `A sentence reads: every 15 minutes | every 6 hours | every monday | weekdays | weekends | hourly | daily | weekly [on sunday] | monthly [on 1] | cron 15 3 * * 1-5, then ${backupFormats.join(' | ')} | schema | ` +
  'restore test | archive test | checksum test | prune | status | report | run COMMAND, then [at 02:00] [keep 30 days].';

/**
 * The jobs of a plan; one text may contain several sentences, separated by ";". Jobs without a time get one that does not collide with
 * the others.
 * @throws CONFIG_INVALID with the sentence that cannot be parsed
 */
export function parsePlan(plan: readonly string[]): Job[] {
  const used = new Map<string, number>();
  const jobs = splitPlan(plan).map((sentence) => {
    const job = parseSentence(sentence);
    const count = (used.get(job.name) ?? 0) + 1;
    used.set(job.name, count);
    return count === 1 ? job : {...job, name: `${job.name}-${count}`};
  });
  const taken = jobs.filter(({isTimed}) => isTimed).map(({every}) => every);
  return jobs.map((job) => {
    if (job.isTimed) return job;
    const every = freeTime(job.every, taken);
    taken.push(every);
    return {...job, every};
  });
}

/** The sentences of a plan, without superfluous spaces. */
export function splitPlan(plan: readonly string[]): string[] {
  return plan
    .flatMap((text) => text.split(';'))
    .map((text) => text.trim().replace(/\s+/g, ' '))
    .filter((sentence) => sentence !== '');
}

const defaultTimes = {daily: '02:00', weekly: '03:00', monthly: '04:00'} as const;

function parseSentence(sentence: string): Job {
  const wrong = (why: string): AppError =>
    new AppError('CONFIG_INVALID', `The schedule's "${sentence}" cannot be parsed: ${why}.`, {hint: usage});
  const [everyWord = '', ...rest] = sentence.split(' ');
  const period = /^every (\d+) (minute|hour)s?(?: |$)/i.exec(sentence);
  const named = namedDays.exec(sentence);
  const cron = /^cron(?: \S+){0,5}/i.exec(sentence);
  const begin = period ?? named ?? cron ?? /^every \S+/i.exec(sentence);
  const unit = (begin ? begin[0].trim() : everyWord).toLowerCase();
  let text = begin ? sentence.slice(begin[0].length).trim() : rest.join(' ');

  /** Removes the words that `pattern` matches from the text. */
  const take = (pattern: RegExp): string | undefined => {
    const match = pattern.exec(text);
    if (!match) return undefined;
    text = `${text.slice(0, match.index)} ${text.slice(match.index + match[0].length)}`
      .replace(/\s+/g, ' ')
      .trim();
    return match[1] ?? '';
  };
  const keep = take(/(?:^|\s)keep (\d+) days?$/i) ?? take(/(?:^|\s)keep (\d+) days?(?=\s+at )/i);
  const time = take(/(?:^|\s)at (\S+)$/i) ?? take(/^at (\S+)(?=\s)/i);
  const on = take(/^on (?:the )?(\S+)(?=\s|$)/i) ?? take(/\son (?:the )?(\S+)$/i);

  const every = period
    ? readPeriod(Number(period[1]), period[2] ?? '', time, on, wrong)
    : named
      ? readDays(named[1] ?? '', time, on, wrong)
      : cron
        ? readCron(cron[0], time, on, wrong)
        : readEvery(unit, time, on, wrong);
  const args = readTask(text, wrong);
  if (keep !== undefined) {
    if (args[0] !== 'backup') throw wrong('only a backup can keep days');
    args.push(`--retention-days=${keep}`);
  }
  const slug = `${unit}-${text}`
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 40);
  return {sentence, name: slug, every, isTimed: time !== undefined || cron !== null, args};
}

/** Those that divide an hour or a day: cron starts again at the full hour, and at midnight. */
const periods: Readonly<Record<string, readonly number[]>> = {
  minute: [5, 6, 10, 12, 15, 20, 30],
  hour: [1, 2, 3, 4, 6, 8, 12],
};

function readPeriod(
  count: number,
  unitWord: string,
  time: string | undefined,
  on: string | undefined,
  wrong: (why: string) => AppError,
): Every {
  const unit = unitWord.toLowerCase();
  const known = periods[unit] ?? [];
  if (!known.includes(count)) {
    const near = known.reduce((best, one) => (Math.abs(one - count) < Math.abs(best - count) ? one : best));
    throw wrong(
      `${count} ${unit}s do not divide ${unit === 'hour' ? 'a day' : 'an hour'} evenly (did you mean "every ${near} ${unit}s"?)`,
    );
  }
  if (on !== undefined) throw wrong('a job that runs several times a day has no day');
  const period = unit === 'hour' ? count * 60 : count;
  const minute = time === undefined ? 0 : Number(/^:([0-5]\d)$/.exec(time)?.[1] ?? NaN);
  if (!(minute < period)) throw wrong(`"${time ?? ''}" is not a minute before :${Math.min(period, 60)}`);
  return {unit: 'hour', minute, period};
}

function readDays(
  names: string,
  time: string | undefined,
  on: string | undefined,
  wrong: (why: string) => AppError,
): Every {
  if (on !== undefined) throw wrong('it names its days twice');
  const {hour, minute} = readTime(time ?? defaultTimes.daily, wrong);
  const words = names.toLowerCase();
  const days = weekdays.flatMap((name, day) => {
    const isWeekend = day === 0 || day === 6;
    const isNamed = words.startsWith('weekend')
      ? isWeekend
      : words.startsWith('weekday')
        ? !isWeekend
        : words.includes(name);
    return isNamed ? [day] : [];
  });
  const [weekday = 0] = days;
  return days.length === 1
    ? {unit: 'week', weekday, hour, minute}
    : {unit: 'cron', minutes: [minute], hours: [hour], ...(days.length < 7 ? {weekdays: days} : {})};
}

function readCron(
  expression: string,
  time: string | undefined,
  on: string | undefined,
  wrong: (why: string) => AppError,
): Every {
  if (time !== undefined || on !== undefined) throw wrong('a cron expression contains its time and its days');
  const cron: CronTime = parseCron(expression.split(' ').slice(1), wrong);
  const {minutes, hours, days, months, weekdays: daysOfWeek} = cron;
  const [minute = 0] = minutes;
  const period = 60 / minutes.length;
  // Runs of every hour follow absolute time when clocks change, as cron does.
  const isEven = minutes.every((value, index) => value === minute + index * period);
  return hours.length === 24 && isEven && !days && !months && !daysOfWeek
    ? {unit: 'hour', minute, ...(period === 60 ? {} : {period})}
    : cron;
}

function readTime(text: string, wrong: (why: string) => AppError): {hour: number; minute: number} {
  const match = /^(\d{1,2}):(\d{2})$/.exec(text);
  const [hour, minute] = [Number(match?.[1] ?? NaN), Number(match?.[2] ?? NaN)];
  if (!(hour <= 23 && minute <= 59)) throw wrong(`"${text}" is not a time from 00:00 to 23:59`);
  return {hour, minute};
}

function readEvery(
  unit: string,
  time: string | undefined,
  on: string | undefined,
  wrong: (why: string) => AppError,
): Every {
  if (unit === 'hourly') {
    const minute = time === undefined ? 0 : Number(/^:(\d\d)$/.exec(time)?.[1] ?? NaN);
    if (!(minute <= 59)) throw wrong(`"${time ?? ''}" is not a minute; write hourly ... at :15`);
    if (on !== undefined) throw wrong('an hourly job has no day');
    return {unit: 'hour', minute};
  }
  if (unit !== 'daily' && unit !== 'weekly' && unit !== 'monthly') {
    const guess = nearest(unit, [
      ...['hourly', 'daily', 'weekly', 'monthly', 'weekdays', 'weekends', 'cron'],
      ...weekdays.map((day) => `every ${day}`),
    ]);
    throw wrong(`it begins with "${unit}"${guess === undefined ? '' : ` (did you mean "${guess}"?)`}`);
  }
  const {hour, minute} = readTime(time ?? defaultTimes[unit], wrong);
  if (unit === 'daily') {
    if (on !== undefined) throw wrong('a daily job has no day');
    return {unit: 'day', hour, minute};
  }
  if (unit === 'weekly') {
    const weekday = weekdays.indexOf((on ?? 'sunday').toLowerCase());
    if (weekday === -1) throw wrong(`"${on ?? ''}" is not a day of the week`);
    return {unit: 'week', weekday, hour, minute};
  }
  const day = Number(/^(\d{1,2})(?:st|nd|rd|th)?$/i.exec(on ?? '1')?.[1] ?? NaN);
  if (!(day >= 1 && day <= 28)) throw wrong(`"${on ?? ''}" is not a day of every month (1 to 28)`);
  return {unit: 'month', day, hour, minute};
}

function readTask(text: string, wrong: (why: string) => AppError): string[] {
  const command = /^run (.+)$/i.exec(text)?.[1];
  if (command !== undefined) {
    const quoted = /"([^"]*)"|'([^']*)'/g;
    if (/["']/.test(command.replace(quoted, ''))) throw wrong('a quote is not closed');
    const words = command.match(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g) ?? [];
    return words.map((word) => word.replace(quoted, '$1$2'));
  }
  const key = text
    .toLowerCase()
    .replace(/ backup$/, '')
    .replace(/^backup$/, 'custom');
  const args = Object.hasOwn(tasks, key) ? tasks[key] : undefined;
  if (args) return [...args];
  const guess = nearest(key, Object.keys(tasks));
  throw wrong(
    text === ''
      ? 'it has a time, but no task'
      : `"${text}" is not a task${guess === undefined ? '' : ` (did you mean "${guess}"?)`}`,
  );
}
