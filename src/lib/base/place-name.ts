/** Names of backup locations: "s3://bucket/prefix", or a folder. */

/** Schemes of stores, each with a check of its addresses; `storage/open-place.ts` opens them. */
const schemes = {s3: bucketProblem} satisfies Readonly<Record<string, (name: string) => string | undefined>>;
export type StoreScheme = keyof typeof schemes;
const storeSchemes = Object.keys(schemes) as StoreScheme[];

/** The scheme of a store's address; undefined for a folder. */
export function schemeOf(name: string): StoreScheme | undefined {
  return storeSchemes.find((scheme) => name.startsWith(`${scheme}://`));
}

/** Why a name cannot be a location, as a sentence; undefined for a valid name. */
export function placeProblem(name: string): string | undefined {
  const scheme = schemeOf(name);
  if (scheme) return schemes[scheme](name);
  // As folders, "gs://b", "S3://b", "s3:b" and "s3//b" would be created, and the backup would stay on this machine.
  const isMistyped = storeSchemes.some((known) => new RegExp(`^${known}(?::|//)`, 'i').test(name));
  return isMistyped || isAddress(name) ? `"${name}" is neither s3://bucket/prefix nor a folder.` : undefined;
}

/** Whether the name begins like a URL, and not like a Windows path. */
export function isAddress(name: string): boolean {
  return /^[a-z][a-z\d+.-]+:\//i.test(name);
}

/** @returns the bucket, and the prefix without slashes around it; undefined where the bucket is missing */
export function parseBucketUrl(url: string): {readonly bucket: string; readonly prefix: string} | undefined {
  const [, bucket = '', prefix = ''] = /^s3:\/\/([^/]*)\/*(.*?)\/*$/s.exec(url) ?? [];
  // Wider than Amazon's rules: Ceph accepts capitals and underscores, and "tenant:bucket".
  const isBucket = /^[a-z\d][\w.:-]+[a-z\d]$/i.test(bucket) && !bucket.includes('..');
  return isBucket ? {bucket, prefix} : undefined;
}

function bucketProblem(name: string): string | undefined {
  const parsed = parseBucketUrl(name);
  if (!parsed) return `"${name}" does not name a bucket.`;
  const isPath = parsed.prefix.split('/').some((part) => part === '.' || part === '..');
  return isPath ? `"${name}": "." and ".." have no meaning in a prefix.` : undefined;
}
