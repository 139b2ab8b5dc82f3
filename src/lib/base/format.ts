/** Formats sizes, durations, counts and times for people. */

const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const;

/** Bytes with decimal units, as disks and object stores count: 1304000000 -> "1.3 GB". */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || Math.abs(value) >= 99.95 ? 0 : 1;
  return `${value.toFixed(digits)} ${units[unit] ?? 'B'}`;
}

/** Milliseconds in the two largest units: 252000 -> "4 min 12 s". */
export function formatDuration(ms: number): string {
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return joinUnits(minutes, 'min', seconds % 60, 's');
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return joinUnits(hours, 'h', minutes % 60, 'min');
  return joinUnits(Math.floor(hours / 24), 'd', hours % 24, 'h');
}

function joinUnits(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}

/** A time relative to `now`, in the two largest units: "3 h 5 min ago". */
export function formatAge(from: Date, now: Date): string {
  const ms = now.getTime() - from.getTime();
  if (ms < 0) return 'in the future';
  return ms < 10_000 ? 'just now' : `${formatDuration(ms)} ago`;
}

/** 1234567 -> "1,234,567" in every locale. */
export function formatCount(count: number): string {
  return String(Math.trunc(count)).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

/** "1 table", "2 tables"; `plural` for irregular nouns. */
export function countOf(count: number, singular: string, plural = `${singular}s`): string {
  return `${formatCount(count)} ${count === 1 ? singular : plural}`;
}

/** A time in a sentence, in UTC: "2026-11-22 03:10:05Z". */
export function formatTime(iso: string): string {
  return `${formatTableTime(iso)}Z`;
}

/** A time below a heading that says UTC: "2026-11-22 03:10:05". */
export function formatTableTime(iso: string): string {
  return new Date(iso).toISOString().slice(0, 19).replace('T', ' ');
}
