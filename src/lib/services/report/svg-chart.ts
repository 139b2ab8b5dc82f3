/** Series as pictures: static SVG text, coloured by classes of the page's style sheet. */
import {dayInWords, monthName, timeTicks} from './axis-ticks.js';
import {escapeHtml} from './escape-html.js';

/** The names of a picture, for those who do not see it. */
export interface Caption {
  readonly title: string;
  /** The picture in words. */
  readonly description: string;
}

export interface TimeSeries {
  readonly name: string;
  readonly points: readonly TimePoint[];
}

export interface TimePoint {
  readonly at: Date;
  readonly value: number;
  readonly label: string;
  /** Drawn with a ring: something is wrong with it. */
  readonly isBad?: boolean;
}

export interface ValueScale {
  readonly format: (value: number) => string;
  /** Distances of the ticks; the smallest that fits is used. */
  readonly steps: readonly number[];
}

/** Every picture is as wide in its own units; the page scales it, and its letters with it. */
const width = 480;
const height = 190;
const plot = {left: 88, right: width - 14, top: 12, bottom: height - 28};
const dayMs = 86_400_000;

/** Series over time as lines with points; the axis of values begins at zero. */
export function timeChart(
  caption: Caption,
  series: readonly TimeSeries[],
  period: {from: Date; until: Date},
  {format, steps}: ValueScale,
): string {
  const span = Math.max(1, period.until.getTime() - period.from.getTime());
  const x = (at: Date): number =>
    plot.left + ((at.getTime() - period.from.getTime()) / span) * (plot.right - plot.left);
  const ticks = valueTicks(
    Math.max(0, ...series.flatMap(({points}) => points.map((point) => point.value))),
    steps,
  );
  const top = ticks.at(-1) ?? 1;
  const y = (value: number): number => plot.bottom - (value / top) * (plot.bottom - plot.top);
  const lines = series.map(({points}, index) => {
    const path = points
      .map(({at, value}, i) => `${i === 0 ? 'M' : 'L'}${round(x(at))} ${round(y(value))}`)
      .join('');
    const marks = points.map(({at, value, label, isBad = false}) => {
      const ring = isBad ? `<circle class="ring" cx="${round(x(at))}" cy="${round(y(value))}" r="7"/>` : '';
      return mark(index, x(at), y(value), label) + ring;
    });
    return `<path class="line s${index % 4}" d="${path}"/>${marks.join('')}`;
  });
  return svg(caption, height, [valueAxis(ticks, y, format), timeAxis(period, x), ...lines]);
}

export type DayState = 'ok' | 'alarm' | 'failed' | 'missed' | 'none';

export interface CalendarDay {
  readonly day: Date;
  readonly state: DayState;
  readonly label: string;
}

/** Signs beside the numbers of days, so that readers without colours can distinguish the states. */
export const daySigns: Readonly<Record<DayState, string>> = {
  ok: '',
  alarm: '!',
  failed: '×',
  missed: '?',
  none: '',
};

/** A calendar of up to 14 weeks: a column for each week, a row for each day of it. */
export function calendarChart(caption: Caption, days: readonly CalendarDay[]): string {
  const [first] = days;
  const monday = first ? first.day.getTime() - ((first.day.getUTCDay() + 6) % 7) * dayMs : 0;
  const weeks = Math.ceil(((days.at(-1)?.day.getTime() ?? monday) - monday + dayMs) / (7 * dayMs));
  const [left, top, cellHeight] = [40, 22, 21];
  const cellWidth = Math.min(56, Math.floor((width - left) / weeks));
  const names = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'].map(
    (name, row) => `<text x="0" y="${top + row * cellHeight + 15}">${name}</text>`,
  );
  const cells = days.map(({day, state, label}, index) => {
    const offset = Math.round((day.getTime() - monday) / dayMs);
    const [column, row] = [Math.floor(offset / 7), offset % 7];
    const [x, y] = [round(left + column * cellWidth), round(top + row * cellHeight)];
    // The name of the first month is left out where that of the next one stands too near.
    const isMonth =
      day.getUTCDate() === 1 ||
      (index === 0 && !days.slice(1, 14 - row).some((other) => other.day.getUTCDate() === 1));
    const month = isMonth ? `<text x="${x}" y="16">${monthName(day).slice(0, 3)}</text>` : '';
    return (
      `${month}<g class="day ${state}"><title>${escapeHtml(`${dayInWords(day)}: ${label}`)}</title>` +
      `<rect x="${x}" y="${y}" width="${cellWidth - 2}" height="19" rx="3"/>` +
      `<text x="${round(x + cellWidth / 2 - 1)}" y="${y + 14}" text-anchor="middle">${day.getUTCDate()}${daySigns[state]}</text></g>`
    );
  });
  return svg(caption, top + 7 * cellHeight + 2, [...names, ...cells]);
}

