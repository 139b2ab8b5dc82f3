/** destino-db label */
import {Args, Flags} from '@oclif/core';
import {defined} from '../lib/base/defined.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {requiredBackup, backupFrom, groups, namedBackup, waitFlag, waitMsOf} from '../lib/cli/flags.js';
import {showLabelled} from '../lib/cli/show/show-labelled.js';
import {labelBackup, type LabelResult} from '../lib/services/by-id/label-backup.js';

export default class Label extends BaseCommand {
  static override isRecorded = true;
  static override summary = 'name one backup, by its id, or keep it for good';
  static override description =
    'Writes the label into the metadata of the backup. With --keep, prune never removes the backup and delete refuses it. Copies in\n' +
    'other locations keep their label: name the location with --from.\n' +
    'Exit codes: 0 done, 1 failed, 2 usage or no such backup, 3 environment, 5 refused (locked, written by another run), 130 interrupted.';
  static override examples = [
    {description: 'a name', command: '<%= config.bin %> label latest before-release'},
    {description: 'safe from prune', command: '<%= config.bin %> label latest --keep'},
    {
      description: 'no label, and prune decides again',
      command: "<%= config.bin %> label latest '' --no-keep",
    },
  ];
  static override args = {
    ...requiredBackup,
    text: Args.string({description: 'New label; empty text removes it.', ignoreStdin: true}),
  };
  static override flags = {
    ...backupFrom,
    keep: Flags.boolean({
      helpGroup: groups.whatToKeep,
      allowNo: true,
      summary: 'Keep the backup whatever retention says; --no-keep ends that (default: unchanged).',
    }),
    ...waitFlag,
  };

  async run(): Promise<LabelResult> {
    const {flags, args} = await this.parse(Label);
    const backup = namedBackup(args.backup, flags) ?? '';
    return this.perform(
      flags,
      (context) =>
        labelBackup(
          context,
          defined({
            backup,
            from: flags.from,
            text: args.text,
            keep: flags.keep,
            waitMs: flags.wait === undefined ? undefined : waitMsOf(flags),
          }),
        ),
      showLabelled,
    );
  }
}
