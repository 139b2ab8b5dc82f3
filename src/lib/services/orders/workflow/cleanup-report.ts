/** Writes the report of a safe cleanup next to the backups, as JSON for programs and as Markdown for people. */
import {join} from 'node:path';
import {timestampForName} from '../../../base/file-names.js';
import {takeFreeName} from '../../../base/free-name.js';
import {exists, makePrivateFolder, writeFileSafely} from '../../../base/safe-file.js';
import type {AppError} from '../../../base/errors.js';
import {formatBytes, formatCount, formatDuration} from '../../../base/format.js';
import {redact} from '../../../base/redact.js';
import type {StepOutcome} from '../../../progress/timed-progress.js';
import type {RunContext} from '../../../run/run-context.js';
import type {CleanResult} from '../clean/execute.js';
import type {BackupResult} from '../../backup/result.js';

/** The results of a cleaning when it ends, successfully or not. */
export interface CleanupState {
  steps: StepOutcome[];
  backup: BackupResult | null;
  orders: CleanResult;
  /** The known outcome of a deletion whose connection broke during the commit; its order backup is in `orders`. */
  cutOff?: 'committed' | 'unknown';
  undo: string[];
}

/**
 * Writes `safe-cleanup-<time>.md` and `.json` into the backups folder.
 * @param error the reason why the run stopped
 * @returns absolute path of the Markdown file
 */
export async function writeCleanupReport(
  context: RunContext,
  state: CleanupState,
  error?: AppError,
): Promise<string> {
  const at = context.clock.now();
  const {backupsDir} = context.settings;
  await makePrivateFolder(backupsDir);
  const outcome = error === undefined ? null : {code: error.code, message: error.message};
  const document = {
    schemaVersion: 1,
    timestamp: at.toISOString(),
    toolVersion: context.toolVersion,
    error: outcome,
    ...state,
  };
  // Runs for different databases may end in the same second.
  const first = join(backupsDir, `safe-cleanup-${timestampForName(at)}`);
  const isTaken = async (base: string): Promise<boolean> =>
    (await exists(`${base}.json`)) || exists(`${base}.md`);
  return takeFreeName(first, isTaken, async (base) => {
    await writeFileSafely(`${base}.json`, `${redact(JSON.stringify(document, null, 2))}\n`);
    await writeFileSafely(`${base}.md`, redact(cleanupMarkdown(state, at, error)));
    return `${base}.md`;
  });
}

/** The report as Markdown. */
export function cleanupMarkdown(
  {steps, backup, orders, cutOff, undo}: CleanupState,
  at: Date,
  error?: AppError,
): string {
  const title =
    orders.mode === 'execute' || cutOff === 'committed'
      ? 'deleted'
      : cutOff === 'unknown'
        ? 'that may have been deleted'
        : 'that would have been deleted';
  const table = (head: readonly string[], rows: readonly (readonly string[])[]): string[] =>
    rows.length === 0
      ? []
      : [head, head.map(() => '---'), ...rows]
          .map((cells) => `| ${cells.map(cell).join(' | ')} |`)
          .concat('');
  const counts = (title: string, values: Readonly<Record<string, number>>): string[] =>
    table(
      [title, 'orders'],
      Object.entries(values).map(([name, count]) => [name, formatCount(count)]),
    );
  const lines = [
    `# Safe cleanup of ${cell(orders.database)}, ${at.toISOString()}`,
    '',
    error === undefined ? 'The cleanup is complete.' : `**Stopped** (${error.code}): ${cell(error.message)}`,
    '',
    '## Steps',
    '',
    ...table(
      ['step', 'status', 'took'],
      steps.map(({name, status, duration}) => [name, status, formatDuration(duration)]),
    ),
    '## Full backup',
    '',
    backup?.path == null
      ? 'None.'
      : `\`${backup.path}\`, ${formatBytes(backup.size)}, ${backup.verification?.ok === true ? `verified (${backup.verification.level})` : 'not verified'}.`,
    '',
    `## Orders ${title}`,
    '',
    `Plan \`${orders.plan}\`, order backup: ${orders.backupPath === null ? 'none' : `\`${orders.backupPath}\``}.`,
    '',
    ...table(
      ['table', 'deleted', 'kept without link'],
      Object.entries(orders.tables)
        .filter(([, {deleted, relinked}]) => deleted + relinked > 0)
        .map(([label, {deleted, relinked}]) => [label, formatCount(deleted), formatCount(relinked)]),
    ),
    ...counts('reason', orders.reasons),
    ...counts('kept by guard', orders.guards),
    '## Undo',
    '',
    ...(undo.length === 0 ? ['Nothing can be undone by a command.'] : ['```sh', ...undo, '```']),
    '',
  ];
  return lines.join('\n');
}

/** A text that cannot break out of a table cell. */
function cell(text: string): string {
  return text.replace(/\s+/g, ' ').replaceAll('|', '\\|');
}
