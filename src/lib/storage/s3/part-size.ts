/** Part sizes of uploads: small for bounded memory, but growing so that any object fits into 10,000 parts. */

const mebibyte = 2 ** 20;
const smallestPart = 8 * mebibyte;
/** Amazon S3 user guide, "Amazon S3 multipart upload limits": 10,000 parts of at most 5 GiB. */
export const mostParts = 10_000;
const largestPart = 5 * 1024 * mebibyte;
const partsBeforeGrowth = 1000;
/** A known size may be an estimate. If the object is larger, the part size doubles after each this many parts. */
const plannedParts = 9000;
const partsOverPlan = 100;

/**
 * Size of the part with this number (from 1), bytes. Parts of an object of known size are equal; for a stream of unknown
 * length the size doubles every 1000 parts, so that 8 GiB use parts of 8 MiB, and 5 TiB fit.
 */
export function partSize(number: number, expectedBytes = 0): number {
  const planned = Math.ceil(expectedBytes / plannedParts / mebibyte) * mebibyte;
  const base = Math.max(smallestPart, planned);
  const doublings =
    planned > 0
      ? Math.max(0, Math.ceil((number - plannedParts) / partsOverPlan))
      : Math.floor((number - 1) / partsBeforeGrowth);
  return Math.min(largestPart, base * 2 ** doublings);
}

/** Number of concurrent parts: as many as fit into 32 MiB, at least one. */
export function partsAtOnce(bytes: number): number {
  return Math.max(1, Math.floor((4 * smallestPart) / bytes));
}
