/** Restores beside the target and lets the two change names. */
import type {RunContext} from '../run-context.js';
import type {RestorePlan} from './plan-restore.js';
import {loadAndCompare} from './load-and-compare.js';
export async function restoreBySwap(context: RunContext, plan: RestorePlan) {
  return loadAndCompare(context, plan, plan.target);
}
