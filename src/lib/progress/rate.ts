/** Speed and time left of a step, from samples of how far it is. */

/** The speed that is shown is that of the last half minute. */
const windowMs = 30_000;
/** Bytes are reported thousands of times a second; samples closer than this, or than a hundredth of the time elapsed, are merged. */
const spacingMs = 100;
const leastElapsedMs = 5_000;
const leastShare = 0.05;

export interface Rate {
  /** Records that `done` units of `total` are finished at `atMs`; the total may be corrected by each sample. */
  sample(done: number, total: number | undefined, atMs: number): void;
  /** Units a second over the window, or undefined before two samples. */
  perSecond(): number | undefined;
  /**
   * Milliseconds left at `atMs`.
   * @returns undefined while an estimate is worthless: at the beginning, without a total, and after more is done than the total says
   */
  timeLeftMs(atMs: number): number | undefined;
}

interface Sample {
  readonly done: number;
  /** Of the whole, from 0 to 1. */
  readonly share: number | undefined;
  readonly atMs: number;
}

/** @param startedMs when the step began */
export function createRate(startedMs: number): Rate {
  const samples: Sample[] = [];
  return {
    sample(done, total, atMs) {
      const [beforeLast, last] = samples.slice(-2);
      const spacing = Math.max(spacingMs, (atMs - startedMs) / 100);
      if (beforeLast && last && last.atMs - beforeLast.atMs < spacing) samples.pop();
      samples.push({done, share: total === undefined || total <= 0 ? undefined : done / total, atMs});
    },
    perSecond() {
      const last = samples.at(-1);
      const first = last && (samples.findLast(({atMs}) => atMs <= last.atMs - windowMs) ?? samples[0]);
      if (!first || last.atMs <= first.atMs) return undefined;
      return ((last.done - first.done) * 1000) / (last.atMs - first.atMs);
    },
    timeLeftMs(atMs) {
      const first = samples.find(({done}) => done > 0);
      const share = samples.at(-1)?.share;
      if (!first || share === undefined || share < leastShare || share >= 1) return undefined;
      // The mean speed so far: parts that are quick and parts that are slow take turns, and the last minute shows one of them.
      const elapsedMs = atMs - first.atMs;
      return elapsedMs < leastElapsedMs ? undefined : (elapsedMs * (1 - share)) / share;
    },
  };
}
