/** Chooses a backup by its id, of which a beginning that no other has is enough. */
import {AppError} from '../base/errors.js';
import {countOf} from '../base/format.js';
import {nearest, nearestFirst} from '../base/nearest.js';

interface Named {
  readonly id: string;
}

/**
 * The one backup whose id begins with `name`; undefined where none does.
 * @param distinctName another name, where two backups have the same id
 * @throws USAGE that names the candidates where several ids begin like this
 */
export function chooseByBeginning<B extends Named>(
  backups: readonly B[],
  name: string,
  place: string,
  distinctName: (backup: B) => string = ({id}) => id,
): B | undefined {
  const found = name === '' ? [] : backups.filter(({id}) => id.startsWith(name));
  if (found.length < 2) return found[0];
  const isOneId = found.every(({id}) => id === found[0]?.id);
  throw new AppError(
    'USAGE',
    `The ids of ${countOf(found.length, 'backup')} in ${place} begin with "${name}"; nothing was done.`,
    {
      hint: isOneId
        ? 'Name one of them by its file.'
        : 'Type more of the id; "latest" is the newest good one.',
      details: found.map((backup) => (isOneId ? distinctName(backup) : backup.id)),
    },
  );
}

/** The error for an id that no backup has, with the nearest one; a beginning of an id is compared with beginnings. */
export function unknownBackup(message: string, name: string, ids: readonly string[], hint: string): AppError {
  // A letter may be missing in it, or one too many.
  const lengths = [name.length, name.length + 1, name.length - 1];
  const beginnings = ids.flatMap((id) => lengths.map((length) => id.slice(0, Math.max(length, 1))));
  const near = nearest(name, [...beginnings, 'latest']);
  const guess = near === undefined ? '' : ` Did you mean "${ids.find((id) => id.startsWith(near)) ?? near}"?`;
  return new AppError('BACKUP_NOT_FOUND', `${message}${guess}`, {hint, details: nearestFirst(name, ids)});
}
