/** destino-db delete */
import {Flags} from '@oclif/core';
import {defined} from '../lib/base/defined.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {
  requiredBackup,
  backupFrom,
  confirmFlags,
  groups,
  namedBackup,
  waitFlag,
  waitMsOf,
} from '../lib/cli/flags.js';
import {repeatCommand, withoutArgument} from '../lib/cli/repeat-command.js';
import {showDeleted} from '../lib/cli/show/show-deleted.js';
import {deleteBackup, type DeleteResult} from '../lib/services/by-id/delete-backup.js';

export default class Delete extends BaseCommand {
  static override isRecorded = true;
  static override summary = 'delete one backup, by its id';
  static override description =
    'Asks first. The newest usable backup of a database is refused unless --even-the-newest is given, and so is one that label --keep\n' +
    'or a lock of its store keeps. Files that this program did not make stay. Copies in other locations stay.\n' +
    'Exit codes: 0 done, 1 failed, 2 usage or no such backup, 3 environment, 5 refused (not confirmed, newest, kept, locked), 130 interrupted.';
  static override examples = [
    {
      description: 'what would go',
      command: '<%= config.bin %> delete latest --even-the-newest --dry-run',
    },
    {
      description: 'without a question',
      command: '<%= config.bin %> delete latest --even-the-newest --yes',
    },
  ];
  static override args = requiredBackup;
  static override flags = {
    ...backupFrom,
    'even-the-newest': Flags.boolean({
      helpGroup: groups.safety,
      summary: 'Delete it even if it is the newest usable backup of its database.',
    }),
    'dry-run': Flags.boolean({
      helpGroup: groups.safety,
      char: 'n',
      default: false,
      summary: 'Say what would be deleted; delete nothing.',
    }),
    ...waitFlag,
    ...confirmFlags,
  };

  async run(): Promise<DeleteResult> {
    const {flags, args} = await this.parse(Delete);
    const backup = namedBackup(args.backup, flags) ?? '';
    const others = withoutArgument(this.argv, args.backup, {...Delete.baseFlags, ...Delete.flags});
    return this.perform(
      flags,
      (context) =>
        deleteBackup(
          context,
          defined({
            backup,
            from: flags.from,
            isNewestToo: flags['even-the-newest'],
            dryRun: flags['dry-run'],
            waitMs: waitMsOf(flags),
          }),
        ),
      // The backup that was looked at, not another one that the word means by then.
      (result, style) => {
        const word = result.id.startsWith(backup) || backup === 'latest' ? result.id : backup;
        return showDeleted(repeatCommand(this.config.bin, 'delete', [word, ...others], []))(result, style);
      },
    );
  }
}
