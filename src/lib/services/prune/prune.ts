/** Implements `prune`: removes backups from a location, and databases that restores set aside. */
import {ruleNames} from '../../catalog/retention.js';
import type {RunContext} from '../../run/run-context.js';
import {pruneBackups, type PruneOptions, type PruneResult} from './prune-backups.js';
import type {SetAsideRequest, SetAsideResult} from './prune-databases.js';
import {openFrom, openSource} from '../../storage/open-place.js';

export interface PruneCommandResult extends PruneResult {
  /** Databases that a restore set aside; null if they were not requested. */
  readonly setAside: SetAsideResult | null;
}

/**
 * Removes backups by the policy, and with `setAside` the set-aside databases. With `setAside` and no rule among the flags, all backups
 * are kept.
 * @throws the errors of `pruneBackups` and `pruneSetAside`
 */
export async function prune(
  ctx: RunContext,
  options: PruneOptions & {
    /** Whether set-aside databases are dropped; `setAsideChoice` says which. */
    readonly setAside: boolean;
    readonly setAsideChoice?: Omit<SetAsideRequest, 'dryRun'>;
    /** Folder of the backups; `database` in the backups folder by default. */
    readonly folder?: string;
    /** The same folder, or a bucket. */
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
