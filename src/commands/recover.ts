/** destino-db recover */
import {Flags} from '@oclif/core';
import {defined} from '../lib/base/defined.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {confirmFlags, repeatableFlag, settingsWords, waitFlag, waitMsOf} from '../lib/cli/flags.js';
import {repeatCommand, withoutConsent} from '../lib/cli/repeat-command.js';
import {showRecoveryGuide} from '../lib/cli/show/show-recovery-guide.js';
import {showRecover} from '../lib/cli/show/show-recover.js';
import {recoveryGuide} from '../lib/services/recover/guide.js';
import {recoverLeftovers} from '../lib/services/recover/recover.js';

export default class Recover extends BaseCommand {
  static override isRecorded = true;
  static override summary = 'finish or revert what an interrupted run left behind';
  static override description =
    'Looks into the backups folders and, where a URL is set, on the server: unfinished files, backups without their last name, scratch and staging databases,\n' +
    'half a change of names, databases closed to sessions. What belongs to a run at work is left alone.\n' +
    'Exit codes: 0 done, 1 something could not be cleared up, 2 usage, 3 environment (the server could not be looked at), 5 refused, 130 interrupted.';
  static override examples = [
    '<%= config.bin %> recover --dry-run',
    '<%= config.bin %> recover --yes',
    '<%= config.bin %> recover --guide --output RECOVERY.md',
  ];
  static override flags = {
    'dry-run': Flags.boolean({
      helpGroup: 'SAFETY',
      char: 'n',
      summary: 'Say what was left and what would be done; do nothing.',
    }),
    'drop-db': repeatableFlag(
      'NAME',
      'Also drop this working database, whose owner or name is doubtful (repeatable).',
      {exclusive: ['guide']},
    ),
    guide: Flags.boolean({
      summary:
        'Print the emergency checklist with the commands and backups of this installation; do nothing.',
      exclusive: ['dry-run', 'yes', 'confirm-db'],
    }),
    output: Flags.string({
      char: 'o',
      summary: 'Write the checklist into this file (Markdown), to keep it offline.',
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
