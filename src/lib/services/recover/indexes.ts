/** Finds temporary indexes of interrupted cleanings. */
import {withAdvisoryLock} from '../../postgres/databases/advisory-lock.js';
import {withSession} from '../../postgres/client.js';
import {type Connection, withDatabase} from '../../postgres/connect/connection.js';
import {databaseExists} from '../../postgres/inspect/inspect-target.js';
import {withMaintenanceSession} from '../../postgres/databases/maintenance.js';
import {quoteQualified} from '../../postgres/quote.js';
import {temporaryIndexPrefix} from '../orders/clean/missing-indexes.js';
import type {RunContext} from '../../run/run-context.js';
import type {LeftJournal} from '../../run/journal.js';
import {isSameServer} from './databases.js';
import type {Leftover} from './leftover.js';

/**
 * Looks in the database of the settings, and in those that journals of dead runs name. The indexes are recognised by their names. Their
 * makers hold the lock for changes of that database, so they are dropped under the same lock.
 * @throws the errors of connecting
 */
export async function findLeftoverIndexes(
  ctx: RunContext,
  connection: Connection,
  journals: readonly LeftJournal[],
): Promise<Leftover[]> {
  const named = journals
    .filter((journal) => journal.liveness === 'dead')
    .flatMap((journal) => journal.unfinished)
    .flatMap((entry) =>
      entry.kind === 'temporary-index' && isSameServer(entry.server, connection) ? [entry.database] : [],
    );
  const found: Leftover[] = [];
  for (const database of new Set([connection.database, ...named])) {
    const doesExist = await withMaintenanceSession(
      connection,
      (session) => databaseExists(session, database),
      {
        signal: ctx.signal,
      },
    );
    if (doesExist) found.push(...(await indexesIn(ctx, withDatabase(connection, database))));
  }
  return found;
}

async function indexesIn(ctx: RunContext, connection: Connection): Promise<Leftover[]> {
  const rows = await withSession(
    connection,
    (session) =>
      session.query(
        `SELECT n.nspname AS schema, c.relname AS name, c.relkind AS kind
           FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          WHERE c.relkind IN ('i', 'I') AND NOT c.relispartition AND starts_with(c.relname, $1)`,
        [temporaryIndexPrefix],
      ),
    {signal: ctx.signal},
  );
  const {database} = connection;
  return rows.map(({schema, name, kind}) => ({
    kind: 'temporary-index',
    what: name ?? '',
    action: 'drop',
    reason: `an interrupted cleaning of "${database}" created it temporarily`,
    run: () =>
      withSession(connection, (session) =>
        withAdvisoryLock(session, {purpose: 'change', database, signal: ctx.signal}, async () => {
          const concurrently = kind === 'I' ? '' : 'CONCURRENTLY ';
          await session.query(
            `DROP INDEX ${concurrently}IF EXISTS ${quoteQualified(schema ?? '', name ?? '')}`,
          );
        }),
      ),
  }));
}
