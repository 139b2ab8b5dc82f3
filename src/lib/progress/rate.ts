/** Speed and remaining time, from a sliding window of samples. */

const windowMs = 30_000;
/** Samples closer than this are merged: bytes are reported thousands of times a second. */
const spacingMs = 100;
const minimumElapsedMs = 10_000;

export interface Rate {
  /** Records that `done` units are finished at `atMs`. */
  sample(done: number, atMs: number): void;
  /** Units a second over the window, or undefined before two samples. */
  perSecond(): number | undefined;
  /** Milliseconds left until `total`; undefined in the first 10 s, when an estimate would be worthless. */
  timeLeftMs(total: number): number | undefined;
}

export function createRate(): Rate {
  const samples: {done: number; atMs: number}[] = [];
  let startedMs: number | undefined;
  const perSecond = (): number | undefined => {
    const first = samples[0];
    const last = samples.at(-1);
    if (!first || !last || last.atMs <= first.atMs) return undefined;
    return ((last.done - first.done) * 1000) / (last.atMs - first.atMs);
  };
  return {
    sample(done, atMs) {
      startedMs ??= atMs;
      const [beforeLast, last] = samples.slice(-2);
      if (beforeLast && last && last.atMs - beforeLast.atMs < spacingMs) samples.pop();
      samples.push({done, atMs});
      while (samples.length > 2 && atMs - (samples[0]?.atMs ?? atMs) > windowMs) samples.shift();
    },
    perSecond,
    timeLeftMs(total) {
      const last = samples.at(-1);
      const speed = perSecond();
      if (!last || !speed || speed <= 0 || startedMs === undefined) return undefined;
      if (last.atMs - startedMs < minimumElapsedMs) return undefined;
      return Math.max(0, ((total - last.done) / speed) * 1000);
    },
  };
}
