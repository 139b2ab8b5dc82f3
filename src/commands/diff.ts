/** destino-db diff */
import {Args, Flags} from '@oclif/core';
import {defined} from '../lib/base/defined.js';
import {parseEndOf} from '../lib/base/parse-end-of.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {atFlag, backupArgument, groups, namedBackup, placeFlags, sourceOf} from '../lib/cli/flags.js';
import {repeatCommand, withoutArgument} from '../lib/cli/repeat-command.js';
import {showDiff} from '../lib/cli/show/show-diff.js';
import {diffBackups} from '../lib/services/rows/diff-backups.js';

export default class Diff extends BaseCommand {
  static override hasDatabase = true;
  static override summary = 'compare a backup with the live database, or two backups';
  static override description = `Prints the tables whose rows differ: rows on the left only (the database, or the first backup), on the right only (the backup, or the
second one), and changed. Other differences follow. Tables with equal fingerprints are not compared row by row.
Exit codes: 0 compared, whether anything differs or not, 2 usage, 3 environment, 4 damaged backup, 130 interrupted.`;
  static override examples = [
    {description: 'the database and its newest backup', command: '<%= config.bin %> <%= command.id %>'},
    {
      description: 'the keys of the rows that differ in one table',
      command: '<%= config.bin %> <%= command.id %> --table public.orders',
    },
  ];
  static override args = {
    ...backupArgument,
    other: Args.string({
      description: 'Backup to compare with (default: the live database).',
      ignoreStdin: true,
    }),
  };
  static override flags = {
    ...atFlag,
    ...placeFlags,
    table: Flags.string({
      helpGroup: groups.whichRows,
      helpValue: 'NAME',
      multiple: true,
      multipleNonGreedy: true,
      summary:
        'Table to compare, with the keys of rows that differ (repeatable; default: all tables, without keys).',
    }),
  };

  async run() {
    const {flags, args} = await this.parse(Diff);
    return this.perform(
      flags,
      (context) =>
        diffBackups(
          context,
          sourceOf(flags),
          defined({
            backup: namedBackup(args.backup, flags, ['at']),
            other: namedBackup(args.other, flags),
            at: flags.at === undefined ? undefined : parseEndOf(flags.at),
            tables: flags.table ?? [],
          }),
        ),
      showDiff((id, words) => {
        const others = withoutArgument(this.argv, args.backup, {...Diff.baseFlags, ...Diff.flags});
        return repeatCommand(this.config.bin, 'restore:rows', [id, ...others], words, ['--table', '--at']);
      }),
    );
  }
}
