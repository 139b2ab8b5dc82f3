/** Compares a masked database with the values that it contained before. */
import type {Session} from '../postgres/client.js';
import type {Step} from '../progress/progress.js';
import type {MaskPlan} from './plan-masks.js';

/** Facts about the unmasked database; its values are hashes in temporary tables of the session. */
export interface UnmaskedRecord {
  readonly rows: ReadonlyMap<string, number>;
}

export interface MaskCheck {
  readonly kind: 'values' | 'addresses' | 'rows' | 'foreign keys';
  /** "schema.table.column", "schema.table" or the name of a foreign key. */
  readonly of: string;
  /** How many values, rows or keys were compared. */
  readonly compared: number;
  /** How many are those of the backup, or differ from it; 0 if the check passed. */
  readonly failed: number;
}

export interface MaskProof {
  readonly passed: boolean;
  readonly checks: readonly MaskCheck[];
  /** Columns and objects that were not compared, each with the reason. */
  readonly notCompared: readonly {readonly of: string; readonly reason: string}[];
}

/** Call it before `applyMasks`, in the same session. */
export async function recordUnmasked(
  _session: Session,
  _plan: MaskPlan,
  _step: Step,
): Promise<UnmaskedRecord> {
  return Promise.resolve({rows: new Map()});
}

/** Call it after `applyMasks`, in the session of `recordUnmasked`, whose tables it drops. */
export async function proveMasks(
  _session: Session,
  _plan: MaskPlan,
  _before: UnmaskedRecord,
  _step: Step,
): Promise<MaskProof> {
  return Promise.resolve({passed: false, checks: [], notCompared: []});
}
