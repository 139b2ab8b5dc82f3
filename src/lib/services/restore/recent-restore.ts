/** Warns of a restore soon after another one: rows written since are lost, and the damage may be restored. */
import {backupFolder} from '../../catalog/backup-name.js';
import {readCatalogue} from '../../catalog/catalogue.js';
import {AppError} from '../../base/errors.js';
import {countOf, formatAge} from '../../base/format.js';
import type {RunContext} from '../../run/run-context.js';
import {readHistory} from '../../run/read-history.js';
import type {RunRecord} from '../../run/run-record.js';
import type {RestorePlan} from './plan.js';
import {strategies} from './strategy.js';

/** How long a restore counts as recent, ms. */
const recentMs = 24 * 3_600_000;

/** Names both backups with their times and row counts. */
export async function warnOfRecentRestore(context: RunContext, plan: RestorePlan): Promise<void> {
  // A restore into an empty database or into empty tables replaces nothing.
  if (!strategies[plan.strategy].replaces) return;
  const {settings, clock, warn} = context;
  const before = await lastRestore(context, plan);
  if (!before) return;
  const {backups} = await readCatalogue(backupFolder(settings));
  const earlier = backups.find(({id}) => id === before.backupId);
  const rows = plan.source.tables.reduce((sum, table) => sum + table.rows, 0);
  const was = describe(before.backupId ?? 'a backup', earlier?.createdAt, before.rows);
  const now = describe(plan.source.id, plan.source.createdAt, rows);
  warn(
    `"${plan.target.database}" was restored ${formatAge(new Date(before.startedAt), clock.now())}, at ${moment(new Date(before.startedAt))}, from ${was}. This restore replaces that content, and all changes since, by ${now}.`,
  );
}

async function lastRestore(
  {settings, clock}: RunContext,
  {target}: RestorePlan,
): Promise<RunRecord | undefined> {
  const earliest = clock.now().getTime() - recentMs;
  const isOfTarget = ({command, mode, outcome, database, startedAt}: RunRecord): boolean =>
    command === 'restore' &&
    mode === 'execute' &&
    outcome === 'ok' &&
    database?.name === target.database &&
    database.host === target.host &&
    database.port === target.port &&
    Date.parse(startedAt) > earliest;
  try {
    return (await readHistory(settings.backupsDir, isOfTarget)).runs.at(-1);
  } catch (error) {
    // A restore does not depend on the audit log.
    if (error instanceof AppError && error.code === 'READ_FAILED') return undefined;
    throw error;
  }
}

function describe(id: string, taken: Date | undefined, rows: number | null): string {
  const facts = [
    ...(taken ? [`taken ${moment(taken)}`] : []),
    ...(rows === null ? [] : [countOf(rows, 'row')]),
  ];
  return facts.length === 0 ? id : `${id} (${facts.join(', ')})`;
}

function moment(at: Date): string {
  return `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}
