/** Where the axes of charts have their marks, and what stands at them. */
import {formatBytes} from '../../base/format.js';

export const byteSteps = Array.from(
  {length: 46},
  (_, index) => ([1, 2, 5][index % 3] ?? 1) * 10 ** Math.floor(index / 3),
);
const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
export const durationSteps = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30].map((value) => value * second),
  ...[1, 2, 5, 10, 15, 30].map((value) => value * minute),
  ...[1, 2, 4, 6, 12, 24, 48].map((value) => value * hour),
];

/** Marks of an axis are round, so they need no second unit and no decimals. */
export const axisBytes = (value: number): string =>
  value === 0 ? '0' : formatBytes(value).replace('.0 ', ' ');

export function axisDuration(ms: number): string {
  if (ms === 0) return '0';
  const [size, unit] = (
    [
      [hour, 'h'],
      [minute, 'min'],
      [second, 's'],
    ] as const
  ).find(([least]) => ms >= least) ?? [1, 'ms'];
  return `${Math.round((ms / size) * 10) / 10} ${unit}`;
}
