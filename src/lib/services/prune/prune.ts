/** The command `prune`: backups here or in another place, and databases that restores set aside. */
import {resolve} from 'node:path';
import {backupFolder} from '../../catalog/backup-name.js';
import {ruleNames} from '../../catalog/retention.js';
import {isRemote} from '../../base/place-name.js';
import type {RunContext} from '../../run/run-context.js';
import {pruneBackups, type PruneOptions, type PruneResult} from './prune-backups.js';
import type {SetAsideRequest, SetAsideResult} from './prune-databases.js';
import {openFrom} from '../../storage/open-place.js';

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
    readonly from?: string | undefined;
  },
): Promise<PruneCommandResult> {
  const named = options.from ?? options.folder;
  if (named !== undefined) await openFrom(ctx.settings, named);
  if (options.from !== undefined) {
    if (!isRemote(options.from)) {
      const folder = resolve(ctx.settings.cwd, options.from);
      return {...(await pruneBackups(ctx, {...options, folder})), setAside: null};
    }
    const {prunePlace} = await import('./prune-remote.js');
    return {...(await prunePlace(ctx, options.from, options)), setAside: null};
  }
  if (!options.setAside) return {...(await pruneBackups(ctx, options)), setAside: null};
  const folder = options.folder ?? backupFolder(ctx.settings);
  const isOnlySetAside = ruleNames(options.policy).length === 0;
  const {pruneSetAside} = await import('./prune-databases.js');
  const backups = isOnlySetAside
    ? {dryRun: options.dryRun, folder, kept: [], removed: [], partials: [], problems: []}
    : await pruneBackups(ctx, options);
  return {
    ...backups,
    setAside: await pruneSetAside(ctx, {...options.setAsideChoice, dryRun: options.dryRun}),
  };
}
