/** Parses the five fields of crontab(5), as cron and GitHub read them. */

/** The times of a cron expression. A field that is not restricted is absent. */
export interface CronTime {
  readonly unit: 'cron';
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  /** Days of the month. If both kinds of days are restricted, a day of either kind counts. */
  readonly days?: readonly number[];
  readonly months?: readonly number[];
  /** 0 (Sunday) to 6. */
  readonly weekdays?: readonly number[];
}

interface Field {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  readonly words?: readonly string[];
}

const monthWords = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const weekdayWords = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const fields: readonly Field[] = [
  {name: 'minute', from: 0, to: 59},
  {name: 'hour', from: 0, to: 23},
  {name: 'day of the month', from: 1, to: 31},
  {name: 'month', from: 1, to: 12, words: monthWords},
  {name: 'day of the week', from: 0, to: 7, words: weekdayWords},
];
/** Of each month; February has 29 in some years. */
const monthLengths = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/**
 * @param words one for each field
 * @param wrong makes an error from a reason
 * @throws the error of `wrong` for words that cron refuses, and for a date that never comes
 */
export function parseCron(words: readonly string[], wrong: (why: string) => Error): CronTime {
  if (words.length !== fields.length)
    throw wrong('a cron expression has five fields: minute, hour, day of the month, month, day of the week');
  const [minutes = [], hours = [], days, months, weekdays] = fields.map((field, index) =>
    parseField(words[index] ?? '', field, wrong),
  );
  const isRestricted = (index: number): boolean => !(words[index] ?? '').startsWith('*');
  const cron: CronTime = {
    unit: 'cron',
    minutes,
    hours,
    ...restricted('days', days, 31),
    ...restricted('months', months, 12),
    ...restricted('weekdays', [...new Set((weekdays ?? []).map((day) => day % 7))].sort(byNumber), 7),
  };
  // crontab(5): a field that begins with * does not widen the other one; both have to match then.
  if (cron.days && cron.weekdays && !(isRestricted(2) && isRestricted(4)))
    throw wrong(
      'steps of days together with days of the week have different meanings in different schedulers',
    );
  const first = Math.min(...(cron.days ?? [1]));
  const comes = monthLengths.some(
    (length, index) => first <= length && (cron.months?.includes(index + 1) ?? true),
  );
  if (!comes && !cron.weekdays) throw wrong('this date never comes');
  return cron;
}

function restricted<Key extends string>(
  key: Key,
  values: readonly number[] | undefined,
  all: number,
): Partial<Record<Key, readonly number[]>> {
  if (values === undefined || values.length === all) return {};
  const found: Partial<Record<Key, readonly number[]>> = {};
  found[key] = values;
  return found;
}

function parseField(word: string, field: Field, wrong: (why: string) => Error): number[] {
  const refuse = (part: string): Error =>
    wrong(`"${part}" is not a ${field.name} of a cron expression (${field.from} to ${field.to})`);
  const number = (text: string): number => {
    const index = field.words?.indexOf(text.toLowerCase()) ?? -1;
    const value =
      index >= 0 ? index + (field.name === 'month' ? 1 : 0) : /^\d{1,2}$/.test(text) ? Number(text) : NaN;
    if (!(value >= field.from && value <= field.to)) throw refuse(text);
    return value;
  };
  const values = word.split(',').flatMap((part) => {
    const match = /^(?:(\*)|([a-z\d]+)(?:-([a-z\d]+))?)(?:\/(\d{1,2}))?$/i.exec(part);
    if (!match) throw refuse(part);
    const [, star, low = '', high, stepText] = match;
    // Some crons read "5/10" as "5-59/10", others refuse it.
    if (star === undefined && high === undefined && stepText !== undefined) throw refuse(part);
    const from = star === undefined ? number(low) : field.from;
    const to = star === undefined ? number(high ?? low) : field.to;
    const step = Number(stepText ?? 1);
    if (step < 1 || from > to) throw refuse(part);
    return Array.from({length: Math.floor((to - from) / step) + 1}, (_, index) => from + index * step);
  });
  return [...new Set(values)].sort(byNumber);
}

/** The five fields in the shortest form: "0,30 2-4 * * 1-5". */
export function cronFields({minutes, hours, days, months, weekdays}: CronTime): string {
  return [
    minutes.length === 60 ? '*' : ranges(minutes),
    hours.length === 24 ? '*' : ranges(hours),
    days ? ranges(days) : '*',
    months ? ranges(months) : '*',
    weekdays ? ranges(weekdays) : '*',
  ].join(' ');
}

/** Three or more consecutive numbers as "1-5". */
function ranges(values: readonly number[]): string {
  const runs: number[][] = [];
  for (const value of values) {
    const last = runs.at(-1);
    if (last?.at(-1) === value - 1) last.push(value);
    else runs.push([value]);
  }
  return runs
    .map((run) => (run.length > 2 ? `${run[0] ?? ''}-${run.at(-1) ?? ''}` : run.join(',')))
    .join(',');
}

function byNumber(a: number, b: number): number {
  return a - b;
}
