/** The simulated month as input of the report, with the plan of its runs. */
import {readCatalogue} from '../../src/lib/catalog/catalogue.js';
import {type ReportData, reportData} from '../../src/lib/services/report/report-data.js';
import {checkSchedule} from '../../src/lib/services/schedule/check-schedule.js';
import {parsePlan} from '../../src/lib/services/schedule/plan.js';
import {assessStatus} from '../../src/lib/services/status/assess.js';
import {tempFolder} from './run-cli.js';
import {story, writeSimulatedMonth} from './simulated-month.js';

/** Noon of the month's last day. */
export const reportedAt = new Date(`${story.lastDay}T12:00:00Z`);

export async function simulatedReport(): Promise<ReportData> {
  const folder = await tempFolder();
  const {runs} = await writeSimulatedMonth(folder);
  const {backups} = await readCatalogue(`${folder}/database`);
  const jobs = parsePlan(['daily custom at 02:00', 'weekly sql at 03:00']);
  const plan = checkSchedule(jobs, 'UTC', runs, new Date(runs[0]?.startedAt ?? 0), reportedAt);
  const catalogue = {backups, problems: []};
  const limits = {maxAge: 26 * 3_600_000, require: null, maxRestoreTestAge: null};
  const {findings} = assessStatus({catalogue, runs, now: reportedAt, freeBytes: null}, limits);
  return reportData({backups, findings, runs, plan, now: reportedAt});
}
