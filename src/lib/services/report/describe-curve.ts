/** How a curve runs, in words: its trend, its jumps and single values far from the rest. Pure. */
import {dayInWords} from './axis-ticks.js';

export interface CurvePoint {
  readonly at: Date;
  readonly value: number;
}

/** With fewer points a trend may be chance. */
const fewestForTrend = 5;
/** Change of a value that a picture hardly shows. */
const near = 0.05;
/** Change of a value that a reader notices at once. */
const striking = Math.log(1.25);
const mostRemarks = 3;
const dayMs = 86_400_000;

/**
 * The part of a sentence behind the subject: "grew steadily by about 2 % a week, from 100 MB to 129 MB; doubled on 3 October 2026".
 * @param points in the order of their times
 */
export function describeCurve(points: readonly CurvePoint[], format: (value: number) => string): string {
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last) return '';
  if (points.length === 1) return `was ${format(first.value)}`;
  const values = points.map(({value}) => value);
  if (isNear(Math.min(...values), Math.max(...values)))
    return `stayed at about ${format(middleOf(values) ?? 0)}`;
  if (points.length < fewestForTrend) return describeFew(points, format);
  const level = runningMedian(values);
  const noise = 4 * (middleOf(stepsOf(level)) ?? 0);
  const limit = Math.max(striking, noise);
  const jumps = jumpsOf(points, level, limit);
  const strays = straysOf(points, level, Math.max(striking, 4 * (middleOf(distances(values, level)) ?? 0)));
  const remarks = [
    ...jumps.map((jump) => ({at: jump.at, text: describeJump(jump, format)})),
    ...strays.map((stray) => ({at: stray.from, text: describeStray(stray, format, stray.to === last.at)})),
  ].sort((a, b) => a.at.getTime() - b.at.getTime());
  const newest = remarks.slice(-mostRemarks).map(({text}) => text);
  const earlier = remarks.length - newest.length;
  return [
    describeTrend(points, level, jumps, format),
    ...(earlier > 0 ? [`changed ${earlier === 1 ? 'once' : `${earlier} times`} before`] : []),
    ...newest,
  ].join('; ');
}

interface Jump {
  /** Of the first value after it. */
  readonly index: number;
  readonly at: Date;
  readonly from: number;
  readonly to: number;
}

/** Two to four points: their ends and what lies beyond them. */
function describeFew(points: readonly CurvePoint[], format: (value: number) => string): string {
  const byValue = points.toSorted((a, b) => a.value - b.value);
  const [first, last, lowest, highest] = [points[0], points.at(-1), byValue[0], byValue.at(-1)];
  if (!first || !last || !lowest || !highest) return '';
  const isBeyond = ({value}: CurvePoint): boolean =>
    !isNear(value, first.value) && !isNear(value, last.value);
  const extremes = [
    ...(isBeyond(highest) ? [`up to ${format(highest.value)} on ${dayInWords(highest.at)}`] : []),
    ...(isBeyond(lowest) ? [`down to ${format(lowest.value)} on ${dayInWords(lowest.at)}`] : []),
  ];
  const ends = isNear(first.value, last.value)
    ? `was about ${format(last.value)} at both ends`
    : `${last.value > first.value ? 'grew' : 'shrank'}${byPercent(first.value, last.value)} from ${format(first.value)} to ${format(last.value)}`;
  return [ends, ...extremes].join(', ');
}

function describeTrend(
  points: readonly CurvePoint[],
  level: readonly number[],
  jumps: readonly Jump[],
  format: (value: number) => string,
): string {
  const [first, last] = [level[0] ?? 0, level.at(-1) ?? 0];
  const start = points[0]?.at.getTime() ?? 0;
  const times = points.map(({at}) => (at.getTime() - start) / dayMs);
  const {slope, farthest} = fitBetween(
    jumps,
    times,
    level.map((value) => logRatio(1, value)),
  );
  const days = times.at(-1) ?? 0;
  const grown = slope * days;
  const apart =
    jumps.length === 0 ? '' : ` apart from ${jumps.length === 1 ? 'one jump' : `${jumps.length} jumps`}`;
  const ends = `from ${format(first)} to ${format(last)}`;
  if (Math.abs(grown) < near) {
    if (jumps.length > 0) return `was steady${apart}, ${ends}`;
    const [lowest, highest] = [Math.min(...level), Math.max(...level)];
    return isNear(lowest, highest)
      ? `stayed at about ${format(middleOf(level) ?? 0)}`
      : `varied between ${format(lowest)} and ${format(highest)}, without a trend`;
  }
  const isSteady = farthest <= Math.max(near, Math.abs(grown) / 4);
  return `${grown > 0 ? 'grew' : 'shrank'} ${isSteady ? 'steadily' : 'overall'}${rateOf(grown, days)}${apart}, ${ends}`;
}

