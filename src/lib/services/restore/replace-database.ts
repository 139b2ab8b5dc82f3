/** The story of `restore --drop-existing` and `--create-db`: fill a database under another name, prove it, then give it the name. */
import {recordSetAside} from '../../run/record-set-aside.js';
import {AppError, messageOf} from '../../base/errors.js';
import {type AdvisoryLock, stillLocked, withAdvisoryLock} from '../../postgres/databases/advisory-lock.js';
import {type Session, withSession} from '../../postgres/client.js';
import {type Connection, withDatabase} from '../../postgres/connect/connection.js';
import {
  createWorkDatabase,
  dropWorkDatabase,
  type Existence,
  openWorkDatabase,
} from '../../postgres/databases/create-database.js';
import {listDatabases, whyDoubtful} from '../../postgres/databases/owner-comment.js';
import {
  applyDatabaseProperties,
  comparedProperties,
  defaultDatabaseAcl,
} from '../../postgres/databases/database-properties.js';
import {lockWaitMsFor} from '../../postgres/databases/lock-watch.js';
import {describeProcess, livenessOf, thisProcess} from '../../base/process-identity.js';
import type {RunContext} from '../../run/run-context.js';
import {openJournal} from '../../run/journal.js';
import {backupProperties} from './database-defaults.js';
import type {CarriedOver} from './can-swap.js';
import {asFailedRestore, loadAndCompare, type LoadedAndCompared} from './load-and-compare.js';
import type {RestorePlan} from './plan.js';
import {findDamage} from './source.js';
import {freeDatabaseName, swapDatabases} from './swap-databases.js';

export interface SwappedRestore extends LoadedAndCompared {
  /** What the old database is called now; null when there was none. */
  readonly setAside: string | null;
}

/**
 * Until the swap the target is not touched, and a database that is yet to be made does not appear half-filled under its
 * name; a failure drops the new database and leaves nothing.
 * @param carried what the new database is made with: of the target, or of the backup's source
 * @throws LOCKED, RESTORE_FAILED, RESTORED_DIFFERS, ...
 */
export async function restoreBySwap(
  context: RunContext,
  plan: RestorePlan,
  maintenance: Connection,
  carried: CarriedOver,
): Promise<SwappedRestore> {
  const {database} = plan.target;
  const lock = {
    purpose: 'change',
    database,
    waitMs: plan.request.waitMs ?? 0,
    signal: context.signal,
  } as const;
  return withSession(maintenance, (session) =>
    withAdvisoryLock(session, lock, async () => {
      await dropStrays(context, maintenance, session, database);
      return fillAndSwap(context, plan, {maintenance, session, lock}, carried);
    }),
  );
}

/** Staging databases that runs left behind when they were killed; this run holds their lock, so nobody works in them. */
async function dropStrays(
  context: RunContext,
  maintenance: Connection,
  session: Session,
  target: string,
): Promise<void> {
  const databases = await listDatabases(session);
  for (const database of databases) {
    const {name, mark, sessions} = database;
    if (mark?.kind !== 'staging' || mark.database !== target) continue;
    const doubt = whyDoubtful(database, mark, databases, context.clock.now());
    if (doubt !== undefined) {
      context.warn(`"${name}" is marked as left behind by a run, but it ${doubt}; it was left alone.`);
      continue;
    }
    const fate = mark.owner ? await livenessOf(mark.owner) : 'dead';
    if (fate === 'dead' || (fate === 'elsewhere' && sessions === 0)) {
      await dropWorkDatabase(session, maintenance, name);
      context.warn(`"${name}", left behind by a run that was killed, was dropped.`);
    } else if (mark.owner) {
      context.warn(
        `"${name}" belongs to a run that may be at work (${describeProcess(mark.owner)}); it was left alone.`,
      );
    }
  }
}

interface Locked {
  readonly maintenance: Connection;
  /** Of `maintenance`; it took the lock. */
  readonly session: Session;
  readonly lock: AdvisoryLock;
}

