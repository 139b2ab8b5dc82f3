/** destino-db list */
import {Flags} from '@oclif/core';
import {defined} from '../lib/base/defined.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {showList} from '../lib/cli/show/show-list.js';
import {type BackupList, listBackups} from '../lib/services/status/list-backups.js';
import {backupFormats} from '../lib/base/formats.js';

export default class List extends BaseCommand {
  static override summary = 'show the backups: when, how big, proven how, kept why';
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
      summary: 'Folder, or s3://bucket/prefix, to list instead of BACKUPS-DIR/database.',
    }),
    places: Flags.boolean({
      summary: 'Also the copies in the places of the config, and where each backup is.',
      exclusive: ['from'],
    }),
    label: Flags.string({helpValue: 'TEXT', summary: 'Only backups with this label.'}),
    format: Flags.option({options: backupFormats})({summary: 'Only backups of this format.'}),
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
          }),
        ),
      (list, style) =>
        showList(list, style, {
          isFiltered: flags.label !== undefined || flags.format !== undefined,
          isVerbose: flags.verbose,
        }),
    );
  }
}
