/** The place that a flag or the config file names. */
import {resolve} from 'node:path';
import {AppError} from '../base/errors.js';
import {parseBucketUrl, placeProblem} from '../base/place-name.js';
import type {Settings} from '../settings/settings.js';
import {localPlace} from './local-place.js';
import type {Place} from './place.js';

/**
 * No request is made yet.
 * @param name "s3://bucket/prefix", or a folder relative to the working directory
 * @throws USAGE for what can be neither, CONFIG_INVALID for a certificate file that cannot be read, STORAGE_WRONG_REGION
 */
export async function openPlace(settings: Settings, name: string): Promise<Place> {
  const problem = placeProblem(name);
  if (problem !== undefined) throw new AppError('USAGE', problem, {hint: 'Write it as s3://bucket/prefix.'});
  const inBucket = parseBucketUrl(name);
  if (!inBucket) return localPlace(resolve(settings.cwd, name));
  const {s3Place} = await import('./s3/s3-place.js');
  return s3Place(settings, inBucket);
}

/** That copies can go there as far as settings tell, before there is something to copy. @throws what `openPlace` throws */
export async function requirePlaces(settings: Settings, names: readonly string[]): Promise<void> {
  for (const name of names) await openPlace(settings, name);
}
