/** Implements `undo`: gives the database that the last swap set aside its name back. */
import {isSystemDatabase} from '../../catalog/replacing-flags.js';
import {AppError} from '../../base/errors.js';
import {formatAge, formatBytes} from '../../base/format.js';
import {didYouMean} from '../../base/nearest.js';
import {withAdvisoryLock} from '../../postgres/databases/advisory-lock.js';
import {withSession} from '../../postgres/client.js';
import {type Connection, refuseTransactionPooler, withDatabase} from '../../postgres/connect/connection.js';
import {resolveConnection} from '../../postgres/connect/resolve-connection.js';
import {
  type OwnerComment,
  type ListedDatabase,
  listDatabases,
  whyDoubtful,
  setAsideFor,
} from '../../postgres/databases/owner-comment.js';
import {lockWaitMsFor} from '../../postgres/databases/lock-watch.js';
import {inspectComment} from '../../postgres/inspect/masked-comment.js';
import {requireWritable} from '../../postgres/inspect/writable.js';
import {isProductionDatabase} from '../guards/production.js';
import type {RunContext} from '../../run/run-context.js';
import {openJournal} from '../../run/journal.js';
import {findMaintenance} from '../../postgres/databases/maintenance-database.js';
import {recordGone, recordSetAside} from '../../run/record-set-aside.js';
import {freeDatabaseName, swapDatabases} from './swap-databases.js';

export interface UndoRequest {
  readonly targetDb?: string;
  /** The set-aside database to bring back, even if its owner comment is not trusted; the newest trusted one by default. */
  readonly setAsideDb?: string;
  readonly dryRun?: boolean;
  /** How long to wait for another run that changes the same database, ms. */
  readonly waitMs?: number;
  /** How long to wait for locks of other sessions, ms. */
  readonly lockWaitMs?: number;
}

export interface UndoResult {
  readonly mode: 'dry-run' | 'execute';
  readonly target: string;
  readonly host: string;
  /** The database that gets the name. */
  readonly broughtBack: string;
  /** When it was set aside, ISO 8601. */
  readonly setAsideAt: string;
  /** New name of the database with the newer content; null in a dry run, or if there was none. */
  readonly setAside: string | null;
}

interface UndoPlan {
  readonly target: Connection;
  readonly maintenance: Connection;
  readonly incoming: ListedDatabase & {readonly mark: OwnerComment};
  /** The database that has the name now, if any. */
  readonly present: ListedDatabase | undefined;
}

/**
 * Swaps back. The newer content is set aside in turn, so a second undo reverses the first one.
 * @throws BACKUP_NOT_FOUND if nothing is set aside, NOT_CONFIRMED, LOCKED, RESTORE_FAILED
 */
export async function undoRestore(context: RunContext, request: UndoRequest): Promise<UndoResult> {
  const plan = await context.progress.step('Look for what was set aside', async (step) => {
    const made = await planUndo(context, request);
    step.note(made.incoming.name);
    return made;
  });
  const result = {
    target: plan.target.database,
    host: plan.target.host,
    broughtBack: plan.incoming.name,
    setAsideAt: plan.incoming.mark.at,
  };
  const {database: name, host, port} = plan.target;
  context.checkName({database: name});
  context.record({database: {name, systemIdentifier: null, host, port}});
  if (request.dryRun === true) {
    context.record({mode: 'preview'});
    return {...result, mode: 'dry-run', setAside: null};
  }
  const describe = ({owner, sizeBytes}: ListedDatabase): string =>
    `owner ${owner}${sizeBytes === null ? '' : `, ${formatBytes(sizeBytes)}`}`;
  await context.confirm({
    action: `Bring back the database that was set aside as "${plan.incoming.name}".`,
    host: plan.target.host,
    database: plan.target.database,
    isProduction: await isProductionDatabase(context, plan.target),
    plan: [
      `comes back  ${plan.incoming.name}, set aside ${formatAge(new Date(plan.incoming.mark.at), context.clock.now())}, ${describe(plan.incoming)}`,
      plan.present
        ? `set aside   the present ${plan.target.database}, ${describe(plan.present)}; nothing is dropped`
        : `set aside   nothing: no database is called ${plan.target.database}`,
    ],
  });
  return {...result, mode: 'execute', setAside: await executeUndo(context, plan, request)};
}

