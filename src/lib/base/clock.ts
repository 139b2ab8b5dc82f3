/** The clock of a run, passed in so that tests can set it. */
export interface Clock {
  now(): Date;
}

/** Milliseconds since a reading of the clock; never negative, because the clock may have been set back. */
export function elapsedMs(clock: Clock, sinceMs: number): number {
  return Math.max(0, clock.now().getTime() - sinceMs);
}

export const systemClock: Clock = {now: () => new Date()};