async function fillAndSwap(
  context: RunContext,
  plan: RestorePlan,
  {maintenance, session, lock}: Locked,
  carried: CarriedOver,
): Promise<SwappedRestore> {
  const target = plan.target.database;
  const now = context.clock.now();
  const staging = await freeDatabaseName(session, target, 'restore', now);
  const setAside = plan.present ? await freeDatabaseName(session, target, 'before', now) : null;
  const journal = openJournal(context, 'restore');
  const server = {host: plan.target.host, port: plan.target.port};
  const stagingDone = await journal.begin({kind: 'staging-database', server, database: staging, target});
  let loaded: LoadedAndCompared;
  let damage: AppError | undefined;
  let swapDone: (() => Promise<void>) | undefined;
  const notCompared: string[] = [];
  const existence: Existence = {isPossible: false};
  try {
    loaded = await fillStaging(context, plan, session, carried, staging, existence).catch(
      async (error: unknown) => {
        damage = await findDamage(context, plan.source, error);
        throw error;
      },
    );
    await stillLocked(maintenance, session, lock, async (locked) => {
      notCompared.push(...(await carryOver(context, plan, locked, staging, carried)));
      context.signal.throwIfAborted();
      await context.checkpoint('staging.finished');
      if (setAside !== null)
        swapDone = await journal.begin({kind: 'swap', server, target, setAside, staging});
      await context.progress.step(setAside === null ? 'Give it its name' : 'Swap', async (step) => {
        const {databaseComment: comment} = carried.properties;
        const mark = {
          kind: 'set-aside',
          database: target,
          at: now.toISOString(),
          owner: null,
          comment,
        } as const;
        await swapDatabases(context.checkpoint, maintenance, locked, {
          name: target,
          incoming: staging,
          setAside,
          mark,
          comment,
          lockWaitMs: lockWaitMsFor(plan.request.lockWaitMs),
        });
        if (setAside !== null) {
          step.note(`the old one is ${setAside}`);
          await recordSetAside(context, locked, plan.target, setAside);
        }
      });
    });
  } catch (error) {
    if (existence.isPossible) await dropStaging(maintenance, staging, damage ?? error);
    await swapDone?.();
    await stagingDone();
    await journal.close();
    const state = setAside === null ? `No database "${target}" was made.` : `"${target}" is as it was.`;
    const dropped = existence.isPossible ? ` "${staging}", which was made for it, was dropped again.` : '';
    throw damage ?? asFailedRestore(error, `${state}${dropped}`);
  }
  await swapDone?.();
  await stagingDone();
  await journal.close();
  return {...loaded, notCompared: [...loaded.notCompared, ...notCompared], setAside};
}

/** Makes the database beside the target, loads and compares it. */
async function fillStaging(
  context: RunContext,
  plan: RestorePlan,
  session: Session,
  carried: CarriedOver,
  staging: string,
  existence: Existence,
): Promise<LoadedAndCompared> {
  const database = plan.target.database;
  const at = context.clock.now().toISOString();
  const owner = await thisProcess();
  await context.progress.step(`Make the database ${staging}`, async () => {
    await createWorkDatabase(session, staging, carried.database, plan.rights.serverMajor, existence);
    await context.checkpoint('staging.made');
    await openWorkDatabase(session, staging, {kind: 'staging', database, at, owner, comment: null});
    await context.checkpoint('staging.marked');
  });
  const loaded = await loadAndCompare(context, plan, withDatabase(plan.target, staging));
  await context.checkpoint('staging.filled');
  return loaded;
}

/** Gives the new database what belongs to the target's name. @returns what it has otherwise than the backup, a line each */
async function carryOver(
  context: RunContext,
  {source, load, present}: RestorePlan,
  session: Session,
  staging: string,
  carried: CarriedOver,
): Promise<string[]> {
  // The comment follows with the name; until then it is the mark.
  const databaseAcl = carried.properties.databaseAcl ?? [...defaultDatabaseAcl];
  const properties = {...carried.properties, databaseAcl, databaseComment: null};
  const failures = await applyDatabaseProperties(session, staging, properties);
  for (const failure of failures) context.warn(`Not carried over: ${failure}`);
  const backup = await backupProperties(source, load.pgRestore, context.signal);
  // A database that is replaced hands on its own.
  const kept = present ? comparedProperties(carried.properties, backup.properties) : [];
  return [...backup.unknown, ...failures, ...kept];
}

async function dropStaging(maintenance: Connection, staging: string, cause: unknown): Promise<void> {
  try {
    await withSession(maintenance, (session) => dropWorkDatabase(session, maintenance, staging));
  } catch (error) {
    throw new AppError(
      'RESTORE_FAILED',
      `The restore failed, and "${staging}", which holds a part of it, could not be dropped: ${messageOf(cause)}`,
      {hint: 'Clear it up later: destino-db recover', details: [messageOf(error)], cause},
    );
  }
}