async function planUndo(context: RunContext, request: UndoRequest): Promise<UndoPlan> {
  const connection = resolveConnection(context.settings);
  refuseTransactionPooler(connection);
  const target = withDatabase(connection, request.targetDb ?? connection.database);
  const maintenance = await findMaintenance(connection, target, context.signal);
  const databases = await withSession(
    maintenance,
    async (session) => {
      await requireWritable(session, 'Nothing can be brought back here', {database: target.database});
      return listDatabases(session);
    },
    {signal: context.signal},
  );
  const now = context.clock.now();
  const incoming = newestSetAside(databases, target.database, now, request.setAsideDb);
  const doubtful = setAsideFor(databases, target.database).flatMap(({database, mark}) => {
    const doubt = whyDoubtful(database, mark, databases, now);
    return doubt === undefined || database.name === incoming?.name
      ? []
      : [`The comment on "${database.name}" says that it was set aside, but it ${doubt}`];
  });
  if (!incoming) {
    const named = request.setAsideDb;
    const which = named === undefined ? 'No database is' : `"${named}" is not`;
    const guess =
      named === undefined
        ? didYouMean(target.database, databasesWithOne(databases))
        : didYouMean(named, namesOf(setAsideFor(databases, target.database)));
    throw new AppError(
      'BACKUP_NOT_FOUND',
      `${which} set aside for "${target.database}" on ${target.host}. Nothing was changed.${guess}`,
      {
        hint:
          doubtful.length > 0
            ? 'If one of these is yours, give its name: destino-db undo --set-aside-db NAME'
            : isSystemDatabase(target.database)
              ? 'This database is restored in place and is never set aside. Restore the safety backup of the last restore instead (destino-db list), or the newest backup: destino-db restore --latest --clean'
              : 'Only restore --drop-existing sets a database aside. Restore a backup instead: destino-db restore --latest --drop-existing',
        details: doubtful,
      },
    );
  }
  for (const one of doubtful) context.warn(`${one}. It was not used.`);
  return {target, maintenance, incoming, present: databases.find(({name}) => name === target.database)};
}

function namesOf(setAside: ReturnType<typeof setAsideFor>): string[] {
  return setAside.map(({database}) => database.name);
}

/** Names of databases for which another one is set aside. */
function databasesWithOne(databases: readonly ListedDatabase[]): string[] {
  return databases.flatMap(({mark}) => (mark?.kind === 'set-aside' ? [mark.database] : []));
}

/** The named database, even if its owner comment is not trusted; otherwise the newest trusted one. */
function newestSetAside(
  databases: readonly ListedDatabase[],
  target: string,
  now: Date,
  name: string | undefined,
): UndoPlan['incoming'] | undefined {
  const found = setAsideFor(databases, target).find(({database, mark}) =>
    name === undefined ? whyDoubtful(database, mark, databases, now) === undefined : database.name === name,
  );
  return found && {...found.database, mark: found.mark};
}

async function executeUndo(
  context: RunContext,
  plan: UndoPlan,
  {waitMs = 0, lockWaitMs, setAsideDb}: UndoRequest,
): Promise<string | null> {
  const {target, maintenance, incoming} = plan;
  const name = target.database;
  return withSession(maintenance, (session) =>
    withAdvisoryLock(
      session,
      {purpose: 'change', database: name, waitMs, signal: context.signal},
      async () => {
        const databases = await listDatabases(session);
        if (newestSetAside(databases, name, context.clock.now(), setAsideDb)?.name !== incoming.name) {
          throw new AppError(
            'PLAN_CHANGED',
            'Another run swapped the databases meanwhile. Nothing was changed.',
          );
        }
        const now = context.clock.now();
        const isPresent = databases.some((database) => database.name === name);
        const setAside = isPresent ? await freeDatabaseName(session, name, 'before', now) : null;
        const comment = await inspectComment(session, name);
        const journal = openJournal(context, 'undo');
        const server = {host: target.host, port: target.port};
        const done =
          setAside === null
            ? undefined
            : await journal.begin({kind: 'swap', server, target: name, setAside, staging: incoming.name});
        try {
          await context.progress.step('Swap', async () =>
            swapDatabases(context.checkpoint, maintenance, session, {
              name,
              incoming: incoming.name,
              setAside,
              ownerComment: {kind: 'set-aside', database: name, at: now.toISOString(), owner: null, comment},
              comment: incoming.mark.comment,
              lockWaitMs: lockWaitMsFor(lockWaitMs),
            }),
          );
        } finally {
          // The swap is one transaction, so there is nothing to clean up.
          await done?.();
          await journal.close();
        }
        recordGone(context, target, {id: incoming.name, setAsideAt: incoming.mark.at});
        if (setAside !== null) await recordSetAside(context, session, target, setAside);
        return setAside;
      },
    ),
  );
}
