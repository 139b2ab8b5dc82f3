/** Wall-clock time in a named time zone, with the zone data of Node.js. */

/** The time that a wall clock shows; month 1 to 12. */
export interface WallTime {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(zone: string): Intl.DateTimeFormat {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
    });
    formats.set(zone, format);
  }
  return format;
}

/** The time zone of this machine. */
export function machineZone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone;
}

export function wallTimeAt(instant: Date, zone: string): WallTime {
  const parts = new Map(
    formatOf(zone)
      .formatToParts(instant)
      .map((part) => [part.type, Number(part.value)]),
  );
  const get = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) ?? 0;
  return {
    year: get('year'),
    month: get('month'),
    day: get('day'),
    hour: get('hour'),
    minute: get('minute'),
  };
}

/** Minutes by which the zone is ahead of UTC at that instant. */
export function offsetMinutes(instant: Date, zone: string): number {
  const minute = Math.floor(instant.getTime() / 60_000);
  return utcMinute(wallTimeAt(instant, zone)) - minute;
}

function utcMinute(wall: WallTime): number {
  return Date.UTC(wall.year, wall.month - 1, wall.day, wall.hour, wall.minute) / 60_000;
}

/**
 * The instant at which the zone's clocks show `wall`; day and month may overflow, as in Date.UTC.
 * A time that clocks skip uses the old offset (02:30 -> 03:30); a time that occurs twice is the first one.
 */
export function instantAt(wall: WallTime, zone: string): Date {
  const target = utcMinute(wall);
  const dayBefore = offsetMinutes(new Date((target - 24 * 60) * 60_000), zone);
  const dayAfter = offsetMinutes(new Date((target + 24 * 60) * 60_000), zone);
  for (const offset of [dayBefore, dayAfter]) {
    const candidate = new Date((target - offset) * 60_000);
    if (offsetMinutes(candidate, zone) === offset) return candidate;
  }
  return new Date((target - dayBefore) * 60_000);
}
