/** Checks whether the newest backup could be restored over the database of the URL, with the plan of the restore itself. */
import {AppError} from '../../base/errors.js';
import {countOf} from '../../base/format.js';
import {withSession} from '../../postgres/client.js';
import type {Connection} from '../../postgres/connect/connection.js';
import {inspectRole} from '../../postgres/inspect/inspect-target.js';
import type {RunContext} from '../../run/run-context.js';
import {checkSwap, type PresentDatabase} from '../restore/can-swap.js';
import {type Check, failedBy, passed} from './check.js';
import {findRestoreTools, lookAtTarget, planContents} from '../restore/plan.js';
import {findRestoreSource, type RestoreSource, withDefinitions} from '../restore/source.js';
import {describeLeftOut} from '../restore/what-to-restore.js';

const hint = 'Preview the restore: destino-db restore --latest --clean --dry-run';

/** Reads the catalog and the table of contents of the backup; a plain dump is read completely. */
export async function checkRestore(ctx: RunContext, target: Connection): Promise<Check[]> {
  // The restore itself prints the warnings; here only the outcome counts.
  const context = {...ctx, warn: () => {}};
  try {
    const present = await lookAtTarget(target, ctx.signal);
    if (!present) return [];
    return [
      await checkSwapping(context, target, present),
      ...(await checkContents(context, target, present)),
    ];
  } catch (error) {
    ctx.signal.throwIfAborted();
    return [failedBy('restore-plan', error, hint, false)];
  }
}

async function checkSwapping(
  context: RunContext,
  target: Connection,
  present: PresentDatabase,
): Promise<Check> {
  try {
    await checkSwap(context, target, present);
    return passed('swap', `"${target.database}" can be replaced by a new database`);
  } catch (error) {
    return failedBy('swap', error, 'Restore in place: restore --clean', false);
  }
}

async function checkContents(
  context: RunContext,
  target: Connection,
  present: PresentDatabase,
): Promise<Check[]> {
  const found = await findNewest(context);
  const record = found?.backup?.record;
  if (!found || !record) return [];
  const source = await withDefinitions(found, context.signal);
  const rights = await withSession(target, inspectRole, {signal: context.signal});
  const {pgRestore} = await findRestoreTools(context, source);
  const plan = await planContents(context, {
    source,
    pgRestore,
    contents: {
      tables: record.tables.map((table) => ({...table, rows: table.rows ?? 0, columns: []})),
      sequences: [],
      refreshedViews: [],
      encoding: record.source.locale.encoding,
    },
    strategy: 'clean',
    present,
    session: target,
    rights,
    request: {},
    selection: null,
  });
  const {counts, restored} = plan.leftOut;
  const what = `the newest backup, ${source.id}, restores over "${target.database}": ${countOf(restored, 'object')}`;
  const left = counts.size === 0 ? '' : `; ${describeLeftOut(plan, null).join('; ')}`;
  return [passed('restore-plan', what + left)];
}

/** Null if there is no readable backup. */
async function findNewest(context: RunContext): Promise<RestoreSource | null> {
  try {
    return await findRestoreSource(context, {isLatest: true});
  } catch (error) {
    if (error instanceof AppError && ['BACKUP_NOT_FOUND', 'NOT_A_BACKUP'].includes(error.code)) return null;
    throw error;
  }
}
