/** destino-db list */
import {Flags} from '@oclif/core';
import {defined} from '../lib/base/defined.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {groups, repeatableFlag} from '../lib/cli/flags.js';
import {showList} from '../lib/cli/show/show-list.js';
import {type BackupList, listBackups} from '../lib/services/status/list-backups.js';
import {backupFormats} from '../lib/base/formats.js';

export default class List extends BaseCommand {
  static override summary = 'list the backups: age, size, checks, label';
  static override description =
    'Reads the metadata files only, so it is quick however large the backups are.\n' +
    'Exit codes: 0 done, 1 a folder cannot be read, 2 usage.';
  static override examples = [
    '<%= config.bin %> list',
    '<%= config.bin %> list --label before-release',
    "<%= config.bin %> list --json | jq -r '.backups[0].path'",
  ];
  static override flags = {
    from: Flags.string({
      helpValue: 'PLACE',
      helpGroup: groups.whichBackup,
      summary: 'Location to list: s3://bucket/prefix or a folder (default: the backups folder).',
    }),
    places: Flags.boolean({
      helpGroup: groups.whichBackup,
      summary: 'Add the copies in the locations of the config file, and where each backup is.',
      exclusive: ['from'],
    }),
    label: Flags.string({
      helpGroup: groups.whichBackup,
      helpValue: 'TEXT',
      summary: 'Label of the backups to list (default: all).',
    }),
    database: repeatableFlag('NAME', 'Database of the backups to list (repeatable; default: all).', {
      helpGroup: groups.whichBackup,
      exclusive: ['all-databases'],
    }),
    'all-databases': Flags.boolean({
      helpGroup: groups.whichBackup,
      summary: 'List the backups of "databases" in the config file only.',
    }),
    format: Flags.option({options: backupFormats})({
      helpGroup: groups.whichBackup,
      summary: 'Format of the backups to list (default: all).',
    }),
  };

  async run(): Promise<BackupList> {
    const {flags} = await this.parse(List);
    return this.perform(
      flags,
      (context) =>
        listBackups(
          context,
          defined({
            from: flags.from,
            label: flags.label,
            format: flags.format,
            hasPlaces: flags.places,
            databases: flags.database,
            isAllDatabases: flags['all-databases'],
          }),
        ),
      (list, style) =>
        showList(list, style, {
          isFiltered: [flags.label, flags.format, flags.database].some((one) => one !== undefined),
          isVerbose: flags.verbose,
        }),
    );
  }
}
