/** destino-db workflow:safe-cleanup */
import {Flags} from '@oclif/core';
import {defined} from '../../lib/base/defined.js';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {
  confirmFlags,
  countFlag,
  encryptFlags,
  encryptionFlagsOf,
  groups,
  lockWaitFlag,
  lockWaitMsOf,
  sameSettings,
  waitFlag,
  waitMsOf,
} from '../../lib/cli/flags.js';
import {AppError} from '../../lib/base/errors.js';
import {detailsFlag, orderFlags, planFlag, selectionFlags} from '../../lib/cli/order-flags.js';
import {pauseForEnter} from '../../lib/cli/pause.js';
import {repeatCommand} from '../../lib/cli/repeat-command.js';
import {showSafeCleanup} from '../../lib/cli/show/show-safe-cleanup.js';
import type {BackupRequest} from '../../lib/services/backup/options.js';
import type {CleanRequest} from '../../lib/services/orders/clean/execute.js';
import {safeCleanup} from '../../lib/services/orders/workflow/safe-cleanup.js';
import {backupFormats} from '../../lib/base/formats.js';

export default class WorkflowSafeCleanup extends BaseCommand {
  static override isRecorded = true;
  static override hasDatabase = true;
  static override summary = 'back up, verify and delete testing orders in one run';
  static override description = `Nothing is deleted before the full backup is made and verified. Without --execute only the steps that change nothing run.
Exit codes: 0 done, 1 failed, 2 usage, 3 environment, 4 the backup is damaged, 5 refused (not confirmed, locked, guard, plan changed), 130 interrupted.`;
  static override examples = [
    {description: 'what would happen', command: '<%= config.bin %> workflow:safe-cleanup'},
    {
      description: 'do it, test addresses only',
      command: '<%= config.bin %> workflow:safe-cleanup --execute --test-emails-only',
    },
  ];
  static override flags = {
    preview: Flags.boolean({
      helpGroup: groups.safety,
      summary: 'Print what would happen, and change nothing (default: on).',
      exclusive: ['execute'],
    }),
    execute: Flags.boolean({helpGroup: groups.safety, summary: 'Back up and delete, after a question.'}),
    ...planFlag,
    ...orderFlags,
    ...detailsFlag,
    'full-backup': Flags.boolean({
      helpGroup: groups.fullBackup,
      default: true,
      allowNo: true,
      summary: 'Back up the whole database first (default: on).',
    }),
    'order-backup': Flags.boolean({
      helpGroup: groups.fullBackup,
      default: true,
      allowNo: true,
      summary: 'Write every row to delete into a file first (default: on).',
    }),
    'backup-format': Flags.option({options: backupFormats})({
      helpGroup: groups.fullBackup,
      summary: 'Format of the full backup (default: custom).',
    }),
    compress: Flags.boolean({
      helpGroup: groups.fullBackup,
      allowNo: true,
      summary: 'Compress the full backup (default: on).',
    }),
    verify: Flags.boolean({
      helpGroup: groups.fullBackup,
      default: true,
      allowNo: true,
      summary: 'Read the full backup before anything is deleted; --execute requires it (default: on).',
    }),
    'retention-days': countFlag(
      'Remove full backups older than N days afterwards, by the rules of prune (default: none).',
      {
        helpGroup: groups.fullBackup,
        min: 1,
      },
    ),
    'parallel-jobs': countFlag(
      'Number of tables dumped at a time, in directory format (default: as many as cores, at most 4).',
      {
        helpGroup: groups.fullBackup,
        min: 1,
        max: 64,
      },
    ),
    'pause-steps': Flags.boolean({helpGroup: groups.safety, summary: 'Wait for Enter between the steps.'}),
    ...encryptFlags,
    ...waitFlag,
    ...lockWaitFlag,
    ...confirmFlags,
  };

  async run() {
    const {flags, raw} = await this.parse(WorkflowSafeCleanup);
    if (!flags['full-backup']) {
      refuseFlagsOfFullBackup(raw.filter((token) => token.type === 'flag'));
    }
    if (flags.execute && !flags.verify) {
      throw new AppError(
        'USAGE',
        '--execute deletes only after the full backup is verified, which --no-verify leaves out.',
        {hint: 'Leave out --no-verify, or have no full backup at all with --no-full-backup.'},
      );
    }
    const waitMs = waitMsOf(flags);
    const {bin} = this.config;
    const request = {
      clean: defined<CleanRequest>({
        selection: selectionFlags(flags),
        execute: flags.execute,
        plan: flags.plan,
        backup: flags['order-backup'],
        batchSize: undefined,
        createMissingIndexes: false,
        details: flags.details,
        waitMs,
        lockWaitMs: lockWaitMsOf(flags),
      }),
      fullBackup: flags['full-backup']
        ? defined<BackupRequest>({
            format: flags['backup-format'],
            compress: flags.compress,
            verify: flags.verify,
            retentionDays: flags['retention-days'],
            parallelJobs: flags['parallel-jobs'],
            label: 'before-cleanup',
            waitMs,
          })
        : undefined,
      encryption: encryptionFlagsOf(flags),
      command: (id: string) => [bin, id, ...sameSettings(flags)],
      pause: flags['pause-steps'] ? pauseForEnter({input: process.stdin, output: process.stderr}) : undefined,
    };
    const argv = this.argv.filter((arg) => arg !== '--no-verify');
    const repeat = (plan: string): string =>
      repeatCommand(bin, 'workflow:safe-cleanup', argv, ['--execute', '--plan', plan]);
    return this.perform(flags, (context) => safeCleanup(context, request), showSafeCleanup(repeat));
  }
}

const flagsOfFullBackup = new Set(['backup-format', 'compress', 'verify', 'retention-days', 'parallel-jobs']);

/** @throws USAGE when a flag says how to make the full backup that --no-full-backup leaves out */
function refuseFlagsOfFullBackup(given: readonly {flag: string; input: string}[]): void {
  const idle = given.filter(({flag}) => flagsOfFullBackup.has(flag));
  if (idle.length === 0) return;
  const names = idle.map(({flag, input}) => (input === `--no-${flag}` ? input : `--${flag}`)).join(' and ');
  throw new AppError('USAGE', `--no-full-backup leaves nothing for ${names} to do.`, {
    hint: 'Leave out one or the other.',
  });
}
