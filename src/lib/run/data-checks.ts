/** The results of data checks (verify.checks), as results, metadata and the audit log contain them. */
import {z} from 'zod';
import type {Outcome} from './check-outcome.js';

export const dataCheckSchema = z.object({
  /** As in the config file. */
  name: z.string(),
  /** "not-run": the query has an error, or took too long. */
  outcome: z.enum(['passed', 'failed', 'not-run']),
  /** The result of the query, or why it could not run; null for a check that passed. */
  message: z.string().nullable(),
  /** ms */
  duration: z.int().min(0),
});
export type DataCheck = z.infer<typeof dataCheckSchema>;

/** The code of the worst result; null if every check passed. */
export function codeOfChecks(checks: readonly DataCheck[]): 'CHECK_FAILED' | 'CHECK_NOT_RUN' | null {
  if (checks.some(({outcome}) => outcome === 'failed')) return 'CHECK_FAILED';
  return checks.some(({outcome}) => outcome === 'not-run') ? 'CHECK_NOT_RUN' : null;
}

/** The outcome of a restore test. A data check can only make it worse; it says nothing about the bytes of the backup. */
export function withChecks(outcome: Outcome, checks: readonly DataCheck[]): Outcome {
  if (outcome !== 'passed') return outcome;
  const code = codeOfChecks(checks);
  if (code === null) return 'passed';
  return code === 'CHECK_FAILED' ? 'failed' : 'not-possible';
}

/** A sentence for each check that did not pass. */
export function describeChecks(checks: readonly DataCheck[]): string[] {
  return checks.flatMap(({name, outcome, message}) => {
    if (outcome === 'passed') return [];
    return [`The check "${name}" ${outcome === 'failed' ? 'failed' : 'could not run'}: ${message ?? ''}.`];
  });
}
