/** destino-db show */
import {defined} from '../lib/base/defined.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {backupFrom, requiredBackup, namedBackup, sameSettings} from '../lib/cli/flags.js';
import {showOneBackup} from '../lib/cli/show/show-one-backup.js';
import {showBackup} from '../lib/services/by-id/show-backup.js';

export default class Show extends BaseCommand {
  static override summary = 'show all that is known of one backup, by its id';
  static override description =
    'Its tables with their rows, what it does not contain, its checks, which of the configured locations have a copy, and the commands\n' +
    'that restore it. Reads metadata only.\n' +
    'Exit codes: 0 done, 2 usage or no such backup, 3 environment, 4 metadata cannot be read.';
  static override examples = [
    {description: 'the newest usable backup', command: '<%= config.bin %> show latest'},
    {
      description: 'for scripts',
      command: "<%= config.bin %> show latest --json | jq '.tables[] | {table, rows}'",
    },
  ];
  static override args = requiredBackup;
  static override flags = backupFrom;

  async run() {
    const {flags, args} = await this.parse(Show);
    const backup = namedBackup(args.backup, flags) ?? '';
    return this.perform(
      flags,
      (context) =>
        showBackup(context, defined({backup, from: flags.from}), (id) => [
          this.config.bin,
          id,
          ...sameSettings(flags),
        ]),
      showOneBackup(flags.verbose),
    );
  }
}
