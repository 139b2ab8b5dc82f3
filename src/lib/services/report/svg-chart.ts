/** Series as pictures: static SVG text, coloured by classes of the page's style sheet. */
import {escapeHtml} from './escape-html.js';

/** Room in CSS pixels; text is 12 px whatever the width, so that a narrow picture stays readable. */
export interface ChartSize {
  readonly width: number;
  readonly height: number;
}

export interface TimeSeries {
  readonly name: string;
  readonly points: readonly {at: Date; value: number; label: string}[];
}

const margin = {top: 12, right: 14, bottom: 26, left: 62};
const dayMs = 86_400_000;

/** Series over time as lines with marks; the axis of values begins at zero. */
export function timeChart(
  title: string,
  series: readonly TimeSeries[],
  period: {from: Date; until: Date},
  size: ChartSize,
  format: (value: number) => string,
  steps: readonly number[],
): string {
  const plot = plotArea(size);
  const span = Math.max(1, period.until.getTime() - period.from.getTime());
  const x = (at: Date): number => plot.left + ((at.getTime() - period.from.getTime()) / span) * plot.width;
  const ticks = valueTicks(
    Math.max(0, ...series.flatMap(({points}) => points.map((point) => point.value))),
    steps,
  );
  const top = ticks.at(-1) ?? 1;
  const y = (value: number): number => plot.bottom - (value / top) * plot.height;
  const lines = series.map(({points}, index) => {
    const path = points
      .map(({at, value}, i) => `${i === 0 ? 'M' : 'L'}${round(x(at))} ${round(y(value))}`)
      .join('');
    const marks = points.map(
      ({at, value, label}) => `<g><title>${escapeHtml(label)}</title>${mark(index, x(at), y(value))}</g>`,
    );
    return `<path class="line s${index % 4}" d="${path}"/>${marks.join('')}`;
  });
  return svg(title, size, [valueAxis(plot, ticks, y, format), timeAxis(plot, period, x), ...lines]);
}

export interface Column {
  readonly label: string;
  /** Stacked from the bottom, in the order of the classes. */
  readonly parts: readonly {kind: 'ok' | 'failed' | 'missed'; value: number}[];
}

/** Stacked columns of counts. */
export function columnChart(title: string, columns: readonly Column[], size: ChartSize): string {
  const plot = plotArea(size);
  const totals = columns.map(({parts}) => parts.reduce((total, part) => total + part.value, 0));
  const ticks = valueTicks(Math.max(1, ...totals), [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000]);
  const y = (value: number): number => plot.bottom - (value / (ticks.at(-1) ?? 1)) * plot.height;
  const step = plot.width / Math.max(1, columns.length);
  const every = Math.max(1, Math.ceil(54 / step));
  const bars = columns.map(({label, parts}, index) => {
    const left = plot.left + index * step + step * 0.15;
    let base = 0;
    const rects = parts.map(({kind, value}) => {
      const [low, high] = [y(base), y(base + value)];
      base += value;
      return value === 0
        ? ''
        : `<rect class="${kind}" x="${round(left)}" y="${round(high)}" width="${round(step * 0.7)}" height="${round(low - high)}"><title>${escapeHtml(`${label}: ${value} ${kind}`)}</title></rect>`;
    });
    const text =
      index % every === 0
        ? `<text x="${round(left + step * 0.35)}" y="${plot.bottom + 17}" text-anchor="middle">${escapeHtml(label)}</text>`
        : '';
    return rects.join('') + text;
  });
  return svg(title, size, [valueAxis(plot, ticks, y, String), ...bars]);
}

