/** Indexes for foreign keys that have none, made for the duration of a cleaning. */
import {AppError, messageOf} from '../../../base/errors.js';
import {formatDuration} from '../../../base/format.js';
import type {Session} from '../../../postgres/client.js';
import {quoteIdentifier, quoteQualified} from '../../../postgres/quote.js';
import type {SlowLink} from './delete-effects.js';
import type {Link} from '../rules/order-graph.js';

/** Above this the deletion is refused, for it would hold its locks that much longer. */
const hurtsAboveSeconds = 60;
const mentionAboveSeconds = 1;

/**
 * Refuses deletions that missing indexes would make last, and mentions those they would slow down.
 * @throws GUARD naming the foreign keys
 */
export function refuseSlowLinks(slowLinks: readonly SlowLink[], warn: (message: string) => void): void {
  const seconds = slowLinks.reduce((sum, slow) => sum + slow.seconds, 0);
  if (seconds <= mentionAboveSeconds) return;
  const names = slowLinks.map((slow) => `${slow.constraint} on ${slow.table} (${slow.columns.join(', ')})`);
  const message =
    `No index serves ${names.join('; ')}: the server reads the whole table for every deleted row, ` +
    `which takes about ${formatDuration(seconds * 1000)}`;
  if (seconds <= hurtsAboveSeconds) {
    warn(`${message}.`);
    return;
  }
  throw new AppError('GUARD', `${message}; nothing was changed.`, {
    hint: 'Create the indexes, or let them be made for the duration with --create-missing-indexes.',
  });
}

/** How the names of these indexes begin, so that one that was left behind is known without a journal. */
export const temporaryIndexPrefix = 'destino_db_temporary_';

/**
 * Runs `work` with an index for each link, made without stopping writers (manual, CREATE INDEX CONCURRENTLY) and
 * dropped afterwards. What a killed run leaves is replaced by the next run and dropped by `recover`.
 * @param begin told of each index before it is made; what it returns is called when the index is gone
 * @throws PERMISSION_DENIED where the role does not own the table
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
      // A partitioned table's indexes cannot be made or dropped concurrently.
      const way = childRelation.isPartitioned ? '' : 'CONCURRENTLY ';
      const drop = `DROP INDEX ${way}IF EXISTS ${qualified}`;
      await session.query(drop);
      made.push({drop, done: await begin(name)});
      await session.query(
        `CREATE INDEX ${way}${quoteIdentifier(name)} ON ${quoteQualified(childRelation.schema, childRelation.name)} (${childColumns.map(quoteIdentifier).join(', ')})`,
      );
    }
    return await work();
  } finally {
    for (const {drop, done} of made) {
      // The work is over either way; what stays behind is said.
      await session.query(drop).then(done, (error: unknown) => {
        warn(`A temporary index could not be dropped (${messageOf(error)}). Run: destino-db recover`);
      });
    }
  }
}
