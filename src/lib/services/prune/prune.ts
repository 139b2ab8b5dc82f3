/** The command `prune`: backups here or in another place, and databases that restores set aside. */
import {ruleNames} from '../../catalog/retention.js';
import type {RunContext} from '../../run/run-context.js';
import {pruneBackups, type PruneOptions, type PruneResult} from './prune-backups.js';
import type {SetAsideRequest, SetAsideResult} from './prune-databases.js';
import {openFrom, openSource} from '../../storage/open-place.js';

export interface PruneCommandResult extends PruneResult {
  /** Databases that a restore set aside; null when they were not asked for. */
  readonly setAside: SetAsideResult | null;
}

/**
 * `prune` as the command has it: backups by the policy, and set-aside databases with `setAside`. That alone, without a
 * rule among the flags, leaves backups as they are.
 * @throws what `pruneBackups` and `pruneSetAside` throw
 */
export async function prune(
  ctx: RunContext,
  options: PruneOptions & {
    /** Whether set-aside databases are dropped; `setAsideChoice` says which. */
    readonly setAside: boolean;
    readonly setAsideChoice?: Omit<SetAsideRequest, 'dryRun'>;
    /** Folder of the backups; `database` in the backups folder by default. */
    readonly folder?: string;
    /** The same, or a bucket. */
    readonly from?: string;
  },
): Promise<PruneCommandResult> {
  const named = options.from ?? options.folder;
  const place =
    named === undefined ? await openSource(ctx.settings, named) : await openFrom(ctx.settings, named);
  if (options.from !== undefined || !options.setAside)
    return {...(await pruneBackups(ctx, place, options)), setAside: null};
  const isOnlySetAside = ruleNames(options.policy).length === 0;
  const {pruneSetAside} = await import('./prune-databases.js');
  const backups = isOnlySetAside
    ? {dryRun: options.dryRun, folder: place.url, kept: [], removed: [], partials: [], problems: []}
    : await pruneBackups(ctx, place, options);
  return {
    ...backups,
    setAside: await pruneSetAside(ctx, {...options.setAsideChoice, dryRun: options.dryRun}),
  };
}
