/** How places for backups are named: "s3://bucket/prefix", or a folder. */

export function isRemote(place: string): boolean {
  return place.startsWith('s3://');
}

/** @returns the bucket and the prefix without slashes around it; undefined for what names no bucket */
export function parseBucketUrl(url: string): {readonly bucket: string; readonly prefix: string} | undefined {
  const [, bucket = '', prefix = ''] = /^s3:\/\/([^/]*)\/*(.*?)\/*$/s.exec(url) ?? [];
  // Wider than Amazon's rules: Ceph takes capitals and underscores, and "tenant:bucket".
  const isBucket = /^[a-z\d][\w.:-]+[a-z\d]$/i.test(bucket) && !bucket.includes('..');
  return isBucket ? {bucket, prefix} : undefined;
}

/** Why something cannot be a place, as a sentence; undefined for one that may be there. */
export function placeProblem(name: string): string | undefined {
  if (!isRemote(name)) {
    // "gs://b", "S3://b", "s3:b", "s3//b": as folders they would be made, and the backup would stay on this machine.
    return isAddress(name) || /^s3(?::|\/\/)/i.test(name)
      ? `"${name}" is neither s3://bucket/prefix nor a folder.`
      : undefined;
  }
  const parsed = parseBucketUrl(name);
  if (!parsed) return `"${name}" names no bucket.`;
  const isPath = parsed.prefix.split('/').some((part) => part === '.' || part === '..');
  return isPath ? `"${name}": a prefix is no path, "." and ".." mean nothing in it.` : undefined;
}

/** Whether it begins as a URL does, and not as a path of Windows. */
export function isAddress(name: string): boolean {
  return /^[a-z][a-z\d+.-]+:\//i.test(name);
}
