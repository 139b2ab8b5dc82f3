/** Implements `restore --drop-existing` and `--create-db`: fills a database under another name, verifies it, then renames it. */
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
  setDatabaseOwner,
} from '../../postgres/databases/create-database.js';
import {listDatabases, whyDoubtful} from '../../postgres/databases/owner-comment.js';
import {
  applyDatabaseProperties,
  comparedProperties,
  defaultDatabaseAcl,
} from '../../postgres/databases/database-properties.js';
import {lockWaitMsFor} from '../../postgres/databases/lock-watch.js';
import {formatMaskedComment, withoutMaskedTag} from '../../postgres/inspect/masked-comment.js';
import {describeProcess, livenessOf, thisProcess} from '../../base/process-identity.js';
import type {RunContext} from '../../run/run-context.js';
import {runHook} from '../../run/run-hook.js';
import {openJournal} from '../../run/journal.js';
import {backupProperties} from './database-defaults.js';
import type {CopiedProperties} from './can-swap.js';
import {asFailedRestore, loadAndCompare, type LoadedAndCompared} from './load-and-compare.js';
import type {RestorePlan} from './plan.js';
import {findDamage} from './source.js';
import {freeDatabaseName, swapDatabases} from './swap-databases.js';

export interface SwappedRestore extends LoadedAndCompared {
  /** Present name of the old database; null if there was none. */
  readonly setAside: string | null;
}

/**
 * The target is not touched before the swap, and a new database never appears half-filled under its final name. A failure
 * drops the new database.
 * @param copied properties for the new database, from the target or from the backup's source
 * @throws LOCKED, RESTORE_FAILED, RESTORED_DIFFERS, ...
 */
export async function restoreBySwap(
  context: RunContext,
  plan: RestorePlan,
  maintenance: Connection,
  copied: CopiedProperties,
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
      return fillAndSwap(context, plan, {maintenance, session, lock}, copied);
    }),
  );
}

/** Drops staging databases of killed runs. No other run uses them, because this one holds their lock. */
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
      context.warn(
        `The comment on "${name}" says that a run left it behind, but it ${doubt}. It was not dropped.`,
      );
      continue;
    }
    const liveness = mark.owner ? await livenessOf(mark.owner) : 'dead';
    if (liveness === 'dead' || (liveness === 'elsewhere' && sessions === 0)) {
      await dropWorkDatabase(session, maintenance, name);
      context.warn(`Dropped "${name}", which a killed run left behind.`);
    } else if (mark.owner) {
      context.warn(
        `"${name}" belongs to a run that may still be running (${describeProcess(mark.owner)}). It was not dropped.`,
      );
    }
  }
}

interface Locked {
  readonly maintenance: Connection;
  /** Session of `maintenance` that took the lock. */
  readonly session: Session;
  readonly lock: AdvisoryLock;
}

