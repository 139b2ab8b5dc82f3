/** How places for backups are named: "s3://bucket/prefix", or a folder. */

/** Kinds of store that have addresses, with what is wrong with an address; `storage/open-place.ts` opens each. */
const schemes = {s3: bucketProblem} satisfies Readonly<Record<string, (name: string) => string | undefined>>;
export type StoreScheme = keyof typeof schemes;
const storeSchemes = Object.keys(schemes) as StoreScheme[];

/** The kind of store that an address is of; undefined for a folder. */
export function schemeOf(name: string): StoreScheme | undefined {
  return storeSchemes.find((scheme) => name.startsWith(`${scheme}://`));
}

/** Why something cannot be a place, as a sentence; undefined for one that may be there. */
export function placeProblem(name: string): string | undefined {
  const scheme = schemeOf(name);
  if (scheme) return schemes[scheme](name);
  // "gs://b", "S3://b", "s3:b", "s3//b": as folders they would be made, and the backup would stay on this machine.
  const isMistyped = storeSchemes.some((known) => new RegExp(`^${known}(?::|//)`, 'i').test(name));
  return isMistyped || isAddress(name) ? `"${name}" is neither s3://bucket/prefix nor a folder.` : undefined;
}

/** Whether it begins as a URL does, and not as a path of Windows. */
export function isAddress(name: string): boolean {
  return /^[a-z][a-z\d+.-]+:\//i.test(name);
}

/** @returns the bucket and the prefix without slashes around it; undefined for what names no bucket */
export function parseBucketUrl(url: string): {readonly bucket: string; readonly prefix: string} | undefined {
  const [, bucket = '', prefix = ''] = /^s3:\/\/([^/]*)\/*(.*?)\/*$/s.exec(url) ?? [];
  // Wider than Amazon's rules: Ceph takes capitals and underscores, and "tenant:bucket".
  const isBucket = /^[a-z\d][\w.:-]+[a-z\d]$/i.test(bucket) && !bucket.includes('..');
  return isBucket ? {bucket, prefix} : undefined;
}

function bucketProblem(name: string): string | undefined {
  const parsed = parseBucketUrl(name);
  if (!parsed) return `"${name}" names no bucket.`;
  const isPath = parsed.prefix.split('/').some((part) => part === '.' || part === '..');
  return isPath ? `"${name}": a prefix is no path, "." and ".." mean nothing in it.` : undefined;
}
