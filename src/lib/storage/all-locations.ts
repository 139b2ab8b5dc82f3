/** The backups of several locations as one catalogue. */
import {standingOfRecord} from '../catalog/backup-record.js';
import {type Backup, type Catalogue, isGood, isUsable, storedBytes} from '../catalog/catalogue.js';
import {newestFirst} from '../catalog/retention.js';
import {proofLevels} from '../run/check-outcome.js';
import {AppError} from '../base/errors.js';
import type {RunContext} from '../run/run-context.js';
import {allPlaces} from '../settings/sources.js';
import {openPlace} from './open-place.js';
import {contentTag} from './place-catalogue.js';

type PlaceContext = Pick<RunContext, 'settings' | 'signal'>;

/** Summary of one location. */
export interface PlaceSummary {
  readonly place: string;
  readonly backups: number;
  /** Bytes. */
  readonly size: number;
  readonly newestGood: {readonly id: string; readonly createdAt: string} | null;
  readonly damaged: number;
  /** Why the location could not be read; its numbers are then 0. */
  readonly error: {readonly code: string; readonly message: string} | null;
}

export interface PlacesRead {
  /** Each backup once, even if it has several copies; `places` lists the locations of intact ones. */
  readonly catalogue: Catalogue;
  /** The main location first, then those of the config file. */
  readonly places: readonly PlaceSummary[];
}

/** The backups of a location; in a folder, those of the old scripts too. @throws the codes of the stores, READ_FAILED */
export async function readFrom({settings, signal}: PlaceContext, name: string): Promise<Catalogue> {
  const place = await openPlace(settings, name);
  return ((await place.ofDatabases?.()) ?? place).catalogue(signal, settings.backupsDir);
}

/**
 * The backups of a location, with their copies in the locations of the config file. If one of those cannot be read, its summary says so.
 * @param isWanted selects the backups of the other locations
 */
export async function withCopies(
  context: PlaceContext,
  first: {readonly place: string; readonly catalogue: Catalogue},
  isWanted: (backup: Backup) => boolean = () => true,
): Promise<PlacesRead> {
  const names = allPlaces(context.settings.config);
  const others = await Promise.all(names.map((name) => readOther(context, name)));
  const read: Reading[] = [
    {...first, error: null},
    ...others.map((other) => ({
      ...other,
      catalogue: {...other.catalogue, backups: other.catalogue.backups.filter(isWanted)},
    })),
  ];
  return {
    catalogue: {
      backups: mergeCopies(read),
      problems: read.flatMap(({catalogue}) => catalogue.problems),
    },
    places: read.map(summarize),
  };
}

interface Reading {
  readonly place: string;
  readonly catalogue: Catalogue;
  readonly error: PlaceSummary['error'];
}

async function readOther(context: PlaceContext, place: string): Promise<Reading> {
  try {
    return {place, catalogue: await readFrom(context, place), error: null};
  } catch (error) {
    context.signal.throwIfAborted();
    if (!(error instanceof AppError)) throw error;
    const {code, message} = error;
    return {place, catalogue: {backups: [], problems: []}, error: {code, message}};
  }
}

function summarize({place, catalogue: {backups}, error}: Reading): PlaceSummary {
  const newest = backups.find(isUsable);
  return {
    place,
    backups: backups.length,
    size: storedBytes(backups),
    newestGood: newest ? {id: newest.id, createdAt: newest.createdAt.toISOString()} : null,
    damaged: backups.filter((backup) => !isGood(backup)).length,
    error,
  };
}

/** Newest first. Of several copies of a backup, the best proven one represents all. */
export function mergeCopies(
  readings: readonly {readonly place: string; readonly catalogue: Catalogue}[],
): Backup[] {
  const copies = new Map<string, {place: string; backup: Backup}[]>();
  for (const {place, catalogue} of readings) {
    for (const backup of catalogue.backups) {
      const {record} = backup;
      const key = record ? JSON.stringify([record.id, contentTag(record)]) : backup.metadataPath;
      copies.set(key, [...(copies.get(key) ?? []), {place, backup}]);
    }
  }
  const merged = [...copies.values()].flatMap((all) => {
    const [best] = [...all].sort((a, b) => standing(b.backup) - standing(a.backup));
    const places = all.filter(({backup}) => isGood(backup)).map(({place}) => place);
    return best ? [{...best.backup, places}] : [];
  });
  return merged.sort(newestFirst);
}

/** How far a copy is proven; negative if it is damaged. */
function standing({record}: Backup): number {
  if (!record) return 0;
  const {failure, proof} = standingOfRecord(record);
  if (failure) return -1;
  return proof ? proofLevels.indexOf(proof.level) + 1 : 0;
}
