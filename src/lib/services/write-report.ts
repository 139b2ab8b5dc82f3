/** Writes the report: one page over the audit log and the backups on disk. */
import {dirname, join, resolve} from 'node:path';
import {readCatalogue} from '../backups/catalogue.js';
import {makePrivateFolder, writeFileSafely} from '../backups/safe-file.js';
import {type ReportData, reportData, reportDays} from '../report/report-data.js';
import {reportPage} from '../report/report-page.js';
import type {RunContext} from '../run-context.js';
import {checkSchedule} from '../watch/check-schedule.js';
import {readHistory} from '../watch/read-history.js';
import {readPlan} from './plan-schedule.js';

export interface ReportResult extends ReportData {
  /** Absolute path of the page. */
  readonly path: string;
}

/**
 * @param output where the page goes; `report.html` in the backups folder by default
 * @throws READ_FAILED, FOLDER_NOT_WRITABLE, DISK_FULL, CONFIG_INVALID
 */
export async function writeReport(context: RunContext, output?: string): Promise<ReportResult> {
  const {settings, clock} = context;
  const now = clock.now();
  const earliest = new Date(now.getTime() - reportDays * 86_400_000);
  const {backups, problems} = await readCatalogue(join(settings.backupsDir, 'database'));
  for (const problem of problems) context.warn(`${problem.path} is not in the report: ${problem.reason}`);
  const {runs, unreadableLines} = await readHistory(
    settings.backupsDir,
    ({startedAt}) => Date.parse(startedAt) >= earliest.getTime(),
  );
  if (unreadableLines > 0)
    context.warn(`${unreadableLines} lines of the audit log cannot be read and are not in the report.`);
  const {jobs, zone} = readPlan(settings.config, false);
  const [first] = runs;
  const plan =
    first && jobs.length > 0 ? checkSchedule(jobs, zone, runs, new Date(first.startedAt), now) : undefined;
  const data = reportData({backups, runs, plan, now});
  const path = resolve(settings.cwd, output ?? join(settings.backupsDir, 'report.html'));
  await makePrivateFolder(dirname(path));
  await writeFileSafely(path, reportPage(data, context.toolVersion));
  return {...data, path};
}