/** Horizontal bars, a name above each, its value beside it; the height follows from their number. */
export function barChart(
  caption: Caption,
  bars: readonly {name: string; value: number; text: string}[],
): string {
  const rowHeight = 40;
  const valueRoom = 100;
  const top = Math.max(1, ...bars.map((bar) => bar.value));
  const rows = bars.map(({name, value, text}, index) => {
    const y = index * rowHeight;
    const length = Math.max(1, (value / top) * (width - valueRoom));
    // Letters of the widest usual font, in the size for phones: the page takes whatever the system has.
    const room = Math.floor(width / 11.5);
    const shown = name.length > room ? `${name.slice(0, room - 1)}…` : name;
    return (
      `<text x="0" y="${y + 16}">${escapeHtml(shown)}</text>` +
      `<rect class="s0" x="0" y="${y + 21}" width="${round(length)}" height="12"><title>${escapeHtml(`${name}: ${text}`)}</title></rect>` +
      `<text x="${round(length + 6)}" y="${y + 32}">${escapeHtml(text)}</text>`
    );
  });
  return svg(caption, Math.max(1, bars.length) * rowHeight, rows);
}

function svg({title, description}: Caption, boxHeight: number, parts: readonly string[]): string {
  return `<svg viewBox="0 0 ${width} ${boxHeight}" role="img" aria-label="${escapeHtml(title)}"><title>${escapeHtml(title)}</title><desc>${escapeHtml(description)}</desc>${parts.join('')}</svg>`;
}

/** Up to five steps from zero to at least `highest`, each the smallest of `steps` that suffices. */
export function valueTicks(highest: number, steps: readonly number[]): number[] {
  const step = steps.find((candidate) => candidate * 4 >= highest) ?? Math.ceil(highest / 4);
  const count = Math.max(1, Math.ceil(highest / step));
  return Array.from({length: count + 1}, (_, index) => index * step);
}

function valueAxis(
  ticks: readonly number[],
  y: (value: number) => number,
  format: (value: number) => string,
): string {
  return ticks
    .map(
      (tick) =>
        `<path class="grid" d="M${plot.left} ${round(y(tick))}H${plot.right}"/>` +
        `<text x="${plot.left - 7}" y="${round(y(tick) + 4)}" text-anchor="end">${escapeHtml(format(tick))}</text>`,
    )
    .join('');
}

function timeAxis({from, until}: {from: Date; until: Date}, x: (at: Date) => number): string {
  return timeTicks(from, until, 6)
    .map(({at, label}) => {
      const position = round(x(at));
      // The label of a tick near the edge would be cut off there.
      const anchor = position > plot.right - 12 ? 'end' : 'middle';
      return (
        `<path class="grid" d="M${position} ${plot.bottom}v5"/>` +
        `<text x="${anchor === 'end' ? width : position}" y="${plot.bottom + 20}" text-anchor="${anchor}">${label}</text>`
      );
    })
    .join('');
}

/** Series differ by shape as well as by colour. */
export function mark(index: number, x: number, y: number, label?: string): string {
  const kind = index % 4;
  const [cx, cy] = [round(x), round(y)];
  const title = label === undefined ? '' : `<title>${escapeHtml(label)}</title>`;
  if (kind === 0) return `<circle class="s0" cx="${cx}" cy="${cy}" r="3">${title}</circle>`;
  if (kind === 1)
    return `<rect class="s1" x="${round(x - 3)}" y="${round(y - 3)}" width="6" height="6">${title}</rect>`;
  if (kind === 2) return `<path class="s2" d="M${cx} ${round(y - 4)}l4 4l-4 4l-4 -4z">${title}</path>`;
  return `<path class="s3" d="M${cx} ${round(y - 4)}l4 7h-8z">${title}</path>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