/** The slope that fits the values between the jumps best (least squares), and how far a value is from its line at most. */
function fitBetween(
  jumps: readonly Jump[],
  times: readonly number[],
  values: readonly number[],
): {slope: number; farthest: number} {
  const starts = [0, ...jumps.map(({index}) => index)];
  const offsets = starts.flatMap((start, part) => {
    const end = starts[part + 1] ?? values.length;
    const [time, value] = [mean(times.slice(start, end)), mean(values.slice(start, end))];
    return values
      .slice(start, end)
      .map((one, index) => ({x: (times[start + index] ?? time) - time, y: one - value}));
  });
  const spread = mean(offsets.map(({x}) => x * x));
  const slope = spread === 0 ? 0 : mean(offsets.map(({x, y}) => x * y)) / spread;
  return {slope, farthest: Math.max(...offsets.map(({x, y}) => Math.abs(y - slope * x)))};
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** " by about 2 % a week", in the unit that fits the span; nothing where the span is too short for one. */
function rateOf(grown: number, days: number): string {
  const [unit, length] =
    days > 200
      ? (['month', 365.25 / 12] as const)
      : days > 9
        ? (['week', 7] as const)
        : (['day', 1] as const);
  if (days < 2 * length) return '';
  const percent = Math.abs(Math.expm1((grown * length) / days)) * 100;
  const rounded = percent < 9.95 ? Math.round(percent * 10) / 10 : Math.round(percent);
  return rounded === 0 ? '' : ` by about ${rounded} % a ${unit}`;
}

/** Where the level changes at once and stays so; neighbouring steps in one direction are one jump. */
function jumpsOf(points: readonly CurvePoint[], level: readonly number[], limit: number): Jump[] {
  const jumps: Jump[] = [];
  let lastIndex = -2;
  for (let index = 1; index < level.length; index += 1) {
    const [from, to, at] = [level[index - 1] ?? 0, level[index] ?? 0, points[index]?.at];
    if (!at || Math.abs(logRatio(from, to)) <= limit) continue;
    const previous = jumps.at(-1);
    if (previous && index === lastIndex + 1 && to > from === previous.to > previous.from)
      jumps[jumps.length - 1] = {...previous, to};
    else jumps.push({index, at, from, to});
    lastIndex = index;
  }
  return jumps;
}

interface Stray {
  readonly from: Date;
  readonly to: Date;
  readonly value: number;
  /** The level around it. */
  readonly level: number;
  readonly count: number;
}

/** Values far from the level around them, neighbouring ones together; the farthest stands for them. */
function straysOf(points: readonly CurvePoint[], level: readonly number[], limit: number): Stray[] {
  const strays: (Stray & {readonly index: number; readonly distance: number})[] = [];
  for (const [index, {at, value}] of points.entries()) {
    const around = level[index] ?? 0;
    const distance = Math.abs(logRatio(around, value));
    if (distance <= limit) continue;
    const previous = strays.at(-1);
    if (previous?.index === index - 1) {
      const farther = previous.distance > distance ? previous : {value, distance};
      strays[strays.length - 1] = {
        ...previous,
        value: farther.value,
        distance: farther.distance,
        to: at,
        index,
        count: previous.count + 1,
      };
    } else strays.push({from: at, to: at, value, level: around, count: 1, index, distance});
  }
  return strays;
}

function describeJump({at, from, to}: Jump, format: (value: number) => string): string {
  const ratio = from === 0 ? Infinity : to / from;
  const day = `on ${dayInWords(at)}, from ${format(from)} to ${format(to)}`;
  if (ratio >= 2.9)
    return `rose to ${ratio === Infinity ? 'far more' : `${Math.round(ratio)} times as much`} ${day}`;
  if (ratio >= 1.9 && ratio <= 2.1) return `doubled ${day}`;
  if (ratio >= 0.475 && ratio <= 0.525) return `halved ${day}`;
  return `${ratio > 1 ? 'rose' : 'fell'}${byPercent(from, to)} ${day}`;
}

function describeStray(
  {from, to, value, level, count}: Stray,
  format: (value: number) => string,
  isLast: boolean,
): string {
  const [first, last] = [dayInWords(from), dayInWords(to)];
  const change = `${value > level ? 'rose' : 'dropped'} to ${format(value)}`;
  if (isLast) return `${change} at the end, on ${last}`;
  return `${change} for ${count === 1 ? 'one backup' : `${count} backups`}${first === last ? `, on ${first}` : ` from ${first} to ${last}`}`;
}

/** " by 29 %"; nothing where there was nothing before. */
function byPercent(from: number, to: number): string {
  return from === 0 ? '' : ` by ${Math.max(1, Math.round(Math.abs((to - from) / from) * 100))} %`;
}

/** The middle of five values around each, so that one or two strays do not change the level. */
function runningMedian(values: readonly number[]): number[] {
  return values.map((value, index) => {
    // At the ends the window keeps its length: the last value alone does not make the level.
    const start = Math.min(Math.max(0, index - 2), Math.max(0, values.length - 5));
    const window = values.slice(start, start + 5).toSorted((a, b) => a - b);
    const middle = window[Math.floor(window.length / 2)] ?? value;
    // On a slope the values at the ends are right as they are.
    return Math.abs(logRatio(middle, value)) <= striking ? value : middle;
  });
}

const stepsOf = (values: readonly number[]): number[] => distances(values.slice(1), values);

function distances(values: readonly number[], others: readonly number[]): number[] {
  return values.map((value, index) => Math.abs(logRatio(others[index] ?? value, value)));
}

function middleOf(values: readonly number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

const logRatio = (from: number, to: number): number =>
  Math.log(Math.max(to, 1)) - Math.log(Math.max(from, 1));

function isNear(a: number, b: number): boolean {
  return Math.abs(a - b) <= near * Math.max(a, b);
}