/** Horizontal bars, a name above each, its value beside it; `height` follows from their number. */
export function barChart(
  title: string,
  bars: readonly {name: string; value: number; text: string}[],
  width: number,
): string {
  const rowHeight = 40;
  const valueRoom = 84;
  const top = Math.max(1, ...bars.map((bar) => bar.value));
  const rows = bars.map(({name, value, text}, index) => {
    const y = index * rowHeight;
    const length = Math.max(1, (value / top) * (width - valueRoom));
    // Letters of the widest usual font, 12 px: the page takes whatever the system has.
    const room = Math.floor(width / 9);
    const shown = name.length > room ? `${name.slice(0, room - 1)}…` : name;
    return (
      `<text x="0" y="${y + 14}">${escapeHtml(shown)}</text>` +
      `<rect class="s0" x="0" y="${y + 19}" width="${round(length)}" height="14"><title>${escapeHtml(`${name}: ${text}`)}</title></rect>` +
      `<text x="${round(length + 6)}" y="${y + 31}">${escapeHtml(text)}</text>`
    );
  });
  return svg(title, {width, height: Math.max(1, bars.length) * rowHeight}, rows);
}

interface Plot {
  left: number;
  bottom: number;
  width: number;
  height: number;
}

function plotArea({width, height}: ChartSize): Plot {
  return {
    left: margin.left,
    bottom: height - margin.bottom,
    width: width - margin.left - margin.right,
    height: height - margin.top - margin.bottom,
  };
}

function svg(title: string, {width, height}: ChartSize, parts: readonly string[]): string {
  return `<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escapeHtml(title)}">${parts.join('')}</svg>`;
}

/** Up to five steps from zero to at least `highest`, each the smallest of `steps` that suffices. */
export function valueTicks(highest: number, steps: readonly number[]): number[] {
  const step = steps.find((candidate) => candidate * 4 >= highest) ?? Math.ceil(highest / 4);
  const count = Math.max(1, Math.ceil(highest / step));
  return Array.from({length: count + 1}, (_, index) => index * step);
}

function valueAxis(
  plot: Plot,
  ticks: readonly number[],
  y: (value: number) => number,
  format: (value: number) => string,
): string {
  return ticks
    .map(
      (tick) =>
        `<path class="grid" d="M${plot.left} ${round(y(tick))}h${plot.width}"/>` +
        `<text x="${plot.left - 8}" y="${round(y(tick) + 4)}" text-anchor="end">${escapeHtml(format(tick))}</text>`,
    )
    .join('');
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** "24 Oct", UTC. */
export function shortDate(at: Date): string {
  return `${at.getUTCDate()} ${months[at.getUTCMonth()] ?? ''}`;
}

function timeAxis(plot: Plot, {from, until}: {from: Date; until: Date}, x: (at: Date) => number): string {
  const fitting = Math.max(1, Math.floor(plot.width / 70));
  const days = Math.max(1, (until.getTime() - from.getTime()) / dayMs);
  const step = [1, 2, 7, 14, 28, 91].find((candidate) => days / candidate <= fitting) ?? 365;
  const first = Math.ceil(from.getTime() / dayMs) * dayMs;
  const labels: string[] = [];
  for (let at = first; at <= until.getTime(); at += step * dayMs) {
    const position = x(new Date(at));
    // A label is some 40 px wide; one that would be cut off at the edge is left out.
    if (position < plot.left || position > plot.left + plot.width - 6) continue;
    labels.push(
      `<path class="grid" d="M${round(position)} ${plot.bottom}v4"/>` +
        `<text x="${round(position)}" y="${plot.bottom + 17}" text-anchor="middle">${shortDate(new Date(at))}</text>`,
    );
  }
  return labels.join('');
}

/** Series differ by shape as well as by colour. */
export function mark(index: number, x: number, y: number): string {
  const kind = index % 4;
  const [cx, cy] = [round(x), round(y)];
  if (kind === 0) return `<circle class="s0" cx="${cx}" cy="${cy}" r="3.5"/>`;
  if (kind === 1)
    return `<rect class="s1" x="${round(x - 3.5)}" y="${round(y - 3.5)}" width="7" height="7"/>`;
  if (kind === 2) return `<path class="s2" d="M${cx} ${round(y - 4.5)}l4.5 4.5l-4.5 4.5l-4.5 -4.5z"/>`;
  return `<path class="s3" d="M${cx} ${round(y - 4.5)}l4.5 8h-9z"/>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
