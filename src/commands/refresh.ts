/** destino-db refresh */
import {Flags} from '@oclif/core';
import {defined} from '../lib/base/defined.js';
import {exitStatus} from '../lib/base/errors.js';
import {parseEndOf} from '../lib/base/parse-end-of.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {
  atFlag,
  backupArgument,
  confirmFlags,
  countFlag,
  groups,
  lockWaitFlag,
  lockWaitMsOf,
  namedBackup,
  placeFlags,
  repeatableFlag,
  sameSettings,
  sourceOf,
  waitFlag,
  waitMsOf,
} from '../lib/cli/flags.js';
import {repeatCommand, withoutArgument} from '../lib/cli/repeat-command.js';
import {showRefresh} from '../lib/cli/show/show-refresh.js';
import {refresh, type RefreshRequest} from '../lib/services/refresh/refresh.js';

export default class Refresh extends BaseCommand {
  static override isRecorded = true;
  static override summary = "replace another environment's database by a masked copy";
  static override description = `Restores the newest usable backup, or the one that is named, beside the target, applies the masks of the config file, and compares the
result with the backup: a masked column may contain none of its old values, and no column of text any e-mail address of them. Then the
copy takes the target's name, and the old database is set aside for undo. Until then only the restoring role can connect to the copy.
Columns that look personal and have no mask, and definitions that look personal, stop the run before anything is restored. Production
and the backup's own source are refused.
Exit codes: 0 done, 1 failed, 2 usage, 3 environment, 4 damaged backup or masks not proven, 5 refused, 130 interrupted.`;
  static override examples = [
    {
      description: 'what would be masked, and what has no mask yet',
      command: '<%= config.bin %> refresh --target-url-env STAGING_URL --dry-run',
    },
    {
      description: 'replace staging, from cron',
      command: '<%= config.bin %> refresh --target-url-env STAGING_URL --target-db shop_staging --yes',
    },
  ];
  static override args = backupArgument;
  static override flags = {
    ...atFlag,
    ...placeFlags,
    'target-url-env': Flags.string({
      helpGroup: groups.whereTo,
      helpValue: 'VARIABLE',
      required: true,
      summary: 'Environment variable with the URL of the other environment.',
    }),
    'target-db': Flags.string({
      helpGroup: groups.whereTo,
      helpValue: 'NAME',
      summary: 'Database to replace or create there (default: that of the URL).',
    }),
    'keep-set-aside': countFlag('Number of replaced databases to keep for undo (default: 1).', {
      helpGroup: groups.setAside,
      min: 1,
      max: 100,
    }),
    'parallel-jobs': countFlag(
      'Number of connections that load, mask and check the copy (default: as many as cores, at most 4).',
      {helpGroup: groups.speed, min: 1, max: 64},
    ),
    'allow-owner-change': repeatableFlag(
      'NAME',
      'SECURITY DEFINER function or view that may get another owner where its own cannot be kept: schema.name or all (repeatable).',
      {helpGroup: groups.safety},
    ),
    roles: Flags.boolean({
      helpGroup: groups.safety,
      default: true,
      allowNo: true,
      summary:
        "Create the backup's own roles where another server lacks them, without passwords; --no-roles leaves out their rights (default: on).",
    }),
    'dry-run': Flags.boolean({
      helpGroup: groups.safety,
      char: 'n',
      summary: 'Check everything, print what would happen, and change nothing.',
    }),
    ...waitFlag,
    ...lockWaitFlag,
    ...confirmFlags,
  };

  async run() {
    const {flags, args} = await this.parse(Refresh);
    const named = namedBackup(args.backup, flags, ['at']);
    const command = (id: string): string[] => [this.config.bin, id, ...sameSettings(flags)];
    const request = defined<RefreshRequest>({
      backupFile: named,
      at: flags.at === undefined ? undefined : parseEndOf(flags.at),
      targetUrlEnv: flags['target-url-env'],
      targetDb: flags['target-db'],
      keepSetAside: flags['keep-set-aside'] ?? 1,
      parallelJobs: flags['parallel-jobs'],
      allowOwnerChange: flags['allow-owner-change'],
      roles: flags.roles,
      dryRun: flags['dry-run'],
      waitMs: waitMsOf(flags),
      lockWaitMs: lockWaitMsOf(flags),
      command,
    });
    const repeat = (id: string): string => {
      const words = [
        id,
        ...withoutArgument(this.argv, args.backup, {...Refresh.baseFlags, ...Refresh.flags}),
      ];
      return repeatCommand(this.config.bin, 'refresh', words, [], ['--at']);
    };
    return this.perform(
      flags,
      (context) => refresh(context, sourceOf(flags), request),
      showRefresh({now: new Date(), repeat, variable: flags['target-url-env'], bin: this.config.bin}),
      {
        exitCodeOf: ({personal, personalDefinitions}) =>
          personal.length + personalDefinitions.length === 0 ? 0 : exitStatus.refused,
      },
    );
  }
}
