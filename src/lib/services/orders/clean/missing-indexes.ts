/** Creates indexes for foreign keys without one, for the duration of a cleaning. */
import {AppError, messageOf} from '../../../base/errors.js';
import {formatDuration} from '../../../base/format.js';
import type {Session} from '../../../postgres/client.js';
import {quoteIdentifier, quoteQualified} from '../../../postgres/quote.js';
import type {SlowLink} from './delete-effects.js';
import type {Link} from '../rules/order-graph.js';

/** A slower deletion is refused, because it would keep its locks that long. */
const refuseAboveSeconds = 60;
const warnAboveSeconds = 1;

/**
 * Refuses deletions that missing indexes would make very slow, and warns of those that they would slow down.
 * @throws GUARD with the foreign keys
 */
export function refuseSlowLinks(slowLinks: readonly SlowLink[], warn: (message: string) => void): void {
  const seconds = slowLinks.reduce((sum, slow) => sum + slow.seconds, 0);
  if (seconds <= warnAboveSeconds) return;
  const names = slowLinks.map((slow) => `${slow.constraint} on ${slow.table} (${slow.columns.join(', ')})`);
  const message =
    `There is no index for ${names.join('; ')}: the server reads the whole table for every deleted row, ` +
    `which takes about ${formatDuration(seconds * 1000)}`;
  if (seconds <= refuseAboveSeconds) {
    warn(`${message}.`);
    return;
  }
  throw new AppError('GUARD', `${message}; nothing was changed.`, {
    hint: 'Create the indexes, or let the cleaning create them temporarily with --create-missing-indexes.',
  });
}

/** The prefix of these indexes, by which a leftover one is recognised without a journal. */
export const temporaryIndexPrefix = 'destino_db_temporary_';

/**
 * Runs `work` with an index for each link. The indexes are created without blocking writers (manual, CREATE INDEX CONCURRENTLY) and
 * dropped afterwards; after a kill, the next run replaces them and `recover` drops them.
 * @param begin called with each index before it is created; its result is called when the index is dropped
 * @throws PERMISSION_DENIED if the role does not own the table
 */
export async function withMissingIndexes<T>(
  session: Session,
  links: readonly Link[],
  {
    warn,
    begin,
  }: {
    readonly warn: (message: string) => void;
    readonly begin: (index: string) => Promise<() => Promise<void>>;
  },
  work: () => Promise<T>,
): Promise<T> {
  const made: {drop: string; done: () => Promise<void>}[] = [];
  try {
    for (const {childRelation, childColumns} of links) {
      const name = `${temporaryIndexPrefix}${childRelation.oid}_${childColumns.map((column) => childRelation.columns.findIndex((candidate) => candidate.name === column)).join('_')}`;
      const qualified = quoteQualified(childRelation.schema, name);
      // The indexes of a partitioned table cannot be created or dropped concurrently.
      const concurrently = childRelation.isPartitioned ? '' : 'CONCURRENTLY ';
      const drop = `DROP INDEX ${concurrently}IF EXISTS ${qualified}`;
      await session.query(drop);
      made.push({drop, done: await begin(name)});
      await session.query(
        `CREATE INDEX ${concurrently}${quoteIdentifier(name)} ON ${quoteQualified(childRelation.schema, childRelation.name)} (${childColumns.map(quoteIdentifier).join(', ')})`,
      );
    }
    return await work();
  } finally {
    for (const {drop, done} of made) {
      // The work is done in any case; an index that remains is only a warning.
      await session.query(drop).then(done, (error: unknown) => {
        warn(`A temporary index could not be dropped (${messageOf(error)}). Run: destino-db recover`);
      });
    }
  }
}
