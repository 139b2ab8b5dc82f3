/** The one clock: passed in, so that tests can set it. */
export interface Clock {
  now(): Date;
}

/** ms since a reading of the clock; not below 0, for the clock may have been set back since. */
export function elapsedMs(clock: Clock, sinceMs: number): number {
  return Math.max(0, clock.now().getTime() - sinceMs);
}

export const systemClock: Clock = {now: () => new Date()};
