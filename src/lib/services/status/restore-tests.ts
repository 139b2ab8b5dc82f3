/** The restore tests recorded in the metadata and the audit log. */
import type {Backup} from '../../catalog/catalogue.js';
import {type Outcome, outcomeOfResult} from '../../run/check-outcome.js';
import {type DataCheck, withChecks} from '../../run/data-checks.js';
import type {RunRecord, RunVerification} from '../../run/run-record.js';

export interface RestoreTest {
  readonly at: string;
  readonly backupId: string;
  /** True only for the outcome "passed". */
  readonly ok: boolean;
  readonly outcome: Outcome;
  /** ms; duration of the restore. */
  readonly restoreDuration: number | null;
  /** Results of the data checks; with a failed one, the test failed although the backup is intact. */
  readonly checks: readonly DataCheck[];
}

/** The tests in the audit log, including those of removed backups, in the order of the runs. */
export function loggedRestoreTests(runs: readonly RunRecord[], backups: readonly Backup[]): RestoreTest[] {
  const existing = new Map(backups.map((backup) => [backup.id, backup]));
  return runs.flatMap((run) =>
    run.verifications
      .filter(({level}) => level === 'restore')
      .map((check) => {
        const {backupId, ok, restoreDuration, checks = []} = check;
        const outcome = loggedOutcome(check, existing.get(backupId));
        return {at: run.startedAt, backupId, ok, outcome, restoreDuration, checks};
      }),
  );
}

/** A failure recorded by 0.1.0 may be a refusal of the server; the metadata contains its findings. */
function loggedOutcome({ok, outcome}: RunVerification, backup: Backup | undefined): Outcome {
  if (outcome !== undefined) return outcome;
  if (ok) return 'passed';
  return backup && !recordedRestoreTests([backup]).some((test) => test.outcome === 'failed')
    ? 'not-possible'
    : 'failed';
}

/** The tests in the metadata of existing backups. */
export function recordedRestoreTests(backups: readonly Backup[]): RestoreTest[] {
  return backups.flatMap(({id, content, record}) => [
    ...[...(record?.verification ? [record.verification] : []), ...(record?.proofs ?? [])]
      .filter(({level}) => level === 'restore')
      .map((result) => {
        const {at, restoreDuration = null, checks = []} = result;
        const outcome = withChecks(outcomeOfResult(result, content), checks);
        return {at, backupId: id, ok: outcome === 'passed', outcome, restoreDuration, checks};
      }),
    ...(record?.notPossible ?? [])
      .filter(({level}) => level === 'restore')
      .map(({at, outcome}) => ({at, backupId: id, ok: false, outcome, restoreDuration: null, checks: []})),
  ]);
}
