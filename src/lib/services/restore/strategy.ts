/** Chooses the strategy of a restore, from the flags and the content of the target. */
import {AppError} from '../../base/errors.js';
import {isSystemDatabase} from '../../catalog/replacing-flags.js';
import {describeObjects, isEmptyDatabase} from '../../postgres/inspect/inspect-target.js';
import type {PresentDatabase} from './can-swap.js';
import type {RestoreRequest} from './options.js';

interface Strategy {
  /** Whether it fills a database beside the target, which gets the target's name after the comparison. */
  readonly isBeside: boolean;
  /** Whether what the target contains is replaced. */
  readonly replaces: boolean;
}

/** create: a new database. fill: an empty one. clean: over a full one. swap: beside a full one, then swapped. */
export const strategies = {
  create: {isBeside: true, replaces: false},
  fill: {isBeside: false, replaces: false},
  clean: {isBeside: false, replaces: true},
  swap: {isBeside: true, replaces: true},
} as const satisfies Readonly<Record<string, Strategy>>;

export type RestoreStrategy = keyof typeof strategies;

/** Whether the flags select a strategy that fills a database beside the target. */
export function isBesideTarget({createDb, dropExisting}: RestoreRequest): boolean {
  return createDb === true || dropExisting === true;
}

/** Whether all rows of the backup are restored into a database beside the target, which gets the target's name only if they are equal. */
export function isComparedBeforeUse(request: RestoreRequest): boolean {
  const {dryRun, schemaOnly, dataOnly, skipErrors, includeTables = []} = request;
  const isOther = [dryRun, schemaOnly, dataOnly, skipErrors].includes(true) || includeTables.length > 0;
  return isBesideTarget(request) && !isOther;
}

/** @throws TARGET_NOT_EMPTY, TARGET_EXISTS, NOT_SUPPORTED_HERE */
export function chooseStrategy(
  request: RestoreRequest,
  database: string,
  present: PresentDatabase | null,
  isPart: boolean,
): RestoreStrategy {
  if (!present) return 'create';
  if (present.identity.isTemplate) {
    throw new AppError(
      'NOT_SUPPORTED_HERE',
      `"${database}" is a template, so every new database would contain the restored content. Nothing was changed.`,
      {hint: 'Name another database with --target-db.'},
    );
  }
  if (request.dropExisting === true) return 'swap';
  const isKept = isPart || isTied(database, present);
  if (request.createDb === true) {
    throw new AppError('TARGET_EXISTS', `The database "${database}" already exists. Nothing was changed.`, {
      hint: `Name another database with --target-db, or ${isKept ? 'restore over this one with --clean' : 'replace this one with --drop-existing'}.`,
    });
  }
  if (isEmptyDatabase(present.objects) || hasPlatformOnly(present)) return 'fill';
  if (request.clean === true) return 'clean';
  if (request.dataOnly === true) return 'fill';
  throw new AppError(
    'TARGET_NOT_EMPTY',
    `The database "${database}" is not empty (${describeObjects(present.objects)}). Nothing was changed.`,
    {
      hint: `Restore into a new one (--target-db ${database}_restored --create-db), ${isKept ? '' : 'replace it, keeping the old one aside (--drop-existing), '}or restore over it (--clean).`,
    },
  );
}

/** Whether a service or the server needs the database under its name, so that it cannot be swapped. */
export function isTied(database: string, present: PresentDatabase | null): boolean {
  return isSystemDatabase(database) || present?.ownership != null;
}

/** A new project: what the service itself put there is no content. */
function hasPlatformOnly({ownership}: PresentDatabase): boolean {
  if (!ownership) return false;
  const isUsers = ({party}: {readonly party: string}): boolean => party === 'user';
  // Only a superuser makes event triggers, so what they call was there before as well.
  const fired = new Set(
    ownership.eventTriggers.map(({function: called}) => `${called.schema}.${called.signature}`),
  );
  return (
    !ownership.relations.some(isUsers) &&
    !ownership.functions.some((one) => isUsers(one) && !fired.has(`${one.schema}.${one.signature}`))
  );
}
