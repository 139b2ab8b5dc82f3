/** Opens the location that a flag or the config file names. */
import {resolve} from 'node:path';
import {backupFolder} from '../catalog/backup-name.js';
import {AppError} from '../base/errors.js';
import {placeProblem, schemeOf, type StoreScheme} from '../base/place-name.js';
import type {RunContext} from '../run/run-context.js';
import type {Settings} from '../settings/settings.js';
import {localPlace} from './local-place.js';
import type {Place} from './place.js';

type PlaceContext = Pick<RunContext, 'settings' | 'signal'>;

/** Opens stores with addresses; each module is loaded when needed. */
const openers: Readonly<Record<StoreScheme, (settings: Settings, name: string) => Promise<Place>>> = {
  s3: async (settings, name) => (await import('./s3/s3-place.js')).s3Place(settings, name),
};

/**
 * Makes no request yet.
 * @param name "s3://bucket/prefix", or a folder relative to the working directory
 * @throws USAGE for an invalid name, CONFIG_INVALID for a certificate file that cannot be read, STORAGE_WRONG_REGION
 */
export async function openPlace(settings: Settings, name: string): Promise<Place> {
  const problem = placeProblem(name);
  if (problem !== undefined)
    throw new AppError('USAGE', problem, {hint: 'Write a bucket as s3://bucket/prefix.'});
  const scheme = schemeOf(name);
  return scheme ? openers[scheme](settings, name) : localPlace(resolve(settings.cwd, name));
}

/** The location of --from. @throws the errors of `openPlace`, BACKUP_NOT_FOUND if it does not exist */
export async function openFrom(settings: Settings, name: string): Promise<Place> {
  const place = await openPlace(settings, name);
  await place.requirePresent?.();
  return place;
}

/**
 * The database backups of --from, or of the backups folder.
 * @throws the errors of `openFrom`
 */
export async function openSource(settings: Settings, from: string | undefined): Promise<Place> {
  if (from === undefined) return openPlace(settings, backupFolder(settings));
  const place = await openFrom(settings, from);
  return (await place.ofDatabases?.()) ?? place;
}

/** How long a store may take to answer before copying begins, ms. */
const askMs = 10_000;

/**
 * Opens the locations and checks that they can receive copies. A store that is unreachable or denies the request may work
 * later, and a local backup is better than none, so only a wrong region is an error now: it never works later.
 * @throws the errors of `openPlace`
 */
export async function requirePlaces(
  {settings, signal}: PlaceContext,
  names: readonly string[],
): Promise<Place[]> {
  const places = await Promise.all(names.map((name) => openPlace(settings, name)));
  await Promise.all(places.map((place) => requireRegion(place, signal)));
  return places;
}

async function requireRegion(place: Place, signal: AbortSignal): Promise<void> {
  const within = AbortSignal.any([signal, AbortSignal.timeout(askMs)]);
  try {
    await place.list('region-check/', false, within)[Symbol.asyncIterator]().next();
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof AppError && error.code === 'STORAGE_WRONG_REGION') throw error;
  }
}