async function fillAndSwap(
  context: RunContext,
  plan: RestorePlan,
  {maintenance, session, lock}: Locked,
  copied: CopiedProperties,
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
    loaded = await fillStaging(context, plan, session, copied, staging, existence).catch(
      async (error: unknown) => {
        damage = await findDamage(context, plan.source, error);
        throw error;
      },
    );
    if (plan.beforeSwap?.isDiscarded === true) {
      await withSession(maintenance, (open) => dropWorkDatabase(open, maintenance, staging));
      await stagingDone();
      await journal.close();
      return {...loaded, setAside: null};
    }
    if (setAside !== null) await runHook(context, 'beforeSwap', withDatabase(plan.target, staging), target);
    await stillLocked(maintenance, session, lock, async (locked) => {
      notCompared.push(...(await copyProperties(context, plan, locked, staging, copied)));
      context.signal.throwIfAborted();
      await context.checkpoint('staging.finished');
      if (setAside !== null)
        swapDone = await journal.begin({kind: 'swap', server, target, setAside, staging});
      await context.progress.step(setAside === null ? 'Rename it' : 'Swap', async (step) => {
        const {databaseComment} = copied.properties;
        const ownerComment = {
          kind: 'set-aside',
          database: target,
          at: now.toISOString(),
          owner: null,
          comment: databaseComment,
        } as const;
        await swapDatabases(context.checkpoint, maintenance, locked, {
          name: target,
          incoming: staging,
          setAside,
          ownerComment,
          comment: commentFor(plan, databaseComment),
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
    const state = setAside === null ? `No database "${target}" was created.` : `"${target}" is unchanged.`;
    const dropped = existence.isPossible ? ` The temporary database "${staging}" was dropped.` : '';
    throw damage ?? asFailedRestore(error, `${state}${dropped}`, plan);
  }
  await swapDone?.();
  await stagingDone();
  await journal.close();
  return {...loaded, notCompared: [...loaded.notCompared, ...notCompared], setAside};
}

/** Says whether the restored content is masked, which the comment of the replaced database says of that one. */
function commentFor({source, beforeSwap}: RestorePlan, replaced: string | null): string | null {
  const comment = withoutMaskedTag(replaced);
  const masked = source.backup?.record?.inventory.masked;
  return beforeSwap?.comment(comment) ?? (masked ? formatMaskedComment({...masked, comment}) : comment);
}

/** Creates the database beside the target, loads and compares it. */
async function fillStaging(
  context: RunContext,
  plan: RestorePlan,
  session: Session,
  copied: CopiedProperties,
  staging: string,
  existence: Existence,
): Promise<LoadedAndCompared> {
  const database = plan.target.database;
  const at = context.clock.now().toISOString();
  const owner = await thisProcess();
  await context.progress.step(`Create the database ${staging}`, async () => {
    // The owner of a database can always connect to it.
    const hidden = plan.beforeSwap ? {...copied.database, owner: undefined} : copied.database;
    await createWorkDatabase(session, staging, hidden, plan.rights.serverMajor, existence);
    await context.checkpoint('staging.made');
    await openWorkDatabase(session, staging, {kind: 'staging', database, at, owner, comment: null});
    await context.checkpoint('staging.marked');
  });
  const loaded = await loadAndCompare(context, plan, withDatabase(plan.target, staging), plan.beforeSwap);
  await context.checkpoint('staging.filled');
  return loaded;
}

/** Copies the properties to the new database. @returns differences from the backup, a line each */
async function copyProperties(
  context: RunContext,
  {source, load, present, beforeSwap}: RestorePlan,
  session: Session,
  staging: string,
  copied: CopiedProperties,
): Promise<string[]> {
  const {owner} = copied.database;
  if (beforeSwap && owner !== undefined) await setDatabaseOwner(session, staging, owner);
  // The comment is set with the name; until then the database has the owner comment.
  const databaseAcl = copied.properties.databaseAcl ?? [...defaultDatabaseAcl];
  const properties = {...copied.properties, databaseAcl, databaseComment: null};
  const failures = await applyDatabaseProperties(session, staging, properties);
  for (const failure of failures) context.warn(`Not copied to the new database: ${failure}`);
  const backup = await backupProperties(source, load.pgRestore, context.signal);
  // The properties of a replaced database are kept and may differ from the backup.
  const kept = present ? comparedProperties(copied.properties, backup.properties) : [];
  return [...backup.unknown, ...failures, ...kept];
}

async function dropStaging(maintenance: Connection, staging: string, cause: unknown): Promise<void> {
  try {
    await withSession(maintenance, (session) => dropWorkDatabase(session, maintenance, staging));
  } catch (error) {
    throw new AppError(
      'RESTORE_FAILED',
      `The restore failed, and "${staging}" with a part of the backup could not be dropped: ${messageOf(cause)}`,
      {hint: 'Drop it later: destino-db recover', details: [messageOf(error)], cause},
    );
  }
}
