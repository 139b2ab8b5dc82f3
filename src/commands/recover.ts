/** destino-db recover */
import {Flags} from '@oclif/core';
import {defined} from '../lib/base/defined.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {confirmFlags, groups, repeatableFlag, settingsWords, waitFlag, waitMsOf} from '../lib/cli/flags.js';
import {repeatCommand, withoutConsent} from '../lib/cli/repeat-command.js';
import {showRecoveryGuide} from '../lib/cli/show/show-recovery-guide.js';
import {showRecover} from '../lib/cli/show/show-recover.js';
import {recoveryGuide} from '../lib/services/recover/guide.js';
import {recoverLeftovers} from '../lib/services/recover/recover.js';

export default class Recover extends BaseCommand {
  static override isRecorded = true;
  static override summary = 'finish or revert what an interrupted run left behind';
  static override description =
    'Looks in the backups folders and, where a URL is set, on the server: unfinished files, backups without their final name, scratch and\n' +
    'staging databases, half a swap, databases closed to sessions. Files and databases of a running command are left alone.\n' +
    'Exit codes: 0 done, 1 something could not be cleared up, 2 usage, 3 environment (the server could not be looked at), 5 refused, 130 interrupted.';
  static override examples = [
    '<%= config.bin %> recover --dry-run',
    '<%= config.bin %> recover --yes',
    '<%= config.bin %> recover --guide --output RECOVERY.md',
  ];
  static override flags = {
    'dry-run': Flags.boolean({
      helpGroup: groups.safety,
      char: 'n',
      summary: 'Print what was left behind and what would be done, and do nothing.',
    }),
    'drop-db': repeatableFlag(
      'NAME',
      'Working database to drop although its owner or name is doubtful (repeatable).',
      {helpGroup: groups.safety, exclusive: ['guide']},
    ),
    guide: Flags.boolean({
      helpGroup: groups.output,
      summary:
        'Print the emergency checklist with the commands and backups of this installation, and do nothing.',
      exclusive: ['dry-run', 'yes', 'confirm-db'],
    }),
    output: Flags.string({
      helpGroup: groups.output,
      char: 'o',
      summary: 'File for the checklist, in Markdown (default: print it).',
      helpValue: 'FILE',
      dependsOn: ['guide'],
    }),
    ...waitFlag,
    ...confirmFlags,
  };

  async run() {
    const {flags} = await this.parse(Recover);
    const {bin} = this.config;
    if (flags.guide) {
      const command = (id: string): string[] => [bin, id, ...settingsWords(flags)];
      return this.perform(
        flags,
        (context) => recoveryGuide(context, command, flags.output),
        showRecoveryGuide,
      );
    }
    return this.perform(
      flags,
      (context) =>
        recoverLeftovers(
          context,
          defined({
            dryRun: flags['dry-run'],
            dropDbs: flags['drop-db'],
            waitMs: waitMsOf(flags),
          }),
        ),
      showRecover(repeatCommand(bin, 'recover', withoutConsent(this.argv), ['--yes'])),
      {exitCodeOf: ({failed, serverError}) => (failed.length > 0 ? 1 : serverError === null ? 0 : 3)},
    );
  }
}
