/** The place that a flag or the config file names. */
import {resolve} from 'node:path';
import type {Settings} from '../settings/settings.js';
import {localPlace} from './local-place.js';
import type {Place} from './place.js';

export function isRemote(place: string): boolean {
  return place.startsWith('s3://');
}

/** @param name "s3://bucket/prefix", or a folder relative to the working directory */
export async function openPlace(settings: Settings, name: string): Promise<Place> {
  if (!isRemote(name)) return localPlace(resolve(settings.cwd, name));
  const {s3Place} = await import('./s3-place.js');
  return s3Place(settings, name);
}
